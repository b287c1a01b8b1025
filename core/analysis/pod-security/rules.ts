/**
 * The Pod Security Standards (Kubernetes, "Pod Security Standards") as rows: what a container, or the
 * pod as a whole, must not say. A pod is judged by the rows of its level and version.
 */
import { containersIn } from '../../inject/order.ts'
import type { Container, Pod, PodSpec, SecurityContext } from '../../k8s.ts'
import type { Level, Policy } from './level.ts'

/** One rule. `container` and `pod` give what is forbidden there; an empty list is fine. */
export type Rule = {
  /** What the API server calls the violation. */
  readonly reason: string
  readonly level: Level
  /** The first minor version that has the rule, and the last one. */
  readonly since?: number
  readonly until?: number
  /** Whether `restricted` has a stricter rule in its place. */
  readonly isReplaced?: boolean
  readonly pod?: (spec: PodSpec, annotations: Readonly<Record<string, string>>) => readonly string[]
  readonly container?: (container: Container, spec: PodSpec) => readonly string[]
}

/** The rules of a policy. */
export function rulesOf({ level, minor }: Policy): readonly Rule[] {
  return RULES.filter((rule) => {
    if ((rule.since ?? 0) > minor || (rule.until ?? Infinity) < minor) return false
    if (level === 'baseline') return rule.level === 'baseline'
    return rule.isReplaced !== true
  })
}

