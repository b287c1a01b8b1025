/** Which pod or workload of a cluster is asked about. */
import { isObject, type JsonObject } from '../core/json.ts'
import { bad, good, type Read } from '../core/problem.ts'

/** A pod, or a workload that makes pods, at an API server. */
export type Target = {
  readonly namespace: string
  /** As Kubernetes writes it: `Deployment`. */
  readonly kind: string
  readonly name: string
  /** Of its collection. */
  readonly path: string
  /** Where its pod template is; empty for a pod. */
  readonly template: readonly string[]
}

type Kind = {
  readonly kind: string
  /** Words for it, as kubectl has them; the first is its plural. */
  readonly words: readonly string[]
  readonly api: string
  readonly template: readonly string[]
}

const SPEC_TEMPLATE = ['spec', 'template']

const KINDS: readonly Kind[] = [
  { kind: 'Pod', words: ['pods', 'pod', 'po'], api: '/api/v1', template: [] },
  {
    kind: 'Deployment',
    words: ['deployments', 'deployment', 'deploy'],
    api: '/apis/apps/v1',
    template: SPEC_TEMPLATE,
  },
  {
    kind: 'StatefulSet',
    words: ['statefulsets', 'statefulset', 'sts'],
    api: '/apis/apps/v1',
    template: SPEC_TEMPLATE,
  },
  {
    kind: 'DaemonSet',
    words: ['daemonsets', 'daemonset', 'ds'],
    api: '/apis/apps/v1',
    template: SPEC_TEMPLATE,
  },
  {
    kind: 'ReplicaSet',
    words: ['replicasets', 'replicaset', 'rs'],
    api: '/apis/apps/v1',
    template: SPEC_TEMPLATE,
  },
  {
    kind: 'ReplicationController',
    words: ['replicationcontrollers', 'replicationcontroller', 'rc'],
    api: '/api/v1',
    template: SPEC_TEMPLATE,
  },
  { kind: 'Job', words: ['jobs', 'job'], api: '/apis/batch/v1', template: SPEC_TEMPLATE },
  {
    kind: 'CronJob',
    words: ['cronjobs', 'cronjob', 'cj'],
    api: '/apis/batch/v1',
    template: ['spec', 'jobTemplate', 'spec', 'template'],
  },
]

const WANT = 'NAMESPACE/POD or NAMESPACE/KIND/NAME, with a kind of Kubernetes that makes pods'

/** Reads `NAMESPACE/POD`, or `NAMESPACE/KIND/NAME` with the words that kubectl takes for kinds. */
export function readTarget(path: string, text: string): Read<Target> {
  const parts = text.split('/')
  const [namespace = '', word = '', third] = parts
  const kind = third === undefined ? 'pod' : word.toLowerCase()
  const name = third ?? word
  const found = KINDS.find(({ words }) => words.includes(kind))
  if (found === undefined || parts.length > 3 || ![namespace, name].every(isName)) {
    return bad(path, text, WANT)
  }
  return good(targetOf(found, namespace, name))
}

/** Also keeps `..` out of the path of a request. */
function isName(text: string): boolean {
  return text.length <= 253 && /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(text)
}

/** What an owner reference names; undefined for a kind that is not known here. */
export function targetOfOwner(reference: JsonObject, namespace: string): Target | undefined {
  const { kind, name } = reference
  const found = KINDS.find((one) => one.kind === kind)
  return found === undefined || typeof name !== 'string' || !isName(name)
    ? undefined
    : targetOf(found, namespace, name)
}

function targetOf({ kind, words, api, template }: Kind, namespace: string, name: string): Target {
  const path = `${api}/namespaces/${encodeURIComponent(namespace)}/${words[0] ?? ''}`
  return { namespace, kind, name, path, template }
}

/** The pod itself, or the pod that a workload would make, in the namespace that it would be in. */
export function podIn(object: JsonObject, { template, namespace }: Target): JsonObject {
  if (template.length === 0) return object
  const found = template.reduce<unknown>(
    (inner, key) => (isObject(inner) ? inner[key] : undefined),
    object,
  )
  const { metadata, ...rest } = isObject(found) ? found : {}
  return { ...rest, metadata: { ...(isObject(metadata) ? metadata : {}), namespace } }
}

/** `pod shop/web`, `deployment shop/web`. */
export function printTarget({ kind, namespace, name }: Target): string {
  return `${kind.toLowerCase()} ${namespace}/${name}`
}
