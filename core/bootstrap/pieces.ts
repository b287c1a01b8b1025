/** Pieces of Envoy's configuration that several of its parts are made of. */
import type { Json, JsonObject } from '../json.ts'
import type { Port } from '../ports.ts'
import { printAccessLog } from './access-log.ts'
import type { Proxy } from './proxy.ts'

/** A message of Envoy's API in a field that takes any: its type and its members. */
export function typed(type: string, members: JsonObject = {}): JsonObject {
  return { '@type': `type.googleapis.com/${type}`, ...members }
}

/** A TCP address. */
export function socketAddress(address: string, port: Port): JsonObject {
  return { socket_address: { address, port_value: port } }
}

/** The address of any interface in each family of the proxy: the first, and those to bind beside it. */
export function anywhere(proxy: Proxy, port: Port): JsonObject {
  const [first, ...others] = proxy.families.map((family) =>
    socketAddress(family === 'v4' ? '0.0.0.0' : '::', port),
  )
  return {
    address: first,
    ...(others.length > 0 && {
      additional_addresses: others.map((address) => ({ address })),
    }),
  }
}

/** Loopback in the proxy's own family. */
export function loopback(proxy: Proxy): string {
  return proxy.families[0] === 'v6' ? '::1' : '127.0.0.1'
}

/** What to do with a request of HTTP: log it, route it. */
export function httpFilter(
  statPrefix: string,
  virtualHosts: readonly Json[],
  more: JsonObject = {},
): JsonObject {
  return {
    name: 'envoy.filters.network.http_connection_manager',
    typed_config: typed(
      'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
      {
        stat_prefix: statPrefix,
        codec_type: 'AUTO',
        ...more,
        route_config: { name: statPrefix, virtual_hosts: virtualHosts },
        http_filters: [
          {
            name: 'envoy.filters.http.router',
            typed_config: typed('envoy.extensions.filters.http.router.v3.Router'),
          },
        ],
      },
    ),
  }
}

/** How the proxy serves requests that it took from the pod or for it. */
export function servingAs(proxy: Proxy): JsonObject {
  return {
    server_name: 'istio-envoy',
    // A stream may be silent for as long as it likes; whoever waits decides.
    stream_idle_timeout: '0s',
    upgrade_configs: [{ upgrade_type: 'websocket' }],
    normalize_path: true,
    access_log: printAccessLog(proxy.accessLog),
  }
}

/** Bytes to one cluster, whatever they mean. */
export function tcpFilter(cluster: string, proxy: Proxy): JsonObject {
  return {
    name: 'envoy.filters.network.tcp_proxy',
    typed_config: typed('envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy', {
      stat_prefix: cluster,
      cluster,
      access_log: printAccessLog(proxy.accessLog),
    }),
  }
}

/** A route of everything to one cluster, without a time limit. The name is what the access log tells. */
export function routeTo(name: string, cluster: string, more: JsonObject = {}): JsonObject {
  return { name, match: { prefix: '/' }, route: { cluster, timeout: '0s', ...more } }
}

/** A filter of a listener, before there is a request. */
export function listenerFilter(name: string, type: string, members: JsonObject = {}): JsonObject {
  return {
    name: `envoy.filters.listener.${name}`,
    typed_config: typed(`envoy.extensions.filters.listener.${name}.v3.${type}`, members),
  }
}
