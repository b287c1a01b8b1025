import { execa } from 'execa'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { accessSync, constants } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { Agent, request as httpsRequest } from 'node:https'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { supervise, type Supervised } from './supervised.ts'
import { until } from './until.ts'

/** What a test may change of its control plane. */
export type ControlPlaneOptions = {
  /** Further arguments of kube-apiserver; a repeated flag wins over ours. */
  readonly apiServerArgs?: readonly string[]
  /** Names of the controllers to run; by default those that make and keep Pods. Empty: none. */
  readonly controllers?: readonly string[]
}

/** An answer of the API server. */
export type Answer = {
  readonly status: number
  /** The parsed body where it is JSON, else its text. */
  readonly body: unknown
}

/** A running etcd, kube-apiserver and kube-controller-manager, private to one test. */
export type ControlPlane = {
  /** `https://127.0.0.1:PORT`, without a slash at the end. */
  readonly url: string
  /** Certificates that the API server's own one is verified with. */
  readonly caPem: string
  /** Bearer token of a member of system:masters. */
  readonly token: string
  readonly kubeconfigPath: string
  /** Folder, logs and lifetime; a test may start its own programs beside the control plane. */
  readonly processes: Supervised
  /** Calls the API server over verified TLS. A string is sent as it is, anything else as JSON. */
  readonly request: (
    method: string,
    path: string,
    body?: unknown,
    contentType?: string,
  ) => Promise<Answer>
  /** Runs kubectl as the administrator and gives what it printed, whatever the exit code. */
  readonly kubectl: (
    args: readonly string[],
    stdin?: string,
  ) => Promise<{
    readonly exitCode: number | undefined
    readonly stdout: string
    readonly stderr: string
  }>
  /** Ends kube-apiserver; its port then refuses connections. */
  readonly stopApiServer: () => Promise<void>
  /** Starts it again on the same port, with the same certificate and data; resolves when it is ready. */
  readonly startApiServer: () => Promise<void>
  /** Stops etcd in its tracks (SIGSTOP): the API server waits for it. Resolves when it has stopped. */
  readonly pauseEtcd: () => Promise<void>
  readonly resumeEtcd: () => void
  /** Ends every process and removes the folder. */
  readonly stop: () => Promise<void>
}

const PROGRAMS = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kubectl'] as const

const CONTROLLERS = [
  'namespace-controller',
  'serviceaccount-controller',
  'deployment-controller',
  'replicaset-controller',
  'statefulset-controller',
  'daemonset-controller',
  'job-controller',
  'cronjob-controller',
] as const

/** Attempts at finding ports that nobody else takes before we do. */
const ATTEMPTS = 5

/** Milliseconds that one call of the API server may take; it gives a webhook 10 s, 30 at most. */
const REQUEST_MS = 40_000

/** Why no control plane can be started here, undefined when one can. */
export function controlPlaneUnavailable(): string | undefined {
  return toolsUnavailable(PROGRAMS)
}

/** Why these test tools cannot be used here, undefined when they can. */
export function toolsUnavailable(names: readonly string[]): string | undefined {
  const assets = process.env['KUBEBUILDER_ASSETS'] ?? ''
  if (assets === '') return 'KUBEBUILDER_ASSETS is not set; node scripts/test-tools.mjs builds them'
  const missing = names.filter((name) => !isExecutable(join(assets, name)))
  if (missing.length > 0) return `KUBEBUILDER_ASSETS=${assets} lacks ${missing.join(', ')}`
  return undefined
}

/** Starts a control plane and waits until it is ready. There are no nodes: Pods stay pending. */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const reason = controlPlaneUnavailable()
  if (reason !== undefined) throw new Error(reason)
  for (let attempt = 1; ; attempt++) {
    const processes = await supervise()
    try {
      return await startIn(processes, options)
    } catch (error) {
      await processes.stop()
      if (attempt === ATTEMPTS || !(error instanceof PortTaken)) throw error
    }
  }
}

/** Somebody took the port between our look and our use. */
class PortTaken extends Error {}

