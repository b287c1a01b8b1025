import t from 'tap'
import { readArgv, resolveProxyUser, type Request } from '../../../core/options/argv.ts'
import { readDuration, readPortNumber, readWords } from '../../../core/options/words.ts'
import { FLAGS } from '../../../core/options/flags.ts'

function accept(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Request {
  const read = readArgv(argv, env)
  if (!read.ok) throw new Error(JSON.stringify(read.problems))
  return read.value
}

const spellings = [
  { argv: ['-b=80'], port: 80 },
  { argv: ['-b80'], port: 80 },
  { argv: ['-b', '80'], port: 80 },
  { argv: ['--istio-inbound-ports=80'], port: 80 },
  { argv: ['--istio-inbound-ports', '80'], port: 80 },
  { argv: ['-nb80'], port: 80 },
  { argv: ['-b', '81', '-b', '80'], port: 80 },
  { argv: ['istio-iptables', '-b', '80'], port: 80 },
  { argv: ['-b', '80', 'verify', 'more', '--', '-b', '81'], port: 80 },
  { argv: ['--drop-invalid', 'false', '-b', '80'], port: 80 },
] as const

t.test('one setting in every spelling', async (t) => {
  for (const { argv, port } of spellings) {
    t.strictSame(accept(argv).options.inboundPorts, [{ first: port, last: port }], argv.join(' '))
  }
})

t.test('words are taken apart as the original does', async (t) => {
  const words = (...argv: readonly string[]): unknown => {
    const read = readWords(FLAGS, argv)
    return read.ok
      ? [read.value.given.map(({ flag, text }) => `${flag.name}=${text}`), read.value.rest]
      : read.problems.map(({ got, want }) => `${got} ${want}`)
  }
  t.strictSame(words('-u', '-5'), [['proxy-uid=-5'], []], 'a value may begin with a dash')
  t.strictSame(words('-u', '--dry-run'), [['proxy-uid=--dry-run'], []], 'and swallow a flag')
  t.strictSame(words('--drop-invalid', 'false'), [['drop-invalid=true'], ['false']])
  t.strictSame(words('-n=false', '-x', ''), [['dry-run=false', 'istio-service-exclude-cidr='], []])
  t.strictSame(words('--nope', '-y'), [
    '--nope a flag of --help: unknown flag',
    '-y a flag of --help: unknown shorthand flag',
  ])
  t.strictSame(words('-u'), [' a value after it'])
})

t.test('a flag wins over the environment, a later name over an earlier', async (t) => {
  const dns = (env: Readonly<Record<string, string>>, ...argv: string[]): string =>
    accept(argv, env).options.dns
  t.equal(dns({ REDIRECT_DNS: 'true' }), 'servers')
  t.equal(dns({ REDIRECT_DNS: 'true', ISTIO_META_DNS_CAPTURE: 'false' }), 'off')
  t.equal(dns({ ISTIO_META_DNS_CAPTURE: 'false' }, '--redirect-dns'), 'servers')
  t.equal(accept([], { ENVOY_PORT: '1' }).options.ports.outbound, 15001)
  t.equal(accept(['--rule-profile', '1.8'], { ENVOY_PORT: '1' }).options.ports.outbound, 1)
})

t.test('ids follow each other', async (t) => {
  const ids = (argv: readonly string[], users = {}): unknown => {
    const { proxyUids, proxyGids } = resolveProxyUser(accept(argv), users)
    return [proxyUids, proxyGids]
  }
  t.strictSame(ids([]), [[1337], [1337]])
  t.strictSame(ids([], { 'istio-proxy': 5 }), [[5], [5]])
  t.strictSame(ids(['-u', '1,2']), [
    [1, 2],
    [1, 2],
  ])
  t.strictSame(ids(['-g', '7']), [[1337], [7]])
})

const EVIL = '80 -j RETURN\n-I OUTPUT 1 -j ACCEPT'
const refused = [
  { argv: ['-p', '70000'], path: '--envoy-port' },
  { argv: ['-p', '0'], path: '--envoy-port' },
  { argv: ['-z', '15001'], path: '--inbound-capture-port' },
  { argv: ['-b', EVIL], path: '--istio-inbound-ports' },
  { argv: ['-d', EVIL], path: '--istio-local-exclude-ports' },
  { argv: ['-o', '8010-8000'], path: '--istio-local-outbound-ports-exclude' },
  { argv: ['-q', '*'], path: '--istio-outbound-ports' },
  { argv: ['-i', '*,10.0.0.0/8'], path: '--istio-service-cidr' },
  { argv: ['-x', '*'], path: '--istio-service-exclude-cidr' },
  { argv: ['-c', 'eth9 -j RETURN\nCOMMIT\n*filter'], path: '--istio-exclude-interfaces' },
  { argv: ['-k', '--help'], path: '--kube-virt-interfaces' },
  { argv: ['-m', 'tproxy'], path: '--istio-inbound-interception-mode' },
  { argv: ['-t', '1338'], path: '--istio-inbound-tproxy-mark' },
  { argv: ['-t', '0'], path: '--istio-inbound-tproxy-mark' },
  { argv: ['-t', '4294967296'], path: '--istio-inbound-tproxy-mark' },
  { argv: ['-r', '254'], path: '--istio-inbound-tproxy-route-table' },
  { argv: ['-u', ','], path: '--proxy-uid' },
  { argv: ['-g', ','], path: '--proxy-gid' },
  { argv: ['-u', '4294967295'], path: '--proxy-uid' },
  { argv: ['--force-iptables-binary', 'NFT'], path: '--force-iptables-binary' },
  { argv: ['--network-namespace', 'relative'], path: '--network-namespace' },
  { argv: ['--network-namespace', '/a\nb'], path: '--network-namespace' },
  { argv: ['--probe-timeout', '5'], path: '--probe-timeout' },
  { argv: ['--iptables-probe-port', '70000'], path: '--iptables-probe-port' },
  { argv: ['--dry-run=maybe'], path: '--dry-run' },
  { argv: ['--rule-profile', '1.9'], path: '--rule-profile' },
  { argv: [], env: { ISTIO_OUTBOUND_OWNER_GROUPS: '' }, path: 'ISTIO_OUTBOUND_OWNER_GROUPS' },
  {
    argv: [],
    env: { ISTIO_OUTBOUND_OWNER_GROUPS: [...Array(50).keys()].join() },
    path: 'ISTIO_OUTBOUND_OWNER_GROUPS',
  },
  {
    argv: [],
    env: { ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR: '10.0.0.0/8' },
    path: 'ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR',
  },
  {
    argv: [],
    env: { ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR: '127.0.0.0/7' },
    path: 'ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR',
  },
  { argv: [], env: { DUAL_STACK: 'yes' }, path: 'DUAL_STACK' },
] as const

t.test('what is refused names where it came from', async (t) => {
  for (const row of refused) {
    const read = readArgv(row.argv, 'env' in row ? row.env : {})
    const paths = read.ok ? [] : read.problems.map(({ path }) => path)
    t.strictSame(paths, [row.path], JSON.stringify(row))
  }
})

t.test('all problems are listed at once', async (t) => {
  const read = readArgv(['-p', 'x', '-b', 'y', '-i', 'z', '-t', '0'], {})
  t.equal(read.ok ? 0 : read.problems.length, 4)
})

t.test('port 0 is left out with a warning', async (t) => {
  const { options, warnings } = accept(['-b', '0,80', '-d', '0'])
  t.strictSame(
    [options.inboundPorts, options.excludeInboundPorts, warnings.length],
    [[{ first: 80, last: 80 }], [], 2],
  )
})

t.test('numbers and durations as Go writes them', async (t) => {
  const ports = ['15002', '0x3a9a', '0o35232', '0b11', '0', '70000', '0xg', ''].map((text) => {
    const read = readPortNumber('x', text)
    return read.ok ? read.value : undefined
  })
  t.strictSame(ports, [15002, 15002, 15002, 3, undefined, undefined, undefined, undefined])
  const times = ['5s', '1m30.5s', '100ms', '1h', '5', '', '5 s', '-1s'].map((text) => {
    const read = readDuration('x', text)
    return read.ok ? read.value : undefined
  })
  t.strictSame(times, [5000, 90500, 100, 3600000, undefined, undefined, undefined, undefined])
})
