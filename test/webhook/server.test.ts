import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { applyPatch } from '../../core/inject/patch.ts'
import type { Happening } from '../../webhook/events.ts'
import { combine } from '../../webhook/readiness.ts'
import { NotReady, timeoutOf } from '../../webhook/refusals.ts'
import { makeStand, opsIn, podWith, reviewOf, valuesOf } from './stand-ins.ts'
import { dial, listen, post as postOver, rawPost, readAll } from './wire.ts'

const JSON_TYPE = { 'content-type': 'application/json' }
const post = { method: 'POST', url: '/inject', headers: JSON_TYPE } as const
const failed = (reason: string) => ({
  sidecar_injection_requests_total: 1,
  [`sidecar_injection_failure_total{${reason}}`]: 1,
})
const injected = { sidecar_injection_requests_total: 1, sidecar_injection_success_total: 1 }
const skipped = {
  sidecar_injection_requests_total: 1,
  'sidecar_injection_skip_total{host-network}': 1,
}

type Case = {
  readonly what: string
  readonly ask: object
  readonly status: number
  /** The whole text, or the `response` of the review. */
  readonly says: string | object
  readonly counts: Record<string, number>
}

const cases: readonly Case[] = [
  {
    what: 'a pod to be injected gets a patch',
    ask: { payload: reviewOf(podWith()) },
    status: 200,
    says: { uid: 'u-1', allowed: true, patchType: 'JSONPatch', patch: String },
    counts: injected,
  },
  {
    what: 'a pod that changes nothing gets no patch type either',
    ask: { payload: reviewOf(podWith({ test: 'unchanged' })) },
    status: 200,
    says: { uid: 'u-1', allowed: true, patch: undefined, patchType: undefined },
    counts: injected,
  },
  {
    what: 'a pod to be left alone',
    ask: { payload: reviewOf(podWith({ test: 'skip', warn: 'look' })) },
    status: 200,
    says: { uid: 'u-1', allowed: true, patch: undefined, warnings: ['look'] },
    counts: skipped,
  },
  {
    what: "the pod's fault: all problems in one answer",
    ask: { payload: reviewOf(podWith({ test: 'reject' })) },
    status: 200,
    says: {
      uid: 'u-1',
      allowed: false,
      patch: undefined,
      status: {
        status: 'Failure',
        message: 'a: got "x", want y; b: got "\\"\\n", want z',
        reason: 'BadRequest',
        code: 400,
      },
    },
    counts: failed('refused'),
  },
  {
    what: 'our fault: the failure policy decides, not we',
    ask: { payload: reviewOf(podWith({ test: 'throw' })) },
    status: 500,
    says: 'sidecar-injector: a fault of its own, not of the pod: the template broke\n',
    counts: failed('internal'),
  },
  {
    what: 'a patch that does not fit the posted pod is our fault',
    ask: { payload: reviewOf(podWith({ test: 'wrong-before' })) },
    status: 500,
    says: /^sidecar-injector: a fault of its own.*want one for the posted pod\n$/,
    counts: failed('internal'),
  },
  {
    what: 'a type with parameters and in another case is JSON',
    ask: {
      payload: reviewOf(podWith({ test: 'skip' })),
      headers: { 'content-type': 'Application/JSON; charset=utf-8' },
    },
    status: 200,
    says: { allowed: true },
    counts: skipped,
  },
  {
    what: 'another type',
    ask: { payload: reviewOf(podWith()), headers: { 'content-type': 'application/yaml' } },
    status: 415,
    says: 'invalid Content-Type, want application/json\n',
    counts: failed('media-type'),
  },
  {
    what: 'a type that is none',
    ask: { payload: reviewOf(podWith()), headers: { 'content-type': ';' } },
    status: 415,
    says: 'invalid Content-Type, want application/json\n',
    counts: failed('media-type'),
  },
  {
    what: 'a body without a type',
    ask: { payload: Buffer.from(reviewOf(podWith())), headers: {} },
    status: 415,
    says: 'invalid Content-Type, want application/json\n',
    counts: failed('media-type'),
  },
  {
    what: 'no body, whatever the type',
    ask: { headers: { 'content-type': 'text/plain' } },
    status: 400,
    says: 'no body found\n',
    counts: failed('empty-body'),
  },
  {
    what: 'no body and no type',
    ask: { headers: {} },
    status: 400,
    says: 'no body found\n',
    counts: failed('empty-body'),
  },
  {
    what: 'a body of 6 MiB and a byte',
    ask: { payload: ' '.repeat(6 * 1024 * 1024 + 1) },
    status: 400,
    says: 'Request entity too large: limit is 6291456\n',
    counts: failed('too-large'),
  },
  {
    what: 'a body of 6 MiB is read',
    ask: { payload: reviewOf(podWith({ test: 'skip' })).padEnd(6 * 1024 * 1024) },
    status: 200,
    says: { allowed: true },
    counts: skipped,
  },
  {
    what: 'a path beside ours',
    ask: { url: '/injectx', payload: reviewOf(podWith()) },
    status: 404,
    says: 'want POST /inject or /inject/<key>/<value>/..., or GET /ready\n',
    counts: {},
  },
  {
    what: 'a path that cannot be decoded',
    ask: { url: '/inject/foo/%zz', payload: reviewOf(podWith()) },
    status: 400,
    says: /not a valid url/,
    counts: failed('bad-path'),
  },
  {
    what: 'a path that is no UTF-8',
    ask: { url: '/inject/cluster/%ff', payload: reviewOf(podWith()) },
    status: 400,
    says: /not a valid url/,
    counts: failed('bad-path'),
  },
  {
    what: 'another method',
    ask: { method: 'GET' },
    status: 404,
    says: 'want POST /inject or /inject/<key>/<value>/..., or GET /ready\n',
    counts: {},
  },
]

