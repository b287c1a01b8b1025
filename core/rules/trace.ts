import { containsAddress, type Family } from '../cidrs.ts'
import type { Port } from '../ports.ts'
import {
  chainsOf,
  type Chain,
  type Hook,
  type Match,
  type Rule,
  type RuleSet,
  type Verdict,
} from './model.ts'

/** One end of a connection. */
export type Endpoint = { readonly address: string; readonly port: Port }

/**
 * The first packet of a connection. With `in` it comes from outside by that interface; with `out` a process
 * of this pod sends it. A packet without uid belongs to no process, such as one that is forwarded.
 */
export type Packet = {
  readonly protocol: 'tcp' | 'udp'
  readonly from: Endpoint
  readonly to: Endpoint
  readonly uid?: number
  readonly gid?: number
  readonly mark?: number
  /** What conntrack says of it; NEW unless told otherwise. Only a new connection meets the nat table. */
  readonly state?: 'NEW' | 'ESTABLISHED' | 'INVALID'
} & ({ readonly in: string } | { readonly out: string })

/** Rules that stand beside others in one network, and what they are called. */
export type Source = { readonly name: string; readonly rules: RuleSet }

/** A rule that took the packet, with its place in the chain (1 is the first), or a chain's end. */
export type Hop = {
  /** Which of several sources it stands in; absent where there is one. */
  readonly source?: string
  readonly table: string
  readonly hook: Hook
  readonly chain: string
  readonly place?: number
  readonly rule?: Rule
}

/** Where the packet ends. `left-alone`: no rule changes where it goes. */
export type TraceEnd =
  | { readonly kind: 'captured'; readonly by: 'redirect' | 'tproxy'; readonly port: Port }
  | { readonly kind: 'rewritten'; readonly to: string }
  | { readonly kind: 'left-alone' }
  | { readonly kind: 'dropped' }
  /** A rule that cannot be judged from the outside decides; it is the last hop. */
  | { readonly kind: 'undecided' }
  /** The rules send the packet round in a circle. */
  | { readonly kind: 'endless' }

/** The way of a packet and its end. */
export type Trace = { readonly hops: readonly Hop[]; readonly end: TraceEnd }

/** What changes on the way. */
type State = {
  readonly packet: Packet
  readonly in: string | undefined
  readonly out: string | undefined
  to: Endpoint
  mark: number
  connectionMark: number
  /** Conntrack was told to pass it over: the nat table is not asked. */
  isUntracked: boolean
  readonly hops: Hop[]
}

/** A source that may have no name. */
type Rules = { readonly name?: string; readonly rules: RuleSet }

type Step = TraceEnd | 'go-on' | 'accepted' | 'returned'

/** The deepest nesting of jumps that the kernel takes. */
const DEEPEST = 16

/**
 * Follows the first packet of a connection through the rules: raw, mangle, nat and filter of its hook, and
 * mangle and filter of INPUT where it stays in the pod. What a pod sends to itself comes in again by `lo`,
 * where the nat table is not asked a second time.
 */
export function trace(set: RuleSet, packet: Packet): Trace {
  return followAll([{ rules: set }], packet)
}

/** The same where several stand in one network: each table is asked in all of them, in the order given. */
export function traceSources(sources: readonly Source[], packet: Packet): Trace {
  return followAll(sources, packet)
}

function followAll(sources: readonly Rules[], packet: Packet): Trace {
  const hops: Hop[] = []
  const start: State = {
    packet,
    in: 'in' in packet ? packet.in : undefined,
    out: 'out' in packet ? packet.out : undefined,
    to: packet.to,
    mark: packet.mark ?? 0,
    connectionMark: 0,
    isUntracked: false,
    hops,
  }
  const end =
    'in' in packet
      ? comesIn(sources, start, ['raw', 'mangle', 'nat'])
      : goesOut(sources, start, packet.out === 'lo')
  return { hops, end }
}

function goesOut(sources: readonly Rules[], state: State, isOwn: boolean): TraceEnd {
  const end = follow(sources, state, 'OUTPUT', ['raw', 'mangle', 'nat'])
  if (!isOnItsWay(end)) return end
  const filtered = follow(sources, state, 'OUTPUT', ['filter'])
  if (filtered.kind !== 'left-alone') return filtered
  if (!isOwn && end.kind !== 'captured') return end
  const again = comesIn(sources, { ...state, in: 'lo', out: undefined }, ['raw', 'mangle'])
  return again.kind === 'left-alone' ? end : again
}

