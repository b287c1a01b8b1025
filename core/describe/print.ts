/** A description for people: the first contradiction, then everything that it was found by. */
import { printCidr } from '../cidrs.ts'
import type { InterceptionOptions } from '../options/interception.ts'
import { printPortRange, type PortRange } from '../ports.ts'
import { visible } from '../problem.ts'
import { printRule } from '../rules/iptables.ts'
import type { Rule } from '../rules/model.ts'
import { hasOurs } from '../rules/ours.ts'
import type { Contradiction } from './contradiction.ts'
import { decidedBy } from './decider.ts'
import type { Case } from './judge.ts'
import { printEndOf } from './judge-passages.ts'
import type { Passage } from './packets.ts'
import { ourRules, type Admin, type Seen } from './seen.ts'
import type { Listener } from './sockets.ts'

/** Why a rule of ours is there. */
type Why = (table: string, chain: string, rule: Rule) => string | undefined

/** What the description comes to: the exit status follows it. */
export type Verdict = 'fine' | 'contradiction' | 'unknown'

/** The verdict, and the sentence that says it. */
export function verdictOf(
  { asked, seen, passages }: Case,
  [first]: readonly Contradiction[],
): { readonly verdict: Verdict; readonly says: string } {
  if (first !== undefined) return { verdict: 'contradiction', says: first.says }
  const [unseen] = seen.unseen
  if (unseen !== undefined) {
    return {
      verdict: 'unknown',
      says: `nothing contradicts, but not all could be looked at: ${unseen.says}`,
    }
  }
  const undecided = passages.find(({ live }) => live.end.kind === 'undecided')
  if (undecided !== undefined) {
    return {
      verdict: 'unknown',
      says: `nothing contradicts, but where a packet ends could not be told: ${undecided.says}, and this is ${printEndOf(undecided.live.end)}${decidedBy(undecided)}`,
    }
  }
  if (asked !== undefined && asked.rules === undefined) {
    return { verdict: 'fine', says: 'the pod asks for no rules, and there are none' }
  }
  if (asked !== undefined) return { verdict: 'fine', says: 'the rules do what the pod asks for' }
  return seen.standings.some(({ rules }) => hasOurs(rules))
    ? {
        verdict: 'fine',
        says: 'the rules and the listeners fit; what the pod asks for was not given',
      }
    : {
        verdict: 'unknown',
        says: 'there are no rules of a sidecar here, and no pod was given that asks for any',
      }
}

/** The whole text. Nothing of it is a control character but its line ends. */
export function printDescription(
  one: Case,
  found: readonly Contradiction[],
  place: string,
  why: Why,
): string {
  const { seen, passages } = one
  const sections: readonly (readonly [string, readonly string[]])[] = [
    ['asked', askedLines(one)],
    [`rules in ${place}`, ruleLines(seen)],
    ['packets', passages.map(passageLine)],
    ['listeners', listenerLines(one)],
    ['counters', counterLines(seen, why)],
    ['differences (- missing, + too much, ~ moved)', one.wanted?.drift ?? []],
    ['not looked at', seen.unseen.map(({ says }) => says)],
    [
      'contradictions',
      found.flatMap(({ code, says, remedy }) => [`${code}: ${says}`, `  do: ${remedy}`]),
    ],
  ]
  const shown = sections.filter(([, lines]) => lines.length > 0)
  return [
    verdictOf(one, found).says,
    ...(found[0] === undefined ? [] : [`  do: ${found[0].remedy}`]),
    ...shown.flatMap(([title, lines]) => ['', `${title}:`, ...lines.map((line) => `  ${line}`)]),
  ]
    .map((line) => `${visible(line)}\n`)
    .join('')
}

function askedLines({ asked }: Case): readonly string[] {
  if (asked === undefined) return ['not known: NAMESPACE/POD or -f FILE says it']
  const { pod, by, from, rules, annotations, proxy } = asked
  const writer = {
    init: 'its init container writes rules',
    node: 'its node writes rules',
    nobody: 'no rules',
  }[by]
  const user = proxy?.uid === undefined ? '' : `the proxy runs as uid ${proxy.uid}`
  return [
    `pod ${pod}: ${writer}, by ${from}`,
    ...(rules === undefined
      ? []
      : [...printOptions(rules.options), `engine: ${rules.engine ?? 'whichever the node uses'}`]),
    ...(user === '' ? [] : [user]),
    ...annotations.map(([key, text]) => `${key}: ${JSON.stringify(text)}`),
  ]
}

