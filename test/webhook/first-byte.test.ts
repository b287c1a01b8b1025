/** Connections that are opened ahead of their first request, as an API server does. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { makeStand, podWith, reviewOf, valuesOf } from './stand-ins.ts'
import { dial, listen, post, rawPost, readAll } from './wire.ts'

const body = reviewOf(podWith())
/** A head may take shorter than a connection may rest, as outside of tests. */
const LIMITS = { requestMs: 200, checkMs: 20, keepAliveMs: 60_000 }

t.test('one that was silent for longer than a head may take is served', async (t) => {
  const { socket, answer } = await opened(t, LIMITS)
  await sleep(5 * LIMITS.requestMs)
  socket.write(rawPost(body))
  socket.write(rawPost(body, { connection: 'close' }))
  t.match(await answer, /^HTTP\/1.1 200 [^]*HTTP\/1.1 200 /)
})

t.test('a head that has begun must come in time', async (t) => {
  const { socket, answer } = await opened(t, LIMITS)
  await sleep(2 * LIMITS.requestMs)
  socket.write('POST /inject HTTP/1.1\r\nhost: x\r\n')
  t.match(await answer, /^HTTP\/1.1 408 /)
})

t.test('one that stays silent is closed without a word', async (t) => {
  const { stand, answer } = await opened(t, { ...LIMITS, keepAliveMs: 300 })
  t.equal(await answer, '')
  t.strictSame(await valuesOf(stand.registry), {}, 'nothing is counted as a request that failed')
})

t.test('one that breaks or ends before it says anything harms nobody', async (t) => {
  const { port, ca } = await serving(t, LIMITS)
  const broken = connect(port, '127.0.0.1')
  await dial(port, ca, { socket: broken })
  broken.resetAndDestroy()
  const ended = await dial(port, ca)
  ended.end().resume()
  await once(ended, 'close')
  t.equal((await post(port, ca, body)).status, 200)
})

async function serving(t: Test, limits: typeof LIMITS) {
  const stand = makeStand({ limits })
  t.teardown(() => stand.app.close())
  return { stand, ...(await listen(stand)) }
}

/** A connection on which nothing was said yet, and all that comes back on it. */
async function opened(t: Test, limits: typeof LIMITS) {
  const { stand, port, ca } = await serving(t, limits)
  const socket = await dial(port, ca)
  return { stand, socket, answer: readAll(socket) }
}
