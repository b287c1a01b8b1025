/** `describe` in broken pods: the cause of the trouble is the first thing that it says. */
import { spawnSync } from 'node:child_process'
import { readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { writeRules } from '../../cni-plugin/apply.ts'
import { readOptions } from '../../cni-plugin/options.ts'
import { REDIRECT_PLAN_ANNOTATION } from '../../core/constants.ts'
import { readAsked } from '../../core/describe/asked.ts'
import { CODES } from '../../core/describe/contradiction.ts'
import { readRedirectPlan } from '../../core/options/redirect-plan-read.ts'
import { buildPlan } from '../../core/rules/build.ts'
import { printRestore, stepsFor } from '../../core/rules/iptables.ts'
import { readSite } from '../../core/rules/site.ts'
import { describeCommand, type DescribeFlags } from '../../datapath/describe-command.ts'
import { describe, type Described } from '../../datapath/describe.ts'
import { AT, makeLab, ROOT, type Lab, type Who } from '../../datapath/lab.ts'
import { untilListening } from '../../datapath/listening.ts'
import { APP_USER, inject, runInit, type Injected } from '../../datapath/sidecar.ts'
import { findProgram } from '../../iptables-init/tools.ts'
import { kernelUnavailable } from '../iptables-init/lab.ts'
import { blocksOf, wordsOf } from '../docs/page.ts'
import { need } from '../require.ts'
import { datapathUnavailable, initProgram, setUp as setUpEnvoy } from './scenario.ts'

const root = join(import.meta.dirname, '../..')

/** Listens and says nothing. Arguments: address, TCP ports, UDP ports. */
const LISTENER = `
const [, host, tcp, udp] = process.argv
const ports = (text) => text.split(',').filter(Boolean).map(Number)
for (const port of ports(tcp)) require('node:net').createServer((one) => one.destroy()).listen({ port, host })
for (const port of ports(udp ?? '')) require('node:dgram').createSocket(host.includes(':') ? 'udp6' : 'udp4').bind(port, host)
`

const PROXY: Who = { uid: 1337, gid: 1337, capabilities: [] }
const PROXY_PORTS = [15001, 15006, 15020, 15021, 15090]
const DUAL = 'defaultConfig: {proxyMetadata: {ISTIO_DUAL_STACK: "true"}}\n'
const DNS =
  'defaultConfig: {proxyMetadata: {ISTIO_DUAL_STACK: "true", ISTIO_META_DNS_CAPTURE: "true"}}\n'

/** The containers of every pod here: port 8080 is declared. */
const containers = [{ name: 'app', image: 'app', ports: [{ containerPort: 8080 }] }]
const plain = inject({ containers, mesh: DUAL })

/** A pod, what was done to its network, and what must be said of it first. */
type Row = {
  readonly who: string
  readonly pod?: Injected
  /** Writes rules; the pod's own init container does unless something else is said. */
  readonly rules?: (lab: Lab, program: string, pod: Injected) => Promise<void>
  /** Who listens as the proxy, where and on what; nobody for `none`. */
  readonly proxy?:
    | 'none'
    | {
        readonly who?: Who
        readonly host?: string
        readonly tcp?: readonly number[]
        readonly udp?: string
      }
  readonly code: string
  readonly says: RegExp
}

const broken: readonly Row[] = [
  {
    who: 'the rules are missing',
    rules: async () => undefined,
    code: 'rules-missing',
    says: /^the rules are missing: the arguments of its container istio-init asks? for them/,
  },
  {
    who: 'the rules were flushed, and their chains stand',
    rules: beside('iptables-nft -t nat -F', 'ip6tables-nft -t nat -F'),
    code: 'rules-missing',
    says: /^the rules are missing: the chains of a sidecar are there, but empty, or nothing leads into/,
  },
  {
    who: 'a gateway at whose health port nobody listens',
    pod: inject({
      containers: [{ name: 'istio-proxy', image: 'auto' }],
      annotations: { 'inject.istio.io/templates': 'gateway' },
    }),
    rules: async () => undefined,
    proxy: 'none',
    code: 'probe-nobody',
    says: /^nobody listens on 15021, where the kubelet asks for readiness$/m,
  },
  {
    who: 'Envoy is down',
    proxy: 'none',
    code: 'nobody-listens',
    says: /^Envoy is down: nobody listens on 15001 and 15006, where the rules send the traffic/,
  },
  {
    who: 'Envoy listens on loopback only',
    proxy: { host: '127.0.0.1' },
    code: 'nobody-listens',
    says: /^the rules send to 15006 of the pod's own address, and there is a listener on 127\.0\.0\.1 only$/m,
  },
  {
    who: 'Envoy runs as the wrong uid',
    proxy: { who: { uid: 1338, gid: 1338, capabilities: [] } },
    code: 'proxy-captured',
    says: /^the proxy runs as the wrong user \(uid 1338, gid 1338\): .* back to it on 15001, in a circle; the pod asks them to spare uid 1337$/m,
  },
  {
    who: 'a port is excluded that the pod does not exclude',
    rules: (lab, program) => write(lab, program, excluding('8080')),
    code: 'port-excluded',
    says: /^port 8080 is excluded from inbound capture by mistake: .* \(iptables-nft nat ISTIO-INBOUND \d+: .*--dports? \S*8080\S* -j RETURN\)$/m,
  },
  {
    who: 'the annotation excludes the only port of the application',
    pod: excluding('8080'),
    code: 'all-excluded',
    says: /^every port that the application declares \(8080\) is excluded from inbound capture/,
  },
  {
    who: 'IPv6 has no rules',
    rules: (lab, program) => write(lab, program, inject({ containers })),
    code: 'ipv6-half',
    says: /^IPv6 is only half captured: IPv4 goes as the pod asks, and of IPv6 this is left alone: the application calls port 80/,
  },
  {
    who: 'IPv6 has rules for one direction',
    rules: beside('ip6tables-nft -t nat -D PREROUTING -p tcp -j ISTIO-INBOUND'),
    code: 'ipv6-half',
    says: /^IPv6 is only half captured: IPv4 goes as the pod asks, and of IPv6 this is left alone: a peer calls port 8080/,
  },
  {
    who: 'Envoy listens on IPv4 only',
    proxy: { host: '0.0.0.0' },
    code: 'ipv6-half',
    says: /^IPv6 is only half captured: the rules send it to 15001 and 15006, and there only IPv4 is listened on$/m,
  },
  {
    who: 'the address is missing from which IPv6 applications are called',
    rules: beside('ip -6 address del ::6/128 dev lo'),
    code: 'route-missing',
    says: /^lo lacks the address ::6, from which Envoy calls the application over IPv6: /,
  },
  {
    who: 'nobody asked to capture the IPv6 that the pod has',
    pod: inject({ containers }),
    code: 'ipv6-open',
    says: /^IPv6 is not captured, only IPv4: the pod has fd25:2::19, /,
  },
  {
    who: 'nobody serves DNS',
    pod: inject({ containers, mesh: DNS }),
    code: 'dns-nobody',
    says: /^the DNS listener is missing: the rules send queries to 15053, and nobody listens there for udp and tcp \(IPv4\)/,
  },
  {
    who: 'CNI and init container both wrote rules, in one backend',
    rules: async (lab, program, pod) => {
      await write(lab, program, pod)
      await writeAsIstio(lab, pod, 'iptables-nft-restore')
    },
    code: 'written-twice',
    says: /^the rules stand twice, in iptables-nft as ISTIO-… and as ISTIO_…: /,
  },
  {
    who: 'the ports that the kubelet asks are silent',
    proxy: { tcp: [15001, 15006, 15090] },
    code: 'probe-nobody',
    says: /^nobody listens on 15021, where the kubelet asks for readiness$/m,
  },
  {
    who: 'a rule was taken away by hand, and a packet goes elsewhere',
    rules: beside('iptables-nft -t nat -D ISTIO-INBOUND 1'),
    code: 'port-captured',
    says: /^port 15008 is captured, and the pod asks for it to be left alone /,
  },
  {
    who: 'a rule was taken away by hand that another one makes up for',
    rules: beside('iptables-nft -t nat -D ISTIO-OUTPUT 8'),
    code: 'rules-differ',
    says: /^the rules differ from what the pod asks for .*: iptables-nft IPv4 - nat ISTIO-OUTPUT: -d 127\.0\.0\.1\/32 -j RETURN$/m,
  },
  {
    who: 'an annotation was changed while the pod ran',
    pod: annotated(plain, { 'traffic.sidecar.istio.io/excludeOutboundPorts': '9000' }),
    rules: (lab, program) => write(lab, program, plain),
    code: 'annotation-late',
    says: /^changed after injection, so without effect: traffic\.sidecar\.istio\.io\/excludeOutboundPorts$/m,
  },
  {
    who: 'a pod without sidecar in a network with its rules',
    pod: {
      ...plain,
      pod: { metadata: { name: 'bare', namespace: 'default' }, spec: { containers } },
    },
    rules: (lab, program) => write(lab, program, plain),
    code: 'rules-unasked',
    says: /^there are rules of a sidecar in iptables-nft, and pod default\/bare asks for none: it has no istio-proxy$/m,
  },
  {
    who: 'the rules stand in another backend',
    pod: inject({ containers, mesh: DUAL, values: '{"global":{"nativeNftables":true}}' }),
    rules: (lab, program) => write(lab, program, plain, ['--force-iptables-binary', 'legacy']),
    code: 'other-backend',
    says: /^the pod asks for rules in native nft, and they stand in iptables-legacy: /,
  },
  {
    who: 'CNI and init container both wrote rules, in two backends',
    rules: async (lab, program, pod) => {
      await write(lab, program, pod)
      await writeAsIstio(lab, pod, 'iptables-legacy-restore')
    },
    code: 'written-twice',
    says: /^the rules stand twice, once in iptables-nft and once in iptables-legacy: as when an init container and a CNI plugin both write them; the pod asks its init container only$/m,
  },
]

/** Rules of other people beside those that the pod asks for. */
const foreign: readonly { who: string; added: readonly string[]; code: string; says: RegExp }[] = [
  {
    who: 'somebody lets a port pass before our jump',
    added: ['iptables-nft -t nat -I OUTPUT -p tcp --dport 443 -j ACCEPT'],
    code: 'port-excluded',
    says: /^port 443 is excluded from outbound capture by mistake: .* \(iptables-nft nat OUTPUT 1: -p tcp (-m tcp )?--dport 443 -j ACCEPT\)$/m,
  },
  {
    who: 'somebody lets a range of addresses pass',
    added: ['iptables-nft -t nat -I OUTPUT -d 10.96.0.0/16 -j ACCEPT'],
    code: 'goes-elsewhere',
    says: /^the application calls port 80 of 10\.96\.0\.0: this should be sent to 15001, and is left alone \(iptables-nft nat OUTPUT 1: -d 10\.96\.0\.0\/16 -j ACCEPT\)$/m,
  },
  {
    who: 'somebody lets a user pass',
    added: ['ip6tables-nft -t nat -I OUTPUT -m owner --uid-owner 2000 -j RETURN'],
    code: 'ipv6-half',
    says: /^IPv6 is only half captured: .* left alone: the application \(uid 2000\) calls port 80 of a server$/m,
  },
  {
    who: 'somebody lets peers pass, in a chain of theirs',
    added: [
      'iptables-nft -t nat -N PEERS',
      'iptables-nft -t nat -A PEERS -s 10.9.0.0/16 -j ACCEPT',
      'iptables-nft -t nat -I PREROUTING -p tcp -j PEERS',
    ],
    code: 'goes-elsewhere',
    says: /^the peer 10\.9\.0\.0 calls port 8080 of the pod: this should be sent to 15006, and is left alone \(iptables-nft nat PEERS 1: -s 10\.9\.0\.0\/16 -j ACCEPT\)$/m,
  },
  {
    who: 'a firewall drops what comes to the proxy',
    added: [
      'iptables-nft -t mangle -A PREROUTING -p tcp --dport 9090 -j LOG',
      'iptables-nft -A INPUT -p tcp --dport 15006 -j DROP',
    ],
    code: 'goes-elsewhere',
    says: /^a peer calls port 8080 of the pod: this should be sent to 15006, and is dropped, and so it is with 1 more \(iptables-nft filter INPUT 1: .*--dport 15006 -j DROP\)$/m,
  },
  {
    who: 'a firewall in another engine refuses what the proxy sends',
    added: [
      'iptables-legacy -A OUTPUT -o lo -j ACCEPT',
      'iptables-legacy -P OUTPUT DROP',
      'iptables-legacy -A OUTPUT -d 127.0.0.1/32 -j ACCEPT',
    ],
    code: 'goes-elsewhere',
    says: /^the proxy \(uid 1337\) calls a server: this should be left alone, and is dropped \(iptables-legacy filter OUTPUT: policy DROP\)$/m,
  },
]

/** Writes the pod's own rules, and others beside. */
function beside(...added: readonly string[]): NonNullable<Row['rules']> {
  return async (lab, program, pod) => {
    await write(lab, program, pod)
    for (const line of added) {
      const [file = '', ...args] = line.split(' ')
      await demand(lab, file, args)
    }
  }
}

function besideNft(script: string): NonNullable<Row['rules']> {
  return async (lab, program, pod) => {
    await write(lab, program, pod)
    await demand(lab, 'nft', ['-f', '-'], script.replaceAll('; add', '\nadd'))
  }
}

function excluding(ports: string): Injected {
  const annotations = { 'traffic.sidecar.istio.io/excludeInboundPorts': ports }
  return inject({ containers, mesh: DUAL, annotations })
}

function annotated({ pod, config }: Injected, added: Readonly<Record<string, string>>): Injected {
  const annotations = { ...pod.metadata?.annotations, ...added }
  return { pod: { ...pod, metadata: { ...pod.metadata, annotations } }, config }
}

async function write(
  lab: Lab,
  program: string,
  pod: Injected,
  more: readonly string[] = [],
): Promise<void> {
  const { code, stderr } = await runInit(lab, program, pod, 'istio-init', more)
  if (code !== 0) throw new Error(stderr)
}

/** The IPv4 rules under the names that Istio's own plugin gives them, beside whatever stands. */
async function writeAsIstio(lab: Lab, { pod }: Injected, restore: string): Promise<void> {
  const asked = readAsked(pod)
  const rules = asked.ok ? asked.value.rules : undefined
  if (rules === undefined) throw new Error('the pod asks for no rules')
  const facts = { addresses: [AT.v4.pod], users: {} }
  const site = readSite(facts, { ...rules.options, linkLocalCounts: false })
  if (!site.ok) throw new Error('no site')
  const plan = buildPlan(rules.options, site.value, { profile: 'current', style: 'underscore' })
  await demand(lab, restore, ['--noflush'], printRestore(stepsFor(plan, 'v4')))
}

async function demand(lab: Lab, file: string, args: readonly string[], input = ''): Promise<void> {
  const { code, stderr } = await lab.run('pod', ROOT, file, args, { input })
  if (code !== 0) throw new Error(`${file}: ${stderr}`)
}

/** A lab with the application in it. */
async function makePodLab(t: Test): Promise<Lab> {
  const lab = makeLab()
  t.teardown(() => lab.close())
  const app = lab.start('pod', APP_USER, 'app', process.execPath, ['-e', LISTENER, '::', '8080'])
  await untilListening('app', app, [8080])
  return lab
}

/** Makes the pod's network what the row says, until the test ends; gives the pod as a file. */
async function setUp(
  t: Test,
  lab: Lab,
  program: string,
  row: Omit<Row, 'who' | 'code' | 'says'>,
): Promise<string> {
  const { pod = plain, rules = write, proxy = {} } = row
  t.teardown(() => {
    removeRules(lab)
  })
  await rules(lab, program, pod)
  const file = join(lab.folder, 'pod.json')
  writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'Pod', ...pod.pod }))
  if (proxy === 'none') return file
  const { who = PROXY, host = '::', tcp = PROXY_PORTS, udp = '' } = proxy
  const words = ['-e', LISTENER, host, tcp.join(','), udp]
  const listener = lab.start('pod', who, 'proxy', process.execPath, words)
  t.teardown(() => listener.stop())
  await untilListening('proxy', listener, tcp)
  return file
}

