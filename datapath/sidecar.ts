/** An injected pod in the lab: its rules by its own init container, its proxy, its agent's stand-in, its application. */
import { createHash } from 'node:crypto'
import { buildStandalone } from '../core/bootstrap/bootstrap.ts'
import { environmentOf } from '../core/bootstrap/environment.ts'
import { readProxy } from '../core/bootstrap/from-pod.ts'
import type { Proxy } from '../core/bootstrap/proxy.ts'
import { readServices } from '../core/bootstrap/read-services.ts'
import type { Service } from '../core/bootstrap/services.ts'
import { INIT_CONTAINER } from '../core/constants.ts'
import { findProxy } from '../core/inject/cluster-envs.ts'
import { injectPod } from '../core/inject/inject.ts'
import { describeDecision } from '../core/inject/why.ts'
import { PROBERS_ENV, readProbers } from '../core/inject/probe-dump.ts'
import { readInjectConfig, type InjectConfig } from '../core/inject/config.ts'
import type { JsonObject } from '../core/json.ts'
import { byName, type Container, type Pod } from '../core/k8s.ts'
import { Refusal, type Read } from '../core/problem.ts'
import type { Outcome } from '../iptables-init/run.ts'
import { startEnvoy } from './envoy.ts'
import { AT, type Lab, type Started, type Who } from './lab.ts'
import { untilListening } from './listening.ts'
import { AGENT } from './programs.ts'

/** What a pod is injected with. */
export type Injection = {
  readonly annotations?: Readonly<Record<string, string>>
  /** Containers of the application; one without checks unless given. */
  readonly containers?: readonly JsonObject[]
  /** MeshConfig and Helm values, YAML. */
  readonly mesh?: string
  readonly values?: string
}

/** An injected pod and the configuration that it was injected with. */
export type Injected = { readonly pod: Pod; readonly config: InjectConfig }

/** As whom the application runs. */
export const APP_USER: Who = { uid: 1000, gid: 1000, capabilities: [] }

/** Injects a pod as `kube-inject` does. */
export function inject(injection: Injection): Injected {
  const { mesh, values } = injection
  const config = ok(
    readInjectConfig({
      istioVersion: 'current',
      revision: '',
      digest: (text) => createHash('sha256').update(text).digest('hex'),
      ...(mesh !== undefined && { mesh: { path: 'mesh', text: mesh } }),
      ...(values !== undefined && { values: { path: 'values', text: values } }),
    }),
  )
  const containers = injection.containers ?? [{ name: 'app', image: 'app' }]
  const metadata = {
    name: 'web-0',
    namespace: 'default',
    labels: { app: 'web' },
    annotations: injection.annotations ?? {},
  }
  const decision = injectPod(
    {
      pod: { metadata, spec: { containers } },
      owner: { apiVersion: 'v1', kind: 'Pod', name: 'web-0', namespace: 'default' },
      nativeSidecars: false,
      door: 'kube-inject',
      proxyEnvs: {},
    },
    config,
  )
  if (decision.kind !== 'inject') throw new Error(describeDecision(decision))
  return { pod: decision.pod, config }
}

/** An init container that injection wrote, by its name. */
export function initContainer({ pod }: Injected, name: string): Container {
  const container = byName(pod.spec?.initContainers, name)
  if (container === undefined) throw new Error(`the injected pod has no ${name}`)
  return container
}

/** As whom a container runs, with what its drop and add lists leave of the capabilities. */
export function userOf({ securityContext: context }: Container): Who {
  return {
    uid: context?.runAsUser ?? 0,
    gid: context?.runAsGroup ?? 0,
    capabilities: (context?.capabilities?.add ?? []).map((name) => name.toLowerCase()),
  }
}

/** As whom the injected proxy runs; its agent too. */
export function proxyUser({ pod }: Injected): Who {
  const container = findProxy(pod)
  if (container === undefined) throw new Error('the injected pod has no proxy')
  return userOf(container)
}

/**
 * Runs an init container in the pod's namespace: its arguments, user, capabilities and environment, with
 * our program in the place of its image. `more` are further flags.
 */
export async function runInit(
  lab: Lab,
  program: string,
  injected: Injected,
  name: string = INIT_CONTAINER,
  more: readonly string[] = [],
): Promise<Outcome> {
  const container = initContainer(injected, name)
  const words = [program, ...(container.args ?? []), ...more]
  const env = environmentOf(injected.pod, container)
  return lab.run('pod', userOf(container), process.execPath, words, { env })
}

/** What a proxy runs with. */
export type Running = {
  readonly proxy: Proxy
  readonly services: readonly Service[]
  readonly envoy: Started
  /** Ports of the application that the agent asks, by the path under which the agent is asked. */
  readonly probed: ReadonlyMap<string, number>
  /** As whom Envoy runs. */
  readonly user: Who
}

/** Families and services that a proxy gets, and who it is. */
export type RunHow = {
  readonly families?: readonly ('v4' | 'v6')[]
  /** ServiceEntry and DestinationRule objects. */
  readonly objects?: readonly JsonObject[]
  readonly who?: Who
  /** Most files that Envoy may open; the machine's limit where absent. */
  readonly mostFiles?: number
}

/** Starts Envoy in the pod with the bootstrap that is made from it. */
export async function startProxy(
  lab: Lab,
  binary: string,
  injected: Injected,
  { families = ['v4'], objects = [], who: user = proxyUser(injected), mostFiles }: RunHow = {},
): Promise<Running> {
  const { pod, config } = injected
  const addresses = families.map((family) => AT[family].pod)
  const proxy = ok(readProxy(pod, config.mesh, { addresses }))
  const given = objects.map((value) => ({ path: 'objects', value }))
  const services = ok(readServices(given, proxy.ports))
  const { outbound, inbound, health, metrics } = proxy.ports
  const ports = [outbound, inbound, health, metrics]
  const envoy = await startEnvoy(lab, binary, user, {
    bootstrap: buildStandalone(proxy, services),
    ports,
    ...(mostFiles !== undefined && { mostFiles }),
  })
  return { proxy, services, envoy, user, probed: probedPorts(pod) }
}

/** Starts what stands in for the agent: readiness, and the application's checks. */
export async function startAgent(
  lab: Lab,
  { pod }: Injected,
  { proxy, user }: Pick<Running, 'proxy' | 'user'>,
): Promise<Started> {
  const { status } = proxy.ports
  const address = AT[proxy.families[0] ?? 'v4'].pod
  const words = ['-e', AGENT, `${status}`, address, probersOf(pod) ?? '{}']
  const agent = lab.start('pod', user, 'agent', process.execPath, words)
  await untilListening('agent', agent, [status])
  return agent
}

function probersOf(pod: Pod): string | undefined {
  const container = findProxy(pod)
  return container === undefined ? undefined : environmentOf(pod, container)[PROBERS_ENV]
}

function probedPorts(pod: Pod): ReadonlyMap<string, number> {
  const probers = [...readProbers(probersOf(pod))]
  return new Map(
    probers.flatMap(([path, { httpGet, tcpSocket }]): [string, number][] => {
      const port = (httpGet ?? tcpSocket)?.['port']
      return typeof port === 'number' ? [[path, port]] : []
    }),
  )
}

/** The value, or its problems thrown as a Refusal. */
export function ok<T>(outcome: Read<T>): T {
  if (!outcome.ok) throw new Refusal(outcome.problems)
  return outcome.value
}
