import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Refusal } from '../core/problem.ts'

/** Text that waits until everything is known to be right: in memory first, then in a file without a name. */
export type Spool = {
  readonly add: (text: string) => void
  /** Bytes so far. */
  readonly size: () => number
  /** The bytes from `start` to `end`, in pieces. */
  readonly read: (start: number, end: number) => Iterable<Buffer>
  readonly close: () => void
}

/** Bytes that stay in memory before the first of them are written. */
const PIECE = 4 * 1024 * 1024

/** An empty spool. The file is removed as soon as it is open, so nothing stays behind however this ends. */
export function makeSpool(piece = PIECE): Spool {
  let file: number | undefined
  let written = 0
  let waiting: Buffer[] = []
  let waitingBytes = 0
  const spill = (): void => {
    try {
      file ??= openNameless()
      for (const part of waiting) {
        for (let at = 0; at < part.length;)
          at += writeSync(file, part, at, part.length - at, written + at)
        written += part.length
      }
    } catch (cause) {
      const got = cause instanceof Error ? cause.message : String(cause)
      const want = 'room for what is to be written (TMPDIR names another folder)'
      throw new Refusal([{ path: tmpdir(), got, want }], { cause })
    }
    waiting = []
    waitingBytes = 0
  }
  return {
    add: (text) => {
      if (text === '') return
      const bytes = Buffer.from(text, 'utf8')
      waiting.push(bytes)
      waitingBytes += bytes.length
      if (waitingBytes > piece) spill()
    },
    size: () => written + waitingBytes,
    *read(start, end) {
      for (let at = start; at < Math.min(end, written);) {
        const buffer = Buffer.alloc(Math.min(piece, Math.min(end, written) - at))
        const got = file === undefined ? 0 : readSync(file, buffer, 0, buffer.length, at)
        if (got === 0) throw new Error('the spool ended early')
        at += got
        yield buffer.subarray(0, got)
      }
      let at = written
      for (const part of waiting) {
        const from = Math.max(start - at, 0)
        const to = Math.min(end - at, part.length)
        if (from < to) yield part.subarray(from, to)
        at += part.length
      }
    },
    close: () => {
      if (file !== undefined) closeSync(file)
      file = undefined
    },
  }
}

function openNameless(): number {
  const folder = mkdtempSync(join(tmpdir(), 'sidecar-injector-'))
  try {
    return openSync(join(folder, 'spool'), 'wx+', 0o600)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
