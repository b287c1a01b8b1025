import type { BigIntStats } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import type { Source } from '../core/inject/config.ts'
import type { Problem } from '../core/problem.ts'

/** The texts of files as they were at one moment, or why some could not be read. */
export type FileTexts = {
  readonly texts: readonly Source[]
  readonly problems: readonly Problem[]
}

/** A watch that runs until it is closed. */
export type Watch = { readonly close: () => void }

/** Milliseconds between two looks at the files. */
const POLL_MS = 1000

/** Reads files as they are now; one that cannot be read is a problem. */
export async function readFiles(paths: readonly string[]): Promise<FileTexts> {
  const read = await Promise.all(paths.map(readOne))
  return {
    texts: read.filter((file) => 'text' in file),
    problems: read.filter((file) => 'want' in file),
  }
}

/**
 * Calls `onChange` with the texts of all `paths` whenever the text of one of them has changed. Looks
 * at the files by time: it follows symbolic links, so that the swapped folder of a mounted Secret or
 * ConfigMap is seen, and it works on file systems that send no events. `known` is what was read
 * before the watch began.
 */
export function watchFiles(
  paths: readonly string[],
  known: FileTexts,
  onChange: (files: FileTexts) => void,
  pollMs = POLL_MS,
): Watch {
  const signs = new Map<string, string>()
  let last = JSON.stringify(known)
  let isClosed = false
  let timer: NodeJS.Timeout | undefined

  const look = async (): Promise<void> => {
    const touched = await Promise.all(paths.map((path) => isTouched(path, signs)))
    if (!touched.includes(true)) return
    const files = await readFiles(paths)
    const found = JSON.stringify(files)
    if (isClosed || found === last) return
    last = found
    onChange(files)
  }
  const wait = (): void => {
    if (!isClosed) timer = setTimeout(() => void look().finally(wait), pollMs)
  }
  wait()
  return {
    close: () => {
      isClosed = true
      clearTimeout(timer)
    },
  }
}

async function readOne(path: string): Promise<Source | Problem> {
  try {
    return { path, text: await readFile(path, 'utf8') }
  } catch (error) {
    const got = error instanceof Error ? error.message : String(error)
    return { path, got, want: 'a file that can be read' }
  }
}

/** Whether the file behind the path is another one, or was written, since the last look. */
async function isTouched(path: string, signs: Map<string, string>): Promise<boolean> {
  const sign = await stat(path, { bigint: true }).then(printSign, () => 'unreadable')
  const isNew = signs.get(path) !== sign
  signs.set(path, sign)
  return isNew
}

function printSign(at: BigIntStats): string {
  return [at.dev, at.ino, at.size, at.mtimeNs, at.ctimeNs].map(String).join(' ')
}