/** The settings that matter here, in words. */
export function printOptions(options: InterceptionOptions): readonly string[] {
  const { inboundPorts, includeOutboundCidrs: ranges, ports } = options
  const list = (some: readonly PortRange[]): string =>
    some.map((one) => printPortRange(one)).join(', ')
  const but = (text: string): string => (text === '' ? '' : ` but ${text}`)
  const inbound =
    inboundPorts === 'none'
      ? 'nothing'
      : inboundPorts === '*'
        ? `all ports${but(list(options.excludeInboundPorts))}`
        : `ports ${list(inboundPorts)}`
  const outbound = ranges === '*' ? 'all addresses' : ranges.map(printCidr).join(', ') || 'nothing'
  const excluded = [
    ...options.excludeOutboundCidrs.map(printCidr),
    ...(options.excludeOutboundPorts.length === 0
      ? []
      : [`port ${list(options.excludeOutboundPorts)}`]),
  ].join(', ')
  const dns = { off: 'not captured', servers: "to the pod's resolvers", all: 'all of port 53' }[
    options.dns
  ]
  return [
    `inbound (${options.mode}): ${inbound}, to ${ports.inbound}`,
    `outbound: ${outbound}${but(excluded)}, to ${ports.outbound}`,
    `spared: uid ${options.proxyUids.join(', ')}, gid ${options.proxyGids.join(', ')}; DNS: ${dns}; IPv6 beside IPv4: ${options.dualStack ? 'yes' : 'no'}`,
  ]
}

function ruleLines({ standings }: Seen): readonly string[] {
  return standings.map(({ engine, families, rules }) => {
    const chains = rules.tables.flatMap((table) => table.chains)
    const count = chains.reduce((sum, chain) => sum + chain.rules.length, 0)
    const ours = hasOurs(rules) ? 'with rules of a sidecar' : 'none of a sidecar'
    return `${engine} ${families.map((family) => `IPv${family.slice(1)}`).join(' and ')}: ${count} rules, ${ours}`
  })
}

function passageLine({ family, says, want, live, taker, packet }: Passage): string {
  const isHere = live.end.kind === 'captured' || 'in' in packet
  const taken = taker === undefined ? 'nobody listens' : listenerName(taker)
  const end = `${printEndOf(live.end)}${isHere ? `, ${taken}` : ''}`
  const wish =
    want === undefined || printEndOf(want) === printEndOf(live.end)
      ? ''
      : `; asked: ${printEndOf(want)}`
  return `IPv${family.slice(1)} ${says}: ${end}${wish}`
}

function listenerLines({ seen }: Case): readonly string[] {
  const sockets = [...seen.listeners]
    .sort((a, b) => a.port - b.port)
    .map((one) => {
      const host = one.family === 'v6' ? `[${one.address}]` : one.address
      return `${one.protocol} ${host}:${one.port} ${listenerName(one)}`
    })
  return [...sockets, adminLine(seen.admin)]
}

function adminLine(admin: Admin): string {
  switch (admin.kind) {
    case 'ready':
      return "Envoy's admin interface says that it is ready"
    case 'not-ready':
      return `Envoy's admin interface says: ${admin.says}`
    case 'silent':
      return `Envoy's admin interface was not asked: ${admin.why}`
  }
}

function listenerName({ uid, program }: Listener): string {
  return program === undefined
    ? `uid ${uid}`
    : `${program.name} (pid ${program.pid}, uid ${uid}, gid ${program.gid})`
}

function counterLines(seen: Seen, why: Why): readonly string[] {
  return ourRules(seen).map(({ engine, families, table, chain, place, rule }) => {
    const family = families.map((one) => `IPv${one.slice(1)}`).join('+')
    const count = rule.counted === undefined ? '?' : `${rule.counted.packets}`
    const reason = why(table, chain, rule)
    const line = `${engine} ${family} ${table} ${chain} ${place}: ${count} packets, ${printRule(rule)}`
    return reason === undefined ? line : `${line}  # ${reason}`
  })
}
