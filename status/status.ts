/** `status`: who injects what in a cluster, and what is not as it should be. It only reads. */
import type { Api } from '../cluster/api.ts'
import type { Dial } from '../cluster/dial.ts'
import { mapAt, nameOf } from '../cluster/members.ts'
import { reachOf, type Reach } from '../cluster/reach.ts'
import { DEFAULT_REVISION } from '../core/constants.ts'
import { ownerOfEntry, revisionOf, type GateEntry, type Owner } from '../core/gates/entry.ts'
import { judgeGates } from '../core/gates/judge.ts'
import type { InjectConfig } from '../core/inject/config.ts'
import { own } from '../core/json.ts'
import { takersIn, twoInjectors } from './cases.ts'
import { configOf } from './configs.ts'
import { activeOf, NOBODY, readFacts, type ClusterFacts } from './facts.ts'
import { judgePods, type PodState } from './workloads.ts'

/** A configuration of an injector. */
export type Served = {
  readonly configuration: string
  readonly of: Owner
  readonly revision: string
  /** Empty where it stands for the revision itself. */
  readonly tag: string
  readonly entries: readonly { readonly name: string; readonly failurePolicy: string }[]
  readonly reach: Reach
  /** Names of namespaces whose pods come to it. */
  readonly namespaces: readonly string[]
}

/** All of it. */
export type Report = {
  readonly served: readonly Served[]
  readonly pods: readonly PodState[]
  /** What is wrong, each a sentence. */
  readonly problems: readonly string[]
  /** What could not be told, each a sentence. */
  readonly unseen: readonly string[]
}

/** Asks a cluster. */
export async function report(
  api: Api,
  istioNamespace: string,
  dial: Dial,
  now: Date,
): Promise<Report> {
  const facts = await readFacts(api, true)
  const active = activeOf(facts.entries)
  const unseen = [...facts.unseen]
  const configs = new Map<string, InjectConfig>()
  const served: Served[] = []
  for (const [name, entries] of byConfiguration(active)) {
    const [first] = entries
    if (first === undefined) continue
    served.push(await describe(api, name, first, entries, facts, dial, now))
    if (ownerOfEntry(first) !== 'ours') continue
    const configured = await configOf(api, first, istioNamespace)
    if (configured.kind === 'read') configs.set(name, configured.config)
    else unseen.push(`what ${name} injects with cannot be read: ${configured.why}`)
  }
  const labels = new Map(facts.namespaces.map((one) => [nameOf(one), mapAt(one, 'labels')]))
  const pods = judgePods(facts.pods, facts.entries, labels, configs)
  return { served, pods, problems: problemsOf(facts, active, served, pods), unseen }
}

function byConfiguration(entries: readonly GateEntry[]): ReadonlyMap<string, readonly GateEntry[]> {
  const map = new Map<string, readonly GateEntry[]>()
  for (const entry of entries) {
    const { name } = entry.configuration
    map.set(name, [...(map.get(name) ?? []), entry])
  }
  return map
}

/** Labels by which a tag says what it is. */
const TAG_LABELS = ['sidecar-injector.io/tag', 'istio.io/tag']

async function describe(
  api: Api,
  configuration: string,
  first: GateEntry,
  entries: readonly GateEntry[],
  facts: ClusterFacts,
  dial: Dial,
  now: Date,
): Promise<Served> {
  const { labels } = first.configuration
  return {
    configuration,
    of: ownerOfEntry(first),
    revision: revisionOf(first.configuration) ?? DEFAULT_REVISION,
    tag: TAG_LABELS.map((key) => own(labels, key)).find(Boolean) ?? '',
    entries: entries.map(({ name, failurePolicy }) => ({ name, failurePolicy })),
    reach: await reachOf(api, first, dial, now),
    namespaces: facts.namespaces
      .filter((object) =>
        takersIn(entries, object).some((entry) => entry.configuration.name === configuration),
      )
      .map(nameOf),
  }
}

/** Why a namespace that asks gets nothing. */
const UNSERVED: readonly string[] = [
  'namespace-unserved',
  'namespace-text',
  'namespace-revision-unserved',
]

/** Pods that are named one by one; the rest is counted. */
const MOST_NAMED = 10

function problemsOf(
  facts: ClusterFacts,
  active: readonly GateEntry[],
  served: readonly Served[],
  pods: readonly PodState[],
): readonly string[] {
  const { entries, namespaces } = facts
  const problems: string[] = []
  if (active.length === 0 && facts.unseen.length === 0) {
    problems.push(judgeGates(entries, NOBODY).sentence)
  }
  for (const { configuration, reach } of served) {
    if (reach.state === 'down') problems.push(`${configuration}: ${reach.sentence}`)
  }
  for (const object of namespaces) {
    const name = nameOf(object)
    const facts = { ...NOBODY, namespace: name, namespaceLabels: mapAt(object, 'labels') }
    const { reason, sentence } = judgeGates(entries, facts)
    if (UNSERVED.includes(reason)) problems.push(`namespace ${name}: ${sentence}`)
    for (const two of twoInjectors(takersIn(entries, object), name)) problems.push(two.sentence)
  }
  return [...problems, ...LAGS.flatMap(([lag, says]) => lagging(pods, lag, says))]
}

const LAGS = [
  ['missing', 'pods that should have a sidecar and have none'],
  ['other-revision', 'pods with the sidecar of another revision than takes them now'],
  ['other-configuration', 'pods whose sidecar was made with another configuration than now'],
] as const

function lagging(pods: readonly PodState[], lag: PodState['lag'], says: string): readonly string[] {
  const found = pods.filter((pod) => pod.lag === lag)
  if (found.length === 0) return []
  const names = found.slice(0, MOST_NAMED).map(({ namespace, name }) => `${namespace}/${name}`)
  const rest = found.length - names.length
  return [`${found.length} ${says}: ${names.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`]
}
