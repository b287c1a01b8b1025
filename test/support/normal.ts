/** What counts as the same pod when two programs wrote it: the equivalences of the recorded cases' README. */
import { canonicalQuantity } from '../../core/inject/quantity.ts'
import { isArray, isObject, type Json } from '../../core/json.ts'

const UNORDERED = [
  'volumes',
  'volumeMounts',
  'ports',
  'imagePullSecrets',
  'hostAliases',
  'add',
  'drop',
]
const ZEROS = [
  'minReadySeconds',
  'initialDelaySeconds',
  'timeoutSeconds',
  'periodSeconds',
  'successThreshold',
  'failureThreshold',
]
/** Flags of which false says something else than nothing: pointers in the API's types. */
const THREE_WAY_FLAGS = [
  'allowPrivilegeEscalation',
  'automountServiceAccountToken',
  'enableServiceLinks',
  'hostUsers',
  'immutable',
  'optional',
  'privileged',
  'readOnlyRootFilesystem',
  'runAsNonRoot',
  'setHostnameAsFQDN',
  'shareProcessNamespace',
  'suspend',
]
const QUANTITIES = ['requests', 'limits']

/** A form in which two workloads that mean the same are equal; undefined stands for what says nothing. */
export function normal(value: Json | undefined, key = '', parent = ''): Json | undefined {
  if (value === undefined || value === null || value === '') return undefined
  if (typeof value === 'string') return text(value, key, parent)
  if (value === false && !THREE_WAY_FLAGS.includes(key)) return undefined
  if (value === 0 && (ZEROS.includes(key) || parent === 'status')) return undefined
  if (typeof value === 'number' && QUANTITIES.includes(parent))
    return canonicalQuantity(String(value)) ?? value
  if (isArray(value)) {
    if (value.length === 0) return undefined
    const items = value.map((item) => normal(item, '', key) ?? null)
    return UNORDERED.includes(key)
      ? items.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
      : items
  }
  if (!isObject(value)) return value
  const members = Object.entries(value)
    .map(([name, item]) => [name, normal(item, name, key)] as const)
    .filter(([, item]) => item !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
  return members.length === 0 ? undefined : Object.fromEntries(members)
}

function text(value: string, key: string, parent: string): Json | undefined {
  if (key === 'protocol' && value === 'TCP') return undefined
  if (key === 'apiVersion' && value === 'v1' && parent === 'fieldRef') return undefined
  if (key === 'divisor') {
    const quantity = canonicalQuantity(value)
    return quantity === '0' ? undefined : quantity
  }
  if (QUANTITIES.includes(parent)) return canonicalQuantity(value) ?? value
  if (key === 'sidecar.istio.io/status') {
    const status = json(value)
    if (isObject(status)) {
      const { version: _version, ...rest } = status
      return { $json: normal(rest) ?? null }
    }
  }
  if (key === 'value' || parent === 'annotations') {
    const inner = json(value)
    if (isObject(inner) || isArray(inner)) return { $json: normal(inner) ?? null }
  }
  return value
}

function json(value: string): Json {
  if (!/^\s*[[{]/.test(value)) return null
  try {
    return JSON.parse(value) as Json
  } catch {
    return null
  }
}