async function startIn(processes: Supervised, options: ControlPlaneOptions): Promise<ControlPlane> {
  const { folder } = processes
  const program = (name: (typeof PROGRAMS)[number]) =>
    join(process.env['KUBEBUILDER_ASSETS'] ?? '', name)
  const [etcdPort, peerPort, port] = await freePorts()
  const etcdUrl = `http://127.0.0.1:${etcdPort}`
  const url = `https://127.0.0.1:${port}`
  const token = randomBytes(24).toString('hex')
  const files = await writeCredentials(folder, token)

  processes.start('etcd', program('etcd'), etcdArgs(folder, etcdUrl, peerPort))
  await untilReady(processes, 'etcd', async () => (await fetchText(`${etcdUrl}/health`)) !== '')
  const args = [...apiServerArgs(files, etcdUrl, port), ...(options.apiServerArgs ?? [])]
  const startApiServer = (): void => {
    processes.start('kube-apiserver', program('kube-apiserver'), args)
  }
  startApiServer()
  const caPem = await until(
    'certificate of kube-apiserver',
    async () => {
      await refuseEnded(processes)
      const text = await readFile(files.certificate, 'utf8').catch(() => '')
      // Seen too early it is empty, or has one of its two certificates.
      return text.split('-----END CERTIFICATE-----\n').length > 2 ? text : undefined
    },
    () => tail(processes, 'kube-apiserver'),
  )
  const agent = new Agent({ ca: caPem, keepAlive: true })
  const request = caller(url, token, agent)
  const untilServing = async (): Promise<void> => {
    await untilReady(processes, 'kube-apiserver', async () => {
      const { status } = await request('GET', '/readyz').catch(() => ({ status: 0 }))
      return status === 200
    })
  }
  await untilServing()

  const kubeconfigPath = join(folder, 'kubeconfig')
  await writeFile(kubeconfigPath, kubeconfig(url, caPem, token))
  const controllers = options.controllers ?? CONTROLLERS
  if (controllers.length > 0) {
    processes.start('kube-controller-manager', program('kube-controller-manager'), [
      `--kubeconfig=${kubeconfigPath}`,
      `--service-account-private-key-file=${files.privateKey}`,
      `--controllers=${controllers.join(',')}`,
      '--leader-elect=false',
      '--use-service-account-credentials=false',
      '--secure-port=0',
    ])
    await untilReady(
      processes,
      'kube-controller-manager',
      async () =>
        !controllers.includes('serviceaccount-controller') ||
        (await request('GET', '/api/v1/namespaces/default/serviceaccounts/default')).status === 200,
    )
  }

  return {
    url,
    caPem,
    token,
    kubeconfigPath,
    processes,
    request,
    async kubectl(args, stdin = '') {
      const { exitCode, stdout, stderr } = await execa(
        program('kubectl'),
        [`--kubeconfig=${kubeconfigPath}`, ...args],
        { input: stdin, reject: false, extendEnv: false, env: { HOME: folder } },
      )
      return { exitCode, stdout, stderr }
    },
    stopApiServer: () => processes.end('kube-apiserver'),
    async startApiServer() {
      startApiServer()
      await untilServing()
    },
    async pauseEtcd() {
      processes.signal('etcd', 'SIGSTOP')
      const isSilent = async () => (await fetchText(`${etcdUrl}/health`)) === '' || undefined
      await until('silence of etcd', isSilent)
    },
    resumeEtcd: () => {
      processes.signal('etcd', 'SIGCONT')
    },
    async stop() {
      agent.destroy()
      await processes.stop()
    },
  }
}

type Files = {
  readonly certificates: string
  /** Written by kube-apiserver: its certificate, then the one that signed it. */
  readonly certificate: string
  readonly privateKey: string
  readonly publicKey: string
  readonly tokens: string
}

