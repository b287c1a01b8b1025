import {
  INBOUND_CAPTURE_PORT,
  INBOUND_TUNNEL_PORT,
  OUTBOUND_CAPTURE_PORT,
  PROXY_ID,
  TPROXY_MARK,
  TPROXY_ROUTE_TABLE,
} from '../constants.ts'
import type { Cidr } from '../cidrs.ts'
import type { Owner } from '../ids.ts'
import type { Port, PortRange } from '../ports.ts'

/** How inbound connections reach the proxy. NONE in the tool writes the rules of REDIRECT, as Istio does. */
export type InterceptionMode = 'REDIRECT' | 'TPROXY' | 'NONE'

/** `servers` captures DNS to the resolvers of the pod only, `all` every packet to port 53. */
export type DnsCapture = 'off' | 'servers' | 'all'

/**
 * Everything that decides which traffic of a pod the proxy takes: plain values, no rule text. Annotations,
 * flags and the redirect plan are spellings of this one type; the rules are built from nothing else but
 * it and the facts of the host.
 */
export type InterceptionOptions = {
  readonly mode: InterceptionMode
  /** Where the proxy listens, and the tunnel port that is never captured. */
  readonly ports: { readonly outbound: Port; readonly inbound: Port; readonly tunnel: Port }
  /** Users and groups that are the proxy; at least one of each. */
  readonly proxyUids: readonly Owner[]
  readonly proxyGids: readonly Owner[]
  /** `none`: inbound is left alone. A list captures just these, `*` all but `excludeInboundPorts`. */
  readonly inboundPorts: 'none' | '*' | readonly PortRange[]
  readonly excludeInboundPorts: readonly PortRange[]
  readonly includeOutboundCidrs: '*' | readonly Cidr[]
  readonly excludeOutboundCidrs: readonly Cidr[]
  /** Captured whatever the address; the other way round for the excluded ones. */
  readonly includeOutboundPorts: readonly PortRange[]
  readonly excludeOutboundPorts: readonly PortRange[]
  /** Interfaces whose traffic is left alone, and those whose inbound traffic counts as outbound. */
  readonly excludeInterfaces: readonly string[]
  readonly virtualInterfaces: readonly string[]
  /** Groups whose outbound traffic is captured; with a list, the excluded groups have no effect. */
  readonly ownerGroups: '*' | readonly Owner[]
  readonly excludeOwnerGroups: readonly Owner[]
  /** IPv4 range that counts as loopback. */
  readonly loopback: Cidr
  /** Firewall mark and routing table of TPROXY mode. */
  readonly tproxy: { readonly mark: number; readonly table: number }
  readonly dns: DnsCapture
  readonly dropInvalid: boolean
  readonly dualStack: boolean
}

/** What the tool does without a single flag: it guards the proxy and captures nothing. */
export const DEFAULT_INTERCEPTION: InterceptionOptions = {
  mode: 'REDIRECT',
  ports: {
    outbound: OUTBOUND_CAPTURE_PORT,
    inbound: INBOUND_CAPTURE_PORT,
    tunnel: INBOUND_TUNNEL_PORT,
  },
  proxyUids: [PROXY_ID],
  proxyGids: [PROXY_ID],
  inboundPorts: 'none',
  excludeInboundPorts: [],
  includeOutboundCidrs: [],
  excludeOutboundCidrs: [],
  includeOutboundPorts: [],
  excludeOutboundPorts: [],
  excludeInterfaces: [],
  virtualInterfaces: [],
  ownerGroups: '*',
  excludeOwnerGroups: [],
  loopback: { family: 'v4', address: '127.0.0.1', bits: 32 },
  tproxy: { mark: TPROXY_MARK, table: TPROXY_ROUTE_TABLE },
  dns: 'off',
  dropInvalid: false,
  dualStack: false,
}
