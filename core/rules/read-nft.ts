import { readAddress, readCidr } from '../cidrs.ts'
import { NFT_TABLES } from '../constants.ts'
import { readPortRanges } from '../ports.ts'
import { good, type Read } from '../problem.ts'
import type { Match, Rule, RuleSet, Verdict } from './model.ts'

/**
 * Reads our tables out of nft text: what `nft list ruleset` prints, or a script of ours. Chains get the
 * names that they have in iptables (`PREROUTING`, `ISTIO-INBOUND`), tables too (`nat`). Other tables and
 * statements that are not ours are passed over, conditions that are not known are kept as they stand.
 */
export function readNft(text: string): Read<RuleSet> {
  const tables = new Map<string, Map<string, Rule[]>>()
  let table: string | undefined
  let chain: string | undefined
  for (const raw of text.split('\n')) {
    const line = raw.trim()
    const words = splitNft(line)
    const [first, second, third] = words
    if (first === 'table') {
      table = second === 'inet' ? ownTable(third) : undefined
      if (table !== undefined) tables.set(table, tables.get(table) ?? new Map<string, Rule[]>())
    } else if (first === 'chain' && table !== undefined && second !== undefined) {
      chain = iptablesChain(second)
      tables.get(table)?.set(chain, [])
    } else if (line === '}') {
      if (chain === undefined) table = undefined
      chain = undefined
    } else if (first === 'add' || first === 'insert' || first === 'delete' || first === 'flush') {
      readStatement(tables, words)
    } else if (table !== undefined && chain !== undefined && line !== '' && first !== 'type') {
      tables.get(table)?.get(chain)?.push(readNftRule(words))
    }
  }
  return good({
    tables: [...tables].map(([name, chains]) => ({
      name,
      chains: [...chains].map(([one, rules]) => ({ name: one, rules })),
    })),
  })
}

function readStatement(tables: Map<string, Map<string, Rule[]>>, words: readonly string[]): void {
  const [verb, what, family, name, chain, ...rest] = words
  const table = family === 'inet' ? ownTable(name) : undefined
  if (table === undefined) return
  if (what === 'table') {
    if (verb === 'delete') tables.delete(table)
    else if (!tables.has(table)) tables.set(table, new Map())
    return
  }
  if (chain === undefined) return
  const own = iptablesChain(chain)
  const chains = tables.get(table) ?? new Map<string, Rule[]>()
  tables.set(table, chains)
  const rules = chains.get(own) ?? []
  chains.set(own, rules)
  if (what !== 'rule') return
  const hasIndex = rest[0] === 'index'
  const rule = readNftRule(hasIndex ? rest.slice(2) : rest)
  rules.splice(verb === 'insert' ? (hasIndex ? Number(rest[1]) : 0) : rules.length, 0, rule)
}

/** Splits at blanks; a set in braces and a text in quotes are one word each, the quotes dropped. */
function splitNft(line: string): string[] {
  const parts = line.match(/"[^"]*"|\{[^}]*\}?|[^\s"{]+/g) ?? []
  return parts.map((part) => part.replace(/^"(.*)"$/, '$1'))
}

function ownTable(name: string | undefined): string | undefined {
  return Object.entries(NFT_TABLES).find(([, own]) => own === name)?.[0]
}

function iptablesChain(name: string): string {
  return name.toUpperCase()
}

/** What has been understood of a rule so far. */
type Draft = {
  match: Match[]
  then: Verdict
  counted?: { packets: number; bytes: number }
  tproxyPort?: number
}

function readNftRule(words: readonly string[]): Rule {
  const draft: Draft = { match: [], then: { do: 'other', words: [] } }
  let rest = words
  while (rest.length > 0) {
    const used = STATEMENTS.reduce((done, read) => (done > 0 ? done : read(draft, rest)), 0)
    if (used === 0) draft.match.push({ on: 'other', words: rest.slice(0, 1) })
    rest = rest.slice(Math.max(1, used))
  }
  const { match, then, counted } = draft
  return { match, then, ...(counted !== undefined && { counted }) }
}

/** Readers of one statement each: how many words they took, 0 when the statement is not theirs. */
const STATEMENTS: readonly ((draft: Draft, words: readonly string[]) => number)[] = [
  readCounter,
  readMarks,
  readMeta,
  readNames,
  readAddresses,
  readPorts,
  readState,
  readEnd,
]

function readCounter(draft: Draft, [word, packets, count, bytes, size]: readonly string[]): number {
  if (word !== 'counter') return 0
  if (packets !== 'packets' || bytes !== 'bytes') return 1
  draft.counted = { packets: Number(count), bytes: Number(size) }
  return 5
}

