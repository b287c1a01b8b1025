import { isArray, isObject, type Json, type JsonObject } from '../json.ts'

/** The workload that a pod belongs to, as far as the pod itself tells. */
export type Owner = {
  readonly apiVersion: string
  readonly kind: string
  /** Empty for a pod that has only `generateName` and no controller. */
  readonly name: string
  readonly namespace?: string
}

/**
 * The owner told by a pod's metadata. Only a pod whose name the API server generates has one
 * besides itself; its controller's name is followed up to what a user wrote: a ReplicaSet's
 * Deployment or Rollout, a Job's CronJob. Fields of a wrong type count as absent.
 */
export function ownerOf(metadata: Json | undefined, fallbackNamespace?: string): Owner {
  const meta = isObject(metadata) ? metadata : {}
  const podName = textOf(meta['name'])
  const namespace = textOf(meta['namespace']) || fallbackNamespace
  const owner = (textOf(meta['generateName']) && ownerByController(meta)) || {
    apiVersion: 'v1',
    kind: 'Pod',
    name: podName,
  }
  const named = { ...owner, name: owner.name || podName }
  return namespace === undefined || namespace === '' ? named : { ...named, namespace }
}

type Reference = { readonly apiVersion: string; readonly kind: string; readonly name: string }

function ownerByController(meta: JsonObject): Reference | undefined {
  const references = isArray(meta['ownerReferences']) ? meta['ownerReferences'] : []
  const controller = references.filter(isObject).find((one) => one['controller'] === true)
  if (controller === undefined) return undefined
  const labels = isObject(meta['labels']) ? meta['labels'] : {}
  const reference = {
    apiVersion: textOf(controller['apiVersion']),
    kind: textOf(controller['kind']),
    name: textOf(controller['name']),
  }
  return FOLLOWED.get(reference.kind)?.(reference, labels) ?? reference
}

type Follow = (reference: Reference, labels: JsonObject) => Reference | undefined

/** Controllers that a user rarely writes, and how their own owner is told; undefined when it is not. */
const FOLLOWED = new Map<string, Follow>([
  [
    'ReplicaSet',
    (reference, labels) =>
      withoutHash(reference, textOf(labels['pod-template-hash']), { kind: 'Deployment' }) ??
      // Istio drops the group of Argo's API here; the text reaches the proxy's metadata, so it stays.
      withoutHash(reference, textOf(labels['rollouts-pod-template-hash']), {
        kind: 'Rollout',
        apiVersion: 'v1alpha1',
      }),
  ],
  [
    'ReplicationController',
    (reference, labels) => {
      const name = textOf(labels['deploymentconfig'])
      return name === '' ? undefined : { ...reference, kind: 'DeploymentConfig', name }
    },
  ],
  [
    'Job',
    (reference) => {
      // A CronJob names its Jobs by the minute in 8 digits; before Kubernetes 1.21 by the second in 10.
      const name = /^(.+)-\d{8,10}$/.exec(reference.name)?.[1]
      return name === undefined ? undefined : { apiVersion: 'batch/v1', kind: 'CronJob', name }
    },
  ],
])

/** The suffix counts with or without the dash, but only a dash is cut off with it. */
function withoutHash(
  reference: Reference,
  hash: string,
  owner: { readonly kind: string; readonly apiVersion?: string },
): Reference | undefined {
  if (hash === '' || !reference.name.endsWith(hash)) return undefined
  const suffix = `-${hash}`
  const name = reference.name.endsWith(suffix)
    ? reference.name.slice(0, -suffix.length)
    : reference.name
  return { ...reference, ...owner, name }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
