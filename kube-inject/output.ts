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
import type { Destination } from './write-manifests.ts'

/** What `-o` names: a folder where there is one, or where the name ends like one; else a file. */
export function folderOrFile(name: string): Destination {
  const isFolder = name.endsWith('/') || isThereAsFolder(name)
  return isFolder ? { to: 'folder', folder: name } : { to: 'file', file: name }
}

/** What cannot be looked at cannot be written either, and writing says why. */
function isThereAsFolder(name: string): boolean {
  try {
    return statSync(name).isDirectory()
  } catch {
    return false
  }
}

/**
 * Writes a file as a whole: beside it first, then moved over it, so that nobody sees half of it and a
 * full disk leaves the old one. Its mode is kept. What is no regular file (a pipe, a device) is written to.
 */
export function writeWhole(file: string, pieces: Iterable<Buffer>): void {
  try {
    const old = statSync(file, { throwIfNoEntry: false })
    if (old !== undefined && !old.isFile() && !old.isDirectory()) writeTo(file, 'w', 0o666, pieces)
    else {
      const target = old === undefined ? file : realpathSync(file)
      const aside = join(dirname(target), `.sidecar-injector-${process.pid}.tmp`)
      try {
        writeTo(aside, 'wx', 0o666, pieces)
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

function writeTo(file: string, flags: string, mode: number, pieces: Iterable<Buffer>): void {
  const descriptor = openSync(file, flags, mode)
  try {
    for (const bytes of pieces) {
      for (let at = 0; at < bytes.length;) at += writeSync(descriptor, bytes, at)
    }
    if (flags !== 'w') fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** Writes to standard output and waits until it is taken; a reader that went away is no error. */
export async function writeStdout(pieces: Iterable<Buffer>): Promise<void> {
  for (const bytes of pieces) if ((await writePiece(bytes)) === 'gone') return
}

function writePiece(bytes: Buffer): Promise<'taken' | 'gone'> {
  const { stdout } = process
  return new Promise((resolve, reject) => {
    // The callback hears of an error first; the event that follows it has to find a listener.
    const onError = (error: NodeJS.ErrnoException): void => {
      if (error.code === 'EPIPE') resolve('gone')
      else {
        const want = 'one that can be written'
        reject(
          new Refusal([{ path: 'standard output', got: error.message, want }], { cause: error }),
        )
      }
    }
    stdout.once('error', onError)
    stdout.write(bytes, (error) => {
      if (error) onError(error)
      else {
        stdout.off('error', onError)
        resolve('taken')
      }
    })
  })
}
