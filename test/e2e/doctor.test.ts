/** Broken set-ups on a real API server: `doctor` names the cause of each in its first line. */
import { execa } from 'execa'
import type { RequestListener } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { makeApi } from '../../cluster/api.ts'
import { connect } from '../../cluster/connect.ts'
import { dial } from '../../cluster/dial.ts'
import { REGISTRATIONS } from '../../cluster/registrations.ts'
import { readTarget } from '../../cluster/target.ts'
import { ask } from '../../status/ask.ts'
import { printDiagnosis } from '../../status/doctor-print.ts'
import { diagnose, type Diagnosis } from '../../status/doctor.ts'
import { makeCa, makeLeaf, printKey } from '../../webhook/tls/x509.ts'
import { need } from '../require.ts'
import { controlPlaneUnavailable, startControlPlane, type ControlPlane } from './control-plane.ts'
import { create, createNamespace } from './objects.ts'
import { until } from './until.ts'
import { startWebhook } from './webhook-process.ts'

const program = join(import.meta.dirname, '../../dist/cli/main.js')
/** Where the webhook takes itself to be without a pod around it. */
const HOME = 'istio-system'
const SERVICE = 'sidecar-injector'
const DAY = 24 * 60 * 60_000

/** One broken set-up: what its entry differs in from a good one, and how the first line ends. */
type Row = {
  readonly name: string
  readonly client?: object
  readonly entry?: object
  readonly cause: RegExp
  /** What is not there of what istiod makes. */
  readonly lacks?: 'root' | 'endpoints'
  readonly besides?: (namespace: string) => object
  readonly hasBreakGlass?: true
}

t.test('doctor', need(controlPlaneUnavailable()), async (t) => {
  const controlPlane = await startControlPlane({ controllers: ['serviceaccount-controller'] })
  t.teardown(() => controlPlane.stop())
  const world = await startWorld(t, controlPlane)
  const rows = rowsOf(world)
  for (const row of rows) await setUp(controlPlane, world, row)
  await untilTold(controlPlane, rows)
  for (const row of rows) {
    await t.test(row.name, async (t) => {
      const diagnosis = await ofNamespace(controlPlane, row.name)
      const [first = ''] = printDiagnosis(diagnosis).split('\n')
      t.match(first, row.cause)
      t.equal(diagnosis.state, 'ill')
      t.equal(diagnosis.breakGlass !== undefined, row.hasBreakGlass === true, 'break-glass')
    })
  }
  await t.test('a set-up in order', (t) => well(t, controlPlane, world))
  await t.test('the break-glass, and back', (t) => breakGlass(t, controlPlane))
  await t.test('the command', (t) => command(t, controlPlane))
})

const WEBHOOK = /^the webhook \S+ cannot do its work: /

