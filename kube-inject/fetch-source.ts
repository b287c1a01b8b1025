import { basename } from 'node:path'
import { Refusal } from '../core/problem.ts'
import type { Source } from './sources.ts'

/** Seconds for the whole of a manifest, and its most bytes. */
const SECONDS = 30
const MOST_BYTES = 64 * 1024 * 1024

/** The manifest behind a URL, which must answer 200 with UTF-8 text. Throws a Refusal. */
export async function fetchSource(url: string): Promise<Source> {
  const refuse = (got: string, cause?: unknown): Refusal =>
    new Refusal([{ path: url, got, want: `a manifest within ${SECONDS} s` }], { cause })
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(SECONDS * 1000) })
    if (answer.status !== 200) throw refuse(`HTTP ${answer.status}`)
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
      await bytesOf(answer, refuse),
    )
    return { name: url, below: basename(new URL(url).pathname) || 'manifest.yaml', text }
  } catch (cause) {
    if (cause instanceof Refusal) throw cause
    throw refuse(messageOf(cause), cause)
  }
}

async function bytesOf(answer: Response, refuse: (got: string) => Refusal): Promise<Buffer> {
  const parts: Uint8Array[] = []
  let size = 0
  const body: AsyncIterable<Uint8Array> | null = answer.body
  for await (const part of body ?? []) {
    size += part.length
    if (size > MOST_BYTES) throw refuse(`more than ${MOST_BYTES} bytes`)
    parts.push(part)
  }
  return Buffer.concat(parts)
}

/** `fetch` says only "fetch failed"; why is in the cause. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? error.cause.message : error.message
}
