/** What should become of a connection: the tracer for the kernel's part, the bootstrap for Envoy's. */
import { INBOUND_PASSTHROUGH, PASSTHROUGH } from '../core/bootstrap/clusters.ts'
import type { Proxy } from '../core/bootstrap/proxy.ts'
import type { Service } from '../core/bootstrap/services.ts'
import type { Family } from '../core/cidrs.ts'
import { DNS_CAPTURE_PORT, PASSTHROUGH_SOURCE, TPROXY_MARK } from '../core/constants.ts'
import { isSame } from '../core/json.ts'
import type { RuleSet } from '../core/rules/model.ts'
import { trace, type Endpoint, type Packet, type Trace } from '../core/rules/trace.ts'
import { AT, type Who } from './lab.ts'

/** Whoever starts a connection. */
export type Caller = { readonly place: 'client' } | { readonly place: 'pod'; readonly who: Who }

/** One connection on the way, and what the rules do with it. */
export type Leg = {
  readonly by: 'caller' | 'proxy'
  readonly packet: Packet
  readonly trace: Trace
  /** What takes it at its end. */
  readonly taken:
    | 'virtualOutbound'
    | 'virtualInbound'
    | 'health'
    | 'metrics'
    | 'admin'
    | 'agent'
    | 'dns'
    | 'destination'
}

/** Where Envoy sends what it took, and what it calls that in its log. */
export type Logged = {
  /** Place among the legs of the one that it took; 0 is the first. */
  readonly leg: number
  readonly cluster: string
  /** Name of the route; a connection that is no HTTP has none. */
  readonly route: string
  /** The address that the connection was sent to before it was captured. */
  readonly original: Endpoint
  /** Where it may have gone on to: any one of these. */
  readonly upstream: readonly Endpoint[]
}

/** The whole way. */
export type Journey = {
  readonly legs: readonly Leg[]
  readonly logged: readonly Logged[]
  /** Whether the mesh asks for an access log at all. */
  readonly isLogOn: boolean
  /** Path of the request; nothing where it is none of HTTP. */
  readonly path?: string
  /** The leg to which the last one leads back: from there the way goes round until something gives out. */
  readonly circle?: number
}

/** What the prediction is made from. */
export type World = {
  /** As the family of the request meets them. */
  readonly rules: RuleSet
  readonly proxy: Proxy
  readonly proxyUser: Who
  readonly services: readonly Service[]
  /** Ports of the application that the agent asks, by the path under which the agent is asked. */
  readonly probed: ReadonlyMap<string, number>
}

/** What is asked for: where, how, and under which path where it is a request of HTTP. */
export type Asked = {
  readonly to: Endpoint
  readonly protocol: Packet['protocol']
  readonly path?: string
}

/** A source port that no rule asks about. */
const ANY_PORT = 40000

/**
 * Predicts the way of a request. Where a service has several endpoints it goes on to `chosen`, which Envoy's
 * log tells, or else to the first.
 */
export function predict(world: World, caller: Caller, asked: Asked, chosen?: Endpoint): Journey {
  const { path } = asked
  const legs: Leg[] = []
  const logged: Logged[] = []
  const told = {
    isLogOn: world.proxy.accessLog !== undefined,
    ...(path !== undefined && { path }),
  }
  let next: Packet | undefined = firstPacket(caller, asked)
  for (let by: Leg['by'] = 'caller'; next !== undefined; by = 'proxy') {
    const packet: Packet = next
    const circle = legs.findIndex((leg) => isSame(leg.packet, packet))
    if (circle >= 0) return { legs, logged, ...told, circle }
    const leg = follow(world, by, packet)
    legs.push(leg)
    const log = logOf(world, leg, path !== undefined)
    if (log !== undefined) logged.push({ leg: legs.length - 1, ...log })
    next = onwards(world, leg, { path, upstream: chosen ?? log?.upstream[0] })
  }
  return { legs, logged, ...told }
}

function firstPacket(caller: Caller, { to, protocol }: Asked): Packet {
  const at = AT[familyOf(to)]
  return caller.place === 'client'
    ? { protocol, from: { address: at.client, port: ANY_PORT }, to, in: 'eth0' }
    : { ...sent(to, isLoopback(to) ? to.address : at.pod, caller.who), protocol }
}