function rowsOf(world: World): readonly Row[] {
  const service = (name: string, more: object = {}) => ({
    service: { namespace: HOME, name, path: '/inject', port: world.port, ...more },
    caBundle: world.caBundle,
  })
  const url = (server: Served) => ({ url: server.url, caBundle: server.caBundle })
  const because = (cause: RegExp) => new RegExp(WEBHOOK.source + cause.source)
  const called: readonly Row[] = [
    {
      name: 'no-endpoints',
      client: service('empty', { port: 443 }),
      cause: because(
        /no ready endpoint is behind the Service istio-system\/empty: no pod of istio-system has the labels that the Service empty selects$/,
      ),
    },
    {
      name: 'wrong-port',
      client: service('empty', { port: 444 }),
      cause: because(/the Service istio-system\/empty has no port 444$/),
    },
    {
      name: 'service-missing',
      client: service('gone'),
      cause: because(/there is no Service istio-system\/gone$/),
    },
    {
      name: 'no-listener',
      client: { url: 'https://127.0.0.1:1/inject', caBundle: world.caBundle },
      cause: because(/nobody answers at https:\/\/127\.0\.0\.1:1\/inject.*ECONNREFUSED/),
    },
    {
      name: 'service-without-listener',
      client: service(SERVICE, { port: 1 }),
      cause: because(/nobody listens at \S+:1: connection refused \(the API server's own words\)$/),
    },
    {
      name: 'wrong-name',
      client: service('other'),
      cause: because(
        /its caBundle does not verify what localhost:\d+ serves: the served certificate is not for other\.istio-system\.svc \(its names: .*DNS:localhost/,
      ),
    },
    {
      name: 'expired',
      client: url(world.expired),
      cause: because(/.*the served certificate is not valid now: it expired at 2\d\d\d-/),
    },
    {
      name: 'clock-of-the-server',
      client: url(world.early),
      cause: because(
        /.*the served certificate is not valid now: it is valid from \S+Z on, and here it is /,
      ),
    },
    {
      name: 'wrong-ca-bundle',
      client: { ...service(SERVICE), caBundle: world.broken.caBundle },
      cause: because(
        /its caBundle does not verify what localhost:\d+ serves: no certificate of the bundle signed the served one/,
      ),
    },
    {
      name: 'empty-ca-bundle',
      client: { service: service(SERVICE).service },
      cause: because(/its caBundle is empty/),
    },
    {
      name: 'answers-500',
      client: url(world.broken),
      cause: because(/it answers with an error: HTTP 500 the template cannot be read$/),
    },
    {
      name: 'slow',
      client: url(world.slow),
      entry: { timeoutSeconds: 1 },
      cause: because(/it does not answer within its timeoutSeconds, 1 s$/),
    },
  ]
  return [
    ...called.map((row) => ({ ...row, hasBreakGlass: true as const })),
    {
      name: 'ignored',
      client: service(SERVICE, { port: 1 }),
      entry: { failurePolicy: 'Ignore' },
      cause: because(/a pod in ignored .* comes back without: its failurePolicy Ignore/),
    },
    {
      name: 'other-webhook',
      cause:
        /^the webhook policy\.example\.com cannot do its work: nobody listens at 127\.0\.0\.1:1/,
      besides: (namespace) => ({
        ...entryOf(namespace, { url: 'https://127.0.0.1:1/' }),
        name: 'policy.example.com',
      }),
    },
    {
      name: 'two-injectors',
      cause: /^two active injectors take the pods of two-injectors and stop each other: /,
      besides: (namespace) => ({
        ...entryOf(namespace, { url: world.idle.url, caBundle: world.idle.caBundle }),
        name: 'rev.namespace.sidecar-injector.istio.io',
      }),
      hasBreakGlass: true,
    },
    {
      name: 'no-root-certificate',
      cause: /^there is no ConfigMap no-root-certificate\/istio-ca-root-cert/,
      lacks: 'root',
    },
    {
      name: 'no-istiod',
      cause: /^istiod: no ready endpoint is behind the Service istio-system\/istiod-no-istiod/,
      lacks: 'endpoints',
    },
  ]
}

type Served = { readonly url: string; readonly caBundle: string }

type World = {
  /** The real webhook on loopback. */
  readonly port: number
  readonly caBundle: string
  readonly expired: Served
  readonly early: Served
  readonly broken: Served
  readonly slow: Served
  /** Answers without a patch. */
  readonly idle: Served
}

async function startWorld(t: Test, controlPlane: ControlPlane): Promise<World> {
  await createNamespace(controlPlane, HOME)
  const { port, caPem } = await startWebhook(controlPlane)
  const services = `/api/v1/namespaces/${HOME}/services`
  const toHere = { type: 'ExternalName', externalName: 'localhost' }
  await create(controlPlane, services, { metadata: { name: SERVICE }, spec: toHere })
  await create(controlPlane, services, { metadata: { name: 'other' }, spec: toHere })
  await create(controlPlane, services, {
    metadata: { name: 'empty' },
    spec: { selector: { app: 'nobody' }, ports: [{ port: 443 }] },
  })
  const now = new Date()
  const fail: RequestListener = (_request, answer) => {
    answer.writeHead(500, { 'content-type': 'text/plain' }).end('the template cannot be read\n')
  }
  const idle: RequestListener = (request, answer) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { request } = JSON.parse(Buffer.concat(chunks).toString()) as {
        request: { uid: string }
      }
      const response = { uid: request.uid, allowed: true }
      const review = { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response }
      answer.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(review))
    })
  }
  const long = { ca: now, days: 5 }
  return {
    port,
    caBundle: Buffer.from(caPem).toString('base64'),
    expired: await serve(t, fail, { ...long, leaf: new Date(now.getTime() - 3 * DAY), days: 1 }),
    early: await serve(t, fail, { ...long, leaf: new Date(now.getTime() + DAY) }),
    broken: await serve(t, fail, { ...long, leaf: now }),
    slow: await serve(t, () => undefined, { ...long, leaf: now }),
    idle: await serve(t, idle, { ...long, leaf: now }),
  }
}

