import t from 'tap'
import { DEFAULT_INTERCEPTION } from '../../../core/options/interception.ts'
import { singlePort } from '../../../core/ports.ts'
import { buildPlan } from '../../../core/rules/build.ts'
import { loadFamily } from '../../../core/rules/load.ts'
import { readRestore } from '../../../core/rules/read-iptables.ts'
import { readListing } from '../../../core/rules/read-listing.ts'
import { trace, type Packet, type TraceEnd } from '../../../core/rules/trace.ts'
import { makeWhy } from '../../../core/rules/why.ts'

const SITE = {
  families: ['v4', 'v6'],
  hostFamily: 'v4',
  addresses: [],
  hasResolver: false,
  resolvers: { v4: [], v6: [] },
  warnings: [],
} as const
const LOOK = { profile: 'current', style: 'hyphen' } as const
const OPTIONS = {
  ...DEFAULT_INTERCEPTION,
  inboundPorts: '*',
  excludeInboundPorts: [singlePort(15021)],
  includeOutboundCidrs: '*',
} as const

const from = { address: '10.0.0.9', port: 40000 }
const inbound: Packet = { protocol: 'tcp', from, to: { address: '10.1.2.3', port: 80 }, in: 'eth0' }
const outbound: Packet = {
  protocol: 'tcp',
  from: { address: '10.1.2.3', port: 40000 },
  to: { address: '192.0.2.9', port: 80 },
  out: 'eth0',
  uid: 1000,
  gid: 1000,
}
const LEFT: TraceEnd = { kind: 'left-alone' }
const taken = (port: number, by: 'redirect' | 'tproxy' = 'redirect'): TraceEnd => ({
  kind: 'captured',
  by,
  port,
})

const rows = [
  { who: 'from outside', packet: inbound, end: taken(15006), tproxy: taken(15006, 'tproxy') },
  {
    who: 'from outside to an excluded port',
    packet: { ...inbound, to: { ...inbound.to, port: 15021 } },
    end: LEFT,
    tproxy: LEFT,
  },
  {
    who: 'UDP from outside',
    packet: { ...inbound, protocol: 'udp' as const },
    end: LEFT,
    tproxy: LEFT,
  },
  { who: 'the application', packet: outbound, end: taken(15001), tproxy: taken(15001) },
  { who: 'the proxy', packet: { ...outbound, uid: 1337 }, end: LEFT, tproxy: LEFT },
  {
    who: 'a packet without owner',
    packet: withoutOwner(outbound),
    end: taken(15001),
    tproxy: taken(15001),
  },
  {
    who: 'the proxy to its own pod',
    packet: { ...outbound, to: inbound.to, out: 'lo', uid: 1337 },
    end: taken(15006),
    tproxy: taken(15006),
  },
  {
    who: 'the application to its own pod',
    packet: { ...outbound, to: inbound.to, out: 'lo' },
    end: LEFT,
    tproxy: LEFT,
  },
  {
    who: 'a known connection',
    packet: { ...outbound, state: 'ESTABLISHED' as const },
    end: LEFT,
    tproxy: LEFT,
  },
] as const

t.test('where packets end', async (t) => {
  for (const { who, packet, end, tproxy } of rows) {
    const redirected = loadFamily(buildPlan(OPTIONS, SITE, LOOK), 'v4')
    const transparent = loadFamily(buildPlan({ ...OPTIONS, mode: 'TPROXY' }, SITE, LOOK), 'v4')
    t.strictSame(trace(redirected, packet).end, end, `${who}, REDIRECT`)
    t.strictSame(trace(transparent, packet).end, tproxy, `${who}, TPROXY`)
  }
})

const foreign = [
  {
    rules: '-A PREROUTING -m set --match-set x src -j REDIRECT --to-ports 1',
    end: { kind: 'undecided' },
  },
  {
    rules: '-A PREROUTING -p tcp -j DNAT --to-destination 10.9.9.9:1',
    end: { kind: 'rewritten', to: '10.9.9.9:1' },
  },
  {
    rules:
      '-A PREROUTING -m limit --limit 5/sec -j LOG\n-A PREROUTING -m comment --comment "a b" -j REDIRECT --to-ports 7',
    end: taken(7),
  },
  ...['DSCP --set-dscp 0x0a', 'TCPMSS --clamp-mss-to-pmtu', 'CT --helper ftp', 'ULOG'].map(
    (target) => ({
      rules: `-A PREROUTING -p tcp -j ${target}\n-A PREROUTING -p tcp -j REDIRECT --to-ports 7`,
      end: taken(7),
    }),
  ),
  ...['CT --notrack', 'NOTRACK'].map((target) => ({
    rules: `-A PREROUTING -p tcp -j REDIRECT --to-ports 7\nCOMMIT\n*raw\n-A PREROUTING -p tcp -j ${target}`,
    end: LEFT,
  })),
  {
    rules: '-A PREROUTING -p tcp -j SET --map-set x src --map-mark',
    end: { kind: 'undecided' },
  },
  { rules: '-A PREROUTING -j LOG\n-A PREROUTING -p tcp -j REDIRECT --to-ports 7', end: taken(7) },
  { rules: '-A PREROUTING -p tcp\n-A PREROUTING -p tcp -j DROP', end: { kind: 'dropped' } },
  {
    rules: ':A - [0:0]\n:B - [0:0]\n-A PREROUTING -j A\n-A A -j B\n-A B -j A',
    end: { kind: 'endless' },
  },
] as const satisfies readonly { rules: string; end: TraceEnd }[]

t.test('rules that are not ours', async (t) => {
  for (const { rules, end } of foreign) {
    const read = readRestore(`*nat\n${rules}\nCOMMIT\n`)
    t.strictSame(read.ok && trace(read.value, inbound).end, end, rules)
  }
})

t.test('a listing with counters is explained', async (t) => {
  const listing = `Chain PREROUTING (policy ACCEPT 2701 packets, 162K bytes)
 pkts bytes target     prot opt in     out     source               destination
 2701  162K ISTIO-INBOUND  tcp  --  *      *       0.0.0.0/0            0.0.0.0/0

Chain ISTIO-INBOUND (1 references)
 pkts bytes target     prot opt in     out     source               destination
    2   120 RETURN     6    --  *      *       0.0.0.0/0            0.0.0.0/0            tcp dpt:22
    9   540 ISTIO-IN-REDIRECT  6  --  *  *  0.0.0.0/0  0.0.0.0/0

Chain ISTIO-IN-REDIRECT (3 references)
 pkts bytes target     prot opt in     out     source               destination
    9   540 REDIRECT   tcp  --  *      *       0.0.0.0/0            0.0.0.0/0            redir ports 15006
`
  const { hops, end } = trace(readListing(listing, 'nat'), inbound)
  const why = makeWhy()
  t.strictSame(end, taken(15006))
  t.strictSame(
    hops.map(({ chain, place, rule, table }) => [
      chain,
      place,
      rule?.counted?.packets,
      rule && why(table, chain, rule),
    ]),
    [
      ['PREROUTING', 1, 2701, 'TCP from outside is inbound traffic'],
      ['ISTIO-INBOUND', 2, 9, 'inbound traffic is captured'],
      ['ISTIO-IN-REDIRECT', 1, 9, 'captured inbound connections go to the proxy'],
    ],
  )
})

function withoutOwner(packet: Packet): Packet {
  const { uid, gid, ...rest } = packet
  return uid === undefined && gid === undefined ? packet : { ...rest, out: 'eth0' }
}
