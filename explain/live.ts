/** `explain --live`: what a cluster shows about one pod or workload, and the cause. */
import type { Api } from '../cluster/api.ts'
import { without, type Spoken } from '../core/gates/scene.ts'
import type { GateFacts } from '../core/gates/gate.ts'
import { judgeGates, type GateVerdict } from '../core/gates/judge.ts'
import { revisionOf } from '../core/gates/entry.ts'
import { DEFAULT_REVISION, STATUS_ANNOTATION } from '../core/constants.ts'
import type { InjectConfig } from '../core/inject/config.ts'
import type { Decision } from '../core/inject/decision.ts'
import { injectPod } from '../core/inject/inject.ts'
import { ownerOf } from '../core/inject/owner.ts'
import type { IstioVersion } from '../core/inject/values.ts'
import { formatProblem, Refusal } from '../core/problem.ts'
import { readSourcesOf } from '../kube-inject/cluster.ts'
import { isNative, readConfig } from '../kube-inject/config.ts'
import { findCause, injectedBy, isPod, type Cause } from './live-causes.ts'
import type { Dial } from '../cluster/dial.ts'
import { mapAt } from '../cluster/members.ts'
import { gateFactsOf, readFacts, type LiveFacts } from './live-facts.ts'
import { createdAt, isAfter, labelWriter } from '../cluster/history.ts'
import { foundOr } from '../cluster/look.ts'
import { reachOf, type Reach } from '../cluster/reach.ts'
import type { Target } from '../cluster/target.ts'

/** What the flags say beside whom to ask about. */
export type LiveOptions = {
  /** Of the injector's ConfigMaps; undefined takes that of the webhook that is asked. */
  readonly revision?: string
  readonly istioNamespace?: string
  readonly istioVersion: IstioVersion
  readonly environment: Readonly<Record<string, string | undefined>>
}

/** The cause, and everything that it was found by. */
export type LiveReport = {
  readonly facts: LiveFacts
  readonly cause: Cause
  readonly gate: GateVerdict
  readonly decision: Decision
  readonly reach: Reach | undefined
  /** What could not be read, or is wrong beside the cause; each a sentence. */
  readonly notes: readonly string[]
}

/** Asks a cluster. Only reads; `dial` is how webhooks are tried from here. */
export async function explainLive(
  api: Api,
  target: Target,
  options: LiveOptions,
  dial: Dial,
  now = new Date(),
): Promise<LiveReport> {
  const facts = await readFacts(api, target, now)
  const asked = gateFactsOf(facts)
  const gate = judgeAsCreated(facts, asked)
  const first = gate.takers[0]?.entry
  const [reach, configured] = await Promise.all([
    first && reachOf(api, first, dial, now),
    configOf(api, first && revisionOf(first.configuration), options),
  ])
  const decision = decide(facts, configured.config, options)
  const { problems } = configured
  const cause = findCause({ facts, gate, decision, reach, configProblems: problems })
  const notes = [...gate.besides, ...configured.notes, ...problems, ...notesOf(facts)]
  return { facts, cause, gate, decision, reach, notes }
}

/**
 * A label that keeps a pod out, but was written after the pod, is not why it was created without: then
 * the others are judged alone.
 */
function judgeAsCreated(facts: LiveFacts, asked: GateFacts): GateVerdict {
  const gate = judgeGates(facts.entries, asked)
  if (gate.outcome !== 'left' || gate.label === undefined || !isPod(facts)) return gate
  return isWrittenLater(facts, gate.label)
    ? judgeGates(facts.entries, without(asked, gate.label))
    : gate
}

function isWrittenLater(facts: LiveFacts, { whose, key }: Spoken): boolean {
  const object = whose === 'pod' ? facts.pod : foundOr(facts.namespace, {})
  return isAfter(labelWriter(object, key)?.at, createdAt(facts.pod))
}

type Configured = {
  readonly config: InjectConfig
  readonly notes: readonly string[]
  readonly problems: readonly string[]
}

/** The injector's configuration from its ConfigMaps; the built-in one where there are none, or bad ones. */
async function configOf(
  api: Api,
  served: string | undefined,
  options: LiveOptions,
): Promise<Configured> {
  const { istioVersion, istioNamespace, environment } = options
  const named = options.revision ?? served ?? DEFAULT_REVISION
  const revision = named === DEFAULT_REVISION ? '' : named
  const flags = { istioVersion, revision }
  const builtIn = async (): Promise<InjectConfig> => readConfig(flags, environment)
  const where = { revision, ...(istioNamespace === undefined ? {} : { istioNamespace }) }
  try {
    const sources = await readSourcesOf(api, where)
    try {
      return { config: await readConfig(flags, environment, sources), notes: [], problems: [] }
    } catch (cause) {
      return { config: await builtIn(), notes: [], problems: saidBy(cause) }
    }
  } catch (cause) {
    const notes = saidBy(cause).map((said) => `policy judged by the built-in defaults: ${said}`)
    return { config: await builtIn(), notes, problems: [] }
  }
}

/** The problems of a Refusal; anything else is a fault of ours. */
function saidBy(cause: unknown): readonly string[] {
  if (cause instanceof Refusal) return cause.problems.map(formatProblem)
  throw cause
}

/** What the injector would decide about the pod; one that is injected was decided about already. */
function decide(facts: LiveFacts, config: InjectConfig, options: LiveOptions): Decision {
  const { target, pod } = facts
  const { namespace, kind, name } = target
  const owner = isPod(facts) ? ownerOf(pod['metadata'], namespace) : { apiVersion: '', kind, name }
  return injectPod(
    {
      pod,
      namespace,
      owner: { ...owner, namespace },
      nativeSidecars: isNative(options.environment),
      door: 'webhook',
      proxyEnvs: {},
    },
    config,
  )
}

/** What else there is to say. */
function notesOf(facts: LiveFacts): readonly string[] {
  const notes: string[] = []
  const { events } = facts
  if (events.kind === 'unseen') notes.push(`Events: ${events.why}`)
  if (isPod(facts) && injectedBy(facts.pod) === undefined && isMarked(facts)) {
    notes.push('it carries the annotation of an injection without its proxy: somebody copied it')
  }
  return notes
}

function isMarked({ pod }: LiveFacts): boolean {
  return mapAt(pod, 'annotations')[STATUS_ANNOTATION] !== undefined
}
