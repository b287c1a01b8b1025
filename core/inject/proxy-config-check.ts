import { goJson, isObject, type Json, type JsonObject } from '../json.ts'
import type { Problem } from '../problem.ts'
import { isProxyAddress, PROXY_ADDRESS } from './proxy-config-address.ts'
import { INTERCEPTION_MODES } from './proxy-config-fields.ts'

/**
 * Everything that is wrong with a whole configuration, with names and values that the control plane or the
 * agent would refuse. Types have been read before. `prefix` stands before the name of the field.
 */
export function checkProxyConfig(prefix: string, fields: JsonObject): readonly Problem[] {
  const problems = CHECKS.flatMap(({ field, isRight, want }) => {
    const value = valueAt(fields, field.split('.'))
    return value === undefined || isRight(value) ? [] : [problem(prefix, field, value, want)]
  })
  return [...problems, ...checkMetadata(prefix, fields), ...checkTracingTls(prefix, fields)]
}

/** A field that is checked wherever the message that it belongs to is there; absent there, it is empty text. */
type Check = {
  readonly field: string
  readonly isRight: (value: Json) => boolean
  readonly want: string
}

const TEXT = { isRight: (value: Json) => value !== '', want: 'text that is not empty' }
const ADDRESS = { isRight: isAddress, want: PROXY_ADDRESS }
const ADDRESS_OR_NONE = {
  isRight: (value: Json) => value === '' || isAddress(value),
  want: `${PROXY_ADDRESS}, or nothing`,
}
/** The agent puts the node's address in before it connects. */
const NODE_ADDRESS = {
  isRight: (value: Json) => {
    return typeof value === 'string' && isAddress(value.replace('$(HOST_IP)', '127.0.0.1'))
  },
  want: `${PROXY_ADDRESS}; the host may be $(HOST_IP)`,
}
const PORT = {
  isRight: (value: Json) => typeof value === 'number' && value >= 1 && value <= 65535,
  want: 'a port from 1 to 65535',
}
const DELAY = {
  isRight: (value: Json) => value !== '' && value !== '0s',
  want: 'a duration that is not zero',
}

const CHECKS: readonly Check[] = [
  { field: 'configPath', ...TEXT },
  { field: 'binaryPath', ...TEXT },
  {
    field: 'serviceCluster',
    isRight: (value) => value !== '',
    want: 'a name, or tracingServiceName',
  },
  {
    field: 'drainDuration',
    isRight: (value) => typeof value === 'string' && /^[1-9]\d*s$/.test(value),
    want: 'a duration of whole seconds, at least 1s',
  },
  { field: 'discoveryAddress', ...ADDRESS },
  { field: 'tracing.lightstep.address', ...ADDRESS },
  { field: 'tracing.lightstep.accessToken', ...TEXT },
  { field: 'tracing.zipkin.address', ...NODE_ADDRESS },
  { field: 'tracing.datadog.address', ...NODE_ADDRESS },
  { field: 'statsdUdpAddress', ...ADDRESS_OR_NONE },
  { field: 'envoyMetricsServiceAddress', ...ADDRESS_OR_NONE },
  { field: 'envoyMetricsService.address', ...ADDRESS_OR_NONE },
  { field: 'envoyAccessLogService.address', ...ADDRESS_OR_NONE },
  { field: 'proxyAdminPort', ...PORT },
  {
    field: 'controlPlaneAuthPolicy',
    isRight: (value) => value === 'NONE' || value === 'MUTUAL_TLS',
    want: 'NONE or MUTUAL_TLS',
  },
  { field: 'statusPort', ...PORT },
  { field: 'privateKeyProvider.cryptomb.pollDelay', ...DELAY },
  { field: 'privateKeyProvider.qat.pollDelay', ...DELAY },
  {
    field: 'privateKeyProvider',
    isRight: (value) => isObject(value) && ('cryptomb' in value || 'qat' in value),
    want: 'one of cryptomb, qat',
  },
  {
    field: 'interceptionMode',
    isRight: (value) => INTERCEPTION_MODES.some((mode) => mode === value),
    want: `one of ${INTERCEPTION_MODES.join(', ')}`,
  },
]

/** The value, empty text where only the last name is missing, undefined where the message is. */
function valueAt(fields: JsonObject, names: readonly string[]): Json | undefined {
  let value: Json = fields
  for (const [index, name] of names.entries()) {
    if (!isObject(value)) return undefined
    const next: Json | undefined = value[name]
    if (next === undefined) return index > 0 && index === names.length - 1 ? '' : undefined
    value = next
  }
  return value
}

function isAddress(value: Json): boolean {
  return typeof value === 'string' && isProxyAddress(value)
}

/** Keys become names of environment variables: printable ASCII without `=`, as the API server takes them. */
function checkMetadata(prefix: string, fields: JsonObject): readonly Problem[] {
  const metadata = fields['proxyMetadata']
  const keys = isObject(metadata) ? Object.keys(metadata) : []
  return keys
    .filter((key) => !/^[ -<>-~]+$/.test(key))
    .map((key) => problem(prefix, 'proxyMetadata', key, 'names of environment variables as keys'))
}

/** What the TLS settings of the tracer need or must not have, by mode and by what else is set. */
const TLS_RULES: readonly {
  readonly modes: readonly string[]
  readonly with?: string
  readonly without?: string
  readonly needs?: readonly string[]
  readonly forbids?: readonly string[]
}[] = [
  { modes: ['MUTUAL'], without: 'credentialName', needs: ['clientCertificate', 'privateKey'] },
  {
    modes: ['SIMPLE', 'MUTUAL'],
    with: 'credentialName',
    forbids: ['clientCertificate', 'privateKey', 'caCertificates', 'caCrl'],
  },
  {
    modes: ['SIMPLE', 'MUTUAL'],
    with: 'insecureSkipVerify',
    forbids: ['caCertificates', 'subjectAltNames'],
  },
  { modes: ['SIMPLE'], with: 'insecureSkipVerify', forbids: ['credentialName'] },
]

function checkTracingTls(prefix: string, fields: JsonObject): readonly Problem[] {
  const settings = valueAt(fields, ['tracing', 'tlsSettings'])
  if (!isObject(settings)) return []
  const mode = settings['mode']
  const isGiven = (name: string): boolean => {
    const value = settings[name]
    return value !== undefined && value !== '' && value !== false
  }
  const told = (name: string, want: string): Problem => {
    return problem(prefix, `tracing.tlsSettings.${name}`, settings[name] ?? '', want)
  }
  return TLS_RULES.filter((rule) => rule.modes.some((word) => word === mode))
    .filter((rule) => rule.with === undefined || isGiven(rule.with))
    .filter((rule) => rule.without === undefined || !isGiven(rule.without))
    .flatMap(({ modes, with: other, needs = [], forbids = [] }) => [
      ...needs
        .filter((name) => !isGiven(name))
        .map((name) => told(name, `a path in mode ${modes.join()}`)),
      ...forbids.filter(isGiven).map((name) => told(name, `nothing beside ${other ?? ''}`)),
    ])
}

function problem(prefix: string, field: string, value: Json, want: string): Problem {
  return { path: `${prefix}${field}`, got: typeof value === 'string' ? value : goJson(value), want }
}
