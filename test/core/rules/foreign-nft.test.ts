import t from 'tap'
import { foreignTables } from '../../../core/rules/foreign-nft.ts'

/** A table as `nft list ruleset` prints it; `rules` are those of its one chain. */
function tableOf(head: string, base: string, ...rules: readonly string[]): string {
  const lines = [base, ...rules].map((line) => `\t\t${line}\n`).join('')
  return `table ${head} {\n\tchain ${base.startsWith('type') ? 'pre' : 'mine'} {\n${lines}\t}\n}\n`
}

const NAT = 'type nat hook prerouting priority dstnat; policy accept;'
const FILTER = 'type filter hook input priority filter; policy accept;'

const rows: readonly (readonly [who: string, ruleset: string, found: readonly string[]])[] = [
  ['no table', '', []],
  [
    'a redirect',
    tableOf('ip x', NAT, 'tcp dport 80 redirect to :1'),
    ['table ip x (chain pre at prerouting: redirect)'],
  ],
  ['a firewall', tableOf('inet f', FILTER, 'drop'), ['table inet f (chain pre at input: drop)']],
  [
    'a policy',
    tableOf('inet f', FILTER.replace('policy accept', 'policy drop'), 'tcp dport 22 accept'),
    ['table inet f (chain pre at input: drop)'],
  ],
  [
    'a map of verdicts',
    tableOf('ip6 v', FILTER, 'tcp dport vmap { 22 : accept, 23 : drop }'),
    ['table ip6 v (chain pre at input: drop)'],
  ],
  [
    'what comes in at an interface',
    tableOf(
      'netdev n',
      'type filter hook ingress device "eth0" priority 0; policy accept;',
      'drop',
    ),
    ['table netdev n (chain pre at ingress: drop)'],
  ],
  [
    'only counters',
    tableOf('inet c', FILTER, 'tcp dport 22 counter packets 1 bytes 60 accept'),
    [],
  ],
  ['a word in a comment', tableOf('inet c', FILTER, 'accept comment "no drop here"'), []],
  ['no packet comes', tableOf('inet l', 'tcp dport 80 drop'), []],
  ['switched off', tableOf('inet f', FILTER, 'drop').replace('{\n', '{\n\tflags dormant\n'), []],
  ['forwarding', tableOf('inet f', FILTER.replace('hook input', 'hook forward'), 'drop'), []],
  ['bridges', tableOf('bridge b', FILTER, 'drop'), []],
  ["a sidecar's", tableOf('inet istio-proxy-nat', NAT, 'redirect to :15006'), []],
  [
    "iptables' own",
    `# Warning: table ip nat is managed by iptables-nft, do not touch!\n${tableOf('ip nat', NAT, 'redirect to :1').replace('chain pre', 'chain PREROUTING')}`,
    [],
  ],
  [
    "one that only has the name of iptables'",
    tableOf('ip nat', NAT, 'redirect to :1'),
    ['table ip nat (chain pre at prerouting: redirect)'],
  ],
  [
    'the second of two',
    tableOf('inet istio-proxy-nat', NAT, 'redirect to :15006') +
      tableOf('ip x', NAT, 'dnat to 10.0.0.1'),
    ['table ip x (chain pre at prerouting: dnat)'],
  ],
]

t.test('tables of others', async (t) => {
  for (const [who, ruleset, found] of rows) t.strictSame(foreignTables(ruleset), found, who)
})
