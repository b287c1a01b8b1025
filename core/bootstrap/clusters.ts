import { PASSTHROUGH_SOURCE } from '../constants.ts'
import type { JsonObject } from '../json.ts'
import { socketAddress, typed } from './pieces.ts'
import type { Proxy } from './proxy.ts'

/** Where calls go that nobody declared: to the address that they were sent to. */
export const PASSTHROUGH = 'PassthroughCluster'
/** Where calls go that nobody may make: nowhere. */
export const BLACK_HOLE = 'BlackHoleCluster'
/** Where captured inbound calls go: to the port of the pod that they were sent to. */
export const INBOUND_PASSTHROUGH = 'InboundPassthroughCluster'

/** The clusters of the stand-alone form that do not stand for a service. */
export function standaloneClusters(proxy: Proxy): readonly JsonObject[] {
  return [
    { name: BLACK_HOLE, type: 'STATIC', connect_timeout: '10s' },
    { ...originalDestination(PASSTHROUGH), ...asDownstream() },
    { ...originalDestination(INBOUND_PASSTHROUGH), ...asDownstream(), ...boundToSource(proxy) },
  ]
}

/** A cluster whose endpoint is the address that a connection was sent to before it was captured. */
export function originalDestination(name: string): JsonObject {
  return { name, type: 'ORIGINAL_DST', lb_policy: 'CLUSTER_PROVIDED', connect_timeout: '10s' }
}

/** A cluster of one address on this machine. */
export function localCluster(name: string, address: JsonObject, more: JsonObject = {}): JsonObject {
  return {
    name,
    type: 'STATIC',
    connect_timeout: '1s',
    lb_policy: 'ROUND_ROBIN',
    load_assignment: assignment(name, [address]),
    ...more,
  }
}

/** The endpoints of a cluster, all equal. */
export function assignment(name: string, addresses: readonly JsonObject[]): JsonObject {
  const lbEndpoints = addresses.map((address) => ({ endpoint: { address } }))
  return { cluster_name: name, endpoints: [{ lb_endpoints: lbEndpoints }] }
}

/** HTTP as the caller speaks it: HTTP/2 stays HTTP/2. */
export function asDownstream(): JsonObject {
  return protocolOptions({
    use_downstream_protocol_config: { http_protocol_options: {}, http2_protocol_options: {} },
  })
}

/** HTTP/2, as gRPC wants it. */
export function asHttp2(): JsonObject {
  return protocolOptions({ explicit_http_config: { http2_protocol_options: {} } })
}

function protocolOptions(members: JsonObject): JsonObject {
  const type = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions'
  return { typed_extension_protocol_options: { [type]: typed(type, members) } }
}

/**
 * The source of the proxy's calls to its own pod, which the rules know and never capture. With TPROXY the
 * source is the client's own.
 */
function boundToSource({ mode, families }: Proxy): JsonObject {
  if (mode === 'TPROXY') return {}
  const [first, ...others] = families.map((family) => {
    const [address = ''] = PASSTHROUGH_SOURCE[family].split('/')
    return { address, port_value: 0 }
  })
  const extra = others.map((address) => ({ address }))
  return {
    upstream_bind_config: {
      source_address: first,
      ...(extra.length > 0 && { extra_source_addresses: extra }),
    },
  }
}

/** The clusters of Envoy's own listeners: its admin page, and the agent beside it. */
export function ownClusters(proxy: Proxy, loopback: string): readonly JsonObject[] {
  return [
    localCluster('prometheus_stats', socketAddress(loopback, proxy.ports.admin)),
    localCluster('agent', socketAddress(loopback, proxy.ports.status)),
  ]
}