/** A server of this process, its certificate made at one time and its CA at another. */
async function serve(
  t: Test,
  answer: RequestListener,
  { ca, leaf, days }: { readonly ca: Date; readonly leaf: Date; readonly days: number },
): Promise<Served> {
  const authority = await makeCa({ commonName: 'test CA', now: ca, validDays: 30 })
  const hosts = ['127.0.0.1']
  const made = await makeLeaf(authority, { commonName: 'test', now: leaf, validDays: days, hosts })
  const server = createServer({ key: await printKey(made), cert: made.certificate }, answer)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return {
    url: `https://127.0.0.1:${port}/inject`,
    caBundle: Buffer.from(authority.certificate).toString('base64'),
  }
}

function entryOf(revision: string, clientConfig: object): object {
  return {
    name: 'rev.namespace.sidecar-injector.io',
    clientConfig,
    rules: [{ operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] }],
    namespaceSelector: { matchLabels: { 'istio.io/rev': revision } },
    failurePolicy: 'Fail',
    timeoutSeconds: 5,
    sideEffects: 'NoneOnDryRun',
    admissionReviewVersions: ['v1'],
  }
}

/** A namespace of its own, a revision of its own, a workload in it, and what istiod makes. */
async function setUp(controlPlane: ControlPlane, world: World, row: Row): Promise<void> {
  const { name, entry = {}, lacks, besides } = row
  const good = {
    service: { namespace: HOME, name: SERVICE, path: '/inject', port: world.port },
    caBundle: world.caBundle,
  }
  await createNamespace(controlPlane, name, { 'istio.io/rev': name })
  if (lacks !== 'root') {
    await create(controlPlane, `/api/v1/namespaces/${name}/configmaps`, {
      metadata: { name: 'istio-ca-root-cert' },
      data: { 'root-cert.pem': 'PEM' },
    })
  }
  await create(controlPlane, '/api/v1/namespaces/istio-system/services', {
    metadata: { name: `istiod-${name}` },
    spec: { ports: [{ name: 'https-dns', port: 15012 }] },
  })
  if (lacks !== 'endpoints') await createSlice(controlPlane, `istiod-${name}`)
  await create(controlPlane, `/apis/apps/v1/namespaces/${name}/deployments`, {
    metadata: { name: 'web' },
    spec: {
      selector: { matchLabels: { app: 'web' } },
      template: {
        metadata: { labels: { app: 'web' } },
        spec: { containers: [{ name: 'app', image: 'app:1' }] },
      },
    },
  })
  await create(controlPlane, REGISTRATIONS, {
    metadata: { name: `sidecar-injector-${name}`, labels: { 'sidecar-injector.io/rev': name } },
    webhooks: [
      { ...entryOf(name, row.client ?? good), ...entry },
      ...(besides === undefined ? [] : [besides(name)]),
    ],
  })
}

async function createSlice(controlPlane: ControlPlane, service: string): Promise<void> {
  const path = '/apis/discovery.k8s.io/v1/namespaces/istio-system/endpointslices'
  await create(controlPlane, path, {
    metadata: { name: `${service}-1`, labels: { 'kubernetes.io/service-name': service } },
    addressType: 'IPv4',
    ports: [{ name: 'https-dns', port: 15012 }],
    endpoints: [{ addresses: ['10.1.2.3'], conditions: { ready: true } }],
  })
}

