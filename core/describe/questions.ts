/** Which packets are asked about. */
import { isLinkLocal, isLoopback, readAddress, type Family } from '../cidrs.ts'
import { DNS_PORT, PASSTHROUGH_SOURCE } from '../constants.ts'
import type { Port } from '../ports.ts'
import type { RuleSet } from '../rules/model.ts'
import type { Packet } from '../rules/trace.ts'
import type { Asked } from './asked.ts'
import { ourRules, type Seen } from './seen.ts'
import { portsLetPass, singledOut, type Spot, type Way } from './singled-out.ts'

/** The rules that a pod's wishes come to in its network. */
export type Wanted = {
  readonly sets: Readonly<Record<Family, RuleSet>>
  readonly families: readonly Family[]
  /** Resolvers whose queries are captured; empty where all are, or none. */
  readonly resolvers: Readonly<Record<Family, readonly string[]>>
  /** Differences between these rules and those that stand, each a line. */
  readonly drift: readonly string[]
  /** Routes and addresses that the rules need and the network lacks, each a line. */
  readonly lacks: readonly string[]
}

/** What a packet is about. */
export type Kind = 'out' | 'in' | 'proxy' | 'app' | 'probe' | 'dns'

/** A packet, and what it is in words. */
export type Question = {
  readonly kind: Kind
  readonly says: string
  readonly packet: Packet
  /** It is about one address or user, not all of the port's. */
  readonly isNarrow?: true
}

/** A user that the proxy runs as. */
export type ProxyUser = { readonly uid: number; readonly gid?: number }

/** Addresses that nobody has (RFC 5737, RFC 3849), for a peer and a server. */
const PEER = { v4: '198.51.100.2', v6: '2001:db8:1::2' } as const
const SERVER = { v4: '192.0.2.2', v6: '2001:db8::2' } as const
const ANY_PORT = 40000
const SOME_PORT: Port = 8080
const HTTP: Port = 80
/** A user that is neither root nor the proxy. */
const APP_ID = 1000
/** More than anybody reads about. */
const MOST = 16

/** The pod's first usable address of each family. */
export function ownAddresses({ addresses }: Seen): { family: Family; text: string }[] {
  const usable = addresses.flatMap((text) => {
    const address = readAddress('address', text.replace(/\/.*$/, ''))
    return address.ok && !isLoopback(address.value) && !isLinkLocal(address.value)
      ? [address.value]
      : []
  })
  return (['v4', 'v6'] as const).flatMap((family) => {
    // `::6` is the proxy's own, on loopback.
    const own = usable.find((one) => one.family === family && one.text !== '::6')
    return own === undefined ? [] : [own]
  })
}

/** As whom the proxy runs: whoever holds the ports that rules send to, else as the pod says. */
export function proxyUsers(asked: Asked | undefined, seen: Seen): readonly ProxyUser[] {
  const ports = capturePorts(asked, seen)
  const said = asked?.proxy
  const holders = seen.listeners
    .filter(({ protocol, port }) => protocol === 'tcp' && ports.includes(port))
    // Without a process to look at, users of a namespace of their own cannot be told.
    .filter(({ program }) => program !== undefined || !hasUnknownUsers(asked, seen))
    .map(({ uid, program }): ProxyUser => {
      const gid = program?.gid ?? (uid === said?.uid ? said.gid : undefined)
      return { uid, ...(gid !== undefined && { gid }) }
    })
  const first = asked?.rules?.options.proxyUids[0]
  const uid = said?.uid ?? (typeof first === 'number' ? first : undefined)
  const users =
    holders.length > 0 || uid === undefined
      ? holders
      : [{ uid, ...(said?.gid !== undefined && { gid: said.gid }) }]
  return users.filter(
    (user, index) =>
      users.findIndex(({ uid: one, gid }) => one === user.uid && gid === user.gid) === index,
  )
}

function hasUnknownUsers(asked: Asked | undefined, { listeners }: Seen): boolean {
  return asked?.hasOwnUsers === true && !listeners.some(({ program }) => program !== undefined)
}

/** The ports to which rules send TCP connections, and those to which they should. */
export function capturePorts(asked: Asked | undefined, seen: Seen): readonly Port[] {
  const { outbound, inbound } = asked?.rules?.options.ports ?? {}
  const live = ourRules(seen).flatMap(({ rule: { match, then } }) => {
    const isDns = match.some(({ on }) => on === 'port')
    return !isDns && (then.do === 'redirect' || then.do === 'tproxy') ? [then.port] : []
  })
  return [...new Set([outbound, inbound, ...live].flatMap((port) => port ?? []))]
}

type World = {
  readonly asked: Asked | undefined
  readonly wanted: Wanted | undefined
  readonly seen: Seen
}