/** Leaves the network without rules; legacy tables are emptied only where there are some. */
function removeRules(lab: Lab): void {
  const inPod = (words: readonly string[], input = ''): string =>
    spawnSync('nsenter', [`--net=${lab.netns('pod')}`, '--', ...words], { input, encoding: 'utf8' })
      .stdout
  inPod(['nft', 'flush', 'ruleset'])
  for (const [list, restore] of [
    ['ip_tables_names', 'iptables-legacy-restore'],
    ['ip6_tables_names', 'ip6tables-legacy-restore'],
  ] as const) {
    const tables = inPod(['cat', `/proc/net/${list}`])
    if (tables !== '') inPod([restore], tables.replace(/^(.+)$/gm, '*$1\nCOMMIT'))
  }
}

function flagsFor(lab: Lab, file: string | undefined): DescribeFlags {
  const filename = file === undefined ? [] : [file]
  return { netns: lab.netns('pod'), filename, proc: '/proc', output: 'human' }
}

t.test('a broken pod', need(kernelUnavailable()), async (t) => {
  const program = await initProgram(t)
  const lab = await makePodLab(t)
  const others = foreign.map(({ added, ...row }): Row => ({ ...row, rules: beside(...added) }))
  for (const { who, code, says, ...row } of [...broken, ...others]) {
    t.test(who, async (t) => {
      const file = await setUp(t, lab, program, row)
      const before = stateOf(lab)
      const { text, verdict } = await describe(undefined, flagsFor(lab, file))
      t.equal(verdict, 'contradiction')
      t.match(text, says, 'the first line names it')
      const [, listed = ''] = text.split('\ncontradictions:\n')
      t.match(listed, new RegExp(`^  ${code}: `), `first of all ${code}`)
      t.equal(stateOf(lab), before, 'nothing was made by looking')
    })
  }
})