function comesIn(sources: readonly Rules[], state: State, tables: readonly string[]): TraceEnd {
  const end = follow(sources, state, 'PREROUTING', tables)
  if (!isOnItsWay(end)) return end
  const filtered = follow(sources, state, 'INPUT', ['mangle', 'filter'])
  return filtered.kind === 'left-alone' ? end : filtered
}

function isOnItsWay({ kind }: TraceEnd): boolean {
  return kind === 'left-alone' || kind === 'captured'
}

function follow(
  sources: readonly Rules[],
  state: State,
  hook: Hook,
  tables: readonly string[],
): TraceEnd {
  for (const table of tables) {
    for (const { name, rules } of sources) {
      if (table === 'nat' && stateOf(state) !== 'NEW') continue
      const chains = chainsOf(rules, table)
      const base = chains.find((chain) => chain.name === hook)
      if (base === undefined) continue
      const at = { ...(name !== undefined && { source: name }), table, hook }
      const step = walk({ state, at, chains }, base, 0)
      if (typeof step !== 'string') return step
      if (step !== 'accepted' && base.policy === 'DROP') return { kind: 'dropped' }
    }
  }
  return { kind: 'left-alone' }
}

type Place = {
  readonly state: State
  readonly at: Pick<Hop, 'source' | 'table' | 'hook'>
  readonly chains: readonly Chain[]
}

function walk(place: Place, chain: Chain, depth: number): Step {
  if (depth > DEEPEST) return { kind: 'endless' }
  const { state, at, chains } = place
  for (const [index, rule] of chain.rules.entries()) {
    const isMet = meets(rule.match, state, at.hook)
    // Whether a rule is met that changes nothing makes no difference.
    if (isMet === false || (isMet === undefined && isHarmless(rule))) continue
    state.hops.push({ ...at, chain: chain.name, place: index + 1, rule })
    if (isMet === undefined) return { kind: 'undecided' }
    const step = take(rule, state, at.hook)
    if (step === 'returned') return 'returned'
    if (step !== 'go-on') return step
    if (rule.then.do !== 'jump') continue
    const { to } = rule.then
    const next = chains.find((one) => one.name === to)
    const inner =
      next === undefined ? ({ kind: 'undecided' } as const) : walk(place, next, depth + 1)
    if (inner !== 'go-on' && inner !== 'returned') return inner
  }
  state.hops.push({ ...at, chain: chain.name })
  return 'go-on'
}

function take({ then }: Rule, state: State, hook: Hook): Step {
  switch (then.do) {
    case 'return':
      return 'returned'
    case 'accept':
      return 'accepted'
    case 'drop':
      return { kind: 'dropped' }
    case 'redirect':
      state.to = { address: ownAddress(state, hook), port: then.port }
      return { kind: 'captured', by: 'redirect', port: then.port }
    case 'tproxy':
      state.mark = then.mark
      return { kind: 'captured', by: 'tproxy', port: then.port }
    case 'mark':
      state.mark = then.value
      return 'go-on'
    case 'save-mark':
      state.connectionMark = state.mark
      return 'go-on'
    case 'restore-mark':
      state.mark = state.connectionMark
      return 'go-on'
    case 'dnat':
      return { kind: 'rewritten', to: then.to }
    case 'jump':
    case 'zone':
    case 'snat':
      return 'go-on'
    case 'other': {
      if (isReject(then)) return { kind: 'dropped' }
      if (isNotrack(then)) state.isUntracked = true
      return isNotrack(then) || isNeutral(then.words) ? 'go-on' : { kind: 'undecided' }
    }
  }
}

/** Foreign targets after which a packet goes on, its addresses, ports and marks as they were. */
const HARMLESS = new Set([
  ...['LOG', 'NFLOG', 'ULOG', 'TRACE', 'CT', 'CLASSIFY', 'CHECKSUM'],
  ...['DSCP', 'TOS', 'TTL', 'HL', 'TCPMSS', 'SET'],
])

