/** Makes a request and looks at it from all sides: rules with counters, access log, what the application saw. */
import { randomBytes } from 'node:crypto'
import type { Family } from '../core/cidrs.ts'
import type { Endpoint } from '../core/rules/trace.ts'
import { followLog, type LogLine } from './access-tail.ts'
import { compare } from './agree.ts'
import { makeCaller, type Answer, type Call } from './call.ts'
import { grownRules, type Grown, type ReadRules } from './counters.ts'
import { predict, type Asked, type Caller, type Journey, type World } from './journey.ts'
import { ROOT, type Lab } from './lab.ts'
import type { Running } from './sidecar.ts'

/** A lab in which requests are watched. */
export type Watched = {
  readonly lab: Lab
  readonly readRules: ReadRules
  readonly running: Running
}

/** One request and who makes it. */
export type Request = { readonly caller: Caller; readonly call: Call }

/** All that there is to know of one request. */
export type Observed = {
  readonly journey: Journey
  readonly answer: Answer
  readonly grown: readonly Grown[]
  /** All that the access log got meanwhile. */
  readonly lines: readonly LogLine[]
  /** Where tracer, counters, log and application contradict each other; nothing when they agree. */
  readonly contradictions: readonly string[]
}

/** How long a line too many is waited for: two flushes of Envoy; longer where many come. Milliseconds. */
const CALM = 40
const LONG_CALM = 500

/**
 * Callers connect from here on, below the ports that a kernel gives out (`ip_local_port_range`): every request from
 * another. A redirected connection has the capture port as its other end, wherever it was meant for; so where a port
 * is used for a second destination, the kernel shows the proxy another one than the caller has.
 */
export const FIRST_PORT = 20_000

/** Another program than the lab's caller, which speaks HTTP: it makes the request and tells the answer. */
export type Maker = {
  readonly protocol: 'http' | 'tcp' | 'udp'
  /** `from` is the port that it has to connect from, see {@link FIRST_PORT}. */
  readonly make: (from: number) => Promise<Answer>
}

/** Makes a request, or lets it be made, and looks at it. */
export type Observe = (request: Request, maker?: Maker) => Promise<Observed>

/** The only way to send a request in a lab: nobody sends one that is not judged. One at a time. */
export function makeObserver({ lab, readRules, running }: Watched): Observe {
  const makeCall = makeCaller(lab)
  const readLog = followLog(running)
  const { proxy, services, probed, user: proxyUser } = running
  let nextPort = FIRST_PORT
  return async ({ caller, call }, maker) => {
    const family: Family = call.to.includes(':') ? 'v6' : 'v4'
    const before = await readRules(family)
    const world: World = { rules: before, proxy, proxyUser, services, probed }
    // A path of its own tells its lines from all others.
    const path = call.path ?? `/${randomBytes(4).toString('hex')}`
    const { protocol } = maker ?? { protocol: 'http' }
    const asked: Asked = {
      to: { address: call.to, port: call.port },
      protocol: protocol === 'udp' ? 'udp' : 'tcp',
      ...(protocol === 'http' && { path }),
    }
    const expected = predict(world, caller, asked)
    const who = caller.place === 'client' ? ROOT : caller.who
    const from = nextPort++
    const answer = await (maker?.make(from) ?? makeCall(caller.place, who, from, { ...call, path }))
    const lines = await readLog(
      expected.isLogOn ? expected.logged.length : 0,
      expected.circle === undefined ? CALM : LONG_CALM,
    )
    const grown = grownRules(before, await readRules(family))
    const journey = predict(world, caller, asked, chosenOf(expected, lines))
    return { journey, answer, grown, lines, contradictions: compare(journey, answer, grown, lines) }
  }
}

/** Which of several endpoints Envoy took; only its log knows. */
function chosenOf({ logged }: Journey, lines: readonly LogLine[]): Endpoint | undefined {
  return logged
    .filter(({ upstream }) => upstream.length > 1)
    .flatMap(({ cluster, upstream }) => {
      const line = lines.find(({ said }) => said?.upstreamCluster === cluster)?.said
      return upstream.filter((one) => line?.upstreamHost === `${one.address}:${one.port}`)
    })[0]
}