/** Marks of packets and connections, as conditions and as verdicts. */
function readMarks(draft: Draft, words: readonly string[]): number {
  const [first, second] = words
  const skipped = first === 'meta' && second === 'mark' ? 1 : 0
  const own = words.slice(skipped)
  if (own[0] === 'mark') {
    if (own[1] === 'set') {
      const isFromConnection = own[2] === 'ct' && own[3] === 'mark'
      const value = Number(own[2])
      if (isFromConnection) draft.then = { do: 'restore-mark' }
      else if (draft.tproxyPort === undefined) draft.then = { do: 'mark', value }
      else draft.then = { do: 'tproxy', port: draft.tproxyPort, mark: value }
      return skipped + (isFromConnection ? 4 : 3)
    }
    return skipped + pushMark(draft, 'packet', own)
  }
  if (first !== 'ct' || second !== 'mark') return 0
  if (words[2] !== 'set') return 1 + pushMark(draft, 'connection', words.slice(1))
  draft.then = { do: 'save-mark' }
  return words[3] === 'meta' ? 5 : 4
}

function pushMark(
  draft: Draft,
  of: 'packet' | 'connection',
  [, ...words]: readonly string[],
): number {
  const { not, value, used } = negated(words)
  draft.match.push({ on: 'mark', of, value: Number(value), ...not })
  return 1 + used
}

function readMeta(draft: Draft, [first, second, third, fourth]: readonly string[]): number {
  if (first !== 'meta') return 0
  if (second === 'l4proto' && (third === 'tcp' || third === 'udp')) {
    draft.match.push({ on: 'protocol', is: third })
    return 3
  }
  if (second === 'nfproto' && (third === 'ipv4' || third === 'ipv6')) {
    draft.match.push({ on: 'family', is: third === 'ipv4' ? 'v4' : 'v6' })
    return 3
  }
  if (second !== 'skuid' && second !== 'skgid') return 0
  return 1 + readNames(draft, [second, third ?? '', fourth ?? ''])
}

function readNames(draft: Draft, [first, ...words]: readonly string[]): number {
  const { not, value, used } = negated(words)
  switch (first) {
    case 'iifname':
    case 'oifname': {
      const name = value.endsWith('*') ? `${value.slice(0, -1)}+` : value
      draft.match.push({ on: 'interface', way: first === 'iifname' ? 'in' : 'out', name, ...not })
      return 1 + used
    }
    case 'skuid':
    case 'skgid': {
      const id = /^\d+$/.test(value) ? Number(value) : value
      draft.match.push({ on: 'owner', who: first === 'skuid' ? 'uid' : 'gid', id, ...not })
      return 1 + used
    }
    default:
      return 0
  }
}

function readAddresses(draft: Draft, [family, end, ...words]: readonly string[]): number {
  if ((family !== 'ip' && family !== 'ip6') || (end !== 'saddr' && end !== 'daddr')) return 0
  const { not, value, used } = negated(words)
  const full = readAddress('rule', value).ok ? `${value}/${family === 'ip' ? 32 : 128}` : value
  if (!readCidr('rule', full).ok) return 0
  draft.match.push({
    on: 'address',
    end: end === 'saddr' ? 'source' : 'destination',
    cidr: full,
    ...not,
  })
  return 2 + used
}

function readPorts(draft: Draft, [protocol, end, ...words]: readonly string[]): number {
  if ((protocol !== 'tcp' && protocol !== 'udp') || (end !== 'dport' && end !== 'sport')) return 0
  const { not, value, used } = negated(words)
  const ports = readPortRanges('rule', value.replace(/[{}\s]/g, ''))
  if (!ports.ok) return 0
  if (!draft.match.some((one) => one.on === 'protocol'))
    draft.match.push({ on: 'protocol', is: protocol })
  const which = end === 'sport' ? 'source' : 'destination'
  draft.match.push({ on: 'port', end: which, ports: ports.value.ranges, ...not })
  return 2 + used
}

function readState(draft: Draft, [first, second, third, fourth]: readonly string[]): number {
  if (first !== 'ct' || third === undefined) return 0
  if (second === 'state') {
    draft.match.push({ on: 'conntrack', states: third.toUpperCase().split(',') })
    return 3
  }
  if (second !== 'zone' || third !== 'set') return 0
  draft.then = { do: 'zone', zone: Number(fourth) }
  return 4
}

function readEnd(draft: Draft, [first, second, third, fourth]: readonly string[]): number {
  switch (first) {
    case 'return':
    case 'drop':
      draft.then = { do: first }
      return 1
    case 'accept':
      // Behind a tproxy statement it only closes the rule.
      if (draft.then.do !== 'tproxy') draft.then = { do: 'accept' }
      return 1
    case 'jump':
      draft.then = { do: 'jump', to: iptablesChain(second ?? '') }
      return 2
    case 'redirect':
      draft.then = { do: 'redirect', port: Number((third ?? '').replace(/^:/, '')) }
      return 3
    case 'tproxy': {
      const hasFamily = second === 'ip' || second === 'ip6'
      draft.tproxyPort = Number(((hasFamily ? fourth : third) ?? '').replace(/^:/, ''))
      return hasFamily ? 4 : 3
    }
    default:
      return 0
  }
}

function negated(words: readonly string[]): {
  readonly not: { readonly not?: true }
  readonly value: string
  readonly used: number
} {
  const isNot = words[0] === '!='
  return { not: isNot ? { not: true } : {}, value: words[isNot ? 1 : 0] ?? '', used: isNot ? 2 : 1 }
}
