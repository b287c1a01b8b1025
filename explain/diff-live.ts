/** A live pod or workload as a manifest: what people write, without what the API server fills in. */
import {
  isArray,
  isObject,
  isSame,
  sortedEntries,
  type Json,
  type JsonObject,
} from '../core/json.ts'

/** The object without status, bookkeeping and defaults. */
export function asManifest(object: JsonObject): JsonObject {
  const { status: _status, metadata, ...rest } = object
  const kept = Object.entries(isObject(metadata) ? metadata : {}).filter(
    ([key]) => !BOOKKEEPING.includes(key),
  )
  return withoutDefaults({ ...rest, metadata: Object.fromEntries(kept) })
}

/** The same without what the API server fills in, whoever wrote it. */
export function withoutDefaults(object: JsonObject): JsonObject {
  const left = pruned('', object)
  return isObject(left) ? left : {}
}

const BOOKKEEPING = ['managedFields', 'resourceVersion', 'uid', 'creationTimestamp', 'generation']

/** Defaults of the Kubernetes API, by the name of the field: a template need not write them. */
const DEFAULTS: Readonly<Record<string, readonly Json[]>> = {
  terminationMessagePath: ['/dev/termination-log'],
  terminationMessagePolicy: ['File'],
  protocol: ['TCP'],
  scheme: ['HTTP'],
  initialDelaySeconds: [0],
  successThreshold: [1],
  failureThreshold: [3],
  periodSeconds: [10],
  timeoutSeconds: [1],
  divisor: ['0'],
  defaultMode: [420],
  expirationSeconds: [3600],
  resources: [{}],
  securityContext: [{}],
  dnsPolicy: ['ClusterFirst'],
  restartPolicy: ['Always'],
  schedulerName: ['default-scheduler'],
  terminationGracePeriodSeconds: [30],
  enableServiceLinks: [true],
  preemptionPolicy: ['PreemptLowerPriority'],
  imagePullPolicy: ['IfNotPresent', 'Always'],
  priority: [0],
  // A volume that names no source is an empty one.
  emptyDir: [{}],
}

/** Where the API server mounts the token of an account, and how it names that volume. */
const TOKEN_PATH = '/var/run/secrets/kubernetes.io/serviceaccount'
const TOKEN_VOLUME = /^kube-api-access-[a-z0-9]{5}$/

function pruned(key: string, value: Json): Json {
  if (isArray(value)) {
    return value.filter((item) => !isToken(key, item)).map((item) => pruned('', item))
  }
  if (!isObject(value)) return value
  const members = Object.entries(value).flatMap(([name, member]) => {
    if (member === undefined || isDefault(key, name, member)) return []
    const next = pruned(name, member)
    return isArray(next) && next.length === 0 ? [] : [[name, next] as const]
  })
  return Object.fromEntries(members)
}

function isDefault(parent: string, name: string, value: Json): boolean {
  if (parent === 'labels' || parent === 'annotations') return false
  if (parent === 'fieldRef' && name === 'apiVersion') return value === 'v1'
  return Object.hasOwn(DEFAULTS, name) && (DEFAULTS[name] ?? []).some((one) => isSame(one, value))
}

function isToken(list: string, item: Json): boolean {
  if (!isObject(item)) return false
  if (list === 'volumeMounts') return item['mountPath'] === TOKEN_PATH
  return list === 'volumes' && typeof item['name'] === 'string' && TOKEN_VOLUME.test(item['name'])
}

/** The same with the members of each map by name: their order says nothing, and the API server changes it. */
export function inOrder(value: unknown): Json {
  if (isArray(value)) return value.map(inOrder)
  if (isObject(value)) {
    return Object.fromEntries(sortedEntries(value).map(([key, item]) => [key, inOrder(item)]))
  }
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? value
    : null
}