/** What describing could have made or changed: rules of every engine, tables of the legacy one. */
function stateOf(lab: Lab): string {
  const commands = [
    ['nft', 'list', 'ruleset'],
    ['cat', '/proc/net/ip_tables_names', '/proc/net/ip6_tables_names'],
    ['ip', 'rule'],
    ['ip', 'address', 'show', 'lo'],
  ]
  return commands
    .map((words) => {
      const args = [`--net=${lab.netns('pod')}`, '--', ...words]
      return spawnSync('nsenter', args, { encoding: 'utf8' }).stdout
    })
    .join('')
    .replace(/packets \d+ bytes \d+/g, '')
}

const healthy: readonly (Omit<Row, 'code' | 'says'> & { readonly shows: RegExp })[] = [
  {
    who: 'by its init container, in iptables-nft',
    shows:
      /^ {2}iptables-nft IPv6 nat ISTIO-REDIRECT 1: \d+ packets, -p tcp -j REDIRECT --to-ports 15001 {2}# /m,
  },
  {
    who: 'in iptables-legacy',
    rules: (lab, program, pod) => write(lab, program, pod, ['--force-iptables-binary', 'legacy']),
    shows: /^ {2}iptables-legacy IPv6: 18 rules, with rules of a sidecar$/m,
  },
  {
    who: 'in nftables of our own',
    pod: inject({ containers, mesh: DUAL, values: '{"global":{"nativeNftables":true}}' }),
    shows: /^ {2}native nft IPv4\+IPv6 nat ISTIO-OUTPUT 1: \d+ packets/m,
  },
  {
    who: 'with TPROXY, whose proxy is root in its group',
    pod: inject({
      containers,
      mesh: DUAL,
      annotations: { 'sidecar.istio.io/interceptionMode': 'TPROXY' },
    }),
    proxy: { who: { uid: 0, gid: 1337, capabilities: [] } },
    shows:
      /^ {2}IPv6 a peer calls port 8080 of the pod: sent to 15006, node \(pid \d+, uid 0, gid 1337\)$/m,
  },
  {
    who: 'with DNS, some of it excluded',
    pod: inject({
      containers,
      mesh: DNS,
      annotations: {
        'traffic.sidecar.istio.io/excludeInboundPorts': '9090',
        'traffic.sidecar.istio.io/excludeOutboundPorts': '9000',
      },
    }),
    proxy: { tcp: [...PROXY_PORTS, 15053], udp: '15053' },
    shows: /^ {2}IPv4 the application asks its resolver by udp: sent to 15053, node \(/m,
  },
  {
    who: 'by its node, which switched IPv6 on by itself',
    pod: inject({
      containers,
      values: '{"pilot":{"cni":{"enabled":true}},"sidecarInjector":{"cniAnnotation":true}}',
    }),
    rules: async (lab, _, { pod }) => {
      const text = pod.metadata?.annotations?.[REDIRECT_PLAN_ANNOTATION] ?? ''
      const plan = readRedirectPlan(REDIRECT_PLAN_ANNOTATION, text)
      if (!plan.ok || plan.value.apply !== 'cni') throw new Error('no plan for the node')
      const options = { ...readOptions({}).options, ipv6: 'on' } as const
      const conf = { options, resolvers: undefined }
      await writeRules({ netns: lab.netns('pod'), conf, path: process.env['PATH'] }, plan.value)
    },
    shows:
      /^ {2}pod default\/web-0: its node writes rules, by its annotation sidecar-injector\.io\/redirect-plan$/m,
  },
]

t.test('a pod whose rules are as asked', need(kernelUnavailable()), async (t) => {
  const program = await initProgram(t)
  const lab = await makePodLab(t)
  for (const { who, shows, ...row } of healthy) {
    t.test(who, async (t) => {
      const file = await setUp(t, lab, program, row)
      const { text, verdict } = await describe(undefined, flagsFor(lab, file))
      t.equal(verdict, 'fine')
      t.match(text, /^the rules do what the pod asks for\n\nasked:\n/)
      t.match(text, shows)
    })
  }
})

const TPROXY_POD = inject({
  containers,
  mesh: DUAL,
  annotations: { 'sidecar.istio.io/interceptionMode': 'TPROXY' },
})
const hostIds = 1_000_000

const FOREIGN = 'add table ip other; add chain ip other pre'

/** Healthy pods of which something cannot be looked at as usual, and what is said first. */
const veiled: readonly {
  readonly who: string
  readonly row: Omit<Row, 'who' | 'code' | 'says'>
  /** What the map of a process inside says; without it no process can be looked at. */
  readonly map?: string
  readonly without?: RegExp
  readonly verdict: Described['verdict']
  readonly says: RegExp
}[] = [
  {
    who: 'a user namespace of its own',
    row: {
      proxy: { who: { uid: hostIds + 1337, gid: hostIds + 1337, capabilities: [] } },
    },
    map: `         0    ${hostIds}      65536\n`,
    verdict: 'fine',
    says: /^the rules do what the pod asks for\n[^]*: sent to 15001, uid 1337$/m,
  },
  {
    who: 'TPROXY, and no process can be looked at',
    row: { pod: TPROXY_POD, proxy: { who: { uid: 0, gid: 1337, capabilities: [] } } },
    verdict: 'fine',
    says: /^the rules do what the pod asks for\n/,
  },
  {
    who: 'no ip6tables, and rules of both families',
    row: {},
    without: /^ip6tables/,
    verdict: 'unknown',
    says: /^nothing contradicts, but not all could be looked at: ip6tables-nft: ip6tables-nft-save is not in PATH\n/,
  },
  {
    who: 'no ip6tables, and rules of IPv4 only',
    row: { pod: inject({ containers }) },
    without: /^ip6tables/,
    verdict: 'unknown',
    says: /^nothing contradicts, but not all could be looked at: ip6tables-nft: /,
  },
  {
    who: 'rules in legacy, and programs for nft only',
    row: {
      rules: (lab, program, pod) => write(lab, program, pod, ['--force-iptables-binary', 'legacy']),
    },
    without: /-legacy/,
    verdict: 'unknown',
    says: /^nothing contradicts, but not all could be looked at: iptables-legacy: the kernel lists tables, and iptables-legacy-save is not in PATH\n/,
  },
  {
    who: 'a table of nftables that others made, which redirects',
    row: {
      rules: besideNft(
        `${FOREIGN} { type nat hook prerouting priority -150; }; add rule ip other pre tcp dport 8080 redirect to :9999`,
      ),
    },
    verdict: 'unknown',
    says: /^nothing contradicts, but not all could be looked at: native nftables: table ip other \(chain pre at prerouting: redirect\) is not a sidecar's, and what it does was not judged\n/,
  },
  {
    who: 'a table of nftables that others made, which counts',
    row: {
      rules: besideNft(
        `${FOREIGN} { type filter hook prerouting priority 0; }; add rule ip other pre tcp dport 8080 counter accept comment "drop"`,
      ),
    },
    verdict: 'fine',
    says: /^the rules do what the pod asks for\n/,
  },
  {
    who: 'a gateway, which asks for no rules',
    row: {
      pod: inject({
        containers: [{ name: 'istio-proxy', image: 'auto' }],
        annotations: { 'inject.istio.io/templates': 'gateway' },
      }),
      rules: async () => undefined,
    },
    verdict: 'fine',
    says: /^the pod asks for no rules, and there are none\n/,
  },
]

t.test('a healthy pod that shows not everything', need(kernelUnavailable()), async (t) => {
  const program = await initProgram(t)
  const lab = await makePodLab(t)
  for (const { who, row, map, without, verdict, says } of veiled) {
    t.test(who, async (t) => {
      const file = await setUp(t, lab, program, row)
      const ids = map === undefined ? {} : { uid_map: map, gid_map: map }
      const ns = { net: t.fixture('symlink', `net:[${statSync(lab.netns('pod')).ino}]`) }
      const proc = t.testdir({
        bin: {},
        proc: map === undefined ? {} : { '10': { ns, ...ids } },
      })
      const path = process.env['PATH']
      if (without !== undefined) {
        process.env['PATH'] = onlyTools(join(proc, 'bin'), without)
        t.teardown(() => (process.env['PATH'] = path))
      }
      const flags = {
        ...flagsFor(lab, file),
        ...(without === undefined && { proc: `${proc}/proc` }),
      }
      const told = await describe(undefined, flags)
      t.match(told.text, says)
      t.equal(told.verdict, verdict)
    })
  }
})

/** A folder with the programs that describe runs, less some. */
function onlyTools(folder: string, without: RegExp): string {
  const saves = ['iptables', 'ip6tables'].flatMap((name) =>
    ['', '-nft', '-legacy'].map((backend) => `${name}${backend}-save`),
  )
  for (const name of ['cat', 'ip', 'nsenter', 'nft', ...saves]) {
    const found = findProgram(name, undefined)
    if (found !== undefined && !without.test(name)) symlinkSync(found, join(folder, name))
  }
  return folder
}

t.test('the guide', need(kernelUnavailable()), async (t) => {
  const lab = await makePodLab(t)
  const file = await setUp(t, lab, await initProgram(t), {
    rules: (here, program) => write(here, program, excluding('8080')),
  })
  const blocks = blocksOf(join(root, 'docs/guides/debugging.md'))
  const at = blocks.findIndex(({ text }) => text.includes('describe -f web.yaml'))
  const [npx, program, name, ...words] = wordsOf(blocks[at]?.text.trim() ?? '')
  t.strictSame([npx, program, name], ['npx', 'sidecar-injector', 'describe'])
  const places = new Map([
    ['web.yaml', file],
    ['/run/netns/NAME', lab.netns('pod')],
  ])
  let flags: DescribeFlags | undefined
  const command = describeCommand().action((_: unknown, given: DescribeFlags) => {
    flags = given
  })
  await command.parseAsync(
    words.map((word) => places.get(word) ?? word),
    { from: 'user' },
  )
  const { text } = await describe(undefined, flags ?? flagsFor(lab, undefined))
  const lines = text.split('\n')
  const shown = blocks[at + 1]?.text.trimEnd().split('\n') ?? []
  const found = shown.filter((line) => line !== '…').map((line) => lines.indexOf(line))
  t.strictSame(
    found,
    [...found].sort((a, b) => a - b),
    shown.join('\n'),
  )
  t.notOk(found.includes(-1), 'the page shows what is printed')
})

const UID = '5f0e5c1a-1111-2222-3333-444455556666'

t.test('without a pod, and without a place', need(kernelUnavailable()), async (t) => {
  const program = await initProgram(t)
  const lab = await makePodLab(t)
  const file = await setUp(t, lab, program, {})
  const told = async (flags: Partial<DescribeFlags>): Promise<Described> => {
    const { netns: _, ...others } = flagsFor(lab, undefined)
    return describe(undefined, { ...others, ...flags })
  }
  const alone = await told({ netns: lab.netns('pod') })
  t.match(alone, {
    verdict: 'fine',
    text: /^the rules and the listeners fit; what the pod asks for/,
  })
  const nobody = await told({ netns: lab.netns('client') })
  t.match(nobody, { verdict: 'unknown', text: /^there are no rules of a sidecar here, and no pod/ })
  await t.rejects(told({ netns: file }), {
    message: /^--netns: got .*, want a network namespace/,
  })
  const child = lab.start('pod', APP_USER, 'late', process.execPath, ['-e', LISTENER, '::', '8081'])
  await untilListening('late', child, [8081])
  const byPid = await told({ pid: `${child.pid}`, output: 'json' })
  const { verdict, listeners, packets } = JSON.parse(byPid.text) as {
    verdict: string
    listeners: { port: number; program?: { name: string; pid: number } }[]
    packets: { says: string; live: object }[]
  }
  t.equal(verdict, 'fine')
  const late = listeners.find(({ port }) => port === 8081)
  t.strictSame(late?.program?.pid, child.pid, 'the program behind a port is named')
  const asked = packets.find(({ says }) => says === 'a peer calls port 8081 of the pod')
  t.strictSame(asked?.live, { kind: 'captured', by: 'redirect', port: 15006 })

  t.test('a pod that is found on this machine by its uid', async (t) => {
    const proc = nodeProc(t, lab)
    const pod = join(lab.folder, 'running.json')
    const running = (uid: string): object => ({
      ...{ apiVersion: 'v1', kind: 'Pod' },
      ...{ metadata: { ...plain.pod.metadata, uid }, spec: { ...plain.pod.spec, nodeName: 'far' } },
    })
    writeFileSync(pod, JSON.stringify(running(UID)))
    const here = await told({ filename: [pod], proc })
    t.match(here, { verdict: 'fine', text: /^rules in process 10:$/m })
    writeFileSync(pod, JSON.stringify(running('elsewhere')))
    const away = await told({ filename: [pod], proc })
    t.match(away, {
      verdict: 'unknown',
      text: /^pod default\/web-0 is not on this machine \(.*\): it is on node far; run there as root: sidecar-injector describe default\/web-0/,
    })
  })
})

/** A proc with one process, which is in the lab's pod. */
function nodeProc(t: Test, lab: Lab): string {
  const folder = t.testdir({
    '1': { ns: { net: t.fixture('symlink', '/proc/1/ns/net') } },
    '10': {
      cgroup: `0::/kubepods/burstable/pod${UID}/abc\n`,
      stat: `10 (app) S ${'0 '.repeat(18)}5 0 0`,
      ns: { net: t.fixture('symlink', lab.netns('pod')) },
    },
  })
  return folder
}

t.test('Envoy itself', need(datapathUnavailable()), async (t) => {
  const { lab, injected, running, send } = await setUpEnvoy(t, await initProgram(t), {
    injection: { containers, mesh: DUAL },
    families: ['v4', 'v6'],
  })
  const file = join(lab.folder, 'pod.json')
  writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'Pod', ...injected.pod }))
  const command = (): { status: number | null; stdout: string } => {
    const words = [PROGRAM, 'describe', '--netns', lab.netns('pod'), '-f', file]
    return spawnSync(process.execPath, words, { encoding: 'utf8' })
  }
  let well = { status: -1 as number | null, stdout: '' }
  // Its one packet: the question to Envoy's admin interface, which logs nothing.
  const request = {
    caller: { place: 'pod', who: ROOT },
    call: { to: '127.0.0.1', port: 15000, path: '/ready' },
  } as const
  const { journey } = await send(t, 'describe asks Envoy', request, {
    protocol: 'http',
    make: async () => {
      well = command()
      return { address: '127.0.0.1', port: 0, status: 200, body: '' }
    },
  })
  t.strictSame(
    journey.legs.map(({ taken }) => taken),
    ['admin'],
  )
  t.equal(well.status, 0)
  t.match(well.stdout, /^the rules do what the pod asks for$/m)
  t.match(well.stdout, /^ {2}Envoy's admin interface says that it is ready$/m)
  t.match(well.stdout, /: sent to 15001, envoy \(pid \d+, uid 1337, gid 1337\)$/m)
  await running.envoy.stop()
  const down = command()
  t.equal(down.status, 1)
  t.match(down.stdout, /^Envoy is down: nobody listens on 15001 and 15006/)
})

const PROGRAM = join(root, 'dist/cli/main.js')

t.test('flags', async (t) => {
  for (const [args, wanted] of [
    [[], 'say which: --netns PATH, --pid N, NAMESPACE/POD, or -f FILE'],
    [['--netns', 'a', '--pid', '1'], 'give one of --netns and --pid'],
    [['default/a', '-f', 'a'], 'give one of NAMESPACE/POD and -f'],
    [['--pid', '1x'], 'want the number of a process'],
  ] as const) {
    const command = describeCommand()
      .exitOverride()
      .configureOutput({ writeErr: () => undefined })
    const parsed = command.parseAsync([...args], { from: 'user' })
    await t.rejects(parsed, { message: new RegExp(wanted) }, wanted)
  }
  const page = readFileSync(join(root, 'docs/reference/describe.md'), 'utf8')
  for (const { flags, description } of describeCommand().options) {
    t.ok(page.includes(`| \`${flags.replaceAll('|', '\\|')}\` | ${description} |`), flags)
  }
  for (const code of CODES) t.ok(page.includes(`| \`${code}\` |`), code)
})
