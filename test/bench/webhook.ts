/**
 * What a review costs the webhook: server CPU above a Fastify HTTPS handler that parses the same
 * bodies and does nothing. Both servers are processes of their own, ours is the built program as
 * users start it; this process makes the load, over keep-alive TLS connections. Rounds of the two
 * take turns and are compared in pairs, so that a busy machine disturbs both alike.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { get } from 'node:http'
import { Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { makeThrowaway } from '../../webhook/tls/authority.ts'
import { managedFields } from '../support/managed-fields.ts'

/** How much is measured. */
export type Effort = {
  readonly rounds: number
  /** Requests in one round. */
  readonly requests: number
  readonly connections: number
  /** The built program `sidecar-injector`. */
  readonly program: string
}

/** Medians over the rounds of one kind of load. */
export type Figures = {
  readonly load: string
  /** Server CPU per request in µs: the null handler's, ours, and the median of the differences. */
  readonly nullCpu: number
  readonly ourCpu: number
  readonly above: number
  /** Median of ours divided by the null handler's of the same round. */
  readonly times: number
  readonly perSecond: number
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
  /** Megabytes at the end. */
  readonly rss: number
  readonly nullRss: number
}

const root = resolve(import.meta.dirname, '../..')
const EFFORT: Effort = {
  rounds: 9,
  requests: 1000,
  connections: 8,
  program: join(root, 'dist/cli/main.js'),
}

/** Measures with distinct pods and with replicas of one, prints a table, gives the figures. */
export async function run(
  effort: Partial<Effort> = {},
  print: (line: string) => void = console.log,
): Promise<readonly Figures[]> {
  const { program, ...rest } = { ...EFFORT, ...effort }
  if (!existsSync(program)) throw new Error(`${program}: not there, want npm run build before`)
  const folder = await mkdtemp(join(tmpdir(), 'sidecar-bench-'))
  const children: ChildProcess[] = []
  try {
    const { pair, ca } = await makeThrowaway(['localhost', '127.0.0.1'], new Date())
    const [cert, key] = [join(folder, 'tls.crt'), join(folder, 'tls.key')]
    await Promise.all([writeFile(cert, pair.cert), writeFile(key, pair.key)])
    const [nothing, ours] = [startNull(cert, key), startOurs(program, cert, key)]
    children.push(nothing, ours)
    const servers = { nothing: await readNull(nothing, ca), ours: await readOurs(ours, ca) }
    const figures = [
      await compare('1,000 distinct pods', distinctPods, servers, rest),
      await compare('replicas of one pod', replicas, servers, rest),
      await compare('1,000 shapes, a pod of each', distinctShapes, servers, rest),
    ]
    for (const line of table(figures, rest)) print(line)
    return figures
  } finally {
    for (const child of children) child.kill()
    await rm(folder, { recursive: true, force: true })
  }
}

/** A server under load: where it is, and what it has used so far. */
type Server = {
  readonly port: number
  readonly ca: string
  readonly usage: () => Promise<Usage>
}

/** CPU in µs since the start, memory in bytes. */
type Usage = { readonly cpu: number; readonly rss: number }

type Round = {
  readonly cpu: number
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
}

const WARM_UP = 2

async function compare(
  load: string,
  bodiesOf: (round: number) => readonly string[],
  { nothing, ours }: { readonly nothing: Server; readonly ours: Server },
  effort: Omit<Effort, 'program'>,
): Promise<Figures> {
  const pairs: { readonly nothing: Round; readonly ours: Round }[] = []
  // The first rounds warm both up and do not count.
  for (let round = -WARM_UP; round < effort.rounds; round++) {
    const isOursFirst = round % 2 === 0
    const bodies = bodiesOf(round + WARM_UP)
    const first = await measure(isOursFirst ? ours : nothing, bodies, effort)
    const second = await measure(isOursFirst ? nothing : ours, bodies, effort)
    if (round < 0) continue
    pairs.push(isOursFirst ? { ours: first, nothing: second } : { ours: second, nothing: first })
  }
  const of = (figure: (pair: (typeof pairs)[number]) => number) => median(pairs.map(figure))
  return {
    load,
    nullCpu: of((pair) => pair.nothing.cpu),
    ourCpu: of((pair) => pair.ours.cpu),
    above: of((pair) => pair.ours.cpu - pair.nothing.cpu),
    times: of((pair) => pair.ours.cpu / pair.nothing.cpu),
    perSecond: of((pair) => pair.ours.perSecond),
    p50: of((pair) => pair.ours.p50),
    p99: of((pair) => pair.ours.p99),
    rss: (await ours.usage()).rss / 1e6,
    nullRss: (await nothing.usage()).rss / 1e6,
  }
}

