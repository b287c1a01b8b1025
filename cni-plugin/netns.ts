import { statSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { spawnQuickly, type Run } from '../iptables-init/run.ts'
import { findProgram } from '../iptables-init/tools.ts'
import { Failure } from './codes.ts'

/** The namespaces that rules must never reach: this process's own, and that of the node's first process. */
const NODE = ['/proc/self/ns/net', '/proc/1/ns/net']

/**
 * Refuses a path that is no namespace, and above all the node's own: told by device and inode, whatever the
 * path looks like. Nothing has been touched then.
 */
export function demandForeign(path: string, known: readonly string[] = NODE): void {
  const found = identify(path)
  if (found === undefined) {
    throw new Failure(
      'netns',
      `network namespace ${path} is not there: was the pod deleted meanwhile?`,
    )
  }
  const own = known.flatMap((one) => identify(one) ?? [])
  if (own.some(({ dev, ino }) => dev === found.dev && ino === found.ino)) {
    throw new Failure(
      'ownNetns',
      `CNI_NETNS ${path} is the node's own network namespace: rules of a pod must not be written there`,
    )
  }
  // All namespaces are files of one device, of the kernel's.
  if (!own.some(({ dev }) => dev === found.dev)) {
    throw new Failure('netns', `${path} is no network namespace`)
  }
}

type Identity = { readonly dev: bigint; readonly ino: bigint }

function identify(path: string): Identity | undefined {
  try {
    const { dev, ino } = statSync(path, { bigint: true })
    return { dev, ino }
  } catch {
    return undefined
  }
}

/** Folders that every node's programs are in; a runtime may have hardly any PATH. */
const ALWAYS_SEARCHED = ['/usr/local/sbin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']

/** The folders that are searched, as PATH has them: those of the configuration first. */
export function searchPath(toolDirs: readonly string[], path: string | undefined): string {
  const said = (path ?? '').split(':').filter((folder) => folder.startsWith('/'))
  return [...new Set([...toolDirs, ...said, ...ALWAYS_SEARCHED])].join(':')
}

/** Words before a program that run it in a namespace; undefined when no program here can do that. */
export function wordsInto(netns: string, path: string): readonly string[] | undefined {
  const nsenter = findProgram('nsenter', path)
  if (nsenter !== undefined) return [nsenter, `--net=${netns}`, '--']
  const ip = findProgram('ip', path)
  const isNamed = ['/var/run/netns', '/run/netns'].includes(dirname(netns))
  return ip !== undefined && isNamed ? [ip, 'netns', 'exec', basename(netns)] : undefined
}

/** Longest time that one program may take, and all of them, in milliseconds. */
export const BUDGET = { step: 30_000, whole: 60_000 } as const

/**
 * Runs programs in a namespace: argument vectors, no shell, nothing of this process's environment but the
 * folders that are searched. A program that outlives its time is killed.
 */
export function makeNetnsRun(
  into: readonly string[],
  how: {
    readonly path: string
    /** File that stands for the lock of the legacy backend: of the namespace, not of the node. */
    readonly lock: string
    readonly budget?: typeof BUDGET | { readonly step: number; readonly whole: number }
  },
): Run {
  const { step, whole } = how.budget ?? BUDGET
  const end = performance.now() + whole
  const env = { PATH: how.path, LC_ALL: 'C', XTABLES_LOCKFILE: how.lock }
  const [program = '', ...words] = into
  return async (file, args, stdin = '') => {
    const timeout = Math.max(1, Math.min(step, Math.round(end - performance.now())))
    const started = performance.now()
    const outcome = await spawnQuickly(program, [...words, file, ...args], { stdin, env, timeout })
    if (outcome.code === -1 && performance.now() - started >= timeout) {
      return { ...outcome, stderr: `${outcome.stderr} after ${timeout} ms` }
    }
    if (outcome.code !== 0 && NOT_ENTERED.test(outcome.stderr)) {
      throw new Failure('netns', 'the network namespace cannot be entered', outcome.stderr.trim())
    }
    return outcome
  }
}

/** A program and its arguments. */
export type Words = readonly string[]

/**
 * Starts programs that only read before anybody asks for them, so that they run side by side. Whoever asks
 * first for the same words gets that answer; later ones are answered anew.
 */
export function withHeadStart(run: Run, early: readonly Words[]): Run {
  const key = (file: string, args: readonly string[]): string => JSON.stringify([file, ...args])
  const started = new Map(
    early.map(([file = '', ...args]) => {
      const outcome = run(file, args)
      // Who asks is told; an answer that nobody asks for may be anything.
      outcome.catch(() => undefined)
      return [key(file, args), outcome]
    }),
  )
  return (file, args, stdin) => {
    const words = key(file, args)
    const outcome = stdin === undefined ? started.get(words) : undefined
    started.delete(words)
    return outcome ?? run(file, args, stdin)
  }
}

/** What nsenter and ip say when the namespace is the trouble and not the program in it. */
const NOT_ENTERED =
  /^nsenter: (?!.*(execute|exec))|Cannot open network namespace|setting the network namespace/