/** A rule without target only counts. */
function isNeutral([, target = '', ...options]: readonly string[]): boolean {
  const isTurned = options.includes('--notrack') || options.includes('--map-set')
  return target === '' || (HARMLESS.has(target) && !isTurned)
}

function isHarmless({ then }: Rule): boolean {
  return then.do === 'other' && isNeutral(then.words)
}

/** Whether conntrack passes over the packets that meet a rule, so that the nat table never sees them. */
export function isNotrack(then: Verdict): boolean {
  if (then.do !== 'other') return false
  const [, target, ...options] = then.words
  return target === 'NOTRACK' || (target === 'CT' && options.includes('--notrack'))
}

/** Whether a rule drops what meets it and tells the sender. */
export function isReject(then: Verdict): boolean {
  return then.do === 'other' && then.words[1] === 'REJECT'
}

/** What conntrack says of the packet now. */
function stateOf({ packet, isUntracked }: State): string {
  return isUntracked ? 'UNTRACKED' : (packet.state ?? 'NEW')
}

/** Where REDIRECT sends: to loopback what the pod sends, to the interface's own address what comes in. */
function ownAddress(state: State, hook: Hook): string {
  if (hook === 'PREROUTING') return state.to.address
  return familyOf(state.packet) === 'v4' ? '127.0.0.1' : '::1'
}

/** Whether all conditions hold; undefined when one that cannot be judged is all that is left. */
function meets(match: readonly Match[], state: State, hook: Hook): boolean | undefined {
  const judged = match.map((one) => meetsOne(one, state, hook))
  if (judged.includes(false)) return false
  return judged.includes(undefined) ? undefined : true
}

function meetsOne(match: Match, state: State, hook: Hook): boolean | undefined {
  const not = 'not' in match
  const { packet } = state
  switch (match.on) {
    case 'protocol':
      return packet.protocol === match.is
    case 'family':
      return familyOf(packet) === match.is
    case 'interface': {
      const name = match.way === 'in' ? state.in : state.out
      return name !== undefined && isNamed(match.name, name) !== not
    }
    case 'address': {
      const { address } = match.end === 'source' ? packet.from : state.to
      const [network = '', bits = ''] = match.cidr.split('/')
      const family: Family = network.includes(':') ? 'v6' : 'v4'
      if (family !== familyOf(packet)) return false
      return containsAddress({ family, address: network, bits: Number(bits) }, address) !== not
    }
    case 'port': {
      const { port } = match.end === 'source' ? packet.from : state.to
      return match.ports.some(({ first, last }) => first <= port && port <= last) !== not
    }
    case 'owner': {
      // A packet that came in has no owner any more.
      const id = hook === 'OUTPUT' ? packet[match.who] : undefined
      if (id !== undefined && typeof match.id === 'string') return undefined
      return (id === match.id) !== not
    }
    case 'mark':
      return ((match.of === 'packet' ? state.mark : state.connectionMark) === match.value) !== not
    case 'conntrack':
      return match.states.includes(stateOf(state))
    case 'other':
      return isComment(match.words) ? true : protocolHolds(match.words, packet.protocol)
  }
}

/** `-m comment --comment TEXT` holds for every packet. */
function isComment({ length, 0: option, 1: module, 2: name }: readonly string[]): boolean {
  return length === 4 && option === '-m' && module === 'comment' && name === '--comment'
}

/** Whether a protocol is met that no rule of ours names, or the opposite of one; undefined for all other words. */
function protocolHolds(words: readonly string[], protocol: string): boolean | undefined {
  const [option, name, ...more] = words[0] === '!' ? words.slice(1) : words
  if (option !== '-p' || name === undefined || more.length > 0) return undefined
  const number = { tcp: '6', udp: '17' }[protocol]
  const isMet = name === 'all' || name === '0' || name === protocol || name === number
  return isMet !== (words[0] === '!')
}

function isNamed(pattern: string, name: string): boolean {
  return pattern.endsWith('+') ? name.startsWith(pattern.slice(0, -1)) : name === pattern
}

function familyOf(packet: Packet): Family {
  return packet.to.address.includes(':') ? 'v6' : 'v4'
}
