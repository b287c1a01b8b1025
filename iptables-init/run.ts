import { spawn } from 'node:child_process'

/** What a program answered. `code` is -1 when it could not be started. */
export type Outcome = { readonly code: number; readonly stdout: string; readonly stderr: string }

/** Runs a program with its arguments and a text on its standard input. Never rejects for a failing program. */
export type Run = (file: string, args: readonly string[], stdin?: string) => Promise<Outcome>

/** Where programs run and with what extra environment. */
export type RunPlace = {
  readonly networkNamespace?: string
  readonly env?: Readonly<Record<string, string>>
}

/** Longest time one program may take; the legacy lock is waited for less long. Milliseconds. */
const LONGEST = 60_000

/** A runner of real programs: argument vectors, no shell, inside a network namespace when one is given. */
export function makeRun(place: RunPlace): Run {
  return async (file, args, stdin = '') => {
    // Loaded here, so that a dry run does not pay for it.
    const { execa } = await import('execa')
    const [program, words] = inside(place, file, args)
    const result = await execa(program, words, {
      input: stdin,
      reject: false,
      timeout: LONGEST,
      stripFinalNewline: false,
      env: environment(place),
    })
    const stderr = result.exitCode === undefined ? String(result.shortMessage) : result.stderr
    return { code: result.exitCode ?? -1, stdout: result.stdout, stderr }
  }
}

/**
 * The same for an apply, which every pod waits for: loading execa takes longer than all the programs of
 * the first apply together (measured by test/bench/iptables.ts).
 */
export function makeQuickRun(place: RunPlace): Run {
  return (file, args, stdin = '') => {
    const [program, words] = inside(place, file, args)
    const env = { ...process.env, ...environment(place) }
    return spawnQuickly(program, words, { stdin, env, timeout: LONGEST })
  }
}

/** Starts one program and collects what it says; after `timeout` milliseconds it is killed. */
export function spawnQuickly(
  program: string,
  words: readonly string[],
  how: {
    readonly stdin: string
    readonly env: Readonly<Record<string, string | undefined>>
    readonly timeout: number
  },
): Promise<Outcome> {
  const { stdin, env, timeout } = how
  return new Promise((resolve) => {
    const child = spawn(program, words, { env, timeout, killSignal: 'SIGKILL' })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    child.on('error', (error) => {
      resolve({ code: -1, stdout, stderr: error.message })
    })
    child.on('close', (code, signal) => {
      const ended = signal === null ? stderr : `${stderr}ended by ${signal}`
      resolve({ code: code ?? -1, stdout, stderr: ended })
    })
    // A program that ends before it has read everything says why by its exit status.
    child.stdin.on('error', () => undefined)
    child.stdin.end(stdin)
  })
}

function inside(
  place: RunPlace,
  file: string,
  args: readonly string[],
): [string, readonly string[]] {
  const namespace = place.networkNamespace
  return namespace === undefined
    ? [file, args]
    : ['nsenter', [`--net=${namespace}`, '--', file, ...args]]
}

/** Messages are compared and shown: they come in one language. */
function environment(place: RunPlace): Record<string, string> {
  return { LC_ALL: 'C', ...place.env }
}
