import {
  DNS_CAPTURE_PORT,
  HEALTH_PORT,
  INBOUND_CAPTURE_PORT,
  INBOUND_TUNNEL_PORT,
  OUTBOUND_CAPTURE_PORT,
  PROXY_CONTAINER,
  PROXY_METRICS_PORT,
  STATUS_PORT,
} from '../constants.ts'
import type { InjectConfig } from '../inject/config.ts'
import { containersIn } from '../inject/order.ts'
import { findProxy } from '../inject/cluster-envs.ts'
import { trafficKey } from '../inject/init-args.ts'
import { byName, type ContainerPort, type Pod } from '../k8s.ts'
import { readPorts } from '../ports.ts'
import type { Finding } from './model.ts'

/** Envoy's administration and the agent's debugging, both on loopback only. */
const LOOPBACK_PORTS = [15000, 15004]

/** Every port that proxy or agent listen on. */
const PROXY_PORTS: ReadonlySet<number> = new Set([
  ...LOOPBACK_PORTS,
  ...[OUTBOUND_CAPTURE_PORT, INBOUND_CAPTURE_PORT, INBOUND_TUNNEL_PORT],
  ...[STATUS_PORT, HEALTH_PORT, DNS_CAPTURE_PORT, PROXY_METRICS_PORT],
])

/** Ports of the application that belong to the proxy, and ports of the node that lead into it. */
export function findPodPorts(
  pod: Pod,
  path: string,
  isCaptured: (port: number) => boolean,
): readonly Finding[] {
  return containersIn(pod, 'containers').flatMap((container, index) => {
    if (container.name === PROXY_CONTAINER) return []
    return (container.ports ?? []).flatMap((port, at): readonly Finding[] => {
      const place = `${path}/spec/containers/${index}/ports/${at}`
      const findings: Finding[] = []
      if (PROXY_PORTS.has(port.containerPort) && isTcp(port)) {
        const got = `port ${port.containerPort} of container ${container.name}`
        const want = 'a port that the proxy does not use'
        findings.push({ code: 'SI0305', path: `${place}/containerPort`, got, want })
      }
      const { hostPort = 0 } = port
      if (hostPort !== 0 && isTcp(port) && isCaptured(port.containerPort)) {
        const got = `port ${hostPort} of the node to captured port ${port.containerPort}`
        findings.push({
          code: 'SI0402',
          path: `${place}/hostPort`,
          got,
          want: 'no port of the node',
        })
      }
      return findings
    })
  })
}

/** Tells whether connections to a port of an injected pod reach the proxy first. */
export function captureOf(injected: Pod, config: InjectConfig): (port: number) => boolean {
  const annotations = injected.metadata?.annotations ?? {}
  const { proxy } = config.values.global
  const env = findProxy(injected)?.env
  const mode = byName(env, MODE_ENV)?.value ?? config.mesh.defaultConfig.interceptionMode
  const included = annotations[trafficKey('includeInboundPorts')] ?? proxy.includeInboundPorts
  const excluded = annotations[trafficKey('excludeInboundPorts')] ?? proxy.excludeInboundPorts
  return (port) => {
    if (mode === 'NONE') return false
    return included.trim() === '*' ? !lists(excluded, port) : lists(included, port)
  }
}

/** What injection tells the proxy about how traffic is redirected, whoever decided it. */
const MODE_ENV = 'ISTIO_META_INTERCEPTION_MODE'

function lists(text: string, port: number): boolean {
  const ports = readPorts('ports', text)
  return ports.ok && ports.value.includes(port)
}

function isTcp({ protocol }: ContainerPort): boolean {
  return protocol === undefined || protocol === 'TCP'
}
