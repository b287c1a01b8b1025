/** What rules single out: packets like these are asked about, so that no rule goes unnoticed that takes only them. */
import { isLoopback, readCidr, type Family } from '../cidrs.ts'
import { DNS_PORT } from '../constants.ts'
import type { Port } from '../ports.ts'
import type { Match, Rule } from '../rules/model.ts'
import { isBuiltIn, isOurChain } from '../rules/names.ts'
import { isOurRule } from '../rules/ours.ts'
import { ourRules, type Seen } from './seen.ts'

/** The far end of a call, as far as a rule names it: the server of one that goes out, the peer of one that comes in. */
export type Spot = {
  readonly port?: Port
  readonly address?: string
  readonly uid?: number
  readonly gid?: number
}

/** Calls that the pod makes, and calls that it gets. */
export type Way = 'out' | 'in'

const OURS = { out: /OUTPUT$/, in: /INBOUND$/ } as const
const BUILT_IN = { out: ['OUTPUT'], in: ['PREROUTING', 'INPUT'] } as const
const FAR_END = { out: 'destination', in: 'source' } as const

/** First ports of the ranges that rules of a sidecar let pass. */
export function portsLetPass(seen: Seen, way: Way): readonly Port[] {
  return ourRules(seen)
    .filter(({ chain, rule }) => OURS[way].test(chain) && rule.then.do === 'return')
    .flatMap(({ rule }) => rule.match)
    .flatMap(portsOf)
}

/** What rules of other people name, each once. Rules for UDP and for DNS are passed over; DNS is asked about anyway. */
export function singledOut(seen: Seen, family: Family, way: Way): readonly Spot[] {
  const spots = foreignRules(seen, family, way).flatMap(({ match }): Spot[] => {
    if (match.some((one) => one.on === 'protocol' && one.is !== 'tcp')) return []
    const end = match.reduce<Spot>((spot, one) => ({ ...spot, ...endOf(one, family, way) }), {})
    const ports = match.flatMap(portsOf).filter((port) => port !== DNS_PORT)
    if (ports.length > 0) return ports.map((port) => ({ port, ...end }))
    return Object.keys(end).length > 0 && !match.some(({ on }) => on === 'port') ? [end] : []
  })
  return [...new Map(spots.map((spot) => [JSON.stringify(spot), spot])).values()]
}

/** Rules outside a sidecar's chains that a packet may meet. Nobody knows from where a chain of others is jumped to. */
function foreignRules({ standings }: Seen, family: Family, way: Way): readonly Rule[] {
  return standings
    .filter(({ families }) => families.includes(family))
    .flatMap(({ rules }) => rules.tables)
    .flatMap(({ chains }) => chains)
    .filter(({ name }) => !isOurChain(name))
    .filter(({ name }) => !isBuiltIn(name) || BUILT_IN[way].some((one) => one === name))
    .flatMap(({ name, rules }) => rules.filter((rule) => !isOurRule(true, name, rule)))
}

/** Who is at the far end, or who calls, as far as one condition says it. */
function endOf(one: Match, family: Family, way: Way): Spot {
  if ('not' in one) return {}
  if (one.on === 'owner') {
    return way === 'out' && typeof one.id === 'number' ? { [one.who]: one.id } : {}
  }
  if (one.on !== 'address' || one.end !== FAR_END[way]) return {}
  const read = readCidr('rule', one.cidr)
  if (!read.ok || read.value.family !== family || read.value.bits === 0) return {}
  const { address: text } = read.value
  return isLoopback({ family, text }) ? {} : { address: text }
}

function portsOf(one: Match): readonly Port[] {
  const isGoal = one.on === 'port' && one.end === 'destination' && !('not' in one)
  return isGoal ? one.ports.map(({ first }) => first) : []
}
