import type { Container, LifecycleHandler, Probe } from '../k8s.ts'

/** How a container is asked: the members of a probe or hook that the agent can stand in for. */
export type Handler = 'httpGet' | 'tcpSocket' | 'grpc'

/** One place of a container where the kubelet is told to ask it, and the agent's path for that place. */
export type ProbePlace = {
  /** Where it stands in the container, slashes between the members. */
  readonly field: string
  /** What stands there; a hook is read as a probe without timings. */
  readonly find: (container: Container) => Probe | undefined
  readonly path: (container: string) => string
  readonly replace: (container: Container, probe: Probe) => Container
}

type ProbeField = 'readinessProbe' | 'livenessProbe' | 'startupProbe'
type HookField = 'preStop' | 'postStart'

/** The agent answers health checks under these paths, hooks under the ones below. */
const probe = (field: ProbeField, word: string): ProbePlace => ({
  field,
  find: (container) => container[field],
  path: (container) => `/app-health/${container}/${word}`,
  replace: (container, changed) => ({ ...container, [field]: changed }),
})

const hook = (field: HookField, word: string): ProbePlace => ({
  field: `lifecycle/${field}`,
  find: ({ lifecycle }) => lifecycle?.[field],
  path: (container) => `/app-lifecycle/${container}/${word}`,
  replace: (container, changed: LifecycleHandler) => ({
    ...container,
    lifecycle: { ...container.lifecycle, [field]: changed },
  }),
})

const PROBES: readonly ProbePlace[] = [
  probe('readinessProbe', 'readyz'),
  probe('livenessProbe', 'livez'),
  probe('startupProbe', 'startupz'),
]

const HOOKS: readonly ProbePlace[] = [hook('preStop', 'prestopz'), hook('postStart', 'poststartz')]

/** What of a pod's probes one version of the injector takes over. */
export type ProbeDialect = {
  readonly places: readonly ProbePlace[]
  readonly handlers: readonly Handler[]
  /** Whether init containers are looked at too. */
  readonly hasInitContainers: boolean
  /** Whether a check that already asks the agent's port is left out of the list of probers. */
  readonly knowsOwnPort: boolean
}

/** Today's injector: every kind of check, in every container but the proxy. */
export const PROBES_CURRENT: ProbeDialect = {
  places: [...PROBES, ...HOOKS],
  handlers: ['httpGet', 'tcpSocket', 'grpc'],
  hasInitContainers: true,
  knowsOwnPort: true,
}

/** Istio 1.8: HTTP probes of regular containers. */
export const PROBES_1_8: ProbeDialect = {
  places: PROBES,
  handlers: ['httpGet'],
  hasInitContainers: false,
  knowsOwnPort: false,
}