for (const c of cases) {
  t.test(c.what, async (t) => {
    const { app, registry } = makeStand()
    const answer = await app.inject({ ...post, ...c.ask })
    t.equal(answer.statusCode, c.status)
    if (c.status === 200) {
      t.equal(answer.headers['content-type'], 'application/json; charset=utf-8')
      t.match(answer.json(), {
        apiVersion: 'admission.k8s.io/v1',
        kind: 'AdmissionReview',
        response: c.says,
      })
    } else {
      t.equal(answer.headers['content-type'], 'text/plain; charset=utf-8')
      t.match(answer.body, c.says)
    }
    t.strictSame(await valuesOf(registry), c.counts)
  })
}

t.test('the patch makes the injected pod, from the URL and the namespace too', async (t) => {
  const { app } = makeStand()
  const object = { metadata: { generateName: 'x-', managedFields: [{ manager: 'm' }] }, spec: {} }
  const url = `/inject/cluster/c%20one/net/${'n'.repeat(300)}/foo/a--slash--b/?timeout=10s`
  const payload = reviewOf(object, { namespace: 'known' })
  const patch = opsIn((await app.inject({ ...post, url, payload })).body)
  t.strictSame(applyPatch(object, patch), {
    ...object,
    spec: {
      containers: [
        {
          name: 'istio-proxy',
          image: 'proxyv2',
          env: [
            { name: 'OWNER', value: 'Pod/' },
            { name: 'NAMESPACE', value: 'known' },
            { name: 'NATIVE', value: 'false' },
            { name: 'ISTIO_META_CLUSTER_ID', value: 'c one' },
            { name: 'ISTIO_META_NETWORK', value: 'n'.repeat(300) },
            { name: 'FOO', value: 'a/b' },
            { name: 'scc', value: '1000/10' },
          ],
        },
      ],
    },
  })
  t.equal(JSON.stringify(patch).includes('/metadata'), false, 'metadata is not in the patch')
})