async function writeCredentials(folder: string, token: string): Promise<Files> {
  const files = {
    certificates: join(folder, 'certificates'),
    certificate: join(folder, 'certificates', 'apiserver.crt'),
    privateKey: join(folder, 'service-accounts.key'),
    publicKey: join(folder, 'service-accounts.pub'),
    tokens: join(folder, 'tokens.csv'),
  }
  const pair = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'sec1', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  await writeFile(files.privateKey, pair.privateKey)
  await writeFile(files.publicKey, pair.publicKey)
  await writeFile(files.tokens, `${token},admin,admin,system:masters\n`)
  return files
}

function etcdArgs(folder: string, url: string, peerPort: number): readonly string[] {
  const peerUrl = `http://127.0.0.1:${peerPort}`
  return [
    '--name=test',
    `--data-dir=${join(folder, 'etcd')}`,
    `--listen-client-urls=${url}`,
    `--advertise-client-urls=${url}`,
    `--listen-peer-urls=${peerUrl}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--initial-cluster=test=${peerUrl}`,
  ]
}

function apiServerArgs(files: Files, etcdUrl: string, port: number): readonly string[] {
  return [
    `--etcd-servers=${etcdUrl}`,
    // Should the port be somebody else's etcd after all, their keys are not ours.
    `--etcd-prefix=/${randomBytes(6).toString('hex')}`,
    '--bind-address=127.0.0.1',
    `--secure-port=${port}`,
    // Without these two it looks for a network card, and a test namespace may have none.
    '--advertise-address=127.0.0.1',
    '--endpoint-reconciler-type=none',
    `--cert-dir=${files.certificates}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${files.publicKey}`,
    `--service-account-signing-key-file=${files.privateKey}`,
    `--token-auth-file=${files.tokens}`,
    '--authorization-mode=RBAC',
    '--service-cluster-ip-range=10.0.0.0/24',
  ]
}

function kubeconfig(server: string, caPem: string, token: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'test',
        cluster: {
          server,
          'certificate-authority-data': Buffer.from(caPem).toString('base64'),
        },
      },
    ],
    users: [{ name: 'admin', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
    'current-context': 'test',
  })
}

/** Waits for a process to be ready, and rejects as soon as any of them has ended. */
async function untilReady(
  processes: Supervised,
  name: string,
  isReady: () => Promise<boolean>,
): Promise<void> {
  await until(
    `readiness of ${name}`,
    async () => {
      const ready = await isReady()
      await refuseEnded(processes)
      return ready ? true : undefined
    },
    () => tail(processes, name),
  )
}

async function refuseEnded(processes: Supervised): Promise<void> {
  for (const name of PROGRAMS) {
    const how = processes.exited(name)
    if (how === undefined) continue
    const message = `${name}: got ${how}, want it running. ${await tail(processes, name)}`
    throw message.includes('address already in use') ? new PortTaken(message) : new Error(message)
  }
}

async function tail(processes: Supervised, name: string): Promise<string> {
  const lines = (await processes.log(name)).trimEnd().split('\n').slice(-20)
  return `The log of ${name} ends with:\n${lines.join('\n')}`
}

/** Free now; held together until all are known, so that they differ. */
async function freePorts(): Promise<readonly [number, number, number]> {
  const servers = [createServer(), createServer(), createServer()] as const
  const [a, b, c] = servers
  const ports = [await listen(a), await listen(b), await listen(c)] as const
  for (const server of servers) server.close()
  await Promise.all(servers.map((server) => once(server, 'close')))
  return ports
}

async function listen(server: ReturnType<typeof createServer>): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

async function fetchText(url: string): Promise<string> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(2000) })
    return answer.ok ? await answer.text() : ''
  } catch {
    return ''
  }
}

function caller(url: string, token: string, agent: Agent): ControlPlane['request'] {
  return (method, path, body, contentType = 'application/json') =>
    new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': contentType }
      const signal = AbortSignal.timeout(REQUEST_MS)
      const options = { method, agent, headers, signal }
      const outgoing = httpsRequest(`${url}${path}`, options, (incoming) => {
        const status = incoming.statusCode ?? 0
        text(incoming).then((read) => {
          resolve({ status, body: parsed(read) })
        }, reject)
      })
      outgoing.on('error', reject)
      outgoing.end(typeof body === 'string' ? body : body && JSON.stringify(body))
    })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
