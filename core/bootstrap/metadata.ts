import { HEALTH_PORT, PROXY_METRICS_PORT } from '../constants.ts'
import type { ProxyConfig } from '../inject/proxy-config.ts'
import { isArray, isObject, type Json, type JsonObject } from '../json.ts'
import type { Container, Pod, StringMap } from '../k8s.ts'
import { readYaml } from '../yaml.ts'

/** What the metadata needs besides the pod. */
type More = {
  readonly config: ProxyConfig
  readonly addresses: readonly string[]
  readonly cluster: string
}

/**
 * Envoy's node metadata, from which istiod knows the pod: every `ISTIO_META_*` variable under its name
 * without the prefix, the members of every `ISTIO_METAJSON_*`, and what the agent adds of the pod itself.
 */
export function nodeMetadata(
  { metadata }: Pod,
  container: Container,
  env: StringMap,
  { config, addresses, cluster }: More,
): JsonObject {
  const version = /:v?(\d+\.\d+[^-@]*)[^:/]*$/.exec(container.image ?? '')?.[1]
  const members: Record<string, Json | undefined> = {
    ...fromVariables(env),
    ENVOY_PROMETHEUS_PORT: PROXY_METRICS_PORT,
    ENVOY_STATUS_PORT: HEALTH_PORT,
    INSTANCE_IPS: addresses.join(','),
    ISTIO_VERSION: version,
    LABELS: metadata?.labels ?? {},
    NAME: env['POD_NAME'],
    NAMESPACE: env['POD_NAMESPACE'],
    PROXY_CONFIG: { ...config.fields, serviceCluster: cluster },
    SERVICE_ACCOUNT: env['SERVICE_ACCOUNT'],
  }
  const there = Object.entries(members).filter(([, value]) => value !== undefined)
  return Object.fromEntries(there.sort(([a], [b]) => (a < b ? -1 : 1)))
}

function fromVariables(env: StringMap): Record<string, Json | undefined> {
  const plain = Object.entries(env).flatMap(([name, value]): [string, Json][] => {
    const key = /^ISTIO_META_(.+)$/.exec(name)?.[1]
    return key === undefined ? [] : [[key, key === 'POD_PORTS' ? compact(value) : value]]
  })
  const json = Object.entries(env).flatMap(([name, value]): [string, Json | undefined][] => {
    const read = name.startsWith('ISTIO_METAJSON_') ? readYaml(name, value) : undefined
    return read?.ok === true && isObject(read.value) ? Object.entries(read.value) : []
  })
  return Object.fromEntries([...plain, ...json])
}

/** The list of ports without the blanks that injection prints into it. */
function compact(text: string): string {
  const read = readYaml('ISTIO_META_POD_PORTS', text)
  return read.ok && isArray(read.value) ? JSON.stringify(read.value) : text
}