t.test('environment of the proxy comes from the path, however the target is written', async (t) => {
  const stand = makeStand()
  const { port, ca } = await listen(stand)
  t.teardown(() => stand.app.close())
  for (const target of [
    '/inject/cluster/c%20one',
    '/inject/cluster/c%20one?timeout=10s',
    '/%69nject/cluster/c%20one#fragment',
    'http://localhost/inject/cluster/c%20one',
  ]) {
    const socket = await dial(port, ca)
    const answer = readAll(socket)
    socket.write(rawPost(reviewOf(podWith()), { connection: 'close' }, target))
    const [, body = ''] = (await answer).split('\r\n\r\n')
    const env = opsIn(body).flatMap((op) => ('value' in op ? JSON.stringify(op.value) : []))
    t.match(
      env.join(),
      '[{"name":"OWNER","value":"Pod/web"},{"name":"NAMESPACE","value":"shop"},{"name":"NATIVE","value":"false"},{"name":"ISTIO_META_CLUSTER_ID","value":"c one"}]',
      target,
    )
  }
})

t.test('a line in the log for each request, nothing of the pod in it', async (t) => {
  const { app, lines } = makeStand()
  const pod = podWith({ test: 'reject', secret: 'sesame' })
  await app.inject({ ...post, payload: reviewOf(pod, { uid: 'u\n{"evil":1}', dryRun: true }) })
  await app.inject({ ...post, payload: reviewOf(podWith({ test: 'throw' })) })
  const [refused, broke, ...rest] = lines()
  t.match(refused, {
    level: 'info',
    msg: 'reviewed',
    uid: 'u\n{"evil":1}',
    namespace: 'shop',
    workload: 'Pod/web',
    dryRun: true,
    decision: 'failure',
    reason: 'refused',
    problems: 'a, b',
    ms: Number,
  })
  t.match(broke, { level: 'error', uid: 'u-1', reason: 'internal', err: { stack: String } })
  t.strictSame(rest, [])
  t.equal(JSON.stringify(lines()).includes('sesame'), false)
})

t.test('a path that cannot be read is told in the log', async (t) => {
  const { app, lines } = makeStand()
  await app.inject({ ...post, url: '/inject/%zz', payload: reviewOf(podWith()) })
  t.match(lines(), [{ level: 'warn', reason: 'bad-path', msg: 'request turned away' }])
})

t.test('while draining every answer closes its connection', async (t) => {
  let isDraining = false
  const { app } = makeStand({
    isDraining: () => isDraining,
    readiness: () => combine([{ name: 'draining', isReady: !isDraining, detail: 'said so' }]),
  })
  const ask = { ...post, payload: reviewOf(podWith()) }
  t.equal((await app.inject(ask)).headers.connection, 'keep-alive')
  t.equal((await app.inject('/ready')).statusCode, 200)
  isDraining = true
  t.match(await app.inject(ask), { statusCode: 200, headers: { connection: 'close' } })
  t.match(await app.inject({ ...post, payload: '' }), {
    statusCode: 400,
    headers: { connection: 'close' },
  })
  t.match(await app.inject({ ...post, url: '/%zz', payload: reviewOf(podWith()) }), {
    statusCode: 400,
    headers: { connection: 'close' },
  })
  t.match(await app.inject('/ready'), {
    statusCode: 503,
    body: 'not ready: draining: said so\n',
    headers: { connection: 'close' },
  })
})

t.test('durations are counted in buckets, Istio’s and finer ones', async (t) => {
  const { app, registry } = makeStand()
  await app.inject({ ...post, payload: reviewOf(podWith()) })
  const text = await registry.metrics()
  for (const bucket of ['0.0005', '0.1', '1', '3', '5', '10', '20', '30', '60', '+Inf']) {
    t.match(text, `sidecar_injection_time_seconds_bucket{le="${bucket}"}`)
  }
  t.match(text, 'sidecar_injection_time_seconds_count 1')
})

t.test('a server can be made twice', async (t) => {
  const stands = [makeStand(), makeStand()]
  for (const { app } of stands) {
    t.equal((await app.inject({ ...post, payload: reviewOf(podWith()) })).statusCode, 200)
  }
  t.strictSame(await Promise.all(stands.map(({ registry }) => valuesOf(registry))), [
    injected,
    injected,
  ])
})

