/** What no broken network in test/datapath shows: the kernel's lists, and contradictions of texts. */
import t from 'tap'
import { readAsked, type Asked } from '../../../core/describe/asked.ts'
import { inOrder } from '../../../core/describe/contradiction.ts'
import { judge, type Case } from '../../../core/describe/judge.ts'
import { passages } from '../../../core/describe/packets.ts'
import { printDescription, verdictOf } from '../../../core/describe/print.ts'
import type { Wanted } from '../../../core/describe/questions.ts'
import type { Seen } from '../../../core/describe/seen.ts'
import {
  readSockets,
  SOCKET_LISTS,
  takerOf,
  type Listener,
} from '../../../core/describe/sockets.ts'
import type { Pod } from '../../../core/k8s.ts'
import { buildPlan } from '../../../core/rules/build.ts'
import { loadFamily } from '../../../core/rules/load.ts'
import type { RuleSet } from '../../../core/rules/model.ts'
import { readRestore } from '../../../core/rules/read-iptables.ts'
import { readSite } from '../../../core/rules/site.ts'

const HEAD =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n'
/** Lines as Linux 6 prints them on a machine that keeps the low byte first (and, for the last, on another). */
const sockets: readonly {
  readonly who: string
  readonly list: (typeof SOCKET_LISTS)[number]['name']
  readonly line: string
  readonly isBig?: true
  readonly want: Partial<Listener> | undefined
}[] = [
  {
    who: 'all addresses',
    list: 'tcp',
    line: '   0: 00000000:3A99 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1337        0 4242 1 0',
    want: {
      protocol: 'tcp',
      family: 'v4',
      address: '0.0.0.0',
      port: 15001,
      uid: 1337,
      inode: '4242',
    },
  },
  {
    who: 'loopback',
    list: 'tcp',
    line: '   1: 0100007F:3A98 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0',
    want: { address: '127.0.0.1', port: 15000, uid: 0 },
  },
  {
    who: 'a connection, which listens to nobody',
    list: 'tcp',
    line: '   2: 0100007F:3A98 0100007F:8001 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0',
    want: undefined,
  },
  {
    who: 'IPv6, all addresses',
    list: 'tcp6',
    line: '   0: 00000000000000000000000000000000:3A9E 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1337        0 7 1 0',
    want: { family: 'v6', address: '::', port: 15006 },
  },
  {
    who: 'IPv6 loopback, UDP',
    list: 'udp6',
    line: '   0: 00000000000000000000000001000000:3ACD 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000  1337        0 8 2 0',
    want: { protocol: 'udp', family: 'v6', address: '::1', port: 15053 },
  },
  {
    who: 'an IPv6 address of the pod',
    list: 'tcp6',
    line: '   0: 020025FD000000000000000019000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 9 1 0',
    want: { address: 'fd25:2:0:0:0:0:0:19', port: 8080 },
  },
  {
    who: 'high byte first',
    list: 'tcp',
    line: '   1: 7F000001:3A98 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0',
    isBig: true,
    want: { address: '127.0.0.1' },
  },
]

t.test('a line of the kernel', async (t) => {
  for (const { who, list: name, line, isBig, want } of sockets) {
    const list = SOCKET_LISTS.find((one) => one.name === name)
    if (list === undefined) throw new Error(name)
    const [found] = readSockets(list, `${HEAD}${line}\n`, isBig !== true)
    if (want === undefined) t.equal(found, undefined, who)
    else t.match(found, want, who)
  }
})

function listener(address: string, port: number, protocol: 'tcp' | 'udp' = 'tcp'): Listener {
  const family = address.includes(':') ? 'v6' : 'v4'
  return { protocol, family, address, port, uid: 1337, inode: '1' }
}

t.test('who takes a packet', async (t) => {
  for (const [address, family, goal, isTaken] of [
    ['0.0.0.0', 'v4', 'pod', true],
    ['0.0.0.0', 'v6', 'pod', false],
    ['::', 'v4', 'pod', true],
    ['::', 'v6', 'loopback', true],
    ['127.0.0.1', 'v4', 'pod', false],
    ['127.0.0.1', 'v4', 'loopback', true],
    ['10.0.0.9', 'v4', 'loopback', false],
    ['10.0.0.9', 'v4', 'pod', true],
    ['::1', 'v4', 'loopback', false],
  ] as const) {
    const taker = takerOf([listener(address, 80)], 'tcp', family, 80, goal)
    t.equal(taker !== undefined, isTaken, `${address}, ${family} to ${goal}`)
  }
  t.equal(takerOf([listener('::', 53)], 'udp', 'v4', 53, 'pod'), undefined, 'another protocol')
})

const ARGS = ['-p', '15001', '-z', '15006', '-u', '1337', '-m', 'REDIRECT', '-i', '*', '-b', '*']
const WITH_DNS = [...ARGS, '-d', '15090,15021,15020', '--redirect-dns', '--capture-all-dns']
const PROXY = {
  name: 'istio-proxy',
  image: 'proxy',
  securityContext: { runAsUser: 1337, runAsGroup: 1337 },
}
const APP = { name: 'app', image: 'app', ports: [{ containerPort: 8080 }] }

