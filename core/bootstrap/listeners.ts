import { TPROXY_MARK } from '../constants.ts'
import type { Json, JsonObject } from '../json.ts'
import { BLACK_HOLE, INBOUND_PASSTHROUGH, PASSTHROUGH } from './clusters.ts'
import { anywhere, httpFilter, listenerFilter, routeTo, servingAs, tcpFilter } from './pieces.ts'
import type { Proxy } from './proxy.ts'

/** How long a listener waits for the first bytes that tell HTTP from the rest; then it is the rest. */
const SNIFFING = { listener_filters_timeout: '0.1s', continue_on_listener_filters_timeout: true }
/** What the sniffer calls HTTP. */
const HTTP = ['http/1.0', 'http/1.1', 'h2c']

/**
 * Where captured outbound connections arrive. One whose address a service's listener has goes there; the
 * others go on to where they were sent, or into the black hole.
 */
export function virtualOutbound(proxy: Proxy): JsonObject {
  const { outbound } = proxy.ports
  const cluster = proxy.allowsAny ? PASSTHROUGH : BLACK_HOLE
  return {
    name: 'virtualOutbound',
    traffic_direction: 'OUTBOUND',
    ...anywhere(proxy, outbound),
    use_original_dst: true,
    ...SNIFFING,
    listener_filters: [listenerFilter('http_inspector', 'HttpInspector')],
    filter_chains: [
      toItself('virtualOutbound-blackhole', outbound, proxy),
      httpChain('virtualOutbound-catchall-http', [
        httpFilter('outbound_catchall', [anyHost(proxy)], servingAs(proxy)),
      ]),
      tcpChain('virtualOutbound-catchall-tcp', cluster, proxy),
    ],
  }
}

/** Where captured inbound connections arrive; all go to the port of the pod that they were sent to. */
export function virtualInbound(proxy: Proxy): JsonObject {
  const { inbound } = proxy.ports
  const isTproxy = proxy.mode === 'TPROXY'
  const routes = [
    { name: 'inbound', domains: ['*'], routes: [routeTo('default', INBOUND_PASSTHROUGH)] },
  ]
  return {
    name: 'virtualInbound',
    traffic_direction: 'INBOUND',
    ...anywhere(proxy, inbound),
    ...(isTproxy && { transparent: true }),
    ...SNIFFING,
    listener_filters: [
      listenerFilter('original_dst', 'OriginalDst'),
      // The mark sends the answers back into the proxy, for they carry the client's address.
      ...(isTproxy ? [listenerFilter('original_src', 'OriginalSrc', { mark: TPROXY_MARK })] : []),
      listenerFilter('http_inspector', 'HttpInspector'),
    ],
    filter_chains: [
      toItself('virtualInbound-blackhole', inbound, proxy),
      httpChain('virtualInbound-catchall-http', [
        httpFilter('inbound_catchall', routes, servingAs(proxy)),
      ]),
      tcpChain('virtualInbound-catchall-tcp', INBOUND_PASSTHROUGH, proxy),
    ],
  }
}

/** Envoy's own pages: health for the kubelet, metrics for Prometheus. */
export function ownListeners(proxy: Proxy): readonly JsonObject[] {
  return [
    page('metrics', 'stats', proxy.ports.metrics, '/stats/prometheus', 'prometheus_stats', proxy),
    page('health', 'agent', proxy.ports.health, '/healthz/ready', 'agent', proxy),
  ]
}

/** The virtual host of calls to hosts that nobody declared. */
export function anyHost(proxy: Proxy): JsonObject {
  return proxy.allowsAny
    ? { name: 'allow_any', domains: ['*'], routes: [routeTo('allow_any', PASSTHROUGH)] }
    : {
        name: 'block_all',
        domains: ['*'],
        routes: [{ name: 'block_all', match: { prefix: '/' }, direct_response: { status: 502 } }],
      }
}

/** Whoever calls the capture port itself would go round in a circle. */
function toItself(name: string, port: number, proxy: Proxy): JsonObject {
  return {
    name,
    filter_chain_match: { destination_port: port },
    filters: [tcpFilter(BLACK_HOLE, proxy)],
  }
}

function httpChain(name: string, filters: readonly Json[]): JsonObject {
  const match = { transport_protocol: 'raw_buffer', application_protocols: HTTP }
  return { name, filter_chain_match: match, filters }
}

/** Envoy does not come back from a chain that names the transport to one that does not: both name it. */
function tcpChain(name: string, cluster: string, proxy: Proxy): JsonObject {
  const match = { transport_protocol: 'raw_buffer' }
  return { name, filter_chain_match: match, filters: [tcpFilter(cluster, proxy)] }
}

function page(
  name: string,
  statPrefix: string,
  port: number,
  prefix: string,
  cluster: string,
  proxy: Proxy,
): JsonObject {
  const routes = [{ match: { prefix }, route: { cluster } }]
  return {
    name,
    ...anywhere(proxy, port),
    filter_chains: [
      { filters: [httpFilter(statPrefix, [{ name: 'backend', domains: ['*'], routes }])] },
    ],
  }
}
