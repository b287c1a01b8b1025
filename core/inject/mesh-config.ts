import { INBOUND_CAPTURE_PORT, OUTBOUND_CAPTURE_PORT } from '../constants.ts'
import { goJson, isArray, isObject, type Json, type JsonObject } from '../json.ts'
import { bad, good, type Problem, type Read } from '../problem.ts'
import { readYaml } from '../yaml.ts'
import { checkProxyConfig } from './proxy-config-check.ts'
import {
  choice,
  FLAG_VALUE,
  INT32,
  list,
  message,
  TEXT,
  type Fields,
} from './proxy-config-fields.ts'
import { numberOf, readFields, textOf, valueAt } from './proxy-config-read.ts'
import {
  defaultProxyConfig,
  mergeProxyConfig,
  readProxyConfigFields,
  type ProxyConfig,
} from './proxy-config.ts'
import type { IstioVersion } from './values.ts'

const INBOUND_POLICIES = ['PASSTHROUGH', 'LOCALHOST'] as const

/** Istio's MeshConfig: what injection reads, typed, and all of it as it was merged. */
export type MeshConfig = {
  readonly defaultConfig: ProxyConfig
  /** Empty when unset. */
  readonly trustDomain: string
  readonly rootNamespace: string
  /** Where the proxy takes outbound and inbound connections; never 0. */
  readonly proxyListenPort: number
  readonly proxyInboundListenPort: number
  readonly enablePrometheusMerge: boolean
  readonly inboundTrafficPolicyMode: (typeof INBOUND_POLICIES)[number]
  /** Whether a tracing provider asks for OpenTelemetry's names of service attributes. */
  readonly hasOtelConventions: boolean
  /** Every field, by JSON name, built-in defaults included. */
  readonly raw: JsonObject
}

/** The built-in mesh configuration of a version, as its chart leaves it. */
export function defaultMeshConfig(version: IstioVersion): MeshConfig {
  const chart = { fields: CHART_CONFIG[version] }
  return typed(DEFAULTS, mergeProxyConfig(defaultProxyConfig(version), chart))
}

/**
 * Reads the `mesh` document (YAML or JSON) laid over defaults: fields replace, `defaultConfig` and
 * `defaultProviders` merge, `extensionProviders` merge by name. No text means the defaults. Fields that
 * injection does not read are kept unchecked.
 */
export function readMeshConfig(
  path: string,
  text: string | undefined,
  defaults: MeshConfig,
): Read<MeshConfig> {
  const yaml = text === undefined ? good<Json>(null) : readYaml(path, text)
  if (!yaml.ok) return yaml
  if (yaml.value === null) return good(defaults)
  if (!isObject(yaml.value)) return bad(path, goJson(yaml.value), 'a map of MeshConfig fields')
  return readOver(path, camelCased(yaml.value), defaults)
}

function readOver(path: string, given: JsonObject, defaults: MeshConfig): Read<MeshConfig> {
  const problems: Problem[] = []
  const read = readFields(`${path}: `, given, FIELDS, problems)
  problems.push(...checkPorts(path, read))
  const layer = readDefaultConfig(path, given['defaultConfig'] ?? null, defaults.defaultConfig)
  if (!layer.ok) return { ok: false, problems: [...problems, ...layer.problems] }
  if (problems.length > 0) return { ok: false, problems }
  return good(typed(layMesh(defaults.raw, given), layer.value))
}

function readDefaultConfig(path: string, json: Json, lower: ProxyConfig): Read<ProxyConfig> {
  if (json === null) return good(lower)
  if (!isObject(json)) {
    return bad(`${path}: defaultConfig`, goJson(json), 'a map of ProxyConfig fields')
  }
  const prefix = `${path}: defaultConfig.`
  const layer = readProxyConfigFields(prefix, json)
  if (!layer.ok) return layer
  const config = mergeProxyConfig(lower, layer.value)
  const problems = checkProxyConfig(prefix, config.fields)
  return problems.length === 0 ? good(config) : { ok: false, problems }
}

/** The fields that injection reads, of MeshConfig itself. */
const FIELDS: Fields = {
  proxyListenPort: INT32,
  proxyInboundListenPort: INT32,
  inboundTrafficPolicy: message({ mode: choice(...INBOUND_POLICIES) }),
  trustDomain: TEXT,
  rootNamespace: TEXT,
  enablePrometheusMerge: FLAG_VALUE,
  extensionProviders: list(
    message({
      name: TEXT,
      opentelemetry: message({
        serviceAttributeEnrichment: choice('ISTIO_CANONICAL', 'OTEL_SEMANTIC_CONVENTIONS'),
      }),
    }),
  ),
}

const PORTS = ['proxyListenPort', 'proxyInboundListenPort'] as const

