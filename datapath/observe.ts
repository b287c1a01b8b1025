/** Makes a request and looks at it from all sides: rules with counters, access log, what the application saw. */
import { randomBytes } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import type { Family } from '../core/cidrs.ts'
import { readAccessLine, type AccessLine } from './access-line.ts'
import type { Endpoint } from '../core/rules/trace.ts'
import { compare } from './agree.ts'
import type { Answer, Call, MakeCall } from './call.ts'
import { grownRules, type Grown, type ReadRules } from './counters.ts'
import { predict, type Caller, type Journey, type World } from './journey.ts'
import { ROOT, type Lab } from './lab.ts'
import type { Running } from './sidecar.ts'

/** A lab in which requests are watched. */
export type Watched = {
  readonly lab: Lab
  readonly makeCall: MakeCall
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
  /** Lines of the access log that tell of it, as they were written. */
  readonly lines: readonly string[]
  /** Where tracer, counters, log and application contradict each other; nothing when they agree. */
  readonly contradictions: readonly string[]
}

/** How long the access log is waited for, and how long for a line too many. Milliseconds. */
const LOG_PATIENCE = 3000
const LOG_CALM = 60

/** Makes the request under a path of its own, so that its lines are known. */
export async function observe(watched: Watched, { caller, call }: Request): Promise<Observed> {
  const { makeCall, readRules, running } = watched
  const family: Family = call.to.includes(':') ? 'v6' : 'v4'
  const before = await readRules(family)
  const { proxy, services, probed, user: proxyUser } = running
  const world: World = { rules: before, proxy, proxyUser, services, probed }
  const path = call.path ?? `/${randomBytes(4).toString('hex')}`
  const asked = { to: { address: call.to, port: call.port }, path }
  const expected = predict(world, caller, asked)
  const from = running.envoy.output().length
  const who = caller.place === 'client' ? ROOT : caller.who
  const answer = await makeCall(caller.place, who, { ...call, path })
  const lines = await linesAbout(running, from, path, expected.logged.length)
  const grown = grownRules(before, await readRules(family))
  const read = lines.map(readAccessLine)
  const journey = predict(world, caller, asked, chosenOf(expected, read))
  const contradictions = compare(journey, answer, grown, read)
  return { journey, answer, grown, lines, contradictions }
}

/** Which of several endpoints Envoy took; only its log knows. */
function chosenOf(
  { logged }: Journey,
  lines: readonly (AccessLine | undefined)[],
): Endpoint | undefined {
  return logged
    .filter(({ upstream }) => upstream.length > 1)
    .flatMap(({ cluster, upstream }) => {
      const line = lines.find((one) => one?.upstreamCluster === cluster)
      return upstream.filter((one) => line?.upstreamHost === `${one.address}:${one.port}`)
    })[0]
}

/** The lines that name the path, once there are as many as expected and no more come. */
async function linesAbout(
  { envoy }: Running,
  from: number,
  path: string,
  expected: number,
): Promise<readonly string[]> {
  const end = performance.now() + LOG_PATIENCE
  const look = (): readonly string[] =>
    envoy
      .output()
      .slice(from)
      .split('\n')
      .filter((line) => line.includes(` ${path} `))
  while (look().length < expected && performance.now() < end) await wait(10)
  await wait(LOG_CALM)
  return look()
}