function podWith(...inits: readonly { name: string; args: readonly string[] }[]): Pod {
  return {
    metadata: { name: 'web', namespace: 'shop' },
    spec: {
      containers: [APP, PROXY],
      initContainers: inits.map((one) => ({ ...one, image: 'i' })),
    },
  }
}

const OPEN = [15001, 15006, 15021].map((port) => listener('0.0.0.0', port))
const DNS = [listener('127.0.0.1', 15053), listener('127.0.0.1', 15053, 'udp')]

/** A pod with the rules that it asks for, changed as rule text. */
function caseOf(pod: Pod, change: (set: RuleSet) => RuleSet, seen: Partial<Seen> = {}): Case {
  const read = readAsked(pod)
  if (!read.ok) throw new Error('no wishes')
  const asked: Asked = read.value
  const { rules } = asked
  if (rules === undefined) throw new Error('no rules')
  const addresses = seen.addresses ?? ['10.0.0.9/24']
  const site = readSite(
    { addresses, resolvConf: '', users: {} },
    { ...rules.options, linkLocalCounts: false },
  )
  if (!site.ok) throw new Error('no site')
  const plan = buildPlan(rules.options, site.value, rules.look)
  const sets = { v4: loadFamily(plan, 'v4'), v6: loadFamily(plan, 'v6') }
  const wanted: Wanted = {
    sets,
    families: site.value.families,
    resolvers: { v4: [], v6: [] },
    drift: [],
    lacks: [],
  }
  const found: Seen = {
    addresses,
    standings: site.value.families.map((family) => {
      return { engine: 'iptables-nft', families: [family], rules: change(sets[family]) }
    }),
    listeners: [...OPEN, ...DNS],
    admin: { kind: 'ready' },
    unseen: [],
    ...seen,
  }
  return { asked, wanted, seen: found, passages: passages(asked, wanted, found) }
}

const same = (set: RuleSet): RuleSet => set
const init = { name: 'istio-init', args: WITH_DNS }

/** The rules without those that `is` says. */
function without(is: (text: string) => boolean): (set: RuleSet) => RuleSet {
  return ({ tables }) => ({
    tables: tables.map((table) => ({
      ...table,
      chains: table.chains.map((chain) => ({
        ...chain,
        rules: chain.rules.filter((rule) => !is(JSON.stringify(rule))),
      })),
    })),
  })
}

/** The rules of the chains that have one of these names taken away. */
function flushed(...names: readonly string[]): (set: RuleSet) => RuleSet {
  return ({ tables }) => ({
    tables: tables.map((table) => ({
      ...table,
      chains: table.chains.map((chain) =>
        table.name === 'nat' && names.includes(chain.name) ? { ...chain, rules: [] } : chain,
      ),
    })),
  })
}

const JUMPS = flushed('PREROUTING', 'OUTPUT')

/** A chain of mangle whose policy drops. */
function dropping(name: string): (set: RuleSet) => RuleSet {
  const mangle = { name: 'mangle', chains: [{ name, policy: 'DROP', rules: [] }] }
  return ({ tables }) => ({ tables: [...tables, mangle] })
}

/** A pod that has an address of IPv6 only, and a listener for it. */
const ONLY_V6 = {
  addresses: ['fd00::9/64'],
  listeners: [15001, 15006, 15021].map((port) => listener('::', port)),
}

/** What the programs for IPv6 would have shown. */
const NO_IP6TABLES = { says: 'ip6tables-nft: not in PATH', families: ['v6'] } as const

function foreign(line: string, name = 'nat', at = 'OUTPUT'): (set: RuleSet) => RuleSet {
  const read = readRestore(`*${name}\n${line}\nCOMMIT\n`)
  const rule = read.ok ? read.value.tables[0]?.chains[0]?.rules[0] : undefined
  if (rule === undefined) throw new Error(line)
  return ({ tables }) => ({
    tables: (tables.some((table) => table.name === name)
      ? tables
      : [...tables, { name, chains: [{ name: at, rules: [] }] }]
    ).map((table) => ({
      ...table,
      chains: table.chains.map((chain) =>
        table.name === name && chain.name === at
          ? { ...chain, rules: [rule, ...chain.rules] }
          : chain,
      ),
    })),
  })
}

