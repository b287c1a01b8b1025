import type { LogLine } from './access-tail.ts'
import { compareLog } from './agree-log.ts'
import type { Answer } from './call.ts'
import type { Grown } from './counters.ts'
import type { Journey, Leg } from './journey.ts'

/**
 * Where the prediction and what happened differ, each a sentence; nothing when all agree. `lines` are all that
 * the access log got meanwhile.
 */
export function compare(
  journey: Journey,
  answer: Answer,
  grown: readonly Grown[],
  lines: readonly LogLine[],
): readonly string[] {
  return [
    ...compareCounters(journey, grown),
    ...compareLog(journey, answer, lines, roundsOf(journey, grown)),
    ...compareSight(journey, answer),
  ]
}

/** How often a way that is a circle was gone round, by the rule that its last connection met last; else 1. */
function roundsOf({ legs, circle }: Journey, grown: readonly Grown[]): number {
  if (circle === undefined) return 1
  const met = countsOf(legs.slice(circle))
  const key = [...met.keys()].at(-1) ?? ''
  const first = countsOf(legs.slice(0, circle)).get(key) ?? 0
  const got = grown.find((one) => keyOf(one) === key)
  return got === undefined ? 0 : (got.after - got.before - first) / (met.get(key) ?? 1)
}

/**
 * In the nat table a rule grows by one for each connection; in others it counts every packet, so there only
 * hits are asked for.
 */
function compareCounters(journey: Journey, grown: readonly Grown[]): readonly string[] {
  const { legs, circle = 0 } = journey
  const rounds = roundsOf(journey, grown)
  const expected = new Map(countsOf(legs.slice(0, circle)))
  for (const [key, count] of countsOf(legs.slice(circle))) {
    expected.set(key, (expected.get(key) ?? 0) + count * rounds)
  }
  const counted = new Map(grown.map((one) => [keyOf(one), one.after - one.before]))
  return [...new Set([...expected.keys(), ...counted.keys()])].flatMap((key) => {
    const [want, got] = [expected.get(key) ?? 0, counted.get(key) ?? 0]
    const agrees = key.startsWith('nat ') ? want === got : want === 0 || got > 0
    return agrees
      ? []
      : [`rule ${key}: the tracer expects ${want} packets, the kernel counted ${got}`]
  })
}

/** How often each rule is met when every leg is gone once. */
function countsOf(legs: readonly Leg[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const { table, chain, place } of legs.flatMap(({ trace }) => trace.hops)) {
    if (place === undefined) continue
    const key = keyOf({ table, chain, place })
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return counts
}

function keyOf({ table, chain, place }: Pick<Grown, 'table' | 'chain' | 'place'>): string {
  return `${table} ${chain} ${place}`
}

/** The last connection is the one that the application sees. */
function compareSight({ legs, logged }: Journey, { seen }: Answer): readonly string[] {
  const last = legs.at(-1)
  if (seen === undefined || last === undefined) return []
  const { address } = last.packet.from
  const isHttp = seen.requestId !== undefined
  const contradictions: string[] = []
  if (seen.source !== address) {
    contradictions.push(`the application saw ${seen.source}, the tracer expects ${address}`)
  }
  if (isHttp !== logged.length > 0) {
    contradictions.push(`the request ${isHttp ? 'came' : 'did not come'} through an Envoy`)
  }
  return contradictions
}
