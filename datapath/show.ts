/** One observed request for people. */
import { visible } from '../core/problem.ts'
import { printRule } from '../core/rules/iptables.ts'
import type { Rule } from '../core/rules/model.ts'
import { printEnd } from '../iptables-init/print-trace.ts'
import type { Leg } from './journey.ts'
import type { Observed } from './observe.ts'

/** Why a rule of ours is there. */
export type Why = (table: string, chain: string, rule: Rule) => string | undefined

/** The connections of a request with the rules that each met, their counters, and everybody's account. */
export function showRequest(
  { journey, answer, grown, lines, contradictions }: Observed,
  why: Why,
): string {
  const counts = new Map(grown.map((one) => [keyOf(one), one.before]))
  const count = (key: string): string => {
    const before = counts.get(key) ?? 0
    counts.set(key, before + 1)
    return `${before} -> ${before + 1}`
  }
  const { seen } = answer
  const sight = seen === undefined ? '' : `; ${seen.by} saw ${seen.source} on port ${seen.port}`
  return [
    ...journey.legs.flatMap((leg) => showLeg(leg, count, why)),
    ...lines.map(({ text }) => `log      ${visible(text)}`),
    ...(lines.length === 0 ? ['log      no line: no listener that logs took it'] : []),
    `answer   ${answer.status}${sight}`,
    ...(contradictions.length === 0
      ? ['verdict  tracer, kernel counters, access log and application agree']
      : contradictions.map((one) => `verdict  CONTRADICTION: ${visible(one)}`)),
  ]
    .map((line) => `   ${line}\n`)
    .join('')
}

function showLeg(leg: Leg, count: (key: string) => string, why: Why): readonly string[] {
  const hops = leg.trace.hops.flatMap((hop) => {
    if (hop.rule === undefined || hop.place === undefined) return []
    const name = `${hop.table} ${hop.chain} ${hop.place}`
    const reason = why(hop.table, hop.chain, hop.rule)
    const line = `  ${name.padEnd(24)} ${count(name).padEnd(8)} ${printRule(hop.rule)}`
    return [reason === undefined ? line : `${line.padEnd(92)} # ${reason}`]
  })
  return [`packet   ${describe(leg)}`, ...hops, `  = ${endOf(leg)}`]
}

function describe({ by, packet }: Leg): string {
  const way = 'in' in packet ? `in by ${packet.in}` : `out by ${packet.out}`
  const owner = packet.uid === undefined ? '' : `, uid ${packet.uid}`
  const { from, to } = packet
  return `of the ${by}: ${from.address} > ${to.address}:${to.port}, ${way}${owner}`
}

function endOf({ trace, taken }: Leg): string {
  if (taken === 'destination') return printEnd(trace.end)
  const isAgents = taken === 'agent' || taken === 'dns'
  return `${printEnd(trace.end)}; ${isAgents ? 'the agent' : `Envoy's ${taken}`}`
}

function keyOf(one: {
  readonly table: string
  readonly chain: string
  readonly place: number
}): string {
  return `${one.table} ${one.chain} ${one.place}`
}
