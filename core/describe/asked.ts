/** What a pod asks for: who writes its rules, and which. Read from what was injected, not from a configuration. */
import {
  HEALTH_PORT,
  INIT_CONTAINER,
  PROXY_CONTAINER,
  REDIRECT_PLAN_ANNOTATION,
  VALIDATION_CONTAINER,
} from '../constants.ts'
import { environmentOf } from '../bootstrap/environment.ts'
import { findProxy } from '../inject/cluster-envs.ts'
import { numberOf } from '../inject/proxy-config-read.ts'
import { defaultProxyConfig, mergeProxyConfig, readProxyConfig } from '../inject/proxy-config.ts'
import { own } from '../json.ts'
import { byName, type Container, type Pod } from '../k8s.ts'
import { readArgv, resolveProxyUser, type RunOptions } from '../options/argv.ts'
import type { InterceptionOptions } from '../options/interception.ts'
import { readRedirectPlan } from '../options/redirect-plan-read.ts'
import { TRAFFIC } from '../options/traffic-rows.ts'
import type { Port } from '../ports.ts'
import { good, type Read } from '../problem.ts'
import type { RuleLook } from '../rules/build.ts'

/** The rules that are asked for. */
export type AskedRules = {
  readonly options: InterceptionOptions
  readonly look: RuleLook
  /** The engine that must hold them, where the pod names one. */
  readonly engine?: 'native nft' | 'iptables-nft' | 'iptables-legacy'
}

/** A pod's wishes. */
export type Asked = {
  /** `namespace/name`. */
  readonly pod: string
  /** Who writes the rules: the pod's own container, the node, or nobody. */
  readonly by: 'init' | 'node' | 'nobody'
  /** Where that is said, for people. */
  readonly from: string
  /** Absent where nobody is to write any. */
  readonly rules?: AskedRules
  /** How the container that checks or writes them is to be run; its guard of the plan is in here. */
  readonly run?: RunOptions
  /** Whether another writer is named beside `by`. */
  readonly twice: boolean
  /** As whom the proxy is to run; numbers that the pod does not say are left out. */
  readonly proxy?: { readonly uid?: number; readonly gid?: number }
  /** Whether its users are those of a user namespace of its own (`hostUsers: false`). */
  readonly hasOwnUsers: boolean
  /** TCP ports that the application's containers declare. */
  readonly appPorts: readonly Port[]
  /** Ports at which the kubelet asks the proxy and its agent. */
  readonly probed: readonly Port[]
  /** Port of Envoy's admin interface on loopback. */
  readonly adminPort: Port
  /** The annotations that steer capture, as they stand now. */
  readonly annotations: readonly (readonly [key: string, text: string])[]
}

/** Reads a pod, injected or not. Problems are those of the texts that its containers carry. */
export function readAsked(pod: Pod): Read<Asked> {
  const { metadata, spec } = pod
  const annotations = metadata?.annotations ?? {}
  const common = {
    pod: `${metadata?.namespace ?? 'default'}/${metadata?.name ?? ''}`,
    ...wishesOf(pod),
    hasOwnUsers: spec?.hostUsers === false,
    annotations: TRAFFIC.flatMap(({ key }): [string, string][] => {
      const text = key === REDIRECT_PLAN_ANNOTATION ? undefined : own(annotations, key)
      return text === undefined ? [] : [[key, text]]
    }),
  }
  const nobody = (from: string): Read<Asked> =>
    good({ ...common, by: 'nobody', from, twice: false })
  if (spec?.hostNetwork === true) return nobody('it is in the network of its node')
  const init = byName(spec?.initContainers, INIT_CONTAINER)
  const validation = byName(spec?.initContainers, VALIDATION_CONTAINER)
  const text = own(annotations, REDIRECT_PLAN_ANNOTATION)
  const plan = text === undefined ? undefined : readRedirectPlan(REDIRECT_PLAN_ANNOTATION, text)
  if (plan?.ok === false) return plan
  const isNodes = plan?.value.apply === 'cni' || validation !== undefined
  const container = init ?? validation
  const read = container === undefined ? undefined : readContainer(pod, container)
  if (read?.ok === false) return read
  if (init !== undefined && read !== undefined) {
    const from = `the arguments of its container ${INIT_CONTAINER}`
    return good({ ...common, by: 'init', from, ...read.value, twice: isNodes })
  }
  if (plan?.value.apply === 'cni') {
    const { options, look, nativeNftables } = plan.value
    const rules = { options, look, ...(nativeNftables && { engine: 'native nft' as const }) }
    const from = `its annotation ${REDIRECT_PLAN_ANNOTATION}`
    return good({ ...common, ...read?.value, by: 'node', from, rules, twice: false })
  }
  if (read !== undefined) {
    const from = `the arguments of its container ${VALIDATION_CONTAINER}`
    return good({ ...common, by: 'node', from, ...read.value, twice: false })
  }
  const why = findProxy(pod) === undefined ? 'it has no' : 'it captures nothing for its'
  return nobody(`${why} ${PROXY_CONTAINER}`)
}

