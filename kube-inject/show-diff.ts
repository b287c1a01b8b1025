import { writeStdout } from './output.ts'
import type { Recorder } from './recorder.ts'
import type { Spool } from './spool.ts'
import { coloured, makeUnified, runsBetween, type UnifiedDiff } from './unified-diff.ts'

/** Prints what would change as a unified diff that `patch -p1` and `git apply` take, out of a spool that the caller closes. */
export function makeDiff(spool: Spool, isTerminal: boolean): Recorder {
  let file: { readonly name: string; readonly diff: UnifiedDiff } | undefined
  const add = (text: string): void => {
    spool.add(isTerminal ? coloured(text) : text)
  }
  return {
    take: ({ name }, { before, text }) => {
      if (file?.name !== name) {
        add(file?.diff.end() ?? '')
        file = { name, diff: makeUnified(name) }
      }
      add(file.diff.add(runsBetween(before, text)))
    },
    finish: () => {
      add(file?.diff.end() ?? '')
      return writeStdout(spool.read(0, spool.size()))
    },
  }
}
