import { STATUS_PORT } from '../constants.ts'
import { goJson, isObject, type Json, type JsonObject } from '../json.ts'
import type { StringMap } from '../k8s.ts'
import { bad, good, type Problem, type Read } from '../problem.ts'
import { readYaml } from '../yaml.ts'
import { readQuickly } from '../yaml/quick.ts'
import { checkProxyConfig } from './proxy-config-check.ts'
import { INTERCEPTION_MODES, PROXY_CONFIG_FIELDS } from './proxy-config-fields.ts'
import { numberOf, readFields, textOf, textsOf, valueAt } from './proxy-config-read.ts'
import type { IstioVersion } from './values.ts'

export { printProxyConfig } from './proxy-config-print.ts'

/** How inbound traffic is captured. */
export type InterceptionMode = (typeof INTERCEPTION_MODES)[number]

/**
 * What one source says about the proxy: canonical values by JSON name. Absent means that the source says
 * nothing; a zero that was written is there and counts.
 */
export type ProxyConfigLayer = { readonly fields: JsonObject }

/** A whole configuration: all fields, and those that injection reads, typed. */
export type ProxyConfig = ProxyConfigLayer & {
  readonly interceptionMode: InterceptionMode
  readonly statusPort: number
  /** Worker threads; undefined when unset, 0 for all cores. */
  readonly concurrency: number | undefined
  readonly holdApplicationUntilProxyStarts: boolean
  readonly proxyMetadata: StringMap
  /** Empty when unset. */
  readonly imageType: string
  /** Path of the CA file in `tracing.tlsSettings`; undefined when there are no such settings. */
  readonly tracingCaFile: string | undefined
}

/** The built-in configuration of a version. */
export function defaultProxyConfig(version: IstioVersion): ProxyConfig {
  return typed({ ...DEFAULTS, ...DEFAULTS_OF[version] })
}

/** Reads the text of an annotation: YAML or JSON, checked as part of a default configuration. */
export function readProxyConfig(path: string, text: string): Read<ProxyConfigLayer> {
  const yaml = readBounded(path, text)
  if (!yaml.ok) return yaml
  const json = yaml.value ?? {}
  if (!isObject(json)) return bad(path, goJson(json), 'a map of ProxyConfig fields')
  const layer = readProxyConfigFields(`${path}: `, json)
  if (!layer.ok) return layer
  const problems = checkProxyConfig(`${path}: `, mergeProxyConfig(ASSUMED, layer.value).fields)
  return problems.length === 0 ? layer : { ok: false, problems }
}

/**
 * Reading YAML is the dearest thing that a pod can ask for, so its length is bounded: more where the quick
 * reader can take it.
 */
function readBounded(path: string, text: string): Read<Json> {
  const isEnded = text.endsWith('\n') || /[|>]/.test(text)
  const quick = text.length <= LONGEST ? readQuickly(isEnded ? text : `${text}\n`) : undefined
  if (quick !== undefined) return good(quick)
  if (text.length <= LONGEST_ODD) return readYaml(path, text)
  const want = `at most ${LONGEST_ODD} characters, or ${LONGEST} of YAML without anchors and tags`
  return bad(path, `${text.length} characters`, want)
}

/** Twenty root certificates fit. */
const LONGEST = 32 * 1024
const LONGEST_ODD = 4 * 1024

/**
 * Reads the fields of a parsed configuration; ranges are not checked. `prefix` stands before the name of a
 * field in the path of a problem.
 */
export function readProxyConfigFields(prefix: string, json: JsonObject): Read<ProxyConfigLayer> {
  const problems: Problem[] = []
  const fields = readFields(prefix, json, PROXY_CONFIG_FIELDS, problems)
  return problems.length === 0 ? good({ fields }) : { ok: false, problems }
}

/**
 * The upper layer laid over the lower one: what the upper one says replaces, message by message, except
 * where `MERGED` says otherwise. A written zero counts, also in the webhook, where Istio loses it.
 */
