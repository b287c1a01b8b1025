/** The connections by which `istio-validation` tells whether the rules work. */
import { once } from 'node:events'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { answerWith, ask } from '../../iptables-init/probe.ts'

const HOST = '127.0.0.1'

/** A listener that answers each connection as it is told, the last way for all that follow. */
async function listen(t: Test, ...ways: ((socket: Socket) => void)[]): Promise<number> {
  const open = new Set<Socket>()
  let met = 0
  const server: Server = createServer((socket) => {
    open.add(socket)
    socket.on('error', () => undefined)
    ways[Math.min(met++, ways.length - 1)]?.(socket)
  })
  t.teardown(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  server.listen(0, HOST)
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

const reset = (socket: Socket): void => void socket.resetAndDestroy()
const stranger = (socket: Socket): void => void socket.end('hello')
const mute = (): void => undefined

t.test('the reason tells each outcome once, the first one first', async (t) => {
  const port = await listen(t, reset, reset, mute)
  const question = { to: HOST, port, from: undefined, token: 'secret' }
  const { answer, cause } = await ask(question, 2000)
  t.notOk(answer)
  // A reset may meet the connection while it is made or when it is read.
  t.match(cause, /^\w+ ECONNRESET.*, then no answer in time$/)
  const told = cause.split(', then ')
  t.equal(told.length, new Set(told).size, cause)
})

t.test("a stranger's answer is none", async (t) => {
  const port = await listen(t, stranger)
  const question = { to: HOST, port, from: HOST, token: 'secret' }
  t.strictSame(await ask(question, 1), { answer: false, cause: 'somebody else answered' })
})

t.test('the right listener is found, also behind failures', async (t) => {
  const port = await listen(t, reset, stranger, (socket) => void socket.end('secret'))
  const question = { to: HOST, port, from: undefined, token: 'secret' }
  t.strictSame(await ask(question, 60_000), { answer: true, cause: '' })
})

t.test('our own listener answers its token, and a port that is taken is told', async (t) => {
  const port = await listen(t, mute)
  t.match(await answerWith(HOST, port), { ok: false, cause: /EADDRINUSE/ })
  const opened = await answerWith(HOST, 0)
  if (!opened.ok) throw new Error(opened.cause)
  t.match(opened.listener.token, /^[0-9a-f]{32}$/)
  await opened.listener.close()
})
