import { writeStdout } from './output.ts'
import type { Recorder } from './recorder.ts'
import { coloured, printUnified, runsBetween, type Run } from './unified-diff.ts'

/** Prints what would change as a unified diff that `patch -p1` and `git apply` take. */
export function makeDiff(isTerminal: boolean): Recorder {
  const runs = new Map<string, Run[]>()
  return {
    take: ({ name }, { before, text }) => {
      const known = runs.get(name) ?? []
      runs.set(name, known)
      known.push(...runsBetween(before, text))
    },
    finish: () => {
      const diffs = [...runs].map(([name, own]) => printUnified(name, own))
      const texts = isTerminal ? diffs.map(coloured) : diffs
      return writeStdout(texts.map((text) => Buffer.from(text, 'utf8')))
    },
  }
}
