import { once } from 'node:events'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { get } from 'node:http'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import t from 'tap'
import { isObject } from '../../core/json.ts'
import { bad, good } from '../../core/problem.ts'
import { readConfig, type Flags } from '../../webhook/config.ts'
import type { ReadConfig } from '../../webhook/injector.ts'
import { startWebhook, type Parts, type Running } from '../../webhook/main.ts'
import { opsIn, parseLines, podWith, reviewOf, standIn, type Standing } from './stand-ins.ts'
import { dial, post, rawPost, readAll } from './wire.ts'

/** The values file is the image's name. */
const readImage: ReadConfig<Standing> = ({ values }) => {
  const image = values?.text.trim() ?? 'built-in'
  return image === 'bad' ? bad('values', image, 'an image') : good({ image })
}

type Started = Running & { readonly lines: () => readonly Record<string, unknown>[] }

async function start(
  flags: Flags,
  parts: Partial<Parts<Standing>> = {},
  env: Record<string, string> = {},
): Promise<Started> {
  const ports = { port: '0', monitoringPort: '0', address: '127.0.0.1' }
  const config = readConfig({ ...ports, ...flags }, env)
  if (!config.ok) throw new Error(JSON.stringify(config.problems))
  const written: string[] = []
  const started = await startWebhook(config.value, {
    inject: standIn,
    readConfig: readImage,
    withProxyConfigs: (config) => config,
    warningsOf: ({ image }) => (image === 'odd' ? ['an odd image'] : []),
    stream: { write: (line) => void written.push(line) },
    pollMs: 20,
    ...parts,
  })
  if (!started.ok) throw new Error(JSON.stringify(started.problems))
  return { ...started.value, lines: () => parseLines(written) }
}

/** Status and text of the monitoring server. */
async function watch(port: number, path: string): Promise<{ status: number; text: string }> {
  const [answer] = await once(get({ host: '127.0.0.1', port, path, agent: false }), 'response')
  let text = ''
  for await (const chunk of answer) text += String(chunk)
  return { status: answer.statusCode, text }
}

async function until(isDone: () => Promise<boolean> | boolean): Promise<void> {
  for (let tries = 0; tries < 500 && !(await isDone()); tries++) await sleep(10)
}

/** Until nobody can connect any more. */
async function untilClosed(port: number): Promise<void> {
  await until(async () => {
    const socket = connect(port, '127.0.0.1')
    const isOpen = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    return !isOpen
  })
}

/** The image of the container that the answer's patch puts in front. */
function imageIn(text: string): unknown {
  const [first] = opsIn(text)
  const value = first !== undefined && 'value' in first ? first.value : undefined
  return isObject(value) ? value['image'] : undefined
}

t.test('from start to stop, with a CA that callers can verify by', async (t) => {
  const caFile = join(t.testdir({}), 'ca.pem')
  const running = await start({ selfSigned: true, caFile, revision: 'canary' })
  const { port, monitoringPort } = running
  const ca = await readFile(caFile, 'utf8')
  t.match(running.lines().at(-1), {
    level: 'info',
    msg: 'webhook listening',
    port,
    monitoringPort,
    revision: 'canary',
  })
  t.equal(imageIn((await post(port, ca, reviewOf(podWith()))).text), 'built-in')
  t.match(await watch(monitoringPort, '/healthz/live'), { status: 200, text: 'ok\n' })
  t.match(await watch(monitoringPort, '/healthz/ready'), {
    status: 200,
    text: /^ok: config: read\nok: certificate: valid until .*Z\nok: draining: no\n$/,
  })
  const { text } = await watch(monitoringPort, '/metrics')
  for (const line of [
    'sidecar_injection_success_total 1',
    'sidecar_injector_reloads_total{what="config",result="taken"} 1',
    'process_cpu_seconds_total ',
    'sidecar_injector_certificate_expiry_timestamp_seconds ',
  ]) {
    t.match(text, line)
  }
  await running.stop('test')
  t.equal(running.lines().at(-1)?.['msg'], 'webhook stopped')
  await t.rejects(post(port, ca, reviewOf(podWith())), { code: 'ECONNREFUSED' })
  await t.rejects(watch(monitoringPort, '/metrics'), { code: 'ECONNREFUSED' })
})

