/** The objects of a cluster that bear on injection, read page by page. */
import { ApiRefused, makeApi, type Api } from '../cluster/api.ts'
import { listPages } from '../cluster/collection.ts'
import { connect, type ConnectFlags } from '../cluster/connect.ts'
import { WATCH_TIMING } from '../cluster/timing.ts'
import type { Subject } from '../core/analysis/model.ts'
import type { NodeFact } from '../core/inject/native.ts'
import { isArray, isObject, type JsonObject } from '../core/json.ts'
import { Refusal } from '../core/problem.ts'
import { subjectOf, type SubjectSetting } from './subjects.ts'
import { textOf } from './texts.ts'

/** What of a cluster is looked at. */
export type LiveFlags = ConnectFlags & {
  readonly namespace?: string
  readonly allNamespaces?: boolean
}

/** A cluster whose objects can be asked for. */
export type Cluster = {
  /** What other objects need to know: namespaces, services, bounds and webhooks. */
  readonly context: () => AsyncGenerator<Subject>
  /** Pods, and what makes pods, unless another object that is looked at made it. */
  readonly workloads: () => AsyncGenerator<Subject>
  readonly nodes: () => Promise<readonly NodeFact[]>
  readonly close: () => void
}

/** One kind and where the API server lists it. */
type Kind = {
  readonly kind: string
  readonly apiVersion: string
  readonly plural: string
  readonly isClusterWide?: boolean
  /** Whether those who may not read it go on without it. */
  readonly isOptional?: boolean
}

const CONTEXT: readonly Kind[] = [
  { kind: 'Namespace', apiVersion: 'v1', plural: 'namespaces', isClusterWide: true },
  {
    kind: 'MutatingWebhookConfiguration',
    apiVersion: 'admissionregistration.k8s.io/v1',
    plural: 'mutatingwebhookconfigurations',
    isClusterWide: true,
    isOptional: true,
  },
  { kind: 'Service', apiVersion: 'v1', plural: 'services' },
  { kind: 'LimitRange', apiVersion: 'v1', plural: 'limitranges' },
  { kind: 'ResourceQuota', apiVersion: 'v1', plural: 'resourcequotas' },
]

const WORKLOAD_KINDS: readonly Kind[] = [
  { kind: 'Deployment', apiVersion: 'apps/v1', plural: 'deployments' },
  { kind: 'StatefulSet', apiVersion: 'apps/v1', plural: 'statefulsets' },
  { kind: 'DaemonSet', apiVersion: 'apps/v1', plural: 'daemonsets' },
  { kind: 'ReplicaSet', apiVersion: 'apps/v1', plural: 'replicasets' },
  { kind: 'ReplicationController', apiVersion: 'v1', plural: 'replicationcontrollers' },
  { kind: 'CronJob', apiVersion: 'batch/v1', plural: 'cronjobs' },
  { kind: 'Job', apiVersion: 'batch/v1', plural: 'jobs' },
  { kind: 'Pod', apiVersion: 'v1', plural: 'pods' },
]

const NODES: Kind = {
  kind: 'Node',
  apiVersion: 'v1',
  plural: 'nodes',
  isClusterWide: true,
  isOptional: true,
}

/** Connects. Throws a Refusal where that fails. `warn` hears what may not be read. */
export async function openCluster(
  flags: LiveFlags,
  workloads: SubjectSetting['workloads'],
  warn: (line: string) => void,
): Promise<Cluster> {
  const api = makeApi(await connect(flags))
  const namespace = flags.namespace ?? api.namespace ?? 'default'
  const only = flags.allNamespaces === true ? undefined : namespace
  const list = async function* (kinds: readonly Kind[]): AsyncGenerator<Subject> {
    for (const kind of kinds) {
      for await (const value of objectsOf(api, kind, only, warn)) {
        yield subjectOf(value, { workloads, namespace })
      }
    }
  }
  return {
    context: () => list(CONTEXT),
    async *workloads() {
      for await (const subject of list(WORKLOAD_KINDS)) {
        if (subject.kind === 'Pod' || !hasController(subject.value)) yield subject
      }
    },
    async nodes() {
      const facts: NodeFact[] = []
      for await (const node of objectsOf(api, NODES, only, warn)) facts.push(nodeFact(node))
      return facts
    },
    close: api.close,
  }
}

async function* objectsOf(
  api: Api,
  kind: Kind,
  namespace: string | undefined,
  warn: (line: string) => void,
): AsyncGenerator<JsonObject> {
  const { apiVersion, plural, isClusterWide = false } = kind
  const root = apiVersion === 'v1' ? '/api/v1' : `/apis/${apiVersion}`
  const within =
    namespace === undefined || isClusterWide ? '' : `/namespaces/${encodeURIComponent(namespace)}`
  const path = `${root}${within}/${plural}`
  const isOne = kind.kind === 'Namespace' && namespace !== undefined
  const collection = { path, ...(isOne ? { fieldSelector: `metadata.name=${namespace}` } : {}) }
  try {
    for await (const { items } of listPages(api, collection, WATCH_TIMING)) {
      // The items of a list do not say what they are.
      for (const item of items) yield { ...item, apiVersion, kind: kind.kind }
    }
  } catch (cause) {
    const got = cause instanceof Error ? cause.message : String(cause)
    if (kind.isOptional === true && cause instanceof ApiRefused && cause.status === 403) {
      warn(`${plural} may not be read, and count as none: ${got}`)
      return
    }
    throw new Refusal([{ path: `${api.server.origin}${path}`, got, want: 'a list' }], { cause })
  }
}

function hasController({ metadata }: JsonObject): boolean {
  const owners = isObject(metadata) ? metadata['ownerReferences'] : undefined
  return isArray(owners) && owners.some((one) => isObject(one) && one['controller'] === true)
}

function nodeFact({ metadata, status }: JsonObject): NodeFact {
  const info = isObject(status) ? status['nodeInfo'] : undefined
  return {
    name: isObject(metadata) ? textOf(metadata['name']) : '',
    kubeletVersion: isObject(info) ? textOf(info['kubeletVersion']) : '',
  }
}
