/** Services that are given to the stand-alone form: what istiod would tell the proxy of them. */
import type { Family } from '../cidrs.ts'
import type { JsonObject } from '../json.ts'
import type { Port } from '../ports.ts'
import type { Endpoint } from '../rules/trace.ts'
import { asDownstream, assignment, originalDestination } from './clusters.ts'
import { anyHost } from './listeners.ts'
import { anywhere, httpFilter, routeTo, servingAs, socketAddress, tcpFilter } from './pieces.ts'
import type { Proxy } from './proxy.ts'

/** One port of one service. */
export type Service = {
  readonly host: string
  readonly port: Port
  readonly protocol: 'http' | 'tcp'
  /** Addresses that callers may use; the name alone does for HTTP. */
  readonly addresses: readonly { readonly family: Family; readonly text: string }[]
  readonly endpoints: readonly Endpoint[]
  readonly balancing: Balancing
}

/** How calls are spread over the endpoints. */
export type Balancing =
  | { readonly kind: 'simple'; readonly policy: 'ROUND_ROBIN' | 'LEAST_REQUEST' | 'RANDOM' }
  /** To the address that was called, endpoint or not. */
  | { readonly kind: 'passthrough' }
  /** Calls that are alike in this, an entry of Envoy's `hash_policy`, keep to one endpoint. */
  | { readonly kind: 'hash'; readonly by: JsonObject; readonly table: HashTable }

/** What finds the endpoint of a hash: a ring of at least so many points, or Maglev's table of so many places. */
export type HashTable = { readonly kind: 'ring' | 'maglev'; readonly size: number }

/** The clusters of services, named as istiod names them. */
export function serviceClusters(services: readonly Service[]): readonly JsonObject[] {
  return services.map((service) => {
    const name = clusterName(service)
    const http = service.protocol === 'http' ? asDownstream() : {}
    const { balancing } = service
    if (balancing.kind === 'passthrough') return { ...originalDestination(name), ...http }
    const addresses = service.endpoints.map(({ address, port }) => socketAddress(address, port))
    return {
      name,
      type: 'STATIC',
      connect_timeout: '10s',
      ...(balancing.kind === 'simple' ? { lb_policy: balancing.policy } : hashing(balancing.table)),
      load_assignment: assignment(name, addresses),
      ...http,
    }
  })
}

function hashing({ kind, size }: HashTable): JsonObject {
  switch (kind) {
    case 'ring':
      return { lb_policy: 'RING_HASH', ring_hash_lb_config: { minimum_ring_size: size } }
    case 'maglev':
      return { lb_policy: 'MAGLEV', maglev_lb_config: { table_size: size } }
  }
}

/** Their listeners, which `virtualOutbound` hands connections to: one for each port of HTTP, one for each address of TCP. */
export function serviceListeners(
  services: readonly Service[],
  proxy: Proxy,
): readonly JsonObject[] {
  const http = services.filter(({ protocol }) => protocol === 'http')
  const tcp = services.filter(({ protocol }) => protocol === 'tcp')
  const ports = [...new Set(http.map(({ port }) => port))]
  return [
    ...ports.map((port) => {
      const name = `0.0.0.0_${port}`
      const hosts = virtualHosts(
        http.filter((one) => one.port === port),
        proxy,
      )
      const filter = httpFilter(name, [...hosts, anyHost(proxy)], {
        ...servingAs(proxy),
      })
      return handedOver(name, anywhere(proxy, port), filter)
    }),
    ...tcpListeners(tcp, proxy),
  ]
}

/** Envoy would take the last service of an address, without a word; the first one has it, as with HTTP. */
function tcpListeners(services: readonly Service[], proxy: Proxy): readonly JsonObject[] {
  const isFirst = firstOnes()
  return services.flatMap((service) =>
    service.addresses.flatMap(({ text }) => {
      const name = `${text}_${service.port}`
      if (!isFirst(name)) return []
      const address = { address: socketAddress(text, service.port) }
      return [handedOver(name, address, tcpFilter(clusterName(service), proxy))]
    }),
  )
}

function handedOver(name: string, address: JsonObject, filter: JsonObject): JsonObject {
  return {
    name,
    traffic_direction: 'OUTBOUND',
    ...address,
    bind_to_port: false,
    filter_chains: [{ filters: [filter] }],
  }
}

function clusterName({ host, port }: Service): string {
  return `outbound|${port}||${host}`
}

/**
 * The virtual hosts of one port. Envoy takes a domain once, whatever its case: the first service that is
 * called by it has it, as in Istio, and a service with none left has no virtual host.
 */
function virtualHosts(services: readonly Service[], proxy: Proxy): readonly JsonObject[] {
  const isFirst = firstOnes()
  return services.flatMap((service) => {
    const { host, port, balancing } = service
    const names = [...shortNames(host, proxy), ...service.addresses.map(hostText)]
    const domains = names
      .flatMap((name) => [name, `${name}:${port}`])
      .filter((domain) => isFirst(domain.toLowerCase()))
    if (domains.length === 0) return []
    const hash = balancing.kind === 'hash' ? { hash_policy: [balancing.by] } : {}
    const routes = [routeTo('default', clusterName(service), hash)]
    return [{ name: `${host}:${port}`, domains, routes }]
  })
}

/** Tells of each word whether it was not asked about before. */
function firstOnes(): (word: string) => boolean {
  const seen = new Set<string>()
  return (word) => {
    if (seen.has(word)) return false
    seen.add(word)
    return true
  }
}

function hostText({ family, text }: Service['addresses'][number]): string {
  return family === 'v6' ? `[${text}]` : text
}

/** What a pod may call a service of the cluster: `details` too in its own namespace. */
function shortNames(host: string, { clusterDomain, namespace }: Proxy): readonly string[] {
  const [name = '', own = '', ...rest] = host.split('.')
  if (rest.join('.') !== `svc.${clusterDomain}`) return [host]
  const short = [host, `${name}.${own}.svc`, `${name}.${own}`]
  // All names of the namespace have no short form: it would be any name at all.
  return own === namespace && name !== '*' ? [...short, name] : short
}
