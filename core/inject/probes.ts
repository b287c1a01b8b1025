import { PROXY_CONTAINER, STATUS_PORT_ANNOTATION } from '../constants.ts'
import type { Container, Pod, Probe, StringMap } from '../k8s.ts'
import { readPort } from '../ports.ts'
import type { Problem } from '../problem.ts'
import { findProxy, withProxyEnv } from './cluster-envs.ts'
import { addProbers, dumpProbers } from './probe-dump.ts'
import { resolvePort } from './probe-ports.ts'
import { isRewriting } from './probe-switch.ts'
import { PROBES_CURRENT, type ProbeDialect } from './probe-table.ts'
import { isInjected } from './status.ts'

/** What rewriting needs to know beside the pod. */
export type ProbeFacts = {
  /** Port of the agent's status server (MeshConfig defaultConfig.statusPort). */
  readonly meshStatusPort: number
  /** values: `sidecarInjectorWebhook.rewriteAppHTTPProbe`; the pod's annotation wins. */
  readonly enabled: boolean
  readonly dialect?: ProbeDialect
}

/**
 * Sends the kubelet's checks to the agent, which asks the application from inside the pod: with mTLS the
 * kubelet itself would be refused. What the agent has to ask is written into the proxy's environment.
 * A pod without a proxy, without such checks or with rewriting switched off is returned as it is, and so
 * is one that was rewritten before.
 */
export function rewriteProbes(pod: Pod, facts: ProbeFacts): Pod {
  if (!takesPart(pod, facts)) return pod
  const dialect = facts.dialect ?? PROBES_CURRENT
  const probers = dumpProbers(pod, facts.meshStatusPort, dialect)
  const redirected = redirectProbes(pod, facts.meshStatusPort, dialect)
  if (probers.size === 0) return redirected
  return withProxyEnv(redirected, (env) => addProbers(env, probers, isInjected(pod)))
}

/** Every check of every container but the proxy, turned to the agent; the same pod when there is none. */
export function redirectProbes(pod: Pod, meshStatusPort: number, dialect: ProbeDialect): Pod {
  const { spec } = pod
  if (spec === undefined) return pod
  const port = statusPort(pod.metadata?.annotations, meshStatusPort)
  const redirect = (container: Container) => redirectContainer(container, port, dialect)
  const { containers: apps, initContainers: inits } = spec
  const containers = mapChanged(apps, redirect)
  const initContainers = dialect.hasInitContainers ? mapChanged(inits, redirect) : inits
  if (containers === apps && initContainers === inits) return pod
  const lists = { ...(containers && { containers }), ...(initContainers && { initContainers }) }
  return { ...pod, spec: { ...spec, ...lists } }
}

/**
 * Checks of this pod that will fail for ever once they are rewritten: they name a port that their
 * container does not have, or the pod gives the agent no port to answer on.
 */
export function findUnansweredProbes(pod: Pod, facts: ProbeFacts): readonly Problem[] {
  if (!takesPart(pod, facts)) return []
  const dialect = facts.dialect ?? PROBES_CURRENT
  const port = statusPort(pod.metadata?.annotations, facts.meshStatusPort)
  const problems: Problem[] = []
  for (const list of dialect.hasInitContainers ? LISTS : LISTS.slice(0, 1)) {
    for (const [index, container] of (pod.spec?.[list] ?? []).entries()) {
      if (container.name === PROXY_CONTAINER) continue
      problems.push(...unansweredIn(container, `/spec/${list}/${index}`, port, dialect))
    }
  }
  return problems
}

const LISTS = ['containers', 'initContainers'] as const

function unansweredIn(
  container: Container,
  path: string,
  agentPort: number,
  dialect: ProbeDialect,
): readonly Problem[] {
  return dialect.places.flatMap(({ find, field }): readonly Problem[] => {
    const probe = find(container)
    const handler = probe && handlerOf(probe, dialect)
    if (probe === undefined || handler === undefined) return []
    const at = `${path}/${field}`
    if (agentPort === 0) {
      const want = `a port of the agent's status server in ${STATUS_PORT_ANNOTATION}, not 0`
      return [{ path: at, got: handler, want }]
    }
    const port = probe[handler]?.port ?? 0
    if (resolvePort(container, port) !== undefined) return []
    const want = `a number, or the name of a port of container ${JSON.stringify(container.name)}`
    return [{ path: `${at}/${handler}/port`, got: String(port), want }]
  })
}

function takesPart(pod: Pod, { enabled }: ProbeFacts): boolean {
  return isRewriting(pod.metadata?.annotations, enabled) && findProxy(pod) !== undefined
}

/** The port that the kubelet is sent to: the pod's own, 0 where that is no port, else the mesh's. */
function statusPort(annotations: StringMap | undefined, meshStatusPort: number): number {
  const text = annotations?.[STATUS_PORT_ANNOTATION]
  if (text === undefined) return meshStatusPort
  const port = readPort(STATUS_PORT_ANNOTATION, text)
  return port.ok ? port.value : 0
}

function redirectContainer(container: Container, port: number, dialect: ProbeDialect): Container {
  if (container.name === PROXY_CONTAINER) return container
  let changed = container
  for (const { find, path, replace } of dialect.places) {
    const probe = find(container)
    if (!probe || handlerOf(probe, dialect) === undefined) continue
    const redirected = redirect(probe, path(container.name), port)
    if (redirected !== probe) changed = replace(changed, redirected)
  }
  return changed
}

/** Which of its members the kubelet obeys, if it is one that the agent can stand in for. */
function handlerOf(probe: Probe, { handlers }: ProbeDialect) {
  return handlers.find((handler) => probe[handler])
}

/** Host, headers and timings stay; TLS ends at the agent, which is asked in the clear. */
function redirect(probe: Probe, path: string, port: number): Probe {
  const { tcpSocket, grpc, ...rest } = probe
  const { httpGet } = probe
  if (httpGet === undefined) return tcpSocket || grpc ? { ...rest, httpGet: { path, port } } : probe
  if (httpGet.path === path && httpGet.port === port && httpGet.scheme !== 'HTTPS') return probe
  const scheme = httpGet.scheme === 'HTTPS' && { scheme: 'HTTP' }
  return { ...probe, httpGet: { ...httpGet, path, port, ...scheme } }
}

/** Like `map`, but a list of which nothing changed, or that is not there, is the same list. */
function mapChanged<List extends readonly Container[]>(
  list: List | undefined,
  change: (container: Container) => Container,
): List | Container[] | undefined {
  const mapped = list?.map(change)
  return mapped?.every((item, index) => item === list?.[index]) ? list : mapped
}