/** The rules that a container writes, or checks. */
function readContainer(
  pod: Pod,
  container: Container,
): Read<{ readonly rules: AskedRules; readonly run: RunOptions }> {
  const read = readArgv(container.args ?? [], environmentOf(pod, container))
  if (!read.ok) {
    const problems = read.problems.map((one) => ({
      ...one,
      path: `${container.name}: ${one.path}`,
    }))
    return { ok: false, problems }
  }
  const { look, run } = read.value
  const forced =
    run.forceBinary === undefined ? undefined : (`iptables-${run.forceBinary}` as const)
  const engine = run.nativeNftables ? ('native nft' as const) : forced
  const options = resolveProxyUser(read.value, {})
  return good({ rules: { options, look, ...(engine !== undefined && { engine }) }, run })
}

function wishesOf(pod: Pod): Pick<Asked, 'proxy' | 'appPorts' | 'probed' | 'adminPort'> {
  const proxy = findProxy(pod)
  const others = (pod.spec?.containers ?? []).filter((one) => one !== proxy)
  const appPorts = others
    .flatMap(({ ports }) => ports ?? [])
    .filter(({ protocol }) => (protocol ?? 'TCP') === 'TCP')
    .map(({ containerPort }) => containerPort)
  const probed = [
    ...(proxy === undefined ? [] : probesOf(proxy).map(({ port }) => port)),
    ...others
      .flatMap(probesOf)
      .filter(({ path }) => path?.startsWith('/app-health/'))
      .map(({ port }) => port),
  ]
  const uid = proxy?.securityContext?.runAsUser ?? pod.spec?.securityContext?.runAsUser
  const gid = proxy?.securityContext?.runAsGroup ?? pod.spec?.securityContext?.runAsGroup
  const user = { ...(uid !== undefined && { uid }), ...(gid !== undefined && { gid }) }
  return {
    ...(proxy !== undefined && { proxy: user }),
    appPorts: [...new Set(appPorts)],
    probed: proxy === undefined ? [] : [...new Set([HEALTH_PORT, ...probed])],
    adminPort: adminPort(
      proxy === undefined ? undefined : environmentOf(pod, proxy)['PROXY_CONFIG'],
    ),
  }
}

function probesOf(container: Container): { readonly port: Port; readonly path?: string }[] {
  const probes = [container.readinessProbe, container.livenessProbe, container.startupProbe]
  return probes.flatMap((probe) => {
    const port: unknown = probe?.httpGet?.port
    const path = probe?.httpGet?.path
    return typeof port === 'number' ? [{ port, ...(path !== undefined && { path }) }] : []
  })
}

/** The port of Envoy's admin interface: what the pod's ProxyConfig says, else the default. */
function adminPort(text: string | undefined): Port {
  const defaults = defaultProxyConfig('current')
  const layer = text === undefined ? undefined : readProxyConfig('PROXY_CONFIG', text)
  const config = layer?.ok === true ? mergeProxyConfig(defaults, layer.value) : defaults
  return numberOf(config.fields['proxyAdminPort']) ?? ADMIN_PORT
}

/** Envoy's admin interface where nobody says (ProxyConfig.proxyAdminPort). */
export const ADMIN_PORT = 15000
