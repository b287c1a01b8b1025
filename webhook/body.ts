import type { Readable } from 'node:stream'
import { Refused, type RefusalReason } from './refusals.ts'

/** What a body is read under. */
export type BodyRules = {
  /** Bytes that the client announced; NaN where it did not. */
  readonly announced: number
  /** Bytes that one body may have. */
  readonly most: number
  /** Counts bytes among those of all requests; false when there are too many. */
  readonly hold: (bytes: number) => boolean
}

/** Reads a body as UTF-8, and stops holding it as soon as it is too much. Calls `done` once. */
export function readBody(
  stream: Readable,
  { announced, most, hold }: BodyRules,
  done: (refusal: Refused | null, text?: string) => void,
): void {
  if (announced > most) {
    done(new Refused('too-large'))
    return
  }
  let chunks: Buffer[] = []
  let bytes = 0
  let isDone = false
  const refuse = (reason: RefusalReason): void => {
    if (isDone) return
    isDone = true
    chunks = []
    done(new Refused(reason))
  }
  stream.on('data', (chunk: Buffer) => {
    if (isDone) return
    bytes += chunk.length
    if (bytes > most) refuse('too-large')
    else if (!hold(chunk.length)) refuse('overloaded')
    else chunks.push(chunk)
  })
  stream.on('end', () => {
    const [first] = chunks
    const whole = chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks)
    if (isDone) return
    isDone = true
    done(null, whole.toString())
  })
  const broke = (): void => {
    refuse('aborted')
  }
  stream.on('error', broke)
  stream.on('close', broke)
}
