import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { isObject } from '../../core/json.ts'
import { until } from './until.ts'

/** Processes of one test and the folder they share; both are gone when the test process is. */
export type Supervised = {
  /** Absolute path of the private folder; it goes away with the processes. */
  readonly folder: string
  /** Starts a program under a name of the caller's. Its environment is `PATH`, a `HOME` in the folder, and `env`. */
  readonly start: (
    name: string,
    file: string,
    args: readonly string[],
    env?: Readonly<Record<string, string>>,
  ) => void
  /** How the process of that name ended (`exit 1`, `SIGKILL`), `undefined` while it runs. */
  readonly exited: (name: string) => string | undefined
  /** Everything that the process of that name printed so far. */
  readonly log: (name: string) => Promise<string>
  /** Sends a signal to one process and to what it started; says nothing of what comes of it. */
  readonly signal: (name: string, signal: NodeJS.Signals) => void
  /** Ends one process: SIGTERM, 5 s later SIGKILL. */
  readonly end: (name: string) => Promise<void>
  /** Ends every process, last started first, and removes the folder. */
  readonly stop: () => Promise<void>
}

/**
 * Starts the supervisor. It notices by a closed pipe that the test process has ended, so nothing
 * is left behind after SIGINT, SIGKILL or a crash either (supervisor.mjs).
 */
export async function supervise(): Promise<Supervised> {
  const folder = join(tmpdir(), `sidecar-injector-${randomBytes(6).toString('hex')}`)
  const environment = { PATH: process.env['PATH'] ?? '', HOME: folder, TMPDIR: folder }
  const supervisor = spawn(
    process.execPath,
    [join(import.meta.dirname, 'supervisor.mjs'), folder],
    // Detached: an interrupt from the terminal reaches the test, and the supervisor through it.
    // In `/`: the folder it removes must not be the one it stands in.
    { cwd: '/', env: environment, stdio: ['pipe', 'pipe', 'inherit'], detached: true },
  )
  supervisor.stdin.on('error', () => undefined)
  const gone = once(supervisor, 'exit')
  const isGone = () => supervisor.exitCode !== null || supervisor.signalCode !== null
  const ended = new Map<string, string>()
  const events = createInterface({ input: supervisor.stdout })
  const ready = once(events, 'line')
  events.on('line', (line) => {
    const event: unknown = JSON.parse(line)
    if (!isObject(event)) return
    const { exited, how } = event
    if (typeof exited === 'string' && typeof how === 'string') ended.set(exited, how)
  })
  const tell = (command: unknown) => supervisor.stdin.write(`${JSON.stringify(command)}\n`)

  await Promise.race([
    ready,
    gone.then(() => Promise.reject(new Error(`${folder}: the supervisor ended at once`))),
  ])
  // A test that forgets to stop may end all the same; its end stops the supervisor.
  supervisor.unref()
  const pipes: readonly unknown[] = [supervisor.stdin, supervisor.stdout]
  for (const pipe of pipes) if (isUnrefable(pipe)) pipe.unref()

  const exited = (name: string) => ended.get(name)
  return {
    folder,
    start(name, file, args, env = {}) {
      ended.delete(name)
      tell({ start: name, file, args, env: { ...environment, ...env } })
    },
    exited,
    log: (name) => readFile(join(folder, `${name}.log`), 'utf8').catch(() => ''),
    signal(name, signal) {
      tell({ signal: name, with: signal })
    },
    async end(name) {
      tell({ end: name })
      await until(`end of ${name}`, async () => exited(name))
    },
    async stop() {
      supervisor.stdin.end()
      await until('end of the supervisor', async () => (isGone() ? true : undefined))
    },
  }
}

/** A child's pipe is a socket, which its declared stream type does not say. */
function isUnrefable(pipe: unknown): pipe is { readonly unref: () => void } {
  return typeof pipe === 'object' && pipe !== null && 'unref' in pipe
}
