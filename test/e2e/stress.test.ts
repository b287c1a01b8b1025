/** The webhook as a process, under everything that a client could do to it; then with an API server. */
import { once } from 'node:events'
import { Agent } from 'node:https'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import { need } from '../require.ts'
import { podWith, reviewOf } from '../webhook/stand-ins.ts'
import { dial, post, rawPost, readAll } from '../webhook/wire.ts'
import { controlPlaneUnavailable, startControlPlane } from './control-plane.ts'
import { containersOf, create, createNamespace, listAt, messageOf, textAt } from './objects.ts'
import { supervise } from './supervised.ts'
import { until } from './until.ts'
import { registration, startWebhook, type Webhook } from './webhook-process.ts'

/** Seconds that a connection lies idle: nearly as long as the API server's client keeps one. */
const IDLE_SECONDS = 80

/** What must be in no log, wherever it stands in a request. */
const SECRET = 'sesame-4711'

t.test('a process under stress', async (t) => {
  const processes = await supervise()
  t.teardown(() => processes.stop())
  const webhook = await startWebhook({ processes })
  const { port, caPem } = webhook
  const idle = useAfterIdling(webhook)
  const late = useLate(webhook)
  const normal = async (t: Test, when: string): Promise<void> => {
    const { status, text } = await post(port, caPem, reviewOf(podWith()))
    t.equal(status, 200, when)
    t.match(JSON.parse(text), { response: { allowed: true, patchType: 'JSONPatch' } })
    t.equal(processes.exited('webhook'), undefined)
    t.comment(`${when}: RSS ${await rssOf(webhook)} MB`)
  }
  await normal(t, 'at the start')

  await t.test('1,000 idle connections, then a request on each at once', async (t) => {
    const sockets: TLSSocket[] = []
    t.teardown(() => {
      for (const socket of sockets) socket.destroy()
    })
    while (sockets.length < 1000) {
      const more = Array.from({ length: 50 }, () => dial(port, caPem))
      sockets.push(...(await Promise.all(more)))
    }
    await normal(t, 'beside 1,000 idle connections')
    const answers = sockets.map(readAll)
    const text = rawPost(reviewOf(podWith({ secret: SECRET })), { connection: 'close' })
    for (const socket of sockets) socket.write(text)
    const probe = await fetch(`http://127.0.0.1:${webhook.monitoringPort}/healthz/ready`)
    t.equal(probe.status, 200, 'probes are answered meanwhile')
    const statuses = new Map<string, number>()
    for (const answer of await Promise.all(answers)) {
      const status = answer.slice(0, 'HTTP/1.1 200'.length)
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
    }
    t.strictSame([...statuses], [['HTTP/1.1 200', 1000]])
    await normal(t, 'after 1,000 parallel requests')
  })

  await t.test('bodies that are none', async (t) => {
    const nested = (levels: number) => '[{"a":'.repeat(levels / 2) + '1' + '}]'.repeat(levels / 2)
    const inPod = (text: string) => reviewOf('HERE').replace('"HERE"', text)
    const bodies: readonly (readonly [what: string, body: string, status: number, says: RegExp])[] =
      [
        ['nothing', '', 400, /no body found/],
        ['no JSON', `{${SECRET}`, 200, /"allowed":false.*body: got/],
        ['a truncated review', reviewOf(podWith()).slice(0, -7), 200, /"allowed":false.*body: got/],
        ['10,000 levels', inPod(`{"x":${nested(10_000)}}`), 200, /more than 500 levels/],
        ['a million brackets', '['.repeat(1_000_000), 200, /"allowed":false/],
        ['a pod of 10,000 levels', inPod(nested(10_000)), 200, /more than 500 levels/],
        [
          'prototype keys',
          inPod(
            '{"__proto__":{"kind":"X"},"metadata":{"__proto__":{"a":1}},"spec":{"__proto__":[]}}',
          ),
          200,
          /"allowed":(true|false)/,
        ],
        [
          '5 MiB of one text',
          inPod(JSON.stringify('x'.repeat(5 * 1024 * 1024))),
          200,
          /want a Pod/,
        ],
        ['7 MiB', ' '.repeat(7 * 1024 * 1024), 400, /Request entity too large/],
      ]
    for (const [what, body, status, says] of bodies) {
      const times = Array.from({ length: 10 }, () => post(port, caPem, body))
      const answers = await Promise.all(times)
      t.strictSame([...new Set(answers.map((answer) => answer.status))], [status], what)
      t.match(answers[0]?.text, says, what)
    }
    await normal(t, 'after 10 of each')
  })

  await t.test('300 clients that never finish hold up nobody', async (t) => {
    const whole = rawPost(reviewOf(podWith({ secret: SECRET })), { authorization: SECRET })
    const cuts = [5, 40, whole.length - 3]
    const sockets = await Promise.all(Array.from({ length: 300 }, () => dial(port, caPem)))
    sockets.forEach((socket, n) => socket.write(whole.slice(0, cuts[n % cuts.length])))
    await normal(t, 'beside 300 slow clients')
    for (const socket of sockets) socket.destroy()
    await normal(t, 'after they hung up')
  })

  await t.test('no secret in the log, and nothing that broke', async (t) => {
    const annotations = { secret: SECRET, 'proxy.istio.io/config': `{"x": "${SECRET}"` }
    const env = [{ name: 'PASSWORD', value: SECRET }]
    const spec = { containers: [{ name: 'app', image: 'app:1', env }] }
    for (const one of [{}, annotations]) {
      const metadata = { name: 'web', annotations: one }
      await post(port, caPem, reviewOf({ metadata, spec }))
    }
    const log = await until('the last line', async () => {
      const lines = await processes.log('webhook')
      return lines.includes('"reason":"refused"') ? lines : undefined
    })
    for (const word of ['"decision":"success"', '"reason":"unreadable"', '"reason":"too-large"']) {
      t.ok(log.includes(word), word)
    }
    for (const word of [SECRET, 'PRIVATE KEY', '"level":"error"', '"err":', 'app:1']) {
      t.notOk(log.includes(word), word)
    }
  })

  await t.test('beside an API server', need(controlPlaneUnavailable()), besideApiServer)

  const { isSame, status } = await idle
  t.strictSame(
    { isSame, status },
    { isSame: true, status: 200 },
    'an idle connection is used again',
  )
  t.match(await late, /^HTTP\/1.1 200 /, 'so is one that was never used before')
})

