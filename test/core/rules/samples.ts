import fc from 'fast-check'
import { readCidr, type Cidr } from '../../../core/cidrs.ts'
import {
  DEFAULT_INTERCEPTION,
  type InterceptionOptions,
} from '../../../core/options/interception.ts'
import type { PortRange } from '../../../core/ports.ts'
import type { Site } from '../../../core/rules/site.ts'
import type { Packet } from '../../../core/rules/trace.ts'

const port = fc.integer({ min: 1, max: 65535 })
const common = fc.constantFrom(22, 53, 80, 443, 8080, 9000, 15008, 15020, 15021, 15053, 15090)
const range: fc.Arbitrary<PortRange> = fc
  .tuple(fc.oneof(common, port), fc.oneof(fc.constant(0), fc.nat(300)))
  .map(([first, more]) => ({ first, last: Math.min(65535, first + more) }))
const ports = fc.array(range, { maxLength: 4 })

const v4 = fc
  .tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255))
  .map((octets) => octets.join('.'))
const v6 = fc
  .array(fc.integer({ min: 0, max: 0xffff }), { minLength: 8, maxLength: 8 })
  .map((groups) => groups.map((group) => group.toString(16)).join(':'))

/** A range as it is read: canonical address, host bits kept. */
export const cidr: fc.Arbitrary<Cidr> = fc
  .oneof(
    fc.tuple(
      fc.oneof(v4, fc.constantFrom('10.0.0.0', '127.1.2.3', '0.0.0.0')),
      fc.integer({ min: 0, max: 32 }),
    ),
    fc.tuple(v6, fc.integer({ min: 0, max: 128 })),
  )
  .map(([address, bits]) => {
    const read = readCidr('sample', `${address}/${bits}`)
    if (!read.ok) throw new Error(`${address}/${bits} is a range`)
    return read.value
  })
const cidrs = fc.array(cidr, { maxLength: 4 })

const id = fc.oneof(fc.constantFrom(0, 1000, 1337, 1500), fc.nat(70000))
const ids = fc.array(id, { minLength: 1, maxLength: 3 })
const name = fc.constantFrom('eth1', 'net1', 'docker_gwbridge', 'eth0.100', 'tun+', 'k6t-eth0')
const names = fc.uniqueArray(name, { maxLength: 3 })

/** Any options that the tool accepts. */
export const options: fc.Arbitrary<InterceptionOptions> = fc.record({
  mode: fc.constantFrom('REDIRECT', 'TPROXY', 'NONE'),
  ports: fc
    .tuple(port, port, port)
    .filter(([out, into]) => out !== into)
    .map(([outbound, inbound, tunnel]) => ({ outbound, inbound, tunnel })),
  proxyUids: ids,
  proxyGids: ids,
  inboundPorts: fc.oneof(fc.constantFrom('none' as const, '*' as const), ports),
  excludeInboundPorts: ports,
  includeOutboundCidrs: fc.oneof(fc.constant('*' as const), cidrs),
  excludeOutboundCidrs: cidrs,
  includeOutboundPorts: ports,
  excludeOutboundPorts: ports,
  excludeInterfaces: names,
  virtualInterfaces: names,
  ownerGroups: fc.oneof(fc.constant('*' as const), ids),
  excludeOwnerGroups: fc.array(id, { maxLength: 2 }),
  loopback: fc.constantFrom(DEFAULT_INTERCEPTION.loopback, {
    family: 'v4',
    address: '127.0.0.1',
    bits: 8,
  } as const),
  tproxy: fc.record({
    mark: fc.integer({ min: 1, max: 1337 }),
    table: fc.integer({ min: 1, max: 252 }),
  }),
  dns: fc.constantFrom('off', 'servers', 'all'),
  dropInvalid: fc.boolean(),
  dualStack: fc.boolean(),
})

/** Options as a pod has them: the proxy is 1337, on its usual ports, with a loopback of one address. */
export const usual: fc.Arbitrary<InterceptionOptions> = options.map((any) => ({
  ...any,
  ports: DEFAULT_INTERCEPTION.ports,
  proxyUids: [1337],
  proxyGids: [1337],
  loopback: DEFAULT_INTERCEPTION.loopback,
  virtualInterfaces: [],
}))

/** A machine with both families and some resolvers. */
export const site: fc.Arbitrary<Site> = fc.record({
  families: fc.constantFrom(['v4'] as const, ['v4', 'v6'] as const),
  hostFamily: fc.constant('v4' as const),
  addresses: fc.constant([]),
  hasResolver: fc.boolean(),
  resolvers: fc.record({
    v4: fc.subarray(['10.96.0.10', '127.0.0.53']),
    v6: fc.subarray(['fd00::10', '2001:db8::53']),
  }),
  warnings: fc.constant([]),
})

/** What a process of the pod sends off the pod. */
export const sent: fc.Arbitrary<Packet> = fc
  .record({
    protocol: fc.constantFrom('tcp' as const, 'udp' as const),
    address: fc.oneof(
      v4.filter((text) => !text.startsWith('127.')),
      v6,
    ),
    port: fc.oneof(common, port),
    uid: id,
    gid: id,
  })
  .map(({ protocol, address, port: to, uid, gid }) => ({
    protocol,
    from: { address: address.includes(':') ? 'fd00::19' : '10.9.8.7', port: 40000 },
    to: { address, port: to },
    uid,
    gid,
    out: 'eth0',
  }))
