import { bad, formatProblem, good, type Problem, type Read } from '../core/problem.ts'
import { CODES, Failure, type FailureKind } from './codes.ts'
import { isAtLeast, NEWEST, type CniVersion } from './versions.ts'

/** The environment of the process: names and texts. */
export type Environment = Readonly<Record<string, string | undefined>>

/** The commands that come with a configuration, what each needs, and since when it exists. */
export const COMMANDS = {
  ADD: { needs: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'], since: '0.1.0' },
  CHECK: { needs: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'], since: '0.4.0' },
  STATUS: { needs: [], since: '1.1.0' },
  GC: { needs: ['CNI_PATH'], since: '1.1.0' },
} as const satisfies Record<string, { needs: readonly Variable[]; since: CniVersion }>

/** A command that is judged; VERSION and DEL always succeed. */
export type Command = keyof typeof COMMANDS

type Variable = 'CNI_CONTAINERID' | 'CNI_NETNS' | 'CNI_IFNAME' | 'CNI_PATH'

/** What the environment says about one call. Texts are empty where the command does not need them. */
export type Call = {
  readonly command: Command
  readonly containerId: string
  readonly netns: string
  readonly interface: string
  /** CNI_ARGS as it stands. */
  readonly args: string
}

/** Reads the environment of a command that is judged. An empty variable counts as missing. */
export function readCall(env: Environment): Read<Call> {
  const text = env['CNI_COMMAND'] ?? ''
  const command = isCommand(text) ? text : undefined
  if (command === undefined) {
    return bad(
      'CNI_COMMAND',
      text,
      `one of ${[...Object.keys(COMMANDS), 'DEL', 'VERSION'].join(', ')}`,
    )
  }
  const { needs } = COMMANDS[command]
  const missing = needs.filter((name) => (env[name] ?? '') === '')
  const problems: Problem[] = []
  if (missing.length > 0) {
    problems.push({ path: missing.join(', '), got: '', want: `a text, which ${command} needs` })
  }
  for (const name of needs) {
    const got = env[name] ?? ''
    const { isRight, want } = GRAMMARS[name]
    if (got !== '' && !isRight(got)) problems.push({ path: name, got, want })
  }
  if (problems.length > 0) return { ok: false, problems }
  return good({
    command,
    containerId: env['CNI_CONTAINERID'] ?? '',
    netns: env['CNI_NETNS'] ?? '',
    interface: env['CNI_IFNAME'] ?? '',
    args: env['CNI_ARGS'] ?? '',
  })
}

/** Whether a text may name a container or a network (CNI 1.1, section 2 "Parameters"). */
export function isIdentifier(text: string): boolean {
  return /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(text)
}

type Grammar = { readonly isRight: (text: string) => boolean; readonly want: string }

const GRAMMARS: Readonly<Record<Variable, Grammar>> = {
  CNI_CONTAINERID: {
    isRight: isIdentifier,
    want: 'letters, digits, "_", "." and "-", the first a letter or digit',
  },
  CNI_NETNS: { isRight: () => true, want: 'the path of a network namespace' },
  CNI_IFNAME: {
    isRight: isInterface,
    want: 'an interface name of 1 to 15 bytes without "/", ":" and blanks',
  },
  CNI_PATH: { isRight: () => true, want: 'the folders of the plugins' },
}

/** IFNAMSIZ less the closing zero byte. */
const LONGEST_INTERFACE = 15

function isInterface(text: string): boolean {
  const length = Buffer.byteLength(text)
  if (length < 1 || length > LONGEST_INTERFACE || text === '.' || text === '..') return false
  return !/[/:\s]/u.test(text)
}

function isCommand(text: string): text is Command {
  return Object.hasOwn(COMMANDS, text)
}

/** Refuses a command that the version of the network does not have. */
export function demandVersion(command: Command, version: CniVersion): void {
  const { since } = COMMANDS[command]
  if (isAtLeast(version, since)) return
  throw new Failure(
    'version',
    `${command} needs a network of cniVersion ${since} or newer, this one has ${version}`,
  )
}

/** What the process prints and how it ends: one JSON document or nothing. */
export type Answer = { readonly stdout: string; readonly exit: 0 | 1 }

/** The answer of a command that has nothing to say. */
export const SILENT: Answer = { stdout: '', exit: 0 }

/** Longest message that still reads well in an event of a pod. */
const LONGEST_MESSAGE = 200

/** An error as the runtime reads it: on standard output, with exit status 1. */
export function printFailure(kind: FailureKind, message: string, details?: string): Answer {
  const msg =
    message.length > LONGEST_MESSAGE ? `${message.slice(0, LONGEST_MESSAGE - 1)}…` : message
  const { code } = CODES[kind]
  const error = { cniVersion: NEWEST, code, msg, ...(details !== undefined && { details }) }
  return { stdout: JSON.stringify(error), exit: 1 }
}

/** Problems as one message, the first in full and how many follow; all of them are the details. */
export function summarize(problems: readonly Problem[]): {
  readonly message: string
  readonly details?: string
} {
  const lines = problems.map(formatProblem)
  const [first = 'unknown'] = lines
  if (lines.length < 2) return { message: first }
  return { message: `${first} (and ${lines.length - 1} more)`, details: lines.join('; ') }
}
