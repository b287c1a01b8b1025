import type { Answer } from './call.ts'
import type { AccessLine } from './access-line.ts'
import type { Grown } from './counters.ts'
import type { Journey, Leg, Logged } from './journey.ts'
import type { Endpoint, Trace } from '../core/rules/trace.ts'

/**
 * Where the prediction and what happened differ, each a sentence; nothing when all agree. In the nat table
 * a rule grows by one for each connection; in others it counts every packet, so there only hits are asked for.
 */
export function compare(
  journey: Journey,
  answer: Answer,
  grown: readonly Grown[],
  lines: readonly (AccessLine | undefined)[],
): readonly string[] {
  return [
    ...compareCounters(
      journey.legs.map((leg) => leg.trace),
      grown,
    ),
    ...compareLog(journey, answer, lines),
    ...compareSight(journey, answer),
  ]
}

/** The same for the rules alone. */
export function compareCounters(
  traces: readonly Trace[],
  grown: readonly Grown[],
): readonly string[] {
  const expected = new Map<string, number>()
  for (const { table, chain, place } of traces.flatMap(({ hops }) => hops)) {
    if (place === undefined) continue
    const key = `${table} ${chain} ${place}`
    expected.set(key, (expected.get(key) ?? 0) + 1)
  }
  const counted = new Map(
    grown.map((one) => [`${one.table} ${one.chain} ${one.place}`, one.after - one.before]),
  )
  return [...new Set([...expected.keys(), ...counted.keys()])].flatMap((key) => {
    const [want, got] = [expected.get(key) ?? 0, counted.get(key) ?? 0]
    const agrees = key.startsWith('nat ') ? want === got : want === 0 || got > 0
    return agrees
      ? []
      : [`rule ${key}: the tracer expects ${want} packets, the kernel counted ${got}`]
  })
}

function compareLog(
  { legs, logged }: Journey,
  answer: Answer,
  lines: readonly (AccessLine | undefined)[],
): readonly string[] {
  if (lines.length !== logged.length) {
    return [`access log: ${logged.length} lines expected, ${lines.length} written`]
  }
  return logged.flatMap((log): readonly string[] => {
    const line = lines.find((one) => one?.upstreamCluster === log.cluster)
    if (line === undefined) return [`access log: no line of ${log.cluster}`]
    const at = legs.findIndex((leg) => (directionOf(leg) ?? '') === log.direction)
    return compareLine(log, line, legs[at], legs[at + 1], at === 0 ? answer.port : undefined)
  })
}

function compareLine(
  log: Logged,
  line: AccessLine,
  leg: Leg | undefined,
  next: Leg | undefined,
  port: number | undefined,
): readonly string[] {
  const differs = (name: string, got: string, isRight: boolean, want: string): string[] =>
    isRight ? [] : [`access log of ${log.cluster}: ${name} is ${got}, expected ${want}`]
  const original = text(log.original)
  const upstream = log.upstream.map(text)
  const caller = leg === undefined ? '' : hostOf(leg.packet.from.address)
  const remote = port === undefined ? `${caller}:` : `${caller}:${port}`
  const own = next === undefined ? '' : `${hostOf(next.packet.from.address)}:`
  const hasHost =
    upstream.length === 0 ? line.upstreamHost === '-' : upstream.includes(line.upstreamHost)
  // Without a connection there is no own end of it.
  const isUnreached = line.responseFlags.split(',').includes('UF')
  return [
    ...differs('route', line.routeName, line.routeName === log.route, log.route),
    ...differs(
      'original destination',
      line.downstreamLocalAddress,
      line.downstreamLocalAddress === original,
      original,
    ),
    ...differs(
      'caller',
      line.downstreamRemoteAddress,
      line.downstreamRemoteAddress.startsWith(remote),
      remote,
    ),
    ...differs('upstream', line.upstreamHost, hasHost, upstream.join(' or ')),
    ...differs(
      'own address',
      line.upstreamLocalAddress,
      isUnreached || line.upstreamLocalAddress.startsWith(own),
      own,
    ),
  ]
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

function directionOf({ taken }: Leg): Logged['direction'] | undefined {
  if (taken === 'virtualInbound') return 'inbound'
  return taken === 'virtualOutbound' ? 'outbound' : undefined
}

function text({ address, port }: Endpoint): string {
  return `${hostOf(address)}:${port}`
}

function hostOf(address: string): string {
  return address.includes(':') ? `[${address}]` : address
}
