/** Pods keep coming while the webhook is restarted, interrupted and killed; the API server counts. */
import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { need } from '../require.ts'
import { controlPlaneUnavailable, startControlPlane } from './control-plane.ts'
import { register, registrationOf, startFleet, type Fleet } from './fleet.ts'
import {
  createSteadily,
  printReport,
  type Load,
  type LoadOptions,
  type LoadReport,
} from './load.ts'
import { createNamespace } from './objects.ts'
import { until } from './until.ts'

const MESHED = 'meshed'
const PER_SECOND = 20
const ROLLING_RESTARTS = 10
/** Pods at once: more than the 25 connections that an API server keeps, so that it opens some to each replica. */
const BURST = 40

t.test('rollout under load', need(controlPlaneUnavailable()), async (t) => {
  const controlPlane = await startControlPlane({ controllers: ['serviceaccount-controller'] })
  t.teardown(() => controlPlane.stop())
  await createNamespace(controlPlane, MESHED, { 'istio-injection': 'enabled' })
  const fleet = await startFleet(controlPlane)
  t.teardown(() => fleet.close())
  await register(controlPlane, MESHED, registrationOf(fleet.url, fleet.caPem))
  const load = (options: Pick<LoadOptions, 'atOnce'> = {}) =>
    createSteadily(controlPlane, { namespace: MESHED, perSecond: PER_SECOND, ...options })

  await t.test(`${ROLLING_RESTARTS} rolling restarts lose no Pod`, (t) =>
    restarts(t, fleet, load()),
  )
  const stop = (name: string) => {
    controlPlane.processes.signal(name, 'SIGSTOP')
  }
  await t.test('SIGKILL of one of two loses no more than it had in hand', (t) =>
    killed(t, fleet, load(), stop),
  )
  await t.test('a replica that stands still is passed by', (t) => hung(t, fleet, load, stop))
})

/** One after another and all at once; by SIGTERM, and by SIGINT, which must do the same. */
const MANNERS = [
  { signal: 'SIGTERM', isAtOnce: false },
  { signal: 'SIGINT', isAtOnce: true },
] as const

async function restarts(t: Test, fleet: Fleet, load: Load): Promise<void> {
  const gone: string[] = []
  for (let time = 0; time < ROLLING_RESTARTS; time++) {
    gone.push(...fleet.replicas())
    load.burst(BURST)
    await fleet.rollingRestart(MANNERS[time % MANNERS.length])
  }
  const endings = await Promise.all(gone.map(fleet.ended))
  const report = await load.stop()
  t.comment(`${printReport(report)}; ${gone.length} replicas replaced`)
  t.strictSame(report.failures, [], 'no creation failed')
  t.equal(report.plain, 0, 'every Pod has its sidecar')
  t.ok(enough(report), `${report.created} Pods in ${report.seconds} s`)
  t.strictSame(fleet.balancer.lost, [], 'no connection was refused, none cut with an answer due')
  t.equal(gone.length, 2 * ROLLING_RESTARTS)
  t.strictSame(new Set(endings), new Set(['exit 0']), 'each drained and ended by itself')
}

/** Connections to the dead address fail until the balancer knows; nothing else may. */
async function killed(t: Test, fleet: Fleet, load: Load, stop: (name: string) => void) {
  const [victim = ''] = fleet.replicas()
  // Held still first, so that there is something in its hands when it dies.
  stop(victim)
  load.burst(BURST)
  await until('a request in flight', async () =>
    fleet.balancer.waiting(victim) > 0 ? true : undefined,
  )
  const waiting = fleet.balancer.waiting(victim)
  const before = fleet.balancer.lost.length
  fleet.signal(victim, 'SIGKILL')
  t.equal(await fleet.ended(victim), 'SIGKILL')
  await forgotten(fleet, victim)
  const report = await load.stop()
  const lost = fleet.balancer.lost.slice(before)
  const cut = lost.filter(({ how }) => how === 'cut').length
  const refused = lost.filter(({ how }) => how === 'refused').length
  t.comment(
    `${printReport(report)}; ${waiting} requests in flight at the kill, ${cut} connections cut ` +
      `with an answer due, ${refused} new ones refused before the balancer knew`,
  )
  for (const message of messagesOf(report)) t.comment(message)
  // An API server asks once more where a connection broke, and the other replica may answer in time.
  t.ok(cut > 0, 'connections broke with an answer due: there was something to lose')
  t.ok(report.failures.length <= cut + refused, 'every failure is one of those')
  t.equal(report.plain, 0, 'every Pod has its sidecar')
  const others = lost.filter(({ name }) => name !== victim)
  t.strictSame(others, [], 'the other replica lost nothing')
  await fleet.start()
}

/** A process that stands still is the worst: each connection to it costs a whole timeout. */
async function hung(
  t: Test,
  fleet: Fleet,
  load: (options: Pick<LoadOptions, 'atOnce'>) => Load,
  stop: (name: string) => void,
) {
  const [victim = ''] = fleet.replicas()
  // Those that wait for it must not keep others from the replica that answers.
  const during = load({ atOnce: 2 * BURST })
  stop(victim)
  during.burst(BURST)
  await forgotten(fleet, victim)
  const report = await during.stop()
  const after = load({})
  await pause(2000)
  const later = await after.stop()
  fleet.signal(victim, 'SIGKILL')
  t.comment(`${printReport(report)}; afterwards ${printReport(later)}`)
  for (const message of messagesOf(report)) t.comment(message)
  t.ok(report.failures.length > 0, 'it does cost something: the test can see it')
  t.strictSame(later.failures, [], 'nothing fails once the balancer knows')
  t.equal(report.plain + later.plain, 0, 'every Pod has its sidecar')
}

/** Waits until the balancer forwards nothing more to a replica. */
async function forgotten({ balancer }: Fleet, name: string): Promise<void> {
  await until(`nothing goes to ${name}`, async () =>
    balancer.isForwarding(name) ? undefined : true,
  )
}

/** Each message once, with how often it came. */
function messagesOf({ failures }: LoadReport): readonly string[] {
  const counts = new Map<string, number>()
  for (const failure of failures) {
    const message = failure.message.replaceAll(/127\.0\.0\.1:\d+/g, '127.0.0.1')
    counts.set(message, (counts.get(message) ?? 0) + 1)
  }
  return [...counts].map(([message, count]) => `${count} times: ${message}`)
}

/** A load that stood still would prove nothing. */
function enough({ created, seconds }: LoadReport): boolean {
  return created > (PER_SECOND * seconds) / 2
}
