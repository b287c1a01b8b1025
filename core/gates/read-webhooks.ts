import { readSelector, type Selector } from '../inject/selectors.ts'
import { isArray, isObject, type JsonObject } from '../json.ts'
import type { StringMap } from '../k8s.ts'
import { good, type Problem, type Read } from '../problem.ts'
import {
  inOrder,
  type GateClient,
  type GateCondition,
  type GateConfiguration,
  type GateEntry,
  type GatePlace,
  type GateRule,
} from './entry.ts'

/**
 * Reads the entries of MutatingWebhookConfigurations: one object, a list of any kind, or an array of
 * these. Objects of other kinds are passed over. The entries come in the order in which the API server
 * asks them: configurations by name, entries as listed. `path` names the input in problems.
 */
export function readWebhooks(value: unknown, path = ''): Read<readonly GateEntry[]> {
  const problems: Problem[] = []
  const configurations = objectsIn(value, path, problems)
    .filter(({ object }) => object['kind'] === KIND)
    .map((placed) => ({ ...placed, configuration: readConfiguration(placed.object) }))
    .sort((a, b) => inOrder(a.configuration, b.configuration))
  const entries = configurations.flatMap(({ path: at, object }) => {
    const webhooks = object['webhooks'] ?? []
    if (!isArray(webhooks)) problems.push(wrong(`${at}/webhooks`, webhooks, 'a list of webhooks'))
    return listEntries(object, at).flatMap(({ read }) => {
      if (!read.ok) problems.push(...read.problems)
      return read.ok ? [read.value] : []
    })
  })
  return problems.length === 0 ? good(entries) : { ok: false, problems }
}

/** An entry as it is listed: where, and what it says, or what of it cannot be read. */
export type ListedEntry = GatePlace & { readonly read: Read<GateEntry> }

/** The entries of one MutatingWebhookConfiguration one by one; `path` is that of the object in problems. */
export function listEntries(object: JsonObject, path = ''): readonly ListedEntry[] {
  const { webhooks } = object
  const configuration = readConfiguration(object)
  return (isArray(webhooks) ? webhooks : []).map((webhook: unknown, index) => {
    const name = isObject(webhook) ? textOf(webhook['name']) : ''
    const place = { name, configuration, index }
    return { ...place, read: readEntry(`${path}/webhooks/${index}`, webhook, place) }
  })
}

/** The entries that could be read: any other takes nothing. */
export function readable(listed: readonly ListedEntry[]): readonly GateEntry[] {
  return listed.flatMap(({ read }) => (read.ok ? [read.value] : []))
}

const KIND = 'MutatingWebhookConfiguration'

type Placed = { readonly path: string; readonly object: JsonObject }

/** All objects in a value; the items of a typed list need not name their kind. */
function objectsIn(value: unknown, path: string, problems: Problem[]): readonly Placed[] {
  if (isArray(value)) {
    return value.flatMap((item, index) => objectsIn(item, `${path}/${index}`, problems))
  }
  if (!isObject(value)) {
    problems.push(wrong(path, value, `a ${KIND}, or a list of them`))
    return []
  }
  const { kind, items } = value
  if (!isArray(items)) return [{ path, object: value }]
  return items.flatMap((item: unknown, index) => {
    const typed = kind === `${KIND}List` && isObject(item) ? { ...item, kind: KIND } : item
    return objectsIn(typed, `${path}/items/${index}`, problems)
  })
}

function readConfiguration({ metadata }: JsonObject): GateConfiguration {
  const { name, labels, creationTimestamp } = isObject(metadata) ? metadata : {}
  return {
    name: textOf(name),
    labels: textsOf(labels),
    createdAt: typeof creationTimestamp === 'string' ? creationTimestamp : undefined,
  }
}

function readEntry(path: string, webhook: unknown, place: GatePlace): Read<GateEntry> {
  if (!isObject(webhook)) return { ok: false, problems: [wrong(path, webhook, 'a webhook')] }
  const problems: Problem[] = []
  const selector = (name: string): Selector => {
    const read = readSelector(`${path}/${name}`, webhook[name])
    if (!read.ok) problems.push(...read.problems)
    return read.ok ? read.value : []
  }
  const { clientConfig, timeoutSeconds } = webhook
  const config = isObject(clientConfig) ? clientConfig : {}
  const entry: GateEntry = {
    ...place,
    rules: objectsOf(webhook['rules']).map(readRule),
    namespaceSelector: selector('namespaceSelector'),
    objectSelector: selector('objectSelector'),
    conditions: objectsOf(webhook['matchConditions']).map(readCondition),
    failurePolicy: webhook['failurePolicy'] === 'Ignore' ? 'Ignore' : 'Fail',
    reinvocationPolicy: webhook['reinvocationPolicy'] === 'IfNeeded' ? 'IfNeeded' : 'Never',
    timeoutSeconds: typeof timeoutSeconds === 'number' ? timeoutSeconds : DEFAULT_SECONDS,
    client: readClient(config),
    caBundle: textOf(config['caBundle']),
  }
  return problems.length === 0 ? good(entry) : { ok: false, problems }
}

/** Defaults of admissionregistration.k8s.io/v1. */
const DEFAULT_SECONDS = 10
const DEFAULT_PORT = 443

function readRule(rule: JsonObject): GateRule {
  return {
    operations: listOf(rule['operations']),
    apiGroups: listOf(rule['apiGroups']),
    apiVersions: listOf(rule['apiVersions']),
    resources: listOf(rule['resources']),
    scope: textOf(rule['scope']) || '*',
  }
}

function readCondition({ name, expression }: JsonObject): GateCondition {
  return { name: textOf(name), expression: textOf(expression) }
}

/** Whom a `clientConfig` calls. */
export function readClient({ service, url }: JsonObject): GateClient {
  if (!isObject(service)) return { by: 'url', url: textOf(url) }
  const { port } = service
  return {
    by: 'service',
    namespace: textOf(service['namespace']),
    name: textOf(service['name']),
    port: typeof port === 'number' ? port : DEFAULT_PORT,
    path: textOf(service['path']) || '/',
  }
}

function objectsOf(value: unknown): readonly JsonObject[] {
  return isArray(value) ? value.filter(isObject) : []
}

function listOf(value: unknown): readonly string[] {
  return isArray(value) ? value.filter((item) => typeof item === 'string') : []
}

function textsOf(value: unknown): StringMap {
  if (!isObject(value)) return {}
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, text]) => (typeof text === 'string' ? [[key, text]] : [])),
  )
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function wrong(path: string, value: unknown, want: string): Problem {
  return { path, got: value === undefined ? 'nothing' : JSON.stringify(value), want }
}
