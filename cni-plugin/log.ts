import { appendFileSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { PLUGIN_TYPE, type Options } from './options.ts'

/** Levels, least first. */
const LEVELS = ['debug', 'info', 'warn', 'error'] as const
export type Level = (typeof LEVELS)[number]

/** What a line carries besides its message. */
export type Labels = Readonly<
  Record<string, string | number | boolean | readonly string[] | undefined>
>

/** Writes one line. Values come as they are: JSON escapes them. */
export type Log = (level: Level, message: string, labels?: Labels) => void

/** A log of one call. Lines go to standard error at once, and to the node's collector at the end. */
export type Journal = {
  readonly log: Log
  /** Labels of every further line, and what the configuration says about logs. */
  readonly name: (labels: Labels) => void
  readonly configure: (options: Pick<Options, 'logLevel' | 'runDir'>) => void
  /** Hands the lines over. Takes at most 100 ms and never fails. */
  readonly ship: () => Promise<void>
}

/** Starts the log of one call. `write` gets whole lines. */
export function makeJournal(write: (line: string) => void, now: () => Date): Journal {
  const lines: string[] = []
  let common: Labels = {}
  let least: Level = 'info'
  let runDir: string | undefined
  return {
    log: (level, message, labels = {}) => {
      if (LEVELS.indexOf(level) < LEVELS.indexOf(least)) return
      const line = JSON.stringify({
        level,
        time: now().toISOString(),
        msg: message,
        ...common,
        ...labels,
      })
      lines.push(line)
      write(`${line}\n`)
    },
    name: (labels) => {
      common = { ...common, ...labels }
    },
    configure: (options) => {
      least = options.logLevel
      runDir = options.runDir
    },
    ship: async () => {
      if (lines.length === 0 || runDir === undefined) return
      const isTaken = await post(join(runDir, 'log.sock'), lines).catch(() => false)
      if (!isTaken) append(runDir, lines)
    },
  }
}

/** Longest time that handing over may take, in milliseconds. */
const LONGEST = 100

/**
 * Posts the lines to the node's collector: `POST /log`, a JSON array of texts. HTTP is written by hand,
 * because loading a client takes longer than everything else here.
 */
async function post(path: string, lines: readonly string[]): Promise<boolean> {
  if (statSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return false
  // Loaded here, so that a call that nobody collects does not pay for it.
  const { connect } = await import('node:net')
  const body = Buffer.from(JSON.stringify(lines))
  const head = [
    'POST /log HTTP/1.1',
    'host: localhost',
    'content-type: application/json',
    `content-length: ${body.length}`,
    'connection: close',
    '',
    '',
  ].join('\r\n')
  return new Promise((resolve) => {
    const socket = connect({ path })
    const end = (isTaken: boolean): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(isTaken)
    }
    const timer = setTimeout(end, LONGEST, false)
    socket.on('error', () => {
      end(false)
    })
    socket.on('close', () => {
      end(false)
    })
    socket.once('data', (answer: Buffer) => {
      end(/^HTTP\/1\.[01] 2/.test(answer.toString('latin1')))
    })
    socket.end(Buffer.concat([Buffer.from(head), body]))
  })
}

/** Bytes after which the file makes room; one older file is kept. */
const LARGEST_FILE = 10 * 1024 * 1024

/** For when nobody collects: a file beside the socket, if there is a folder for it. */
function append(runDir: string, lines: readonly string[]): void {
  const path = join(runDir, `${PLUGIN_TYPE}.log`)
  try {
    if (sizeOf(path) > LARGEST_FILE) renameSync(path, `${path}.1`)
    appendFileSync(path, lines.map((line) => `${line}\n`).join(''), { mode: 0o640 })
  } catch {
    // A log that cannot be written must not stop a pod.
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}
