/** Replicas of the webhook as processes, behind one address as behind a Service. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isObject } from '../../core/json.ts'
import { makeThrowaway } from '../../webhook/tls/authority.ts'
import { startBalancer, type Backend, type Balancer } from './balancer.ts'
import type { ControlPlane } from './control-plane.ts'
import { containersOf, create } from './objects.ts'
import { until } from './until.ts'

/** What a test may change of its fleet. */
export type FleetOptions = {
  /** Two by default. */
  readonly replicas?: number
  /** Flags of every replica besides its ports, which are free ones; by default `certificateFlags` and `DRAIN_FLAGS`. */
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** A fleet under way. Names of replicas are `webhook-1`, `webhook-2`, and on; none is used twice. */
export type Fleet = {
  readonly balancer: Balancer
  /** What a MutatingWebhookConfiguration calls: `https://127.0.0.1:PORT/inject`. */
  readonly url: string
  /** What verifies the default certificate; undefined where the test brought its own flags. */
  readonly caPem: string | undefined
  /** Replicas that were started and not stopped, oldest first. */
  readonly replicas: () => readonly string[]
  /** Ports of a replica that was started. */
  readonly portsOf: (name: string) => Backend
  /** Starts one more replica; resolves with its name once the balancer forwards to it. */
  readonly start: () => Promise<string>
  /** Tells a replica to end, and resolves when the signal is sent; it drains meanwhile. */
  readonly signal: (name: string, signal: 'SIGTERM' | 'SIGINT' | 'SIGKILL') => void
  /** How a replica ended, waiting for it: `exit 0`, `SIGKILL`. */
  readonly ended: (name: string) => Promise<string>
  /**
   * Replaces every replica as a Deployment with surge: new ones are ready before old ones are told
   * to end; one after another, or as many at once as there are.
   */
  readonly rollingRestart: (how?: {
    readonly signal?: 'SIGTERM' | 'SIGINT'
    readonly isAtOnce?: boolean
  }) => Promise<void>
  readonly log: (name: string) => Promise<string>
  /** Kills what is left and closes the balancer. */
  readonly close: () => Promise<void>
}

/**
 * Longer than the balancer goes on forwarding: a second until it looks, two more, and the rest for a machine on
 * which it looks late. What `deploy/base` gives, in `preStop` and `--drain-delay`, for the same reason.
 */
export const DRAIN_FLAGS = ['--drain-delay', '15'] as const

/**
 * Seconds that an API server waits for an answer: as long as it can, where `deploy/base` has 5. What a replica loses
 * (a connection refused or cut, an error) fails at once all the same; what a machine does that stands still for
 * seconds, as shared ones do, is in the report as the slowest.
 */
const TIMEOUT_SECONDS = 30

const program = join(import.meta.dirname, '../../dist/cli/main.js')

/** Starts the replicas; resolves once the balancer forwards to all of them. */
export async function startFleet(
  controlPlane: ControlPlane,
  options: FleetOptions = {},
): Promise<Fleet> {
  const { processes } = controlPlane
  const certificate = options.args === undefined ? await certificateFlags(controlPlane) : undefined
  const args = options.args ?? [...(certificate?.flags ?? []), ...DRAIN_FLAGS]
  const balancer = await startBalancer()
  const backends = new Map<string, Backend>()
  const active: string[] = []
  let started = 0

  const refuseEnded = async (name: string): Promise<void> => {
    const how = processes.exited(name)
    if (how !== undefined) throw new Error(`${name}: ${how}. ${await processes.log(name)}`)
  }
  const launch = (): string => {
    const name = `webhook-${++started}`
    const ports = ['--address', '127.0.0.1', '--port', '0', '--monitoring-port', '0']
    processes.start(
      name,
      process.execPath,
      [program, 'webhook', ...ports, ...args],
      // As the downward API gives them: replicas tell themselves apart by the name of their pod.
      { POD_NAME: name, POD_NAMESPACE: 'sidecar-injector', ...options.env },
    )
    active.push(name)
    return name
  }
  const join = async (name: string): Promise<string> => {
    const backend = await until(
      `ports of ${name}`,
      async () => {
        await refuseEnded(name)
        return portsIn(await processes.log(name))
      },
      () => processes.log(name),
    )
    backends.set(name, backend)
    balancer.add(name, backend)
    await until(
      `readiness of ${name}`,
      async () => {
        await refuseEnded(name)
        return balancer.isForwarding(name) ? true : undefined
      },
      () => processes.log(name),
    )
    return name
  }
  const start = () => join(launch())
  const signal: Fleet['signal'] = (name, signal) => {
    active.splice(active.indexOf(name), 1)
    processes.signal(name, signal)
  }
  const ended = (name: string) =>
    until(
      `end of ${name}`,
      async () => processes.exited(name),
      () => processes.log(name),
    )

  await Promise.all(Array.from({ length: options.replicas ?? 2 }, launch).map(join))
  return {
    balancer,
    url: `https://127.0.0.1:${balancer.port}/inject`,
    caPem: certificate?.caPem,
    replicas: () => [...active],
    portsOf(name) {
      const backend = backends.get(name)
      if (backend === undefined) throw new Error(`${name}: not started`)
      return backend
    },
    start,
    signal,
    ended,
    async rollingRestart({ signal: how = 'SIGTERM', isAtOnce = false } = {}) {
      const old = [...active]
      for (const together of isAtOnce ? [old] : old.map((name) => [name])) {
        await Promise.all(together.map(start))
        for (const name of together) signal(name, how)
      }
    },
    log: (name) => processes.log(name),
    async close() {
      for (const name of backends.keys()) {
        if (processes.exited(name) === undefined) processes.signal(name, 'SIGKILL')
      }
      await balancer.close()
    },
  }
}

/** A certificate for every replica, and what verifies it. */
export type FleetCertificate = {
  readonly flags: readonly string[]
  readonly certFile: string
  readonly keyFile: string
  readonly caPem: string
}

/** Writes a key pair that all replicas can serve, good for the balancer's address. */
export async function certificateFlags({ processes }: ControlPlane): Promise<FleetCertificate> {
  const folder = join(processes.folder, 'serving')
  await mkdir(folder, { recursive: true })
  const { pair, ca } = await makeThrowaway(['127.0.0.1'], new Date())
  const certFile = join(folder, 'tls.crt')
  const keyFile = join(folder, 'tls.key')
  await writeFile(certFile, pair.cert)
  await writeFile(keyFile, pair.key, { mode: 0o600 })
  const flags = ['--tls-cert-file', certFile, '--tls-key-file', keyFile]
  return { flags, certFile, keyFile, caPem: ca }
}

/** The object that sends the Pods of labelled namespaces to a fleet; Pods fail when the fleet does. */
export function registrationOf(url: string, caPem?: string): unknown {
  const caBundle = caPem === undefined ? undefined : Buffer.from(caPem).toString('base64')
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: { name: 'sidecar-injector', labels: { 'sidecar-injector.io/rev': 'default' } },
    webhooks: [
      {
        name: 'namespace.sidecar-injector.io',
        clientConfig: { url, ...(caBundle === undefined ? {} : { caBundle }) },
        rules: [
          { operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] },
        ],
        namespaceSelector: { matchLabels: { 'istio-injection': 'enabled' } },
        failurePolicy: 'Fail',
        timeoutSeconds: TIMEOUT_SECONDS,
        sideEffects: 'NoneOnDryRun',
        admissionReviewVersions: ['v1'],
      },
    ],
  }
}

