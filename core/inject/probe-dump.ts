import { PROXY_CONTAINER } from '../constants.ts'
import { compareBytes, goJson, isArray, isObject, type Json, type JsonObject } from '../json.ts'
import type { Container, EnvVar, Pod, Probe } from '../k8s.ts'
import { appendEnv } from './cluster-envs.ts'
import { resolvePort } from './probe-ports.ts'
import type { ProbeDialect } from './probe-table.ts'

/** Environment variable of the proxy: what the agent asks instead of the kubelet, JSON by path. */
export const PROBERS_ENV = 'ISTIO_KUBE_APP_PROBERS'

/** What the agent asks on behalf of the kubelet, by the path under which the kubelet asks the agent. */
export type Probers = ReadonlyMap<string, Prober>

/** One check in the agent's terms: members in the order in which the agent's own type prints them. */
export type Prober = {
  readonly httpGet?: JsonObject
  readonly tcpSocket?: JsonObject
  readonly grpc?: JsonObject
  /** Seconds. */
  readonly timeoutSeconds?: number
}

/**
 * Collects what the agent has to ask. Left out: exec and sleep, which stay with the kubelet; ports by a
 * name that the container does not have; checks that ask the agent already, as told by its path, where an
 * earlier rewriting pointed them, or by `meshStatusPort`.
 */
export function dumpProbers(pod: Pod, meshStatusPort: number, dialect: ProbeDialect): Probers {
  const probers = new Map<string, Prober>()
  for (const container of probedContainers(pod, dialect)) {
    for (const { find, path } of dialect.places) {
      const probe = find(container)
      if (!probe) continue
      const key = path(container.name)
      const prober = dump(probe, container, meshStatusPort, dialect)
      if (prober === undefined || prober.httpGet?.['path'] === key) continue
      const { timeoutSeconds = 0 } = probe
      probers.set(key, timeoutSeconds === 0 ? prober : { ...prober, timeoutSeconds })
    }
  }
  return probers
}

/** The containers whose checks are taken over: all but the proxy. */
export function probedContainers({ spec }: Pod, dialect: ProbeDialect): readonly Container[] {
  const inits = dialect.hasInitContainers ? (spec?.initContainers ?? []) : []
  return [...inits, ...(spec?.containers ?? [])].filter(({ name }) => name !== PROXY_CONTAINER)
}

/**
 * The proxy's environment with the probers in it. Those of an earlier injection stay, except where the
 * pod's check was changed since; any other variable of that name makes way.
 */
export function addProbers(
  env: readonly EnvVar[],
  probers: Probers,
  wasInjected: boolean,
): readonly EnvVar[] {
  const at = wasInjected ? env.findLastIndex(({ name }) => name === PROBERS_ENV) : -1
  if (at < 0) return appendEnv(env, PROBERS_ENV, printProbers(probers))
  const value = printProbers(new Map([...readProbers(env[at]?.value), ...probers]))
  return env.with(at, { name: PROBERS_ENV, value })
}

/** One JSON object, keys in bytewise order. */
export function printProbers(probers: Probers): string {
  return goJson(Object.fromEntries([...probers].sort(([a], [b]) => compareBytes(a, b))))
}

/** Reads probers back. Text that is no JSON object gives none; entries that are no prober are dropped. */
export function readProbers(text: string | undefined): Probers {
  const value = parse(text)
  const probers = new Map<string, Prober>()
  for (const [path, item] of Object.entries(isObject(value) ? value : {})) {
    const prober = readProber(item)
    if (prober !== undefined) probers.set(path, prober)
  }
  return probers
}

function dump(
  { httpGet, tcpSocket, grpc }: Probe,
  container: Container,
  meshStatusPort: number,
  { handlers, knowsOwnPort }: ProbeDialect,
): Prober | undefined {
  const reach = (port: number | string) => {
    return knowsOwnPort && port === meshStatusPort ? undefined : resolvePort(container, port)
  }
  if (httpGet && handlers.includes('httpGet')) {
    const port = reach(httpGet.port)
    return port === undefined ? undefined : { httpGet: asHttpGet(httpGet, port) }
  }
  if (tcpSocket && handlers.includes('tcpSocket')) {
    const port = reach(tcpSocket.port)
    return port === undefined ? undefined : { tcpSocket: asTcpSocket(tcpSocket, port) }
  }
  return grpc && handlers.includes('grpc') ? { grpc: asGrpc(grpc) } : undefined
}

/** Members of a check that may be anything: the pod's are typed, those read back are not. */
type Loose<Name extends string> = { readonly [Member in Name]?: unknown }

function asHttpGet(
  { path, host, scheme, httpHeaders }: Loose<'path' | 'host' | 'scheme' | 'httpHeaders'>,
  port: number | string,
): JsonObject {
  const action: Record<string, Json> = {}
  if (isSaid(path)) action['path'] = path
  action['port'] = port
  if (isSaid(host)) action['host'] = host
  if (isSaid(scheme)) action['scheme'] = scheme
  if (isArray(httpHeaders) && httpHeaders.length > 0)
    action['httpHeaders'] = httpHeaders.map(asHeader)
  return action
}

function asTcpSocket({ host }: Loose<'host'>, port: number | string): JsonObject {
  return isSaid(host) ? { port, host } : { port }
}

/** An absent service is written as null, as the agent's type has it. */
function asGrpc({ port, service }: Loose<'port' | 'service'>): JsonObject {
  return { port: portOf(port), service: typeof service === 'string' ? service : null }
}

function asHeader(header: unknown): Json {
  const { name, value } = isObject(header) ? header : {}
  return { name: isSaid(name) ? name : '', value: isSaid(value) ? value : '' }
}

function isSaid(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function portOf(port: unknown): number | string {
  return typeof port === 'number' || typeof port === 'string' ? port : 0
}

function readProber(value: unknown): Prober | undefined {
  if (!isObject(value)) return undefined
  const { httpGet, tcpSocket, grpc, timeoutSeconds } = value
  const timeout = typeof timeoutSeconds === 'number' && timeoutSeconds !== 0 && { timeoutSeconds }
  if (isObject(httpGet)) return { httpGet: asHttpGet(httpGet, portOf(httpGet['port'])), ...timeout }
  if (isObject(tcpSocket))
    return { tcpSocket: asTcpSocket(tcpSocket, portOf(tcpSocket['port'])), ...timeout }
  return isObject(grpc) ? { grpc: asGrpc(grpc), ...timeout } : undefined
}

function parse(value: string | undefined): unknown {
  try {
    return value === undefined ? undefined : JSON.parse(value)
  } catch {
    return undefined
  }
}