function sent(to: Endpoint, from: string, { uid, gid }: Who, mark?: number): Packet {
  const isOwn = isLoopback(to) || to.address === AT[familyOf(to)].pod
  return {
    protocol: 'tcp',
    from: { address: from, port: ANY_PORT },
    to,
    uid,
    gid,
    ...(mark !== undefined && { mark }),
    out: isOwn ? 'lo' : 'eth0',
  }
}

function follow({ rules, proxy }: World, by: Leg['by'], packet: Packet): Leg {
  const traced = trace(rules, packet)
  const { end } = traced
  const port = end.kind === 'captured' ? end.port : packet.to.port
  const isPods = packet.to.address === AT[familyOf(packet.to)].pod || isLoopback(packet.to)
  const isHere = isPods || end.kind === 'captured'
  const listeners: readonly (readonly [number, Leg['taken']])[] = [
    [proxy.ports.outbound, 'virtualOutbound'],
    [proxy.ports.inbound, 'virtualInbound'],
    [proxy.ports.health, 'health'],
    [proxy.ports.metrics, 'metrics'],
    [proxy.ports.admin, 'admin'],
    [proxy.ports.status, 'agent'],
    [DNS_CAPTURE_PORT, 'dns'],
  ]
  const taken = isHere ? listeners.find(([one]) => one === port)?.[1] : undefined
  return { by, packet, trace: traced, taken: taken ?? 'destination' }
}

function logOf(
  { proxy, services }: World,
  { packet, taken }: Leg,
  isHttp: boolean,
): Omit<Logged, 'leg'> | undefined {
  const { to: original } = packet
  const named = (route: string): string => (isHttp ? route : '-')
  switch (taken) {
    case 'virtualInbound': {
      return {
        cluster: INBOUND_PASSTHROUGH,
        route: named('default'),
        original,
        upstream: [original],
      }
    }
    case 'virtualOutbound': {
      const service = services.find(({ port, addresses }) => {
        return port === original.port && addresses.some(({ text }) => text === original.address)
      })
      if (service !== undefined) {
        const cluster = `outbound|${service.port}||${service.host}`
        const upstream = service.endpoints
        return { cluster, route: named('default'), original, upstream }
      }
      return proxy.allowsAny
        ? { cluster: PASSTHROUGH, route: named('allow_any'), original, upstream: [original] }
        : { cluster: '-', route: named('block_all'), original, upstream: [] }
    }
    case 'health':
    case 'metrics':
    case 'admin':
    case 'agent':
    case 'dns':
    case 'destination':
      return undefined
  }
}

/** The connection that Envoy, or the agent, makes for the one that it took. */
function onwards(
  world: World,
  leg: Leg,
  {
    path,
    upstream,
  }: { readonly path: string | undefined; readonly upstream: Endpoint | undefined },
): Packet | undefined {
  const { proxy, proxyUser } = world
  const family = familyOf(leg.packet.to)
  const loopback = proxy.families[0] === 'v6' ? '::1' : '127.0.0.1'
  switch (leg.taken) {
    case 'admin':
    case 'dns':
    case 'destination':
      return undefined
    case 'health':
      return sent({ address: loopback, port: proxy.ports.status }, loopback, proxyUser)
    case 'metrics':
      return sent({ address: loopback, port: proxy.ports.admin }, loopback, proxyUser)
    case 'virtualInbound': {
      if (proxy.mode === 'TPROXY') {
        return sent(leg.packet.to, leg.packet.from.address, proxyUser, TPROXY_MARK)
      }
      const [source = ''] = PASSTHROUGH_SOURCE[family].split('/')
      return sent(leg.packet.to, source, proxyUser)
    }
    case 'virtualOutbound':
      return upstream === undefined
        ? undefined
        : sent(upstream, AT[familyOf(upstream)].pod, proxyUser)
    case 'agent': {
      const port = path === undefined ? undefined : world.probed.get(path)
      if (port === undefined) return undefined
      const own = proxy.families[0] ?? 'v4'
      const [source = ''] = PASSTHROUGH_SOURCE[own].split('/')
      return sent({ address: AT[own].pod, port }, source, proxyUser)
    }
  }
}

function familyOf({ address }: Endpoint): Family {
  return address.includes(':') ? 'v6' : 'v4'
}

function isLoopback({ address }: Endpoint): boolean {
  return address.startsWith('127.') || address === '::1'
}
