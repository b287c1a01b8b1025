import {
  goJson,
  isArray,
  isObject,
  isSame,
  sortedEntries,
  type Json,
  type JsonObject,
} from '../json.ts'
import { PROXY_CONFIG_FIELDS, zeroOf, type Fields, type FieldType } from './proxy-config-fields.ts'
import type { ProxyConfig } from './proxy-config.ts'

/** Fields that are left out where they say what the default says. Other fields are printed all the same. */
const LEFT_OUT_AS_DEFAULT: ReadonlySet<string> = new Set([
  'configPath',
  'binaryPath',
  'controlPlaneAuthPolicy',
  'serviceCluster',
  'drainDuration',
  'parentShutdownDuration',
  'terminationDrainDuration',
  'discoveryAddress',
  'envoyMetricsService',
  'envoyAccessLogService',
  'tracing',
  'proxyAdminPort',
  'statNameLength',
  'concurrency',
  'statusPort',
])

/** Fields that only some versions of the API have: known when the version's defaults name them. */
const OF_OLDER_VERSIONS: ReadonlySet<string> = new Set(['parentShutdownDuration'])

/**
 * The text of the environment variable PROXY_CONFIG: one line of JSON in the API's order of fields, and a
 * line break. What equals the built-in default of the version is left out; `{}` is a default config.
 */
export function printProxyConfig(config: ProxyConfig, defaults: ProxyConfig): string {
  const members = Object.entries(PROXY_CONFIG_FIELDS).flatMap(([name, type]) => {
    const text = printField(config.fields[name], type)
    if (text === undefined) return []
    if (OF_OLDER_VERSIONS.has(name) && defaults.fields[name] === undefined) return []
    const isDefault = text === printField(defaults.fields[name], type)
    return isDefault && LEFT_OUT_AS_DEFAULT.has(name) ? [] : [`${goJson(name)}:${text}`]
  })
  return `{${members.join(',')}}\n`
}

/** The text of a field; undefined for one that is absent, empty, or zero without telling so. */
function printField(value: Json | undefined, type: FieldType): string | undefined {
  if (value === undefined) return undefined
  switch (type.kind) {
    case 'message':
    case 'wrapper':
    case 'one-of':
    case 'duration':
      return printValue(value, type)
    default:
      return isSame(value, zeroOf(type)) ? undefined : printValue(value, type)
  }
}

function printValue(value: Json, type: FieldType): string {
  switch (type.kind) {
    case 'message':
      return isObject(value) ? printMessage(value, type.fields) : '{}'
    case 'list':
      return isArray(value) ? `[${value.map((item) => printValue(item, type.of)).join(',')}]` : '[]'
    case 'map':
      return isObject(value) ? printMap(value, type.of) : '{}'
    case 'wrapper':
    case 'one-of':
      return printValue(value, type.of)
    default:
      return goJson(value)
  }
}

function printMessage(value: JsonObject, fields: Fields): string {
  const members = Object.entries(fields).flatMap(([name, type]) => {
    const text = printField(value[name], type)
    return text === undefined ? [] : [`${goJson(name)}:${text}`]
  })
  return `{${members.join(',')}}`
}

/** Text piece by piece: an object would move keys that look like numbers to the front. */
function printMap(value: JsonObject, of: FieldType): string {
  const members = sortedEntries(value).map(([key, item]) => {
    return `${goJson(key)}:${printValue(item ?? null, of)}`
  })
  return `{${members.join(',')}}`
}