const BASELINE_CAPABILITIES = [
  ...['AUDIT_WRITE', 'CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'KILL', 'MKNOD'],
  ...['NET_BIND_SERVICE', 'SETFCAP', 'SETGID', 'SETPCAP', 'SETUID', 'SYS_CHROOT'],
]

const VOLUME_TYPES = [
  ...['configMap', 'csi', 'downwardAPI', 'emptyDir', 'ephemeral', 'image'],
  ...['persistentVolumeClaim', 'projected', 'secret'],
]

/** Safe sysctls, and the minor version that let each in. */
const SYSCTLS: ReadonlyMap<string, number> = new Map([
  ['kernel.shm_rmid_forced', 0],
  ['net.ipv4.ip_local_port_range', 0],
  ['net.ipv4.tcp_syncookies', 0],
  ['net.ipv4.ping_group_range', 0],
  ['net.ipv4.ip_unprivileged_port_start', 0],
  ['net.ipv4.ip_local_reserved_ports', 27],
  ['net.ipv4.tcp_keepalive_time', 29],
  ['net.ipv4.tcp_fin_timeout', 29],
  ['net.ipv4.tcp_keepalive_intvl', 29],
  ['net.ipv4.tcp_keepalive_probes', 29],
  ['net.ipv4.tcp_rmem', 32],
  ['net.ipv4.tcp_wmem', 32],
])

const APPARMOR_PREFIX = 'container.apparmor.security.beta.kubernetes.io/'

/** Pods in a user namespace are root only inside it: since 1.35 some rules let them be. */
const USER_NAMESPACES = 35

const RULES: readonly Rule[] = [
  {
    reason: 'host namespaces',
    level: 'baseline',
    pod: (spec) =>
      (['hostNetwork', 'hostPID', 'hostIPC'] as const)
        .filter((field) => spec[field] === true)
        .map((field) => `${field}=true`),
  },
  {
    reason: 'privileged',
    level: 'baseline',
    container: ({ securityContext }) =>
      said('privileged=true', securityContext?.privileged === true),
  },
  {
    reason: 'non-default capabilities',
    level: 'baseline',
    isReplaced: true,
    container: ({ securityContext }) => added(securityContext, BASELINE_CAPABILITIES),
  },
  {
    reason: 'hostPath volumes',
    level: 'baseline',
    isReplaced: true,
    pod: ({ volumes }) =>
      (volumes ?? []).filter(({ hostPath }) => hostPath !== undefined).map(({ name }) => name),
  },
  {
    reason: 'hostPort',
    level: 'baseline',
    container: ({ ports }) =>
      (ports ?? []).flatMap(({ hostPort = 0 }) => said(`hostPort ${hostPort}`, hostPort !== 0)),
  },
  {
    reason: 'probe or lifecycle host',
    level: 'baseline',
    since: 34,
    container: (container) => hostsOf(container).map((host) => `host ${host}`),
  },
  {
    reason: 'forbidden AppArmor profile',
    level: 'baseline',
    pod: ({ securityContext }, annotations) => [
      ...appArmor(securityContext),
      ...Object.entries(annotations)
        .filter(([key]) => key.startsWith(APPARMOR_PREFIX))
        .filter(([, text]) => !/^(?:$|runtime\/default$|localhost\/)/.test(text))
        .map(([key, text]) => `${key}=${text}`),
    ],
    container: ({ securityContext }) => appArmor(securityContext),
  },
  ...seLinux(0, 30, ['', 'container_t', 'container_init_t', 'container_kvm_t']),
  ...seLinux(31, Infinity, [
    ...['', 'container_t', 'container_init_t', 'container_kvm_t', 'container_engine_t'],
  ]),
  {
    reason: 'procMount',
    level: 'baseline',
    container: ({ securityContext }) => procMount(securityContext),
    until: USER_NAMESPACES - 1,
  },
  {
    reason: 'procMount',
    level: 'baseline',
    since: USER_NAMESPACES,
    isReplaced: true,
    container: ({ securityContext }, spec) =>
      spec.hostUsers === false ? [] : procMount(securityContext),
  },
  {
    reason: 'procMount',
    level: 'restricted',
    since: USER_NAMESPACES,
    container: ({ securityContext }) => procMount(securityContext),
  },
  {
    reason: 'seccompProfile',
    level: 'baseline',
    since: 19,
    isReplaced: true,
    pod: ({ securityContext }) => badSeccomp(securityContext),
    container: ({ securityContext }) => badSeccomp(securityContext),
  },
  ...[0, 27, 29, 32].map((since, index, all): Rule => ({
    reason: 'forbidden sysctls',
    level: 'baseline',
    since,
    until: (all[index + 1] ?? Infinity) - 1,
    pod: ({ securityContext }) =>
      (securityContext?.sysctls ?? [])
        .filter(({ name }) => (SYSCTLS.get(name) ?? Infinity) > since)
        .map(({ name }) => name),
  })),
  {
    reason: 'hostProcess',
    level: 'baseline',
    pod: ({ securityContext }) => hostProcess(securityContext),
    container: ({ securityContext }) => hostProcess(securityContext),
  },
  {
    reason: 'restricted volume types',
    level: 'restricted',
    pod: ({ volumes }) =>
      (volumes ?? [])
        .filter((volume) => {
          const types = Object.keys(volume).filter((key) => key !== 'name')
          // The API server makes a volume without any type an emptyDir.
          return types.length > 0 && !types.some((type) => VOLUME_TYPES.includes(type))
        })
        .map(({ name }) => name),
  },
  {
    reason: 'allowPrivilegeEscalation != false',
    level: 'restricted',
    since: 8,
    container: ({ securityContext }, spec) => {
      const escalation = securityContext?.allowPrivilegeEscalation
      return said(
        `allowPrivilegeEscalation=${escalation ?? 'unset'}`,
        !isWindows(spec) && escalation !== false,
      )
    },
  },
  ...([0, USER_NAMESPACES] as const).map((since): Rule => ({
    reason: 'runAsNonRoot != true',
    level: 'restricted',
    since,
    ...(since === 0 ? { until: USER_NAMESPACES - 1 } : {}),
    pod: (spec) =>
      said(
        'runAsNonRoot=false',
        !isFreed(spec, since) && spec.securityContext?.runAsNonRoot === false,
      ),
    container: ({ securityContext }, spec) => {
      const own = securityContext?.runAsNonRoot ?? spec.securityContext?.runAsNonRoot
      return said(`runAsNonRoot=${own ?? 'unset'}`, !isFreed(spec, since) && own !== true)
    },
  })),
  ...([23, USER_NAMESPACES] as const).map((since): Rule => ({
    reason: 'runAsUser=0',
    level: 'restricted',
    since,
    ...(since === 23 ? { until: USER_NAMESPACES - 1 } : {}),
    pod: (spec) =>
      said('runAsUser=0', !isFreed(spec, since) && spec.securityContext?.runAsUser === 0),
    container: ({ securityContext }, spec) =>
      said('runAsUser=0', !isFreed(spec, since) && securityContext?.runAsUser === 0),
  })),
  {
    reason: 'seccompProfile',
    level: 'restricted',
    since: 19,
    pod: (spec) => (isWindows(spec) ? [] : badSeccomp(spec.securityContext)),
    container: ({ securityContext }, spec) => {
      if (isWindows(spec)) return []
      const profile = securityContext?.seccompProfile
      if (profile !== undefined) return badSeccomp(securityContext)
      return said(
        'seccompProfile.type=unset',
        !isSeccomp(spec.securityContext?.seccompProfile?.type),
      )
    },
  },
  {
    reason: 'unrestricted capabilities',
    level: 'restricted',
    since: 22,
    container: ({ securityContext }, spec) => {
      if (isWindows(spec)) return []
      const { drop } = securityContext?.capabilities ?? {}
      const isDropped = drop?.includes('ALL') === true
      return [
        ...said('capabilities.drop without ALL', !isDropped),
        ...added(securityContext, ['NET_BIND_SERVICE']),
      ]
    },
  },
]

function said(text: string, isSaid: boolean): readonly string[] {
  return isSaid ? [text] : []
}

function added(
  context: SecurityContext | undefined,
  allowed: readonly string[],
): readonly string[] {
  return (context?.capabilities?.add ?? []).filter((name) => !allowed.includes(name))
}

/** What pods and containers have in common in their security contexts. */
type Context = {
  readonly seccompProfile?: { readonly type: string }
  readonly appArmorProfile?: { readonly type: string }
  readonly windowsOptions?: { readonly hostProcess?: boolean }
  readonly seLinuxOptions?: {
    readonly type?: string
    readonly user?: string
    readonly role?: string
  }
}

function isSeccomp(type: string | undefined): boolean {
  return type === 'RuntimeDefault' || type === 'Localhost'
}

function badSeccomp(context: Context | undefined): readonly string[] {
  const type = context?.seccompProfile?.type
  return context?.seccompProfile === undefined || isSeccomp(type)
    ? []
    : [`seccompProfile.type=${type ?? ''}`]
}

function appArmor(context: Context | undefined): readonly string[] {
  const type = context?.appArmorProfile?.type
  const isFine = context?.appArmorProfile === undefined || isSeccomp(type)
  return isFine ? [] : [`appArmorProfile.type=${type ?? ''}`]
}

function hostProcess(context: Context | undefined): readonly string[] {
  return said('windowsOptions.hostProcess=true', context?.windowsOptions?.hostProcess === true)
}

function procMount(context: SecurityContext | undefined): readonly string[] {
  const mount = context?.procMount ?? 'Default'
  return said(`procMount=${mount}`, mount !== 'Default')
}

function seLinux(since: number, until: number, types: readonly string[]): readonly Rule[] {
  const judge = (context: Context | undefined): readonly string[] => {
    const { type = '', user = '', role = '' } = context?.seLinuxOptions ?? {}
    return [
      ...said(`seLinuxOptions.type=${type}`, !types.includes(type)),
      ...said(`seLinuxOptions.user=${user}`, user !== ''),
      ...said(`seLinuxOptions.role=${role}`, role !== ''),
    ]
  }
  return [
    {
      reason: 'seLinuxOptions',
      level: 'baseline',
      since,
      until,
      pod: ({ securityContext }) => judge(securityContext),
      container: ({ securityContext }) => judge(securityContext),
    },
  ]
}

function hostsOf({ livenessProbe, readinessProbe, startupProbe, lifecycle }: Container): string[] {
  return [livenessProbe, readinessProbe, startupProbe, lifecycle?.postStart, lifecycle?.preStop]
    .flatMap((handler) => [handler?.httpGet?.host, handler?.tcpSocket?.host])
    .filter((host) => typeof host === 'string')
    .filter((host) => host !== '')
}

function isWindows(spec: PodSpec): boolean {
  return spec.os?.name === 'windows'
}

function isFreed(spec: PodSpec, since: number): boolean {
  return since >= USER_NAMESPACES && spec.hostUsers === false
}

/** All containers that the rules look at, in the order in which the API server visits them. */
export function visited(pod: Pod): readonly Container[] {
  return [...containersIn(pod, 'initContainers'), ...containersIn(pod, 'containers')]
}