async function measure(
  server: Server,
  bodies: readonly string[],
  effort: Omit<Effort, 'program'>,
): Promise<Round> {
  const agent = new Agent({ keepAlive: true, maxSockets: effort.connections })
  const times: number[] = []
  let next = 0
  const client = async (): Promise<void> => {
    for (let index = next++; index < effort.requests; index = next++) {
      const start = performance.now()
      await post(server, bodies[index % bodies.length] ?? '', agent)
      times.push(performance.now() - start)
    }
  }
  const before = await server.usage()
  const start = performance.now()
  await Promise.all(Array.from({ length: effort.connections }, client))
  const seconds = (performance.now() - start) / 1000
  const after = await server.usage()
  agent.destroy()
  times.sort((a, b) => a - b)
  return {
    cpu: (after.cpu - before.cpu) / effort.requests,
    perSecond: effort.requests / seconds,
    p50: times[Math.floor(times.length * 0.5)] ?? 0,
    p99: times[Math.floor(times.length * 0.99)] ?? 0,
  }
}

async function post(server: Server, body: string, agent: Agent): Promise<void> {
  const asked = request({
    host: '127.0.0.1',
    port: server.port,
    ca: server.ca,
    servername: 'localhost',
    path: '/inject',
    method: 'POST',
    headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
    agent,
  })
  asked.end(body)
  const [answer] = await once(asked, 'response')
  let text = ''
  for await (const chunk of answer) text += String(chunk)
  if (answer.statusCode !== 200 || !text.includes('"allowed":true')) {
    throw new Error(`got ${String(answer.statusCode)} ${text.slice(0, 500)}, want an allowed pod`)
  }
}

/** The null handler: the same server library, TLS and body, parsed by the library, answered at once. */
const NULL_SERVER = `
import { readFileSync } from 'node:fs'
import fastify from 'fastify'
const [cert, key] = process.argv.slice(1).map((file) => readFileSync(file))
const https = { cert, key, ALPNProtocols: ['http/1.1'] }
const app = fastify({ https, bodyLimit: 6291456, keepAliveTimeout: 120000 })
app.post('/inject', async ({ body }) => ({
  apiVersion: body.apiVersion,
  kind: 'AdmissionReview',
  response: { uid: body.request.uid, allowed: true },
}))
process.on('message', () => {
  const { user, system } = process.cpuUsage()
  process.send({ cpu: user + system, rss: process.memoryUsage.rss() })
})
await app.listen({ port: 0, host: '127.0.0.1' })
process.send({ port: app.server.address().port })
`

