/** The workloads of a cluster: those that a user wrote, as their controllers would create pods now. */
import { demand, makeApi, type Api } from '../cluster/api.ts'
import { listPages } from '../cluster/collection.ts'
import { connect } from '../cluster/connect.ts'
import { WATCH_TIMING } from '../cluster/timing.ts'
import { readWebhooks } from '../core/gates/read-webhooks.ts'
import type { InjectRequest } from '../core/inject/decision.ts'
import type { NodeFact } from '../core/inject/native.ts'
import { isArray, isObject, type JsonObject } from '../core/json.ts'
import type { StringMap } from '../core/k8s.ts'
import { Refusal } from '../core/problem.ts'
import { groupOf, type Workload } from '../kube-inject/workloads.ts'
import type { Flags } from './command.ts'
import { workloadsOf, type Compare } from './compared.ts'
import { knownKinds, type Kind } from './discovery.ts'
import { gateOf, labelsOf } from './gate.ts'

/** A cluster as far as a preview looks at it. */
export type Cluster = {
  readonly nodes: readonly NodeFact[]
  /** Whether the webhooks of the cluster send a pod to the injector. */
  readonly isSent: (request: InjectRequest) => boolean
  readonly compareAll: (compare: Compare) => Promise<void>
}

/**
 * Opens the cluster of the flags for `use`. What cannot be read there is a Refusal that says what was asked.
 */
export async function withCluster(
  flags: Flags,
  warn: (line: string) => void,
  use: (cluster: Cluster) => Promise<void>,
): Promise<void> {
  const api = makeApi(await connect(flags))
  try {
    const namespace =
      flags.allNamespaces === true ? undefined : (flags.namespace ?? api.namespace ?? 'default')
    const nodes = await readNodes(api, warn)
    const isSent = await readGate(api, flags, namespace, warn)
    const compareAll = (compare: Compare) => compareLive(api, flags, namespace, compare, warn)
    await use({ nodes, isSent, compareAll })
  } finally {
    api.close()
  }
}

/** Users of one namespace may not read nodes: then the proxy is a plain container, as without any. */
async function readNodes(api: Api, warn: (line: string) => void): Promise<readonly NodeFact[]> {
  try {
    return await collect(api, '/api/v1/nodes', nodeOf)
  } catch (cause) {
    if (!(cause instanceof Refusal)) throw cause
    warn(`${cause.message}: proxies are taken as plain containers`)
    return []
  }
}

async function readGate(
  api: Api,
  flags: Flags,
  namespace: string | undefined,
  warn: (line: string) => void,
): Promise<(request: InjectRequest) => boolean> {
  const everything = () => true
  if (flags.as === 'kube-inject') return everything
  const path = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations'
  const webhooks = await collect(api, path, (object) => object)
  const entries = readWebhooks(
    webhooks.map((object) => ({ ...object, kind: 'MutatingWebhookConfiguration' })),
    'MutatingWebhookConfigurations',
  )
  if (!entries.ok) throw new Refusal(entries.problems)
  const namespaces = await readNamespaces(api, namespace)
  const gate = gateOf(entries.value, flags.revision, namespaces)
  if (gate !== undefined) return gate
  const revision = flags.revision === '' ? 'default' : flags.revision
  warn(
    `no webhook of revision ${revision} is installed: all workloads are taken as sent to the injector`,
  )
  return everything
}

/** Their labels, by name. */
async function readNamespaces(
  api: Api,
  namespace: string | undefined,
): Promise<ReadonlyMap<string, StringMap>> {
  const path = '/api/v1/namespaces'
  if (namespace !== undefined) {
    const found = await reach(api, `${path}/${encodeURIComponent(namespace)}`)
    return new Map([[namespace, labelsOf(found)]])
  }
  const all = await collect(api, path, (object) => [nameOf(object), labelsOf(object)] as const)
  return new Map(all)
}

async function compareLive(
  api: Api,
  flags: Flags,
  namespace: string | undefined,
  compare: Compare,
  warn: (line: string) => void,
): Promise<void> {
  const kinds = await asked('/apis', knownKinds(api, workloadsOf(flags)))
  for (const { kind, group } of flags.podTemplatePath.filter(
    (workload) => !kinds.some((known) => known.workload === workload),
  )) {
    warn(`${kind}.${group}: this cluster does not know this kind`)
  }
  const workloads = kinds.map(({ workload }) => workload)
  for (const kind of kinds) await compareKind(api, kind, kind.path(namespace), workloads, compare)
}

async function compareKind(
  api: Api,
  { workload, apiVersion }: Kind,
  path: string,
  workloads: readonly Workload[],
  compare: Compare,
): Promise<void> {
  const problems = await collect(api, path, (item) => {
    if (isControlled(item, workloads) || isOver(item)) return []
    // Items of a list do not name their kind.
    return compare({ ...item, apiVersion, kind: workload.kind }, path)
  })
  if (problems.flat().length > 0) throw new Refusal(problems.flat())
}

/** Whether another of the workloads makes it, and is looked at itself. */
function isControlled({ metadata }: JsonObject, workloads: readonly Workload[]): boolean {
  const owners: unknown = isObject(metadata) ? metadata['ownerReferences'] : undefined
  const controllers = isArray(owners) ? owners.filter(isObject) : []
  return controllers.some(
    (owner) =>
      owner['controller'] === true &&
      workloads.some(({ kind, group }) => kind === owner['kind'] && group === groupOf(owner)),
  )
}

/** Whether no pod of it will be created any more. */
function isOver({ metadata, status }: JsonObject): boolean {
  if (isObject(metadata) && metadata['deletionTimestamp'] !== undefined) return true
  if (!isObject(status)) return false
  const { phase, conditions } = status
  const ended = isArray(conditions) ? conditions.filter(isObject) : []
  return (
    phase === 'Succeeded' ||
    phase === 'Failed' ||
    ended.some(
      ({ type, status: is }) => (type === 'Complete' || type === 'Failed') && is === 'True',
    )
  )
}

function nodeOf(node: JsonObject): NodeFact {
  const status = node['status']
  const nodeInfo = isObject(status) ? status['nodeInfo'] : undefined
  const version = isObject(nodeInfo) ? nodeInfo['kubeletVersion'] : undefined
  return { name: nameOf(node), kubeletVersion: typeof version === 'string' ? version : '' }
}

function nameOf({ metadata }: JsonObject): string {
  const name = isObject(metadata) ? metadata['name'] : undefined
  return typeof name === 'string' ? name : ''
}

/** What is made of each object of a list; one page of them is in memory at a time. */
async function collect<T>(
  api: Api,
  path: string,
  make: (object: JsonObject) => T,
): Promise<readonly T[]> {
  const made: T[] = []
  const read = async (): Promise<void> => {
    for await (const { items } of listPages(api, { path }, WATCH_TIMING)) {
      for (const item of items) made.push(make(item))
    }
  }
  await asked(path, read())
  return made
}

async function reach(api: Api, path: string): Promise<unknown> {
  return asked(
    path,
    api.call({ path }).then((answer) => demand(answer, 200)),
  )
}

/** An answer, or a Refusal that names what was asked for. */
async function asked<T>(path: string, answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (cause) {
    if (cause instanceof Refusal) throw cause
    const got = cause instanceof Error ? cause.message : String(cause)
    throw new Refusal([{ path, got, want: 'an answer of the API server' }], { cause })
  }
}
