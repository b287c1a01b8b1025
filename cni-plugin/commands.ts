import { Failure, CODES } from './codes.ts'
import { decideByAnnotations, skipByName, type Decision } from './decide.ts'
import type { Journal, Labels } from './log.ts'
import { readNetConf, type NetConf } from './netconf.ts'
import { demandForeign, searchPath } from './netns.ts'
import {
  demandVersion,
  SILENT,
  summarize,
  type Answer,
  type Call,
  type Environment,
} from './protocol.ts'
import { passOn } from './result.ts'
import { readRuntimeArgs, type PodName } from './runtime-args.ts'

/** What a command needs of the process that it runs in. */
export type World = {
  readonly env: Environment
  /** Everything on standard input. */
  readonly readInput: () => Promise<string>
  readonly journal: Journal
  /** Says something to people: standard error. */
  readonly say: (text: string) => void
}

/** Carries out a command that comes with a configuration. Throws a Failure where it cannot. */
export async function carryOut(call: Call, world: World): Promise<Answer> {
  const { journal } = world
  const conf = readNetConf(await world.readInput())
  journal.configure(conf.options)
  journal.name({ network: conf.name })
  demandVersion(call.command, conf.version)
  switch (call.command) {
    case 'ADD':
      return add(call, conf, world)
    case 'CHECK':
      return check(call, conf, world)
    case 'STATUS':
      return status(conf, world)
    case 'GC':
      return SILENT
  }
}

/** Writes the rules, or finds that nothing is to do, and passes on the result of the plugin before us. */
async function add(call: Call, conf: NetConf, world: World): Promise<Answer> {
  demandForeign(call.netns)
  const result = passOn(conf.previous, conf.version)
  if (!result.ok) {
    const { message, details } = summarize(result.problems)
    throw new Failure('config', message, details)
  }
  try {
    const { journal } = world
    const decision = await decide(call, conf, journal)
    if (decision.kind === 'skip') skipped(journal, decision.reason)
    else {
      const { writeRules } = await import('./apply.ts')
      const lines = await writeRules(targetOf(call, conf, world), demand(decision))
      journal.log('info', 'rules are in place', { decision: 'apply', did: lines })
    }
  } catch (error) {
    if (conf.options.onError !== 'warn' || !mayWarn(error)) throw error
    skipped(world.journal, 'warned', { code: CODES[error.kind].code, cause: error.message })
  }
  return { stdout: JSON.stringify(result.value), exit: 0 }
}

/** Compares the rules of the pod with those that it should have. What cannot be found out is no failure. */
async function check(call: Call, conf: NetConf, world: World): Promise<Answer> {
  demandForeign(call.netns)
  const { journal } = world
  try {
    const decision = await decide(call, conf, journal)
    if (decision.kind === 'skip') {
      skipped(journal, decision.reason)
      return SILENT
    }
    const { compareRules } = await import('./apply.ts')
    const lines = await compareRules(targetOf(call, conf, world), demand(decision))
    if (lines.length === 0) journal.log('info', 'rules are as they should be')
    else throw drifted(lines)
  } catch (error) {
    if (!(error instanceof Failure) || error.kind === 'netns') throw error
    const isDrift = error.kind === 'drift'
    if (isDrift && conf.options.onError !== 'warn') throw error
    skipped(journal, isDrift ? 'warned' : 'unknown', { cause: error.message })
  }
  return SILENT
}

/** Most lines of drift that an answer names. */
const MOST_LINES = 40

function drifted(lines: readonly string[]): Failure {
  const [first = ''] = lines
  const more = lines.length > 1 ? ` (and ${lines.length - 1} more)` : ''
  const rest = lines.length > MOST_LINES ? [`${lines.length - MOST_LINES} more`] : []
  return new Failure(
    'drift',
    `rules differ (- missing, + foreign, ~ moved): ${first}${more}`,
    [...lines.slice(0, MOST_LINES), ...rest].join('; '),
  )
}

/** Tells whether an ADD would work: the programs are there, and credentials where they are needed. */
async function status(conf: NetConf, world: World): Promise<Answer> {
  const { options } = conf
  const path = searchPath(options.toolDirs, world.env['PATH'])
  const { missingTools } = await import('./apply.ts')
  const missing = missingTools(path, options.iptablesMode === 'native', options)
  if (missing.length > 0) {
    throw new Failure(
      'notReady',
      `not found on this node: ${missing.join(', ')}`,
      `searched: ${path}`,
    )
  }
  if (options.podSource === 'annotations') return SILENT
  const { credentialTrouble } = await import('./kubeconfig.ts')
  const trouble = credentialTrouble(options.kubeconfig, Date.now())
  if (trouble === undefined) return SILENT
  if (options.statusStrict) throw new Failure('notReady', trouble)
  world.journal.log('warn', 'pods without a redirect plan cannot be looked up', { cause: trouble })
  return SILENT
}

/** Annotations first; the API server where they do not settle it and it may be asked. */
async function decide(call: Call, conf: NetConf, journal: Journal): Promise<Decision> {
  const pod = readRuntimeArgs(call.args)
  journal.name(labelsOf(pod))
  const reason = skipByName(pod, conf.options)
  if (reason !== undefined) return { kind: 'skip', reason }
  const decision = decideByAnnotations(conf.annotations)
  if (decision.kind !== 'refuse' || conf.options.podSource !== 'api') return decision
  journal.log('info', 'asking the API server', { cause: decision.message })
  const [{ fetchPod }, { decideByPod }] = await Promise.all([
    import('./pod.ts'),
    import('./derive.ts'),
  ])
  const found = await fetchPod(pod, conf.options, journal.log)
  const derived = decideByPod(found, conf.options.defaults)
  for (const warning of derived.warnings) journal.log('warn', warning)
  return derived.decision
}

function demand(decision: Exclude<Decision, { kind: 'skip' }>) {
  if (decision.kind === 'apply') return decision.plan
  throw new Failure(decision.as, decision.message, decision.details)
}

function targetOf(call: Call, conf: NetConf, { env }: World) {
  return { netns: call.netns, conf, path: env['PATH'] }
}

function mayWarn(error: unknown): error is Failure {
  return error instanceof Failure && 'mayWarn' in CODES[error.kind]
}

function skipped(journal: Journal, reason: string, labels: Labels = {}): void {
  const level = reason === 'warned' || reason === 'unknown' ? 'warn' : 'info'
  journal.log(level, 'nothing done', { decision: 'skip', reason, ...labels })
}

function labelsOf({ namespace, name, uid }: PodName): Labels {
  return { pod: `${namespace}/${name}`, ...(uid !== undefined && { uid }) }
}