function startNull(cert: string, key: string): ChildProcess {
  return spawn(process.execPath, ['--input-type=module', '-e', NULL_SERVER, cert, key], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
}

async function readNull(child: ChildProcess, ca: string): Promise<Server> {
  const ended = once(child, 'exit').then(() => Promise.reject(new Error('the null handler ended')))
  const [{ port }] = await Promise.race([once(child, 'message'), ended])
  const usage = async (): Promise<Usage> => {
    child.send('usage')
    const [used]: Usage[] = await once(child, 'message')
    return used ?? { cpu: 0, rss: 0 }
  }
  return { port, ca, usage }
}

function startOurs(program: string, cert: string, key: string): ChildProcess {
  const ports = ['--address', '127.0.0.1', '--port', '0', '--monitoring-port', '0']
  const pair = ['--tls-cert-file', cert, '--tls-key-file', key]
  return spawn(process.execPath, [program, 'webhook', ...ports, ...pair], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

async function readOurs(child: ChildProcess, ca: string): Promise<Server> {
  const { stdout } = child
  if (stdout === null) throw new Error('want a pipe')
  for await (const line of createInterface({ input: stdout })) {
    const said: { msg: string; port: number; monitoringPort: number } = JSON.parse(line)
    if (said.msg !== 'webhook listening') continue
    // Log lines go on coming: they are part of the work and must not fill the pipe.
    stdout.resume()
    return { port: said.port, ca, usage: () => scrape(said.monitoringPort) }
  }
  throw new Error('got no word from the webhook, want "webhook listening"')
}

/** The program's own account of itself. */
async function scrape(port: number): Promise<Usage> {
  const [answer] = await once(get({ host: '127.0.0.1', port, path: '/metrics' }), 'response')
  let text = ''
  for await (const chunk of answer) text += String(chunk)
  const value = (name: string) => Number(new RegExp(`^${name} (.+)$`, 'm').exec(text)?.[1])
  return {
    cpu: value('process_cpu_seconds_total') * 1e6,
    rss: value('process_resident_memory_bytes'),
  }
}

/** No pod comes in two rounds: nothing that was answered once can be answered again from memory. */
function distinctPods(round: number): readonly string[] {
  return numbers(round).map((n) => reviewOf(n, podOf(n)))
}

/** What a ReplicaSet sends: the same pod but for the name of its token, in requests of their own. */
function replicas(round: number): readonly string[] {
  return numbers(round).map((n) => reviewOf(n, podOf(0, { replica: n })))
}

/** The worst that can come: no two pods have a path of a mount in common, so that none helps another. */
function distinctShapes(round: number): readonly string[] {
  return numbers(round).map((n) => reviewOf(n, podOf(n, { folder: `/etc/app${String(n)}` })))
}

function numbers(round: number): readonly number[] {
  return Array.from({ length: 1000 }, (_, n) => round * 1000 + n)
}

function reviewOf(n: number, object: object): string {
  const version = { group: '', version: 'v1' }
  return JSON.stringify({
    kind: 'AdmissionReview',
    apiVersion: 'admission.k8s.io/v1',
    request: {
      uid: `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`,
      kind: { ...version, kind: 'Pod' },
      resource: { ...version, resource: 'pods' },
      requestKind: { ...version, kind: 'Pod' },
      requestResource: { ...version, resource: 'pods' },
      namespace: `shop-${String(n % 20)}`,
      operation: 'CREATE',
      userInfo: {
        username: 'system:serviceaccount:kube-system:replicaset-controller',
        groups: ['system:serviceaccounts', 'system:authenticated'],
      },
      object,
      oldObject: null,
      dryRun: false,
      options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' },
    },
  })
}

/** An ordinary pod of two containers as an API server sends it, about 6 KB; each second brings 20 of them. */
function podOf(n: number, { replica = n, folder = '/etc/app' } = {}): object {
  const name = `web-${String(n)}`
  const hash = (n + 1_000_000).toString(36)
  const owner = `11111111-0000-4000-8000-${String(n).padStart(12, '0')}`
  // The API server gives the token of the account another name in each pod.
  const access = `kube-api-access-${String(replica).padStart(5, '0')}`
  const token = { name: access, mountPath: '/var/run/secrets/kubernetes.io/sa' }
  const probe = { failureThreshold: 3, periodSeconds: 10, successThreshold: 1, timeoutSeconds: 1 }
  const container = (kind: string, port: number) => ({
    name: `${kind}-${String(n % 7)}`,
    image: `registry.example/${kind}/${name}:v${String(n % 13)}`,
    ports: [{ name: `http-${kind}`, containerPort: port, protocol: 'TCP' }],
    env: Array.from({ length: 8 }, (_, at) => ({ name: `SETTING_${at}`, value: `${name}-${at}` })),
    resources: {
      limits: { memory: '256Mi' },
      requests: { cpu: `${100 + (n % 50)}m`, memory: '128Mi' },
    },
    volumeMounts: [
      { name: 'config', mountPath: folder },
      { ...token, readOnly: true },
    ],
    livenessProbe: { httpGet: { path: `/live/${n}`, port, scheme: 'HTTP' }, ...probe },
    readinessProbe: { httpGet: { path: '/ready', port: `http-${kind}`, scheme: 'HTTP' }, ...probe },
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    imagePullPolicy: 'IfNotPresent',
  })
  return {
    kind: 'Pod',
    apiVersion: 'v1',
    metadata: {
      generateName: `${name}-${hash}-`,
      creationTimestamp: null,
      labels: { app: name, version: `v${String(n % 13)}`, 'pod-template-hash': hash },
      annotations: { 'example.org/build': `build-${String(n)}` },
      ownerReferences: [
        {
          apiVersion: 'apps/v1',
          kind: 'ReplicaSet',
          name: `${name}-${hash}`,
          uid: owner,
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
      managedFields: managedFields({
        owner,
        seconds: 1_790_000_000 + Math.floor(replica / 20),
        containers: [`app-${String(n % 7)}`, `cache-${String(n % 7)}`],
      }),
    },
    spec: {
      volumes: [
        { name: 'config', configMap: { name: `${name}-config`, defaultMode: 420 } },
        {
          name: token.name,
          projected: {
            sources: [
              { serviceAccountToken: { expirationSeconds: 3607, path: 'token' } },
              {
                configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] },
              },
            ],
            defaultMode: 420,
          },
        },
      ],
      containers: [container('app', 8080), container('cache', 6379)],
      restartPolicy: 'Always',
      terminationGracePeriodSeconds: 30,
      dnsPolicy: 'ClusterFirst',
      serviceAccountName: name,
      serviceAccount: name,
      securityContext: {},
      schedulerName: 'default-scheduler',
      tolerations: [
        {
          key: 'node.kubernetes.io/not-ready',
          operator: 'Exists',
          effect: 'NoExecute',
          tolerationSeconds: 300,
        },
      ],
      priority: 0,
      enableServiceLinks: true,
      preemptionPolicy: 'PreemptLowerPriority',
    },
    status: {},
  }
}

function median(figures: readonly number[]): number {
  const sorted = figures.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? 0
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? 0)) / 2
}

function table(figures: readonly Figures[], effort: Omit<Effort, 'program'>): readonly string[] {
  const { rounds, requests, connections } = effort
  return [
    `webhook, medians of ${rounds} rounds of ${requests} reviews over ${connections} connections`,
    '| load | null handler µs | ours µs | above µs | times | reviews/s | p50 ms | p99 ms | RSS MB | null RSS MB |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ...figures.map((row) => {
      const cells = [
        row.load,
        row.nullCpu.toFixed(0),
        row.ourCpu.toFixed(0),
        row.above.toFixed(0),
        row.times.toFixed(2),
        row.perSecond.toFixed(0),
        row.p50.toFixed(2),
        row.p99.toFixed(2),
        row.rss.toFixed(0),
        row.nullRss.toFixed(0),
      ]
      return `| ${cells.join(' | ')} |`
    }),
  ]
}