const cases: readonly {
  who: string
  one: Case
  code: string | undefined
  says?: RegExp
  unknown?: RegExp
}[] = [
  { who: 'all is well', one: caseOf(podWith(init), same), code: undefined },
  {
    who: 'two writers in the pod',
    one: caseOf(podWith(init, { ...init, name: 'istio-validation' }), same),
    code: 'two-writers',
  },
  {
    who: 'DNS that is not captured',
    one: caseOf(
      podWith(init),
      without((text) => text.includes('15053')),
    ),
    code: 'dns-not-captured',
    says: /by udp: this should be sent to 15053, and is left alone/,
  },
  {
    who: 'a rule of somebody else that sends calls away',
    one: caseOf(
      podWith(init),
      foreign('-A OUTPUT -p tcp --dport 80 -j DNAT --to-destination 10.9.9.9:3128'),
    ),
    code: 'goes-elsewhere',
    says: /should be sent to 15001, and is sent to 10\.9\.9\.9:3128 \(iptables-nft nat OUTPUT 1: /,
  },
  {
    who: 'Envoy without configuration',
    one: caseOf(podWith(init), same, {
      admin: { kind: 'not-ready', says: '503 PRE_INITIALIZING' },
    }),
    code: 'not-ready',
    says: /503 PRE_INITIALIZING$/,
  },
  {
    who: 'nothing that could be read',
    one: caseOf(podWith(init), same, {
      standings: [],
      unseen: [{ says: 'native nftables: nft failed', families: ['v4', 'v6'] }],
    }),
    code: undefined,
  },
  {
    who: 'rules of IPv6 that could not be read, beside those of IPv4',
    one: caseOf(podWith(init), same, {
      addresses: ['10.0.0.9/24', 'fd00::9/64'],
      unseen: [NO_IP6TABLES],
    }),
    code: undefined,
  },
  {
    who: 'no jump to any chain',
    one: caseOf(podWith(init), JUMPS),
    code: 'rules-missing',
    says: /^the rules are missing: the chains of a sidecar are there, but empty, or nothing leads/,
  },
  {
    who: 'no jump to any chain, in a pod without IPv4',
    one: caseOf(podWith(init), JUMPS, ONLY_V6),
    code: 'rules-missing',
    says: /^the rules are missing: /,
  },
  {
    who: 'a chain that is empty, and a rule that only writes a log',
    one: caseOf(podWith(init), (set) =>
      foreign('-A OUTPUT -p tcp -j LOG')(flushed('ISTIO-REDIRECT')(set)),
    ),
    code: 'rules-missing',
    says: /^the outbound rules are missing: (?!.*LOG)/,
  },
  {
    who: 'a policy that drops',
    one: caseOf(podWith(init), dropping('PREROUTING')),
    code: 'goes-elsewhere',
    says: /is dropped \(iptables-nft mangle PREROUTING: policy DROP\)$/,
  },
  {
    who: 'connections that conntrack is told to pass over',
    one: caseOf(
      podWith(init),
      foreign('-A PREROUTING -p tcp -j CT --notrack', 'raw', 'PREROUTING'),
    ),
    code: 'port-excluded',
    says: /leave it alone \(iptables-nft raw PREROUTING 1: -p tcp -j CT --notrack\)$/,
  },
  {
    who: 'a rule that only marks the class, while Envoy is down',
    one: caseOf(podWith(init), foreign('-A OUTPUT -p tcp -j DSCP --set-dscp 0x0a', 'mangle'), {
      listeners: [],
    }),
    code: 'nobody-listens',
    says: /^Envoy is down: nobody listens on 15001 and 15006/,
  },
  {
    who: 'a rule that cannot be judged, while Envoy is down',
    one: caseOf(podWith(init), foreign('-A OUTPUT -m limit --limit 5/sec -j ACCEPT'), {
      listeners: [],
    }),
    code: 'nobody-listens',
    says: /^Envoy is down: nobody listens on 15001 and 15006/,
  },
  {
    who: 'a rule that cannot be judged',
    one: caseOf(podWith(init), foreign('-A OUTPUT -m limit --limit 5/sec -j ACCEPT')),
    code: undefined,
    unknown: /: the application calls port 80 .*nat OUTPUT 1: -m limit --limit 5\/sec -j ACCEPT\)$/,
  },
  {
    who: 'a rule that cannot be judged and changes nothing',
    one: caseOf(podWith(init), foreign('-A OUTPUT -m limit --limit 5/sec -j LOG')),
    code: undefined,
  },
]

t.test('a judgement', async (t) => {
  for (const { who, one, code, says, unknown } of cases) {
    const [first] = judge(one)
    t.equal(first?.code, code, who)
    if (says !== undefined) t.match(first?.says, says, who)
    const told = verdictOf(one, judge(one))
    const isUnknown = unknown !== undefined || one.seen.unseen.length > 0
    const wanted = code === undefined ? (isUnknown ? 'unknown' : 'fine') : 'contradiction'
    t.equal(told.verdict, wanted, who)
    if (unknown !== undefined) t.match(told.says, unknown, who)
  }
})

t.test('the cause comes first', async (t) => {
  const found = (['ipv6-open', 'rules-differ', 'rules-missing', 'dns-nobody'] as const).map(
    (code) => {
      return { code, says: '', remedy: '' }
    },
  )
  const codes = inOrder(found).map(({ code }) => code)
  t.strictSame(codes, ['rules-missing', 'dns-nobody', 'rules-differ', 'ipv6-open'])
})

t.test('what others named reaches no terminal as it is', async (t) => {
  const program = { pid: 7, gid: 1, name: 'a\u001b[2Jb' }
  const one = caseOf(podWith(init), same, { listeners: [{ ...listener('0.0.0.0', 80), program }] })
  const text = printDescription(one, judge(one), 'process 7', () => undefined)
  t.notMatch(text, '\u001b')
  t.match(text, 'a\\u001b[2Jb')
})
