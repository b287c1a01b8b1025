import type { JsonObject } from '../json.ts'
import type { Container, Pod, Probe } from '../k8s.ts'
import { containersIn, isProxy, withContainers } from './order.ts'
import { PROBERS_ENV, readProbers, type Prober, type Probers } from './probe-dump.ts'
import { PROBES_CURRENT } from './probe-table.ts'

/**
 * The pod with its checks turned from the agent back to the application, as the proxy's environment
 * remembers them. Ports that had a name come back as numbers.
 */
export function restoreProbes(pod: Pod, proxy: Container | undefined): Pod {
  const text = proxy?.env?.find(({ name }) => name === PROBERS_ENV)?.value
  const probers = readProbers(text)
  if (probers.size === 0) return pod
  const restored = (container: Container): Container =>
    isProxy(container) ? container : restoreContainer(container, probers)
  return withContainers(pod, {
    containers: containersIn(pod, 'containers').map(restored),
    initContainers: containersIn(pod, 'initContainers').map(restored),
  })
}

function restoreContainer(container: Container, probers: Probers): Container {
  let restored = container
  for (const { find, path, replace } of PROBES_CURRENT.places) {
    const probe = find(container)
    const key = path(container.name)
    const prober = probers.get(key)
    if (probe?.httpGet?.path !== key || prober === undefined) continue
    restored = replace(restored, restore(probe, prober))
  }
  return restored
}

/** Host, headers and timings of an HTTP check stayed where they were; the others were replaced whole. */
function restore(probe: Probe, { httpGet, tcpSocket, grpc }: Prober): Probe {
  const { httpGet: redirected, ...rest } = probe
  if (httpGet !== undefined && redirected !== undefined) {
    const { path: _agents, ...kept } = redirected
    const path = textOf(httpGet, 'path')
    const scheme = textOf(httpGet, 'scheme')
    return {
      ...probe,
      httpGet: {
        ...(path === undefined ? kept : { ...redirected, path }),
        port: portOf(httpGet),
        ...(scheme === undefined ? {} : { scheme }),
      },
    }
  }
  if (tcpSocket !== undefined) {
    const host = textOf(tcpSocket, 'host')
    return { ...rest, tcpSocket: { ...(host && { host }), port: portOf(tcpSocket) } }
  }
  const service = textOf(grpc ?? {}, 'service')
  return {
    ...rest,
    grpc: { port: Number(portOf(grpc ?? {})), ...(service === undefined ? {} : { service }) },
  }
}

function textOf(action: JsonObject, key: string): string | undefined {
  const text = action[key]
  return typeof text === 'string' ? text : undefined
}

function portOf({ port }: JsonObject): number | string {
  return typeof port === 'number' || typeof port === 'string' ? port : 0
}
