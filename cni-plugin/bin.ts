import { readSync, writeSync } from 'node:fs'
import { Failure } from './codes.ts'
import { makeJournal } from './log.ts'
import { main } from './main.ts'

/** Most bytes of a configuration: above what any runtime can send. */
const LONGEST_INPUT = 64 * 1024 * 1024
/** Milliseconds between two looks at a pipe that has nothing yet, and for all of them. */
const PAUSE = 5
const LONGEST_WAIT = 10_000
/** Milliseconds that a line of the log may wait for its reader. */
const LONGEST_LOG = 50

// The entry of the bundle. Nothing but the one answer may reach standard output.
const say = (text: string): void => {
  write(2, text, LONGEST_LOG)
}
const journal = makeJournal(say, () => new Date())
void main({ env: process.env, readInput, journal, say })
  .then(async (answer) => {
    if (answer.stdout !== '') write(1, answer.stdout, LONGEST_WAIT)
    process.exitCode = answer.exit
    await journal.ship()
  })
  .finally(() => {
    // A socket or a child that somebody left open must not keep the runtime waiting.
    process.exit()
  })

/** Everything on standard input. Read at once where it is there, which it mostly is. */
async function readInput(): Promise<string> {
  const parts: Buffer[] = []
  let size = 0
  let waited = 0
  const block = Buffer.alloc(65_536)
  for (;;) {
    const count = readSome(block)
    if (count === 0) return Buffer.concat(parts).toString('utf8')
    if (count === undefined) {
      waited += PAUSE
      if (waited > LONGEST_WAIT) throw new Failure('io', 'standard input: nothing came in time')
      await new Promise((resolve) => setTimeout(resolve, PAUSE))
      continue
    }
    size += count
    if (size > LONGEST_INPUT) {
      throw new Failure('io', `standard input: got more than ${LONGEST_INPUT} bytes`)
    }
    parts.push(Buffer.from(block.subarray(0, count)))
  }
}

/** Bytes that were read; 0 at the end, undefined when there is nothing yet. */
function readSome(block: Buffer): number | undefined {
  try {
    return readSync(0, block)
  } catch (error) {
    const code = codeOf(error)
    if (code === 'EAGAIN') return undefined
    if (code === 'EOF') return 0
    throw new Failure('io', `standard input: cannot be read (${code})`, undefined, { cause: error })
  }
}

/** Writes all of a text. A reader that is gone, or full for too long, is not ours to mend. */
function write(file: number, text: string, longest: number): void {
  const bytes = Buffer.from(text)
  const end = performance.now() + longest
  for (let at = 0; at < bytes.length && performance.now() < end;) {
    try {
      at += writeSync(file, bytes, at)
    } catch (error) {
      if (codeOf(error) !== 'EAGAIN') return
    }
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
}
