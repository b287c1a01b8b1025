import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { setImmediate as turn } from 'node:timers/promises'
import type { AddressInfo } from 'node:net'
import { Registry } from 'prom-client'
import t from 'tap'
import { makeTurns } from '../../webhook/concurrency-turns.ts'
import { makeLoad } from '../../webhook/concurrency.ts'
import { buildMonitoring } from '../../webhook/monitoring.ts'
import { combine } from '../../webhook/readiness.ts'
import { makeStand, podWith, reviewOf, standIn } from './stand-ins.ts'
import { listen, post } from './wire.ts'

/** Takes the processor for so long. */
function spin(ms: number): void {
  const end = performance.now() + ms
  while (performance.now() < end);
}

t.test('few jobs run at once, many in turns, all in their order', async (t) => {
  const inTurn = makeTurns(10)
  const done: number[] = []
  for (let job = 0; job < 10; job++) {
    inTurn(() => {
      spin(6)
      done.push(job)
    })
  }
  t.ok(done.length > 0 && done.length < 10, 'as many as there is time for')
  const after = [done.length]
  while (done.length < 10) {
    await turn()
    after.push(done.length)
  }
  t.ok(after.length > 2, `in ${String(after.length)} turns`)
  t.strictSame(done, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  await turn()
  inTurn(() => done.push(10))
  t.equal(done.at(-1), 10, 'at once again')
})

t.test('places are counted, and given back once', async (t) => {
  const load = makeLoad({ requests: 2, heldBytes: 10 })
  const [one, two, three] = [load.enter(), load.enter(), load.enter()]
  t.equal(three, undefined)
  t.strictSame([one?.hold(6), two?.hold(5), two?.hold(4)], [true, false, true])
  t.strictSame([load.requests(), load.heldBytes()], [2, 10])
  one?.leave()
  one?.leave()
  t.equal(one?.hold(1), false, 'a place that was left holds nothing')
  t.strictSame([load.requests(), load.heldBytes()], [1, 4])
  t.ok(load.enter())
})

t.test('probes and metrics', async (t) => {
  const registry = new Registry()
  let isReady = false
  const { app: log } = makeStand()
  const monitoring = buildMonitoring({
    registry,
    readiness: () => combine([{ name: 'config', isReady, detail: 'said so' }]),
    logger: log.log,
  })
  t.match(await monitoring.inject('/healthz/live'), { statusCode: 200, body: 'ok\n' })
  t.match(await monitoring.inject('/healthz/ready'), {
    statusCode: 503,
    body: 'not ready: config: said so\n',
  })
  isReady = true
  t.match(await monitoring.inject('/healthz/ready'), { statusCode: 200 })
  t.match(await monitoring.inject('/metrics'), {
    statusCode: 200,
    headers: { 'content-type': /^text\/plain/ },
  })
  t.match(await monitoring.inject('/other'), { statusCode: 404 })
})

t.test('a probe among slow admissions is answered before the last of them', async (t) => {
  const stand = makeStand({
    inject: (request, config) => {
      spin(10)
      return standIn(request, config)
    },
  })
  const { port, ca } = await listen(stand)
  const readiness = () => combine([])
  const { registry } = stand
  const monitoring = buildMonitoring({ registry, readiness, logger: stand.app.log })
  await monitoring.listen({ port: 0, host: '127.0.0.1' })
  t.teardown(() => Promise.all([stand.app.close(), monitoring.close()]))
  const answered: string[] = []
  const admissions = Array.from({ length: 60 }, async () => {
    await post(port, ca, reviewOf(podWith()))
    answered.push('admission')
  })
  while (answered.length === 0) await turn()
  const { port: probed } = monitoring.server.address() as AddressInfo
  const [probe]: IncomingMessage[] = await once(
    get({ host: '127.0.0.1', port: probed, path: '/healthz/live' }),
    'response',
  )
  probe?.resume()
  answered.push('probe')
  await Promise.all(admissions)
  t.equal(probe?.statusCode, 200)
  t.not(answered.at(-1), 'probe')
})