t.test(
  'more requests than may be under way are told to try again, and then are let in',
  async (t) => {
    const stand = makeStand({ limits: { requests: 2 } })
    const { port, ca } = await listen(stand)
    t.teardown(() => stand.app.close())
    const body = reviewOf(podWith())
    const slow = [await dial(port, ca), await dial(port, ca)]
    const answers = slow.map(readAll)
    for (const socket of slow) {
      socket.write(rawPost(body, { connection: 'close' }).slice(0, -10))
    }
    const inFlight = /^sidecar_injector_requests_in_flight 2$/m
    while (!inFlight.test(await stand.registry.metrics())) await sleep(10)
    const third = await dial(port, ca)
    const refused = readAll(third)
    third.write(rawPost(body, { connection: 'close' }))
    t.match(await refused, /^HTTP\/1.1 503 [^]*retry-after: 1[^]*too many requests under way/i)
    for (const socket of slow) socket.write(body.slice(-10))
    for (const answer of answers) t.match(await answer, /^HTTP\/1.1 200 /)
    t.equal((await postOver(port, ca, body)).status, 200)
    t.match(await valuesOf(stand.registry), {
      'sidecar_injection_failure_total{overloaded}': 1,
      sidecar_injection_success_total: 3,
    })
    t.match(await stand.registry.metrics(), /^sidecar_injector_requests_in_flight 0$/m)
    t.match(await stand.registry.metrics(), /^sidecar_injector_body_bytes_in_flight 0$/m)
  },
)

t.test(
  'handshakes that fail are counted; those that distrust us are told of, now and then',
  async (t) => {
    const stand = makeStand({})
    const { port } = await listen(stand)
    t.teardown(() => stand.app.close())
    const socket = connect(port, '127.0.0.1')
    socket.end('GET / HTTP/1.1\r\n\r\n')
    await once(socket, 'close')
    // Clients of Node verify after the handshake; test/e2e/clients.test.ts has a real API server.
    const alerts = [
      'TLSV1_ALERT_UNKNOWN_CA',
      'SSLV3_ALERT_BAD_CERTIFICATE',
      'SSLV3_ALERT_CERTIFICATE_EXPIRED',
    ]
    for (const code of [...alerts, ...alerts]) {
      stand.app.server.emit(
        'tlsClientError',
        Object.assign(new Error('no'), { code: `ERR_SSL_${code}` }),
        socket,
      )
    }
    t.match(await stand.registry.metrics(), /_handshake_failures_total\{reason="untrusted"\} 6$/m)
    t.match(await stand.registry.metrics(), /_handshake_failures_total\{reason="broken"\} 1$/m)
    const warnings = stand
      .lines()
      .filter(({ level, reason }) => level === 'warn' && reason === 'untrusted')
    t.equal(warnings.length, 3)
  },
)

t.test('bodies of all requests together have a limit, too', async (t) => {
  const stand = makeStand({ limits: { heldBytes: 100_000 } })
  const { port, ca } = await listen(stand)
  t.teardown(() => stand.app.close())
  const socket = await dial(port, ca)
  const answer = readAll(socket)
  socket.write(rawPost('x'.repeat(200_000), { connection: 'close' }))
  t.match(await answer, /^HTTP\/1.1 503 /)
  t.equal((await postOver(port, ca, reviewOf(podWith()))).status, 200)
})

t.test('what would be answered too late is not worked on', async (t) => {
  const stand = makeStand({ inject: () => t.fail('want no work') as never })
  const { port, ca } = await listen(stand)
  t.teardown(() => stand.app.close())
  const socket = await dial(port, ca)
  const answer = readAll(socket)
  const text = rawPost(reviewOf(podWith()), { connection: 'close' })
  const whole = text.replace('POST /inject ', 'POST /inject?timeout=1s ')
  socket.write(whole.slice(0, -10))
  await sleep(1000)
  socket.write(whole.slice(-10))
  t.match(await answer, /^HTTP\/1.1 503 [^]*retry-after: 1[^]*too late for the timeout/i)
  t.match(await valuesOf(stand.registry), { 'sidecar_injection_failure_total{late}': 1 })
})