/** Registers a fleet and waits until a Pod of the namespace comes back with a sidecar. */
export async function register(
  controlPlane: ControlPlane,
  namespace: string,
  registration: unknown,
): Promise<void> {
  const path = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations'
  await create(controlPlane, path, registration)
  await untilInjected(controlPlane, namespace)
}

/** Waits until a Pod of the namespace comes back with a sidecar. */
export async function untilInjected({ request }: ControlPlane, namespace: string): Promise<void> {
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { generateName: 'first-' },
    spec: { containers: [{ name: 'app', image: 'nginx:1.29' }] },
  }
  let last: unknown
  await until(
    `a sidecar in ${namespace}`,
    async () => {
      last = (await request('POST', `/api/v1/namespaces/${namespace}/pods?dryRun=All`, pod)).body
      return containersOf(last).includes('istio-proxy') ? true : undefined
    },
    async () => JSON.stringify(last),
  )
}

/** The ports in the log line of a webhook that listens. */
function portsIn(log: string): Backend | undefined {
  for (const line of log.split('\n').filter((line) => line.startsWith('{') && line.endsWith('}'))) {
    const event: unknown = JSON.parse(line)
    if (!isObject(event) || event['msg'] !== 'webhook listening') continue
    const { port, monitoringPort } = event
    if (typeof port === 'number' && typeof monitoringPort === 'number') {
      return { port, monitoringPort }
    }
  }
  return undefined
}