t.test('a changed file is served at once, a bad one is told and changes nothing', async (t) => {
  const folder = t.testdir({ values: 'one', namespaces: '{"items": []}' })
  const [valuesFile, namespacesFile] = [join(folder, 'values'), join(folder, 'namespaces')]
  const caFile = join(folder, 'ca.pem')
  const running = await start({ selfSigned: true, caFile, valuesFile, namespacesFile })
  t.teardown(() => running.stop('test'))
  const ca = await readFile(caFile, 'utf8')
  const image = async () => imageIn((await post(running.port, ca, reviewOf(podWith()))).text)
  const write = async (text: string): Promise<void> => {
    await writeFile(`${valuesFile}.new`, text)
    await rename(`${valuesFile}.new`, valuesFile)
  }
  const metric = async (name: string): Promise<string | undefined> => {
    const { text } = await watch(running.monitoringPort, '/metrics')
    return text.split('\n').find((line) => line.startsWith(name))
  }
  const refused = 'sidecar_injector_reload_refused{what="config"}'
  t.equal(await image(), 'one')
  await write('bad')
  await until(async () => (await metric(refused)) === `${refused} 1`)
  t.equal(await metric(refused), `${refused} 1`)
  t.equal(await image(), 'one')
  t.match(await watch(running.monitoringPort, '/healthz/ready'), {
    status: 200,
    text: 'ok: config: the last good one serves, the newest was refused: values: got "bad", want an image',
  })
  t.match(
    running.lines().filter(({ level }) => level === 'error'),
    [{ what: 'config', problems: ['values: got "bad", want an image'] }],
  )
  await write('odd')
  await until(async () => (await image()) === 'odd')
  t.equal(await image(), 'odd')
  t.equal(await metric(refused), `${refused} 0`)
  t.match(
    running.lines().filter(({ level }) => level === 'warn'),
    [{ msg: 'configuration', warning: 'an odd image' }],
  )
})

t.test('stopping answers what is under way and sends others away', async (t) => {
  const caFile = join(t.testdir({}), 'ca.pem')
  const running = await start({ selfSigned: true, caFile, drainDelay: '1' })
  const ca = await readFile(caFile, 'utf8')
  const slow = await dial(running.port, ca)
  const text = readAll(slow)
  const request = rawPost(reviewOf(podWith()))
  slow.write(request.slice(0, -10))
  await until(() => slow.bytesWritten > 0)
  const stopped = running.stop('test')
  await until(async () => (await watch(running.monitoringPort, '/healthz/ready')).status === 503)
  t.match(await watch(running.monitoringPort, '/healthz/ready'), {
    status: 503,
    text: 'not ready: draining: this replica is stopping\n',
  })
  t.match(await post(running.port, ca, reviewOf(podWith())), { status: 200, connection: 'close' })
  await untilClosed(running.port)
  slow.write(request.slice(-10))
  const answer = await text
  t.match(answer, /^HTTP\/1.1 200 OK\r\n/)
  t.match(answer, /"allowed":true/)
  t.match(answer, /connection: close/i)
  await stopped
})

t.test('what came while the process stood still is answered before it closes', async (t) => {
  const caFile = join(t.testdir({}), 'ca.pem')
  const running = await start({ selfSigned: true, caFile, drainDelay: '1' })
  const turns = new Int32Array(new SharedArrayBuffer(8))
  const client = new Worker(join(import.meta.dirname, 'waiting-client.mjs'), {
    workerData: {
      port: running.port,
      ca: await readFile(caFile, 'utf8'),
      request: rawPost(reviewOf(podWith())),
      turns,
    },
  })
  t.teardown(() => client.terminate())
  t.same(await once(client, 'message'), ['idle'])
  const stopped = running.stop('test')
  const answer = once(client, 'message')
  const due = performance.now() + 1100
  // Timers come next after an immediate, sockets only then.
  await new Promise((resolve) => setImmediate(resolve))
  Atomics.store(turns, 0, 1)
  Atomics.notify(turns, 0)
  t.not(Atomics.wait(turns, 1, 0, 30_000), 'timed-out')
  while (performance.now() < due);
  const [text] = await answer
  t.match(text, /^HTTP\/1.1 200 OK\r\n/)
  t.match(text, /connection: close/i)
  await stopped
})

t.test('whoever never finishes is cut off at the hard stop', async (t) => {
  const caFile = join(t.testdir({}), 'ca.pem')
  const running = await start({ selfSigned: true, caFile }, { hardStopMs: 100 })
  const stuck = await dial(running.port, await readFile(caFile, 'utf8'))
  stuck.write(rawPost('{', { 'content-length': 100 }))
  await sleep(100)
  await running.stop('test')
  t.equal(running.lines().filter(({ msg }) => msg === 'connections cut at the hard stop').length, 1)
})

type Ports = { readonly port: number; readonly monitoringPort: number; readonly ca: string }

async function reach(port: number, text: string | Buffer = ''): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  if (text.length > 0) socket.write(text)
  return socket
}

