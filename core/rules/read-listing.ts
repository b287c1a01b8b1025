import type { Rule, RuleSet } from './model.ts'
import { readRule } from './read-rule.ts'

/** Whether a text is a listing such as `iptables -t nat -nvL` prints. */
export function isListing(text: string): boolean {
  return /^Chain \S+ \((policy|\d+ references)/m.test(text)
}

/**
 * Reads a listing of one table with its counters. The listing does not say which table it is; `table` does.
 * Protocols may be names or numbers. What is not understood of a rule is kept as a condition of its own.
 */
export function readListing(text: string, table: string): RuleSet {
  const chains: { name: string; policy?: string; rules: Rule[] }[] = []
  for (const raw of text.split('\n')) {
    const line = raw.trim()
    const header = /^Chain (\S+) \((?:policy (\S+))?/.exec(line)
    if (header !== null) {
      const [, name = '', policy] = header
      chains.push({ name, rules: [], ...(policy !== undefined && { policy }) })
    } else if (line !== '' && !line.startsWith('pkts ')) {
      const rule = readLine(line)
      if (rule !== undefined) chains.at(-1)?.rules.push(rule)
    }
  }
  return { tables: [{ name: table, chains }] }
}

/** The columns: packets, bytes, target (may be missing), protocol, options (may be missing), in, out, … */
const LINE =
  /^(\S+)\s+(\S+)\s+(?:(\S+)\s+)?(\d+|tcp|udp|icmp|icmpv6|all|ipv6-icmp)\s+(?:--|-f|!f)?\s*(\S+)\s+(\S+)\s+(!?[0-9a-fA-F.:/]+)\s+(!?[0-9a-fA-F.:/]+)\s*(.*)$/

function readLine(line: string): Rule | undefined {
  const columns = LINE.exec(line)
  if (columns === null) return undefined
  const [
    ,
    packets = '',
    bytes = '',
    target,
    protocol = '',
    way = '',
    out = '',
    from = '',
    to = '',
    extra = '',
  ] = columns
  const isV6 = from.includes(':')
  const { words, options } = readExtra(extra)
  const rule = readRule([
    ...address('-s', from, isV6),
    ...address('-d', to, isV6),
    ...interfaceWords('-i', way),
    ...interfaceWords('-o', out),
    ...(protocol === 'all' || protocol === '0' ? [] : ['-p', protocol]),
    ...words,
    ...(target === undefined ? [] : ['-j', target, ...options]),
  ])
  return { ...rule, counted: { packets: readCount(packets), bytes: readCount(bytes) } }
}

/** What stands behind the addresses: a pattern, and the words that restore text has for it. */
const EXTRAS: readonly (readonly [
  RegExp,
  'match' | 'target',
  (parts: readonly string[]) => string[],
])[] = [
  [
    /^(?:tcp|udp) (d|s)pts?:(!?)(\S+)/,
    'match',
    ([, end = '', not, ports = '']) => [...bang(not), `--${end}port`, ports],
  ],
  [
    /^multiport (d|s)ports (! ?)?(\S+)/,
    'match',
    ([, end = '', not, ports = '']) => ['-m', 'multiport', ...bang(not), `--${end}ports`, ports],
  ],
  [
    /^(! )?owner (UID|GID) match (\S+)/,
    'match',
    ([, not, who = '', id = '']) => [
      '-m',
      'owner',
      ...bang(not),
      `--${who.toLowerCase()}-owner`,
      id,
    ],
  ],
  [
    /^(connmark|mark) match\s+(! ?)?(\S+)/,
    'match',
    ([, module = '', not, mark = '']) => ['-m', module, ...bang(not), '--mark', mark],
  ],
  [/^ctstate (\S+)/, 'match', ([, states = '']) => ['-m', 'conntrack', '--ctstate', states]],
  [/^redir ports (\S+)/, 'target', ([, port = '']) => ['--to-ports', port]],
  [
    /^TPROXY redirect \S+:(\d+) mark (\S+)/,
    'target',
    ([, port = '', mark = '']) => ['--on-port', port, '--tproxy-mark', mark],
  ],
  [/^MARK set (\S+)/, 'target', ([, mark = '']) => ['--set-mark', mark]],
  [/^CONNMARK (save|restore)/, 'target', ([, what = '']) => [`--${what}-mark`]],
  [/^CT zone (\S+)/, 'target', ([, zone = '']) => ['--zone', zone]],
  [/^to:(\S+:\d+)/, 'target', ([, to = '']) => ['--to-destination', to]],
  [/^to:(\S+)/, 'target', ([, to = '']) => ['--to-source', to]],
]

function readExtra(extra: string): { readonly words: string[]; readonly options: string[] } {
  const words: string[] = []
  const options: string[] = []
  let rest = extra.trim()
  while (rest !== '') {
    let used = 0
    for (const [pattern, what, print] of EXTRAS) {
      const parts = used === 0 ? pattern.exec(rest) : null
      if (parts === null) continue
      used = parts[0].length
      const list = what === 'match' ? words : options
      list.push(...print(parts.map((part: string | undefined) => part ?? '')))
    }
    if (used === 0) {
      words.push(rest)
      break
    }
    rest = rest.slice(used).trim()
  }
  return { words, options }
}

function bang(not: string | undefined): string[] {
  return (not ?? '').startsWith('!') ? ['!'] : []
}

function address(option: '-s' | '-d', text: string, isV6: boolean): string[] {
  const plain = text.replace(/^!/, '')
  if (plain === '0.0.0.0/0' || plain === '::/0') return []
  const full = plain.includes('/') ? plain : `${plain}/${isV6 || plain.includes(':') ? 128 : 32}`
  return [...bang(text), option, full]
}

function interfaceWords(option: '-i' | '-o', text: string): string[] {
  return text === '*' ? [] : [...bang(text), option, text.replace(/^!/, '')]
}

const UNITS = { K: 1e3, M: 1e6, G: 1e9, T: 1e12 } as const

function readCount(text: string): number {
  const [, digits = '', unit = ''] = /^(\d+)([KMGT]?)$/.exec(text) ?? []
  return Number(digits) * (Object.entries(UNITS).find(([name]) => name === unit)?.[1] ?? 1)
}