/** A webhook of its own, which lets one request in at a time and writes Events. */
async function besideApiServer(t: Test): Promise<void> {
  const controlPlane = await startControlPlane()
  t.teardown(() => controlPlane.stop())
  await createNamespace(controlPlane, 'shop', { 'istio-injection': 'enabled' })
  const flags = [
    '--kubeconfig',
    controlPlane.kubeconfigPath,
    '--events',
    'true',
    '--max-requests',
    '1',
  ]
  const webhook = await startWebhook(controlPlane, flags)
  const path = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations'
  await create(controlPlane, path, registration(webhook))
  const pods = '/api/v1/namespaces/shop/pods'
  const pod = (name: string, spec: object = {}, annotations: object = {}) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, annotations },
    spec: { containers: [{ name: 'app', image: 'app:1' }], ...spec },
  })
  await until('injection', async () => {
    const { body } = await controlPlane.request('POST', `${pods}?dryRun=All`, pod('first'))
    return containersOf(body).includes('istio-proxy') ? true : undefined
  })

  await t.test('it asks again when it was told that too much is under way', async (t) => {
    const slow = await dial(webhook.port, webhook.caPem)
    const text = rawPost(reviewOf(podWith()))
    slow.write(text.slice(0, -5))
    const created = controlPlane.request('POST', pods, pod('patient'))
    await until('a refusal', async () => {
      return (await controlPlane.processes.log('webhook')).includes('"overloaded"') || undefined
    })
    slow.destroy()
    const { status, body } = await created
    t.equal(status, 201, messageOf(body))
    t.ok(containersOf(body).includes('istio-proxy'))
  })

  await t.test('Events where somebody should know', async (t) => {
    const key = 'traffic.sidecar.istio.io/excludeInboundPorts'
    const bad = { [key]: 'x' }
    const before = await controlPlane.request('POST', `${pods}?dryRun=All`, pod('dry', {}, bad))
    t.match(messageOf(before.body), key)
    await controlPlane.request('POST', pods, pod('host', { hostNetwork: true }))
    await create(controlPlane, '/apis/apps/v1/namespaces/shop/deployments', {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'web' },
      spec: {
        selector: { matchLabels: { app: 'web' } },
        template: {
          metadata: { labels: { app: 'web' }, annotations: bad },
          spec: { containers: [{ name: 'app', image: 'app:1' }] },
        },
      },
    })
    const events = await until('Events of ours', async () => {
      const url = '/apis/events.k8s.io/v1/namespaces/shop/events'
      const { body } = await controlPlane.request('GET', url)
      const ours = listAt(body, 'items').filter((event) => {
        return textAt(event, 'reportingController') === 'sidecar-injector.io/webhook'
      })
      const reasons = new Set(ours.map((event) => textAt(event, 'reason')))
      return reasons.size > 1 ? ours : undefined
    })
    const shown = events.map((event) => ({
      kind: textAt(event, 'regarding', 'kind'),
      name: textAt(event, 'regarding', 'name').replace(/-[0-9a-z]+$/, ''),
      type: textAt(event, 'type'),
      reason: textAt(event, 'reason'),
    }))
    const sorted = shown.sort((a, b) => a.reason.localeCompare(b.reason))
    t.strictSame(sorted, [
      { kind: 'ReplicaSet', name: 'web', type: 'Warning', reason: 'SidecarRefused' },
      { kind: 'Namespace', name: 'shop', type: 'Normal', reason: 'SidecarSkipped' },
    ])
    const { stdout } = await controlPlane.kubectl(['get', 'events', '-n', 'shop'])
    t.match(
      stdout,
      /Warning +SidecarRefused +replicaset\/web-\w+ +Deployment\/web: a pod was denied/,
    )
  })
}

/** Uses one connection, leaves it alone for long, and uses it again. */
async function useAfterIdling({ port, caPem }: Webhook) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const ports: unknown[] = []
  agent.on('free', (socket: TLSSocket) => ports.push(socket.localPort))
  await post(port, caPem, reviewOf(podWith()), agent)
  await sleep(IDLE_SECONDS * 1000)
  const { status } = await post(port, caPem, reviewOf(podWith()), agent)
  while (ports.length < 2) await once(agent, 'free')
  agent.destroy()
  return { isSame: ports[0] === ports[1], status }
}

/** Opens a connection, and uses it for the first time when it was idle for long. */
async function useLate({ port, caPem }: Webhook): Promise<string> {
  const socket = await dial(port, caPem)
  const answer = readAll(socket)
  await sleep(IDLE_SECONDS * 1000)
  socket.write(rawPost(reviewOf(podWith()), { connection: 'close' }))
  return answer
}

/** Megabytes, by its own account. */
async function rssOf({ monitoringPort }: Webhook): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${monitoringPort}/metrics`)
  const bytes = /^process_resident_memory_bytes (\S+)$/m.exec(await answer.text())?.[1]
  return Math.round(Number(bytes) / 1e6)
}
