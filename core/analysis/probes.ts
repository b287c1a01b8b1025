import { PROXY_CONTAINER } from '../constants.ts'
import { findProxy } from '../inject/cluster-envs.ts'
import type { InjectConfig } from '../inject/config.ts'
import { containersIn } from '../inject/order.ts'
import { resolvePort } from '../inject/probe-ports.ts'
import { isRewriting } from '../inject/probe-switch.ts'
import { findUnansweredProbes } from '../inject/probes.ts'
import type { Container, Pod } from '../k8s.ts'
import type { Finding } from './model.ts'

/** Checks of an injected pod that will fail, or say nothing about the application. */
export function findProbes(
  before: Pod,
  after: Pod,
  path: string,
  config: InjectConfig,
  isCaptured: (port: number) => boolean,
): readonly Finding[] {
  const isRewritten = isRewriting(
    after.metadata?.annotations,
    config.values.sidecarInjectorWebhook.rewriteAppHTTPProbe,
  )
  const facts = {
    meshStatusPort: config.mesh.defaultConfig.statusPort,
    enabled: isRewritten,
    dialect: config.traits.probes,
  }
  const unanswered = findUnansweredProbes(withProxyOf(after, before), facts).map(
    ({ path: at, got, want }): Finding => ({ code: 'SI0403', path: path + at, got, want }),
  )
  const others = containersIn(before, 'containers').flatMap((container, index) => {
    if (container.name === PROXY_CONTAINER) return []
    const place = `${path}/spec/containers/${index}`
    return isRewritten ? findHosts(container, place) : findDirect(container, place, isCaptured)
  })
  return [...unanswered, ...others]
}

/** The pod as its author wrote it, with the proxy that it got: what rewriting looked at. */
function withProxyOf(after: Pod, before: Pod): Pod {
  const { spec } = before
  const proxy = findProxy(after)
  if (spec === undefined || proxy === undefined) return before
  const own = containersIn(before, 'containers').filter(({ name }) => name !== PROXY_CONTAINER)
  return { ...before, spec: { ...spec, containers: [...own, proxy] } }
}

const FIELDS = ['readinessProbe', 'livenessProbe', 'startupProbe'] as const
const HANDLERS = ['httpGet', 'tcpSocket', 'grpc'] as const

/** Where the agent answers, the kubelet must ask the pod itself. */
function findHosts(container: Container, place: string): readonly Finding[] {
  return FIELDS.flatMap((field): readonly Finding[] => {
    const got = container[field]?.httpGet?.host ?? ''
    if (got === '') return []
    const path = `${place}/${field}/httpGet/host`
    return [{ code: 'SI0405', path, got, want: 'no host' }]
  })
}

/** Where the kubelet asks the application, it meets the proxy on captured ports. */
function findDirect(
  container: Container,
  place: string,
  isCaptured: (port: number) => boolean,
): readonly Finding[] {
  return FIELDS.flatMap((field) =>
    HANDLERS.flatMap((handler): readonly Finding[] => {
      const asked = container[field]?.[handler]?.port
      const port = asked === undefined ? undefined : resolvePort(container, asked)
      if (port === undefined || !isCaptured(port)) return []
      const got = `${handler} to captured port ${port}`
      const want = 'a check that the agent takes over, or a port that is not captured'
      return [{ code: 'SI0404', path: `${place}/${field}/${handler}`, got, want }]
    }),
  )
}
