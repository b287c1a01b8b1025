import { BLACK_HOLE } from '../core/bootstrap/clusters.ts'
import type { Endpoint } from '../core/rules/trace.ts'
import type { AccessLine } from './access-line.ts'
import type { LogLine } from './access-tail.ts'
import type { Answer } from './call.ts'
import type { Journey, Logged } from './journey.ts'

/**
 * Where the access log and the prediction differ, each a sentence. `lines` are all that the log got meanwhile;
 * `rounds` tells how often a way that is a circle was gone round.
 */
export function compareLog(
  journey: Journey,
  answer: Answer,
  lines: readonly LogLine[],
  rounds: number,
): readonly string[] {
  const { isLogOn, logged, circle } = journey
  const strange = lines.filter(({ said }) => said === undefined)
  if (strange.length > 0) {
    return strange.map(({ text }) => `access log: a line that is not of its format: ${text}`)
  }
  const left = lines.flatMap(({ said }) => (said === undefined ? [] : [said]))
  if (isLogOn && circle !== undefined) return compareCircle(journey, answer, left, rounds)
  const expected = isLogOn ? logged : []
  if (left.length !== expected.length) {
    return [`access log: ${expected.length} lines expected, ${left.length} written`]
  }
  return expected.flatMap((log): readonly string[] => {
    const at = left.findIndex(
      ({ upstreamCluster = log.cluster }) => upstreamCluster === log.cluster,
    )
    const [line] = at < 0 ? [] : left.splice(at, 1)
    if (line === undefined) return [`access log: no line of ${log.cluster}`]
    return [
      ...compareLine(journey, log, line, answer),
      ...differs(log, 'status', line.status, statusOf(answer)),
    ]
  })
}

/** Connections at the end of a circle that were hung up before Envoy served them: it logs none, or no request. */
const UNSERVED = 1

/** By then the kernel has forgotten where a connection was meant for: it seems to be one to the capture port itself. */
function isForgotten({ upstreamCluster, path }: AccessLine): boolean {
  return upstreamCluster === BLACK_HOLE && path === '-'
}

/**
 * What gives out in the end cannot be told, so the status is not judged. But every round is a connection that Envoy
 * made for a request that it logs, and its own end of it is the caller in the next line.
 */
function compareCircle(
  journey: Journey,
  answer: Answer,
  all: readonly AccessLine[],
  rounds: number,
): readonly string[] {
  const { logged } = journey
  const lines = all.filter((line) => !isForgotten(line))
  const hungUp = all.length - lines.length
  const byCaller = new Map(lines.map((line) => [line.downstreamRemoteAddress, line]))
  const chain: AccessLine[] = []
  let caller: string | undefined = text(answer)
  for (;;) {
    const line = byCaller.get(caller)
    if (line === undefined) break
    byCaller.delete(caller)
    chain.push(line)
    caller = line.upstreamLocalAddress
  }
  const connected = chain.filter(({ upstreamLocalAddress }) => upstreamLocalAddress !== '-')
  return [
    ...(hungUp <= Math.max(0, rounds - connected.length)
      ? []
      : [`access log: ${hungUp} connections more than were captured again were hung up`]),
    ...(chain.length === lines.length
      ? []
      : [`access log: ${lines.length} lines, of which one after the other ${chain.length} are`]),
    ...(connected.length <= rounds && connected.length >= rounds - UNSERVED
      ? []
      : [`access log: ${rounds} connections were captured again, ${connected.length} are logged`]),
    ...chain.flatMap((line, index) => {
      const log = logged[index] ?? logged.at(-1)
      return log === undefined ? [] : compareLine(journey, log, line, answer)
    }),
  ]
}

/** Envoy gave no status where the caller got none, and where there is none to give. */
function statusOf({ status }: Answer): string {
  return typeof status === 'number' ? `${status}` : '0'
}

function compareLine(
  { legs, path = '-' }: Journey,
  log: Logged,
  line: AccessLine,
  answer: Answer,
): readonly string[] {
  const [leg, next] = [legs[log.leg], legs[log.leg + 1]]
  const upstream = log.upstream.map(text)
  const address = leg === undefined ? '' : hostOf(leg.packet.from.address)
  const isCallers = leg?.by === 'caller'
  const caller = isCallers ? `${address}:${answer.port}` : `${address}:`
  const own = next === undefined ? '' : `${hostOf(next.packet.from.address)}:`
  // Without a connection there is no own end of it.
  const isUnreached = line.flags?.split(',').includes('UF') === true
  const isOwn = (said: string): boolean => isUnreached || said.startsWith(own)
  const isCaller = (said: string): boolean =>
    isCallers ? said === caller : said.startsWith(caller)
  const isUpstream = (said: string): boolean =>
    upstream.length === 0 ? said === '-' : upstream.includes(said)
  const id = answer.seen?.requestId
  return [
    ...differs(log, 'path', line.path, path),
    ...differs(log, 'cluster', line.upstreamCluster, log.cluster),
    ...differs(log, 'route', line.routeName, log.route),
    ...differs(log, 'original destination', line.downstreamLocalAddress, text(log.original)),
    ...differs(log, 'caller', line.downstreamRemoteAddress, caller, isCaller),
    ...differs(log, 'upstream', line.upstreamHost, upstream.join(' or '), isUpstream),
    ...differs(log, 'own address', line.upstreamLocalAddress, own, isOwn),
    ...(id === undefined ? [] : differs(log, 'request id', line.requestId, id)),
  ]
}

/** One field against what is right; a field that the format does not ask for says nothing. */
function differs(
  { cluster }: Logged,
  name: string,
  said: string | undefined,
  want: string,
  isRight = (text: string): boolean => text === want,
): readonly string[] {
  return said === undefined || isRight(said)
    ? []
    : [`access log of ${cluster}: ${name} is ${said}, expected ${want}`]
}

function text({ address, port }: Endpoint): string {
  return `${hostOf(address)}:${port}`
}

function hostOf(address: string): string {
  return address.includes(':') ? `[${address}]` : address
}
