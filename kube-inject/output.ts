import {
  chmodSync,
  closeSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { Refusal } from '../core/problem.ts'

/**
 * Writes a file as a whole: beside it first, then moved over it, so that nobody sees half of it and a
 * full disk leaves the old one. Its mode is kept. What is no regular file (a pipe, a device) is written to.
 */
export function writeWhole(file: string, texts: readonly string[]): void {
  try {
    const old = statSync(file, { throwIfNoEntry: false })
    if (old !== undefined && !old.isFile() && !old.isDirectory()) writeTo(file, 'w', 0o666, texts)
    else {
      const target = old === undefined ? file : realpathSync(file)
      const aside = join(dirname(target), `.sidecar-injector-${process.pid}.tmp`)
      try {
        writeTo(aside, 'wx', 0o666, texts)
        if (old !== undefined) chmodSync(aside, old.mode & 0o7777)
        renameSync(aside, target)
      } finally {
        rmSync(aside, { force: true })
      }
    }
  } catch (cause) {
    const got = cause instanceof Error ? cause.message : String(cause)
    throw new Refusal([{ path: file, got, want: 'a file that can be written' }], {
      cause,
    })
  }
}

function writeTo(file: string, flags: string, mode: number, texts: readonly string[]): void {
  const descriptor = openSync(file, flags, mode)
  try {
    for (const text of texts) {
      const bytes = Buffer.from(text, 'utf8')
      for (let at = 0; at < bytes.length;) at += writeSync(descriptor, bytes, at)
    }
    if (flags !== 'w') fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** Writes to standard output and waits until it is taken; a reader that went away is no error. */
export function writeStdout(texts: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') resolve()
      else reject(error)
    })
    process.stdout.write(texts.join(''), () => {
      resolve()
    })
  })
}
