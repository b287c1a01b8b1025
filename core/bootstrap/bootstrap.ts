/** Envoy's static configuration for an injected pod: stand-alone, or with the rest from istiod. */
import { readAddress } from '../cidrs.ts'
import type { JsonObject } from '../json.ts'
import type { Endpoint } from '../rules/trace.ts'
import { asHttp2, assignment, localCluster, ownClusters, standaloneClusters } from './clusters.ts'
import { ownListeners, virtualInbound, virtualOutbound } from './listeners.ts'
import { loopback, socketAddress, typed } from './pieces.ts'
import type { Proxy } from './proxy.ts'
import { serviceClusters, serviceListeners, type Service } from './services.ts'
import { TEMPLATE } from './template.ts'

/** Where istiod's configuration comes from: the agent's socket, or a server that speaks gRPC in the clear. */
export type Discovery =
  | { readonly kind: 'pipe'; readonly path: string }
  | { readonly kind: 'server'; readonly at: Endpoint }

/** The agent's sockets, relative to the working directory of the proxy's container (document 004). */
export const AGENT_XDS_PIPE = './etc/istio/proxy/XDS'
const AGENT_SDS_PIPE = './etc/istio/proxy/SDS'

/**
 * The whole proxy without a control plane: what is captured goes to where it was sent, and calls to the
 * services that are given are balanced over their endpoints.
 */
export function buildStandalone(proxy: Proxy, services: readonly Service[]): JsonObject {
  return {
    ...common(proxy),
    static_resources: {
      clusters: [
        ...ownClusters(proxy, loopback(proxy)),
        ...standaloneClusters(proxy),
        ...serviceClusters(services),
      ],
      listeners: [
        ...ownListeners(proxy),
        virtualOutbound(proxy),
        virtualInbound(proxy),
        ...serviceListeners(services, proxy),
      ],
    },
  }
}

/** What the agent writes: how to reach istiod, and the pages that must be there before it answers. */
export function buildDiscovered(proxy: Proxy, discovery: Discovery): JsonObject {
  const { zipkin } = proxy
  return {
    ...common(proxy),
    dynamic_resources: TEMPLATE.dynamic_resources,
    static_resources: {
      clusters: [
        ...ownClusters(proxy, loopback(proxy)),
        localCluster('sds-grpc', { pipe: { path: AGENT_SDS_PIPE } }, asHttp2()),
        xdsCluster(discovery),
        ...(zipkin === undefined ? [] : [namedCluster('zipkin', zipkin, proxy)]),
      ],
      listeners: ownListeners(proxy),
    },
    ...(zipkin !== undefined && { tracing: zipkinTracing() }),
  }
}

function common(proxy: Proxy): JsonObject {
  const { id, cluster, metadata } = proxy.node
  return {
    node: { id, cluster, locality: {}, metadata },
    layered_runtime: TEMPLATE.layered_runtime,
    stats_config: {
      use_all_default_tags: false,
      stats_tags: [clusterTag(proxy.clusterDomain), ...TEMPLATE.stats_tags],
      stats_matcher: {
        inclusion_list: { patterns: TEMPLATE.stats_prefixes.map((prefix) => ({ prefix })) },
      },
    },
    admin: {
      profile_path: '/var/lib/istio/data/envoy.prof',
      address: socketAddress(loopback(proxy), proxy.ports.admin),
    },
  }
}

/** The name of a cluster in statistics, which may be a service's whole name with its dots. */
function clusterTag(domain: string): JsonObject {
  const suffix = domain.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  return { tag_name: 'cluster_name', regex: `^cluster\\.((.+?(\\..+?\\.svc\\.${suffix})?)\\.)` }
}

function xdsCluster(discovery: Discovery): JsonObject {
  const kept = {
    circuit_breakers: TEMPLATE.xds_circuit_breakers,
    upstream_connection_options: { tcp_keepalive: { keepalive_time: 300 } },
    ...asHttp2(),
  }
  if (discovery.kind === 'pipe') {
    return localCluster('xds-grpc', { pipe: { path: discovery.path } }, kept)
  }
  const { address, port } = discovery.at
  return {
    ...localCluster('xds-grpc', socketAddress(address, port), kept),
    type: 'STRICT_DNS',
  }
}

/** `given` is `host:port`; an IPv6 host stands in brackets, which are not part of the address. */
function namedCluster(name: string, given: string, proxy: Proxy): JsonObject {
  const colon = given.lastIndexOf(':')
  const host = given.slice(0, colon).replace(/^\[(.*)\]$/, '$1')
  const address = socketAddress(host, Number(given.slice(colon + 1)))
  // An address of one family is not found by asking for names of the other.
  if (readAddress(name, host).ok) return localCluster(name, address)
  return {
    name,
    type: 'STRICT_DNS',
    dns_lookup_family: proxy.families[0] === 'v6' ? 'V6_ONLY' : 'V4_ONLY',
    connect_timeout: '1s',
    lb_policy: 'ROUND_ROBIN',
    load_assignment: assignment(name, [address]),
  }
}

function zipkinTracing(): JsonObject {
  return {
    http: {
      name: 'envoy.tracers.zipkin',
      typed_config: typed('envoy.config.trace.v3.ZipkinConfig', {
        collector_cluster: 'zipkin',
        collector_endpoint: '/api/v2/spans',
        collector_endpoint_version: 'HTTP_JSON',
        trace_id_128bit: true,
        shared_span_context: false,
      }),
    },
  }
}