const hangers: readonly {
  readonly what: string
  readonly hang: (at: Ports) => Promise<Socket>
  /** Whether it has said something of a request, and is waited for until the hard stop. */
  readonly isHeard: boolean
}[] = [
  { what: 'no handshake', hang: ({ port }) => reach(port), isHeard: false },
  {
    what: 'a part of a handshake',
    hang: ({ port }) => reach(port, Buffer.from([22, 3, 1])),
    isHeard: false,
  },
  { what: 'no request', hang: ({ port, ca }) => dial(port, ca), isHeard: false },
  {
    what: 'a part of a head',
    hang: async ({ port, ca }) => {
      const socket = await dial(port, ca)
      socket.write('POST /inject HTTP/1.1\r\nhost: x\r\ncontent-le')
      return socket
    },
    isHeard: true,
  },
  {
    what: 'no request for probes',
    hang: ({ monitoringPort }) => reach(monitoringPort),
    isHeard: false,
  },
  {
    what: 'a part of a head for probes',
    hang: ({ monitoringPort }) => reach(monitoringPort, 'GET /metrics HTTP/1.1\r\nhos'),
    isHeard: true,
  },
]

for (const { what, hang, isHeard } of hangers) {
  t.test(`it stops whoever holds a connection open: ${what}`, async (t) => {
    const caFile = join(t.testdir({}), 'ca.pem')
    // Who is silent goes long before the hard stop.
    const hardStopMs = isHeard ? 300 : 5000
    const running = await start({ selfSigned: true, caFile }, { hardStopMs })
    const ca = await readFile(caFile, 'utf8')
    const socket = await hang({ ...running, ca })
    t.teardown(() => socket.destroy())
    const ended = once(socket, 'close')
    await sleep(100)
    await running.stop('test')
    await ended
    const cuts = running.lines().filter(({ msg }) => msg === 'connections cut at the hard stop')
    t.equal(cuts.length, isHeard ? 1 : 0)
    t.equal(running.lines().at(-1)?.['msg'], 'webhook stopped')
  })
}

t.test('a handshake that is under way when the port closes may still bring a pod', async (t) => {
  const caFile = join(t.testdir({}), 'ca.pem')
  const running = await start({ selfSigned: true, caFile })
  const ca = await readFile(caFile, 'utf8')
  const early = await reach(running.port)
  const stopped = running.stop('test')
  await untilClosed(running.port)
  const socket = await dial(running.port, ca, { socket: early })
  const answer = readAll(socket)
  socket.write(rawPost(reviewOf(podWith())))
  t.match(await answer, /^HTTP\/1.1 200 OK\r\n[^]*"allowed":true/)
  await stopped
})

t.test('what keeps it from starting', async (t) => {
  const folder = t.testdir({ values: 'bad', broken: 'broken', namespaces: '[]' })
  const running = await start({ selfSigned: true })
  t.teardown(() => running.stop('test'))
  const cases: readonly { flags: Flags; says: RegExp }[] = [
    { flags: { valuesFile: join(folder, 'values') }, says: /"got":"bad","want":"an image"/ },
    { flags: { valuesFile: join(folder, 'none') }, says: /ENOENT.*a file that can be read/ },
    { flags: { namespacesFile: join(folder, 'namespaces') }, says: /a List of Namespace objects/ },
    {
      flags: { caFile: join(folder, 'none', 'ca') },
      says: /--ca-file.*a file that can be written/,
    },
    {
      flags: { valuesFile: join(folder, 'broken') },
      says: /"got":"no such image","want":"a configuration that injects a plain pod".*native/,
    },
    { flags: { port: String(running.port) }, says: /--port \d+","got":"listen EADDRINUSE/ },
    {
      flags: { monitoringPort: String(running.monitoringPort) },
      says: /--monitoring-port \d+","got":"listen EADDRINUSE/,
    },
    {
      flags: { monitoringPort: '0', address: '192.0.2.1' },
      says: /--monitoring-port.*EADDRNOTAVAIL.*--port.*EADDRNOTAVAIL/,
    },
  ]
  for (const { flags, says } of cases) {
    await t.rejects(start({ selfSigned: true, ...flags }), { message: says }, String(says))
  }
})

t.test('everywhere is every address of this machine', async (t) => {
  const config = readConfig({ selfSigned: true, port: '0', monitoringPort: '0' }, {})
  if (!config.ok) throw new Error('want a config')
  const parts = {
    inject: standIn,
    readConfig: readImage,
    withProxyConfigs: (one: Standing) => one,
    warningsOf: () => [],
  }
  const started = await startWebhook({ ...config.value, logLevel: 'silent' }, parts)
  if (!started.ok) throw new Error('want it started')
  t.equal((await watch(started.value.monitoringPort, '/healthz/live')).status, 200)
  await started.value.stop('test')
})