/** The API server has heard of the last registration; it hears of them in their order. */
async function untilTold({ request }: ControlPlane, rows: readonly Row[]): Promise<void> {
  const last = rows.at(-1)?.name ?? ''
  let said = ''
  const probe = async () => {
    const path = `/api/v1/namespaces/${last}/pods?dryRun=All`
    const pod = { metadata: { name: 'x' }, spec: { containers: [{ name: 'app', image: 'app:1' }] } }
    const { body } = await request('POST', path, pod)
    said = JSON.stringify(body)
    return said.includes('istio-proxy') ? true : undefined
  }
  await until('the last registration to count', probe, async () => said, 20)
}

async function ofNamespace(
  { kubeconfigPath }: ControlPlane,
  namespace: string,
  here = () => new Date(),
): Promise<Diagnosis> {
  const target = readTarget('test', `${namespace}/deployment/web`)
  if (!target.ok) throw new Error('no target')
  const api = makeApi(await connect({ kubeconfig: kubeconfigPath }))
  try {
    return await diagnose(api, {
      target: target.value,
      istioNamespace: 'istio-system',
      dial,
      ask,
      here,
    })
  } finally {
    api.close()
  }
}

async function well(t: Test, controlPlane: ControlPlane, world: World): Promise<void> {
  const row = { name: 'in-order', cause: /^/ }
  await setUp(controlPlane, world, row)
  await untilTold(controlPlane, [row])
  const diagnosis = await ofNamespace(controlPlane, 'in-order')
  t.match(printDiagnosis(diagnosis), /^nothing is wrong that can be seen from here\n/)
  t.equal(diagnosis.state, 'well')
  t.strictSame(
    diagnosis.findings.filter(({ state }) => state !== 'ok'),
    [],
    'every check could be made',
  )
  const hour = 60 * 60_000
  const ahead = await ofNamespace(controlPlane, 'in-order', () => new Date(Date.now() + hour))
  t.match(ahead.cause, /^the clock of this machine is 3\d\d\d s ahead of that of the API server$/)
}

/** The printed lines do what they say, given to kubectl as a shell would. */
async function breakGlass(t: Test, controlPlane: ControlPlane): Promise<void> {
  const { breakGlass } = await ofNamespace(controlPlane, 'no-listener')
  if (breakGlass === undefined) throw new Error('no break-glass')
  const path = '/api/v1/namespaces/no-listener/pods?dryRun=All'
  const pod = { metadata: { name: 'x' }, spec: { containers: [{ name: 'app', image: 'app:1' }] } }
  const untilStatus = (wanted: number) =>
    until(`status ${wanted}`, async () => {
      const { status } = await controlPlane.request('POST', path, pod)
      return status === wanted ? status : undefined
    })
  for (const [line, status] of [
    [breakGlass.on, 201],
    [breakGlass.back, 500],
  ] as const) {
    const { exitCode, stderr } = await execa(
      '/bin/sh',
      ['-c', line.replace(/^kubectl /, '"$KUBECTL" --kubeconfig "$CONFIG" ')],
      {
        reject: false,
        env: {
          KUBECTL: join(process.env['KUBEBUILDER_ASSETS'] ?? '', 'kubectl'),
          CONFIG: controlPlane.kubeconfigPath,
        },
      },
    )
    t.equal(exitCode, 0, stderr)
    t.equal(await untilStatus(status), status)
  }
}

/** The real program: without a name it finds the broken ones; exit statuses. */
async function command(t: Test, controlPlane: ControlPlane): Promise<void> {
  const run = async (...args: readonly string[]) =>
    execa(
      process.execPath,
      [program, 'doctor', '--kubeconfig', controlPlane.kubeconfigPath, ...args],
      {
        reject: false,
      },
    )
  const all = await run()
  t.equal(all.exitCode, 1, all.stderr)
  t.match(all.stdout, /^the webhook \S+ cannot do its work: /)
  const json = await run('in-order/deployment/web', '-o', 'json')
  t.equal(json.exitCode, 0, json.stdout)
  t.match(JSON.parse(json.stdout), { state: 'well', breakGlass: null })
  const none = await run('in-order/nobody')
  t.equal(none.exitCode, 2)
  t.match(none.stderr, /pod in-order\/nobody: got "nothing", want one that exists/)
}
