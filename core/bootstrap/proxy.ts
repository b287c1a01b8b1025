import type { Family } from '../cidrs.ts'
import type { InterceptionMode } from '../inject/proxy-config.ts'
import type { JsonObject } from '../json.ts'
import type { Port } from '../ports.ts'
import type { AccessLog } from './access-log.ts'

/** What one proxy's bootstrap is made from: the pod that it stands in, and what the mesh says to all. */
export type Proxy = {
  readonly node: ProxyNode
  /** The families that listeners take; the first one is the proxy's own. Never empty. */
  readonly families: readonly Family[]
  readonly mode: InterceptionMode
  readonly ports: ProxyPorts
  /** DNS domain of the cluster's services, such as `cluster.local`. */
  readonly clusterDomain: string
  readonly namespace: string
  /** Absent: no request is logged. */
  readonly accessLog?: AccessLog
  /** Whether calls to hosts that nobody declared go out; otherwise they meet the black hole. */
  readonly allowsAny: boolean
  /** `host:port` of a Zipkin collector; absent where the pod's configuration names none. */
  readonly zipkin?: string
}

/** Envoy's name of itself towards istiod. */
export type ProxyNode = {
  /** `sidecar~ADDRESS~POD.NAMESPACE~DOMAIN`. */
  readonly id: string
  /** Service cluster, such as `productpage.default`. */
  readonly cluster: string
  readonly metadata: JsonObject
}

/** TCP ports of the proxy and of its agent. */
export type ProxyPorts = {
  readonly admin: Port
  readonly status: Port
  readonly health: Port
  readonly metrics: Port
  readonly outbound: Port
  readonly inbound: Port
}