t.test('the timeout of who asks', async (t) => {
  const cases = [
    ['/inject', 10_000],
    ['/inject?timeout=3s', 3000],
    ['/inject/a/b?x=y&timeout=30s&z', 30_000],
    ['/inject?timeout=1m', 10_000],
    ['/inject?timeout=99999s', 10_000],
    ['/inject/timeout=3s', 10_000],
  ] as const
  for (const [url, ms] of cases) t.equal(timeoutOf(url), ms, url)
})

t.test('without a configuration it says so, and counts it', async (t) => {
  const { app, registry } = makeStand({
    snapshot: () => {
      throw new NotReady()
    },
  })
  t.match(await app.inject({ ...post, payload: reviewOf(podWith()) }), {
    statusCode: 503,
    headers: { 'retry-after': '1', connection: 'close' },
    body: /no configuration yet/,
  })
  t.strictSame(await valuesOf(registry), failed('not-ready'))
})

t.test('who is told to try again does so over another connection', async (t) => {
  const stand = makeStand({ limits: { requests: 0 } })
  const { port, ca } = await listen(stand)
  t.teardown(() => stand.app.close())
  const socket = await dial(port, ca)
  const answer = readAll(socket)
  socket.write(rawPost(reviewOf(podWith()), { connection: 'keep-alive' }))
  t.match(await answer, /^HTTP\/1.1 503 [^]*connection: close/i)
})

t.test('a flood of refusals does not flood the log', async (t) => {
  const { app, lines, registry } = makeStand({ limits: { requests: 0 } })
  for (let count = 0; count < 50; count++) {
    await app.inject({ ...post, payload: reviewOf(podWith()) })
  }
  t.match(await valuesOf(registry), { 'sidecar_injection_failure_total{overloaded}': 50 })
  t.ok(lines().length >= 10 && lines().length < 20, `${String(lines().length)} lines`)
})

const controller = {
  apiVersion: 'apps/v1',
  kind: 'ReplicaSet',
  name: 'web-7f9',
  uid: 'u-9',
  controller: true,
}
const told: readonly {
  readonly what: string
  readonly metadata: object
  readonly request?: object
  readonly want: readonly object[]
}[] = [
  {
    what: 'a denied pod is told at what made it',
    metadata: { annotations: { test: 'reject' }, ownerReferences: [controller] },
    want: [
      {
        regarding: {
          apiVersion: 'apps/v1',
          kind: 'ReplicaSet',
          name: 'web-7f9',
          namespace: 'shop',
          uid: 'u-9',
        },
        type: 'Warning',
        reason: 'SidecarRefused',
        note: 'Pod/: a pod was denied: a: got "x", want y; b: got "\\"\\n", want z',
      },
    ],
  },
  {
    what: 'and at its namespace where nothing made it',
    metadata: { name: 'web', annotations: { test: 'throw' } },
    want: [
      {
        regarding: { apiVersion: 'v1', kind: 'Namespace', name: 'shop', namespace: 'shop' },
        type: 'Warning',
        reason: 'SidecarFailed',
        note: 'Pod/web: a pod was not answered: the template broke',
      },
    ],
  },
  {
    what: 'a controller that cannot be is not passed on',
    metadata: {
      annotations: { test: 'skip' },
      ownerReferences: [{ ...controller, name: 'a/../b\n' }],
    },
    want: [{ regarding: { kind: 'Namespace' }, type: 'Normal', reason: 'SidecarSkipped' }],
  },
  {
    what: 'a dry run tells nothing',
    metadata: { annotations: { test: 'reject' } },
    request: { dryRun: true },
    want: [],
  },
  {
    what: 'an injected pod tells nothing',
    metadata: { annotations: {} },
    want: [],
  },
  {
    what: 'a namespace that cannot be tells nothing',
    metadata: { annotations: { test: 'reject' } },
    request: { namespace: '../kube-system' },
    want: [],
  },
]

for (const { what, metadata, request, want } of told) {
  t.test(`Events: ${what}`, async (t) => {
    const heard: Happening[] = []
    const { app } = makeStand({ record: (happening) => void heard.push(happening) })
    await app.inject({ ...post, payload: reviewOf({ metadata, spec: {} }, request) })
    t.match(heard, want)
    t.equal(heard.length, want.length)
  })
}
