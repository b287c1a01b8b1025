import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { makeStand, podWith, reviewOf, valuesOf } from './stand-ins.ts'
import { dial, listen, post, rawPost, readAll } from './wire.ts'

const stand = makeStand({ limits: { requestMs: 400, checkMs: 50 } })
const { app } = stand
const { port, ca } = await listen(stand)
/** The same with limits as they are in a cluster. */
const patient = makeStand()
const busy = await listen(patient)
t.teardown(() => Promise.all([app.close(), patient.app.close()]))

const ask = {
  method: 'POST',
  url: '/inject',
  headers: { 'content-type': 'application/json' },
} as const
const wrongTypes: readonly (readonly [what: string, pod: unknown])[] = [
  ['metadata null', { metadata: null, spec: {} }],
  ['metadata a number', { metadata: 1, spec: {} }],
  ['labels a list', { metadata: { labels: [] }, spec: {} }],
  ['annotations a text', { metadata: { annotations: 'x' }, spec: {} }],
  ['owner references a map', { metadata: { generateName: 'x', ownerReferences: {} }, spec: {} }],
  ['an owner that is null', { metadata: { generateName: 'x', ownerReferences: [null] }, spec: {} }],
  ['managedFields a text', { metadata: { managedFields: 'x' }, spec: {} }],
  ['containers a number', { metadata: {}, spec: { containers: 7 } }],
  ['spec a list', { metadata: {}, spec: [] }],
]

for (const [what, pod] of wrongTypes) {
  t.test(`${what}: answered, not crashed`, async (t) => {
    const answer = await app.inject({ ...ask, payload: reviewOf(pod) })
    t.equal(answer.statusCode, 200)
    t.match(answer.json(), { response: { uid: 'u-1', allowed: Boolean } })
  })
}

t.test('prototype keys change no prototype', async (t) => {
  const evil = '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}'
  const review = reviewOf({ ...(podWith() as object), metadata: 'HERE' }, { extra: 'HERE' })
  const payload = review.replaceAll('"HERE"', evil)
  const answer = await app.inject({ ...ask, payload })
  t.match(answer.json(), { response: { uid: 'u-1', allowed: true, patchType: 'JSONPatch' } })
  t.equal(Reflect.get({}, 'polluted'), undefined)
})

t.test(
  'more than 6 MiB over the wire: the answer arrives before the connection ends',
  async (t) => {
    const socket = await dial(port, ca)
    const text = readAll(socket)
    socket.write(rawPost(' '.repeat(7 * 1024 * 1024)))
    const answer = await text
    t.match(answer, /^HTTP\/1.1 400 /)
    t.match(answer, 'Request entity too large: limit is 6291456')
    t.match(answer, /connection: close/i)
  },
)

t.test('more than 6 MiB without a length', async (t) => {
  const socket = await dial(busy.port, busy.ca)
  const text = readAll(socket)
  socket.write('POST /inject HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n')
  socket.write('content-type: application/json\r\n\r\n')
  const chunk = 'x'.repeat(1024 * 1024)
  for (let sent = 0; sent < 8; sent++) {
    socket.write(`${chunk.length.toString(16)}\r\n${chunk}\r\n`)
  }
  socket.write('0\r\n\r\n')
  t.match(await text, 'Request entity too large: limit is 6291456')
})

t.test('a gigantic head', async (t) => {
  const socket = await dial(port, ca)
  const text = readAll(socket)
  socket.write(rawPost('', { 'x-big': 'x'.repeat(100_000) }))
  t.match(await text, /^HTTP\/1.1 431 /)
})

t.test('no HTTP at all', async (t) => {
  const socket = await dial(port, ca)
  const text = readAll(socket)
  socket.write('\u0016\u0003\u0001 hello\r\n\r\n')
  t.match(await text, /^HTTP\/1.1 400 /)
})

t.test('a client that stops in the middle of a body is let go', async (t) => {
  const socket = await dial(port, ca)
  const text = readAll(socket)
  socket.write(rawPost('{"half":', { 'content-length': 1000 }))
  t.match(await text, /^HTTP\/1.1 408 /)
})

t.test('a client that stops in the middle of a head is let go', async (t) => {
  const socket = await dial(port, ca)
  const text = readAll(socket)
  socket.write('POST /inject HTTP/1.1\r\nhost: lo')
  t.match(await text, /^HTTP\/1.1 408 /)
})

t.test('a client that hangs up in the middle of a body is counted', async (t) => {
  const count = async () =>
    (await valuesOf(stand.registry))['sidecar_injection_failure_total{aborted}'] ?? 0
  const before = await count()
  const socket = await dial(port, ca)
  socket.write(rawPost('{"half":', { 'content-length': 1000 }))
  await sleep(50)
  socket.destroy()
  for (let tries = 0; tries < 200 && (await count()) === before; tries++) await sleep(10)
  t.equal(await count(), before + 1)
})

t.test('100 of everything at once, and it serves as before', async (t) => {
  const bodies = [
    '',
    '{',
    reviewOf(null),
    reviewOf(podWith({ test: 'throw' })),
    '['.repeat(200_000),
  ]
  const statuses = new Set<number>()
  await Promise.all(
    Array.from({ length: 100 }, async (_, n) => {
      statuses.add((await post(busy.port, busy.ca, bodies[n % bodies.length] ?? '')).status)
    }),
  )
  t.strictSame([...statuses].sort(), [200, 400, 500])
  const { status, text } = await post(busy.port, busy.ca, reviewOf(podWith()))
  t.equal(status, 200)
  t.match(JSON.parse(text), { response: { allowed: true, patchType: 'JSONPatch' } })
})

t.test('a connection that hangs up before the handshake harms nobody', async (t) => {
  const { connect } = await import('node:net')
  const socket = connect(busy.port, '127.0.0.1')
  await once(socket, 'connect')
  socket.end('not TLS')
  socket.on('error', () => undefined)
  await once(socket, 'close')
  t.equal((await post(busy.port, busy.ca, reviewOf(podWith()))).status, 200)
})