/** The packets of one family, from and to the pod's address. */
export function questionsOf(family: Family, own: string, world: World): readonly Question[] {
  const { asked, wanted, seen } = world
  const options = asked?.rules?.options
  const group = options?.ownerGroups === '*' ? undefined : options?.ownerGroups[0]
  const app = { uid: APP_ID, gid: typeof group === 'number' ? group : APP_ID }
  const ranges = options?.includeOutboundCidrs
  const included = ranges === '*' ? undefined : ranges?.find((one) => one.family === family)
  const server = included?.address ?? SERVER[family]
  const tcp = (port: Port, to: string): Pick<Packet, 'protocol' | 'to'> => {
    return { protocol: 'tcp', to: { address: to, port } }
  }
  const from = { address: own, port: ANY_PORT }
  const peer = { from: { address: PEER[family], port: ANY_PORT }, in: 'eth0' }
  const probed = asked?.probed ?? []
  const inbound = inboundPorts(family, world).filter((port) => !probed.includes(port))
  const [passthrough = ''] = PASSTHROUGH_SOURCE[family].split('/')
  const resolvers = wanted?.resolvers[family] ?? []
  const isDns = options !== undefined && options.dns !== 'off'
  const resolver = resolvers[0] ?? server
  return [
    ...outboundPorts(family, seen).map((port): Question => {
      const says = `the application calls port ${port} of a server`
      return { kind: 'out', says, packet: { ...tcp(port, server), from, ...app, out: 'eth0' } }
    }),
    ...narrowSpots(family, world, 'out')
      .filter(({ address }) => address !== own)
      .map(({ port = HTTP, address, ...who }): Question => {
        const user = Object.entries(who).map(([name, id]) => ` (${name} ${id})`)
        const says = `the application${user.join('')} calls port ${port} of ${address ?? 'a server'}`
        const packet = { ...tcp(port, address ?? server), from, ...app, ...who, out: 'eth0' }
        return { kind: 'out', says, packet, isNarrow: true }
      }),
    ...inbound.map((port): Question => {
      const packet = { ...tcp(port, own), ...peer }
      return { kind: 'in', says: `a peer calls port ${port} of the pod`, packet }
    }),
    ...narrowSpots(family, world, 'in').map(
      ({ port = inbound[0] ?? SOME_PORT, address = PEER[family] }): Question => {
        const packet = { ...tcp(port, own), from: { address, port: ANY_PORT }, in: 'eth0' }
        const says = `the peer ${address} calls port ${port} of the pod`
        return { kind: 'in', says, packet, isNarrow: true }
      },
    ),
    ...proxyUsers(asked, seen).map((user): Question => {
      const packet = { ...tcp(HTTP, server), from, ...user, out: 'eth0' }
      return { kind: 'proxy', says: `the proxy (uid ${user.uid}) calls a server`, packet }
    }),
    ...inbound.slice(0, 1).flatMap((port) =>
      proxyUsers(asked, seen)
        .slice(0, options?.mode === 'TPROXY' ? 0 : 1)
        .map((user): Question => {
          const own6 = { from: { address: passthrough, port: ANY_PORT }, ...user, out: 'lo' }
          const says = `the proxy hands the application what came to port ${port}`
          return { kind: 'app', says, packet: { ...tcp(port, own), ...own6 } }
        }),
    ),
    ...probed.map((port): Question => {
      const packet = { ...tcp(port, own), ...peer }
      return { kind: 'probe', says: `the kubelet asks port ${port}`, packet }
    }),
    ...(isDns ? (['udp', 'tcp'] as const) : []).map((protocol): Question => {
      const to = { address: resolver, port: DNS_PORT }
      const says = `the application asks its resolver by ${protocol}`
      return { kind: 'dns', says, packet: { protocol, to, from, ...app, out: 'eth0' } }
    }),
  ]
}

/** Ports that the application declares or listens on, and those that rules single out. */
function inboundPorts(family: Family, { asked, seen }: World): readonly Port[] {
  const users = proxyUsers(asked, seen).map(({ uid }) => uid)
  const own = capturePorts(asked, seen)
  const listening = seen.listeners
    .filter(({ protocol, uid, address }) => {
      const isOpen = !address.startsWith('127.') && address !== '::1'
      return protocol === 'tcp' && isOpen && !users.includes(uid)
    })
    .filter((one) => one.family === family || one.address === '::')
    .map(({ port }) => port)
  const named = singledOut(seen, family, 'in').flatMap(({ port, address }) => {
    return port === undefined || address !== undefined ? [] : [port]
  })
  const ports = [...(asked?.appPorts ?? []), ...listening, ...portsLetPass(seen, 'in')]
  const some = [ports, named].flatMap((list) => {
    return [...new Set(list)].filter((port) => !own.includes(port)).slice(0, MOST)
  })
  return some.length > 0 ? [...new Set(some)] : [SOME_PORT]
}

function outboundPorts(family: Family, seen: Seen): readonly Port[] {
  const ours = portsLetPass(seen, 'out').filter((port) => port !== DNS_PORT)
  const named = singledOut(seen, family, 'out').flatMap((spot) => {
    return spot.port === undefined || isNarrow(spot) ? [] : [spot.port]
  })
  return [...new Set([HTTP, ...ours.slice(0, MOST), ...named.slice(0, MOST)])]
}

/** Single addresses and users that rules of other people name. Of users, the proxy's own are asked about anyway. */
function narrowSpots(family: Family, { asked, seen }: World, way: Way): readonly Spot[] {
  const { proxyUids = [], proxyGids = [] } = asked?.rules?.options ?? {}
  const users = proxyUsers(asked, seen)
  const isProxy = ({ uid, gid }: Spot): boolean =>
    [...proxyUids, ...users.map((user) => user.uid)].some((one) => one === uid) ||
    [...proxyGids, ...users.map((user) => user.gid)].some((one) => one !== undefined && one === gid)
  const own = capturePorts(asked, seen)
  return singledOut(seen, family, way)
    .filter((spot) => isNarrow(spot) && !isProxy(spot))
    .filter(({ port }) => way === 'out' || port === undefined || !own.includes(port))
    .slice(0, MOST)
}

function isNarrow({ address, uid, gid }: Spot): boolean {
  return address !== undefined || uid !== undefined || gid !== undefined
}