function checkPorts(path: string, read: JsonObject): readonly Problem[] {
  return PORTS.flatMap((name) => {
    const port = read[name] ?? 1
    if (typeof port === 'number' && port >= 1 && port <= 65535) return []
    return [{ path: `${path}: ${name}`, got: goJson(port), want: 'a port from 1 to 65535' }]
  })
}

const DEFAULTS: JsonObject = {
  proxyListenPort: OUTBOUND_CAPTURE_PORT,
  proxyInboundListenPort: INBOUND_CAPTURE_PORT,
  inboundTrafficPolicy: {},
  trustDomain: 'cluster.local',
  rootNamespace: 'istio-system',
  enablePrometheusMerge: true,
  extensionProviders: [
    { name: 'prometheus', prometheus: {} },
    { name: 'stackdriver', stackdriver: {} },
    { name: 'envoy', envoyFileAccessLog: { path: '/dev/stdout' } },
  ],
}

/** What the chart of a version says in `defaultConfig` on top of the built-in defaults. */
const CHART_CONFIG: Readonly<Record<IstioVersion, JsonObject>> = {
  current: {},
  '1.17': {},
  '1.8': { proxyMetadata: { DNS_AGENT: '' } },
}

/** Field names of the document itself in their JSON spelling; where both are there, that one counts. */
function camelCased(given: JsonObject): JsonObject {
  const read = new Map<string, Json | undefined>()
  for (const [name, value] of Object.entries(given)) {
    const camel = name.replace(/_([a-zA-Z0-9])/g, (_, letter: string) => letter.toUpperCase())
    if (camel === name || !Object.hasOwn(given, camel)) read.set(camel, value)
  }
  return Object.fromEntries(read)
}

/** The given document over the one below; null says nothing. */
function layMesh(lower: JsonObject, upper: JsonObject): JsonObject {
  const merged = new Map(Object.entries(lower))
  for (const [name, value] of Object.entries(upper)) {
    if (value === null || value === undefined) continue
    merged.set(name, (MERGED.get(name) ?? replace)(merged.get(name), value))
  }
  return Object.fromEntries(merged)
}

type Merge = (lower: Json | undefined, upper: Json) => Json

/** Fields that merge in another way than by replacing. A Map, because the names come from outside. */
const MERGED: ReadonlyMap<string, Merge> = new Map([
  ['defaultProviders', mergeKeys],
  ['extensionProviders', mergeByName],
  ['trustDomainAliases', gather],
])

function mergeKeys(lower: Json | undefined, upper: Json): Json {
  return isObject(lower) && isObject(upper) ? { ...lower, ...upper } : upper
}

function gather(lower: Json | undefined, upper: Json): Json {
  return isArray(lower) && isArray(upper) ? [...new Set([...lower, ...upper])] : upper
}

function replace(_lower: Json | undefined, upper: Json): Json {
  return upper
}

/** A provider takes the place of the one with its name; new ones follow. */
function mergeByName(lower: Json | undefined, upper: Json): Json {
  if (!isArray(lower) || !isArray(upper)) return upper
  const merged = new Map(lower.map((item) => [nameOf(item), item]))
  for (const item of upper) merged.set(nameOf(item), item)
  return [...merged.values()]
}

function nameOf(provider: Json): Json {
  return isObject(provider) ? (provider['name'] ?? null) : provider
}

/** The fields that injection reads, picked out of a document whose types have been checked. */
function typed(raw: JsonObject, defaultConfig: ProxyConfig): MeshConfig {
  const read = readFields('', raw, FIELDS, [])
  const policy = valueAt(read, ['inboundTrafficPolicy', 'mode'])
  const providers = read['extensionProviders']
  return {
    defaultConfig,
    trustDomain: textOf(read['trustDomain']),
    rootNamespace: textOf(read['rootNamespace']),
    proxyListenPort: numberOf(read['proxyListenPort']) ?? OUTBOUND_CAPTURE_PORT,
    proxyInboundListenPort: numberOf(read['proxyInboundListenPort']) ?? INBOUND_CAPTURE_PORT,
    enablePrometheusMerge: read['enablePrometheusMerge'] !== false,
    inboundTrafficPolicyMode: INBOUND_POLICIES.find((mode) => mode === policy) ?? 'PASSTHROUGH',
    hasOtelConventions: isArray(providers) && providers.some(asksForOtel),
    raw: { ...raw, defaultConfig: defaultConfig.fields },
  }
}

function asksForOtel(provider: Json): boolean {
  const asked = valueAt(provider, ['opentelemetry', 'serviceAttributeEnrichment'])
  return asked === 'OTEL_SEMANTIC_CONVENTIONS'
}