export function mergeProxyConfig(lower: ProxyConfigLayer, upper: ProxyConfigLayer): ProxyConfig {
  const merged = new Map(Object.entries(lower.fields))
  for (const [name, value] of Object.entries(upper.fields)) {
    const merge = MERGED[name] ?? replace
    merged.delete(INSTEAD_OF[name] ?? '')
    merged.set(name, merge(merged.get(name), value))
  }
  return typed(Object.fromEntries(merged))
}

type Merge = (lower: Json | undefined, upper: Json | undefined) => Json | undefined

/** Fields that merge in another way than by replacing. */
const MERGED: Readonly<Record<string, Merge>> = {
  proxyMetadata: mergeKeys,
  proxyHeaders: keepHeaders,
}

/** Fields of which at most one is set: the one that is said last takes the place of the other. */
const INSTEAD_OF: Readonly<Record<string, string>> = {
  serviceCluster: 'tracingServiceName',
  tracingServiceName: 'serviceCluster',
}

function replace(_lower: Json | undefined, upper: Json | undefined): Json | undefined {
  return upper
}

function mergeKeys(lower: Json | undefined, upper: Json | undefined): Json | undefined {
  return isObject(lower) && isObject(upper) ? { ...lower, ...upper } : upper
}

/** Members of `proxyHeaders` that keep the lower value where the upper one says nothing. */
const KEPT_HEADERS = [
  'forwardedClientCert',
  'requestId',
  'attemptCount',
  'server',
  'envoyDebugHeaders',
] as const

function keepHeaders(lower: Json | undefined, upper: Json | undefined): Json | undefined {
  if (!isObject(lower) || !isObject(upper)) return upper
  const isSilent = (name: string): boolean => (upper[name] ?? 'UNDEFINED') === 'UNDEFINED'
  const kept = KEPT_HEADERS.filter((name) => isSilent(name) && lower[name] !== undefined)
  return { ...upper, ...Object.fromEntries(kept.map((name) => [name, lower[name]])) }
}

const DEFAULTS: JsonObject = {
  configPath: './etc/istio/proxy',
  binaryPath: '/usr/local/bin/envoy',
  serviceCluster: 'istio-proxy',
  drainDuration: '45s',
  discoveryAddress: 'istiod.istio-system.svc:15012',
  proxyAdminPort: 15000,
  controlPlaneAuthPolicy: 'MUTUAL_TLS',
  statNameLength: 189,
  statusPort: STATUS_PORT,
  terminationDrainDuration: '5s',
}

const ZIPKIN: JsonObject = { zipkin: { address: 'zipkin.istio-system:9411' } }

const DEFAULTS_OF: Readonly<Record<IstioVersion, JsonObject>> = {
  current: {},
  '1.17': { concurrency: 2, tracing: ZIPKIN },
  '1.8': {
    concurrency: 2,
    parentShutdownDuration: '60s',
    tracing: ZIPKIN,
    envoyAccessLogService: {},
    envoyMetricsService: {},
  },
}

/** What an annotation is checked on top of. */
const ASSUMED: ProxyConfigLayer = { fields: DEFAULTS }

/** The fields with those that injection reads picked out. */
function typed(fields: JsonObject): ProxyConfig {
  const mode = INTERCEPTION_MODES.find((word) => word === fields['interceptionMode'])
  const tls = valueAt(fields, ['tracing', 'tlsSettings'])
  return {
    fields,
    interceptionMode: mode ?? 'REDIRECT',
    statusPort: numberOf(fields['statusPort']) ?? 0,
    concurrency: numberOf(fields['concurrency']),
    holdApplicationUntilProxyStarts: fields['holdApplicationUntilProxyStarts'] === true,
    proxyMetadata: textsOf(fields['proxyMetadata']),
    imageType: textOf(valueAt(fields, ['image', 'imageType'])),
    tracingCaFile: tls === undefined ? undefined : textOf(valueAt(tls, ['caCertificates'])),
  }
}
