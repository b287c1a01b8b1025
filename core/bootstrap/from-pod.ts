/** From an injected pod to what its proxy's bootstrap is made from. */
import { readAddress, type Family } from '../cidrs.ts'
import {
  HEALTH_PORT,
  PROXY_CONFIG_ANNOTATION,
  PROXY_CONTAINER,
  PROXY_METRICS_PORT,
  STATUS_PORT_ANNOTATION,
} from '../constants.ts'
import { findProxy } from '../inject/cluster-envs.ts'
import type { MeshConfig } from '../inject/mesh-config.ts'
import { INTERCEPTION_MODES } from '../inject/proxy-config-fields.ts'
import { numberOf, textOf, valueAt } from '../inject/proxy-config-read.ts'
import { mergeProxyConfig, readProxyConfig, type ProxyConfig } from '../inject/proxy-config.ts'
import type { Container, Pod, StringMap } from '../k8s.ts'
import { readPort } from '../ports.ts'
import { bad, good, type Read } from '../problem.ts'
import { readAccessLog } from './access-log.ts'
import { environmentOf, expand } from './environment.ts'
import { nodeMetadata } from './metadata.ts'
import type { Proxy } from './proxy.ts'

/** What a manifest does not know of the running pod. */
export type Runtime = {
  /** The pod's addresses, its main one first. */
  readonly addresses: readonly string[]
}

/** Where the agent finds istiod, if the pod says so itself. */
const DISCOVERY_ANNOTATION = 'sidecar.istio.io/discoveryAddress'

/** Where a pod's address is not known, its proxy says this one. */
const UNKNOWN_ADDRESS = '127.0.0.1'

/** Reads an injected pod. Problems name what injection would have written. */
export function readProxy(pod: Pod, mesh: MeshConfig, runtime: Runtime): Read<Proxy> {
  const container = findProxy(pod)
  if (container === undefined) {
    const names = (pod.spec?.containers ?? []).map(({ name }) => name).join(', ')
    return bad('/spec/containers', names, `a pod that was injected: one with ${PROXY_CONTAINER}`)
  }
  const found = runtime.addresses.length > 0 ? runtime.addresses : ownAddresses(pod)
  const addresses = found.length > 0 ? found : [UNKNOWN_ADDRESS]
  const families = familiesOf(addresses)
  if (!families.ok) return families
  const there = withAddress(pod, addresses[0] ?? UNKNOWN_ADDRESS)
  const env = environmentOf(there, container)
  const written = readConfig(mesh, env['PROXY_CONFIG'])
  if (!written.ok) return written
  const config = withAnnotations(written.value, pod.metadata?.annotations ?? {})
  if (!config.ok) return config
  const accessLog = readAccessLog('mesh', mesh.raw)
  if (!accessLog.ok) return accessLog
  return good(
    assemble(
      { pod: there, container, env, config: config.value, addresses, mesh },
      families.value,
      accessLog.value,
    ),
  )
}

type Parts = {
  readonly pod: Pod
  readonly container: Container
  readonly env: StringMap
  readonly config: ProxyConfig
  readonly addresses: readonly string[]
  readonly mesh: MeshConfig
}

function assemble(parts: Parts, families: readonly Family[], accessLog: Proxy['accessLog']): Proxy {
  const { pod, container, env, config, addresses, mesh } = parts
  const namespace = env['POD_NAMESPACE'] ?? ''
  const name = env['POD_NAME'] ?? ''
  const args = (container.args ?? []).map((text) => expand(text, new Map(Object.entries(env))))
  const domain = flag(args, '--domain') ?? `${namespace}.svc.cluster.local`
  const zipkin = valueAt(config.fields, ['tracing', 'zipkin', 'address'])
  const cluster = flag(args, '--serviceCluster') ?? serviceCluster(pod, config, namespace)
  const said = env['ISTIO_META_INTERCEPTION_MODE']
  const policy = valueAt(mesh.raw, ['outboundTrafficPolicy', 'mode'])
  return {
    node: {
      id: [args[1] ?? 'sidecar', addresses[0], `${name}.${namespace}`, domain].join('~'),
      cluster,
      metadata: nodeMetadata(pod, container, env, { config, addresses, cluster }),
    },
    families,
    // The variable is what the rules of this pod were written with.
    mode: INTERCEPTION_MODES.find((mode) => mode === said) ?? config.interceptionMode,
    ports: {
      admin: numberOf(config.fields['proxyAdminPort']) ?? 0,
      status: config.statusPort,
      health: HEALTH_PORT,
      metrics: PROXY_METRICS_PORT,
      outbound: mesh.proxyListenPort,
      inbound: mesh.proxyInboundListenPort,
    },
    clusterDomain: domain.replace(/^[^.]*\.svc\./, ''),
    namespace,
    ...(accessLog !== undefined && { accessLog }),
    allowsAny: policy !== 'REGISTRY_ONLY',
    ...(textOf(zipkin) !== '' && { zipkin: textOf(zipkin) }),
  }
}

/** What the agent starts from: the mesh's defaults, and over them what injection wrote into the pod. */
function readConfig(mesh: MeshConfig, text: string | undefined): Read<ProxyConfig> {
  if (text === undefined) return good(mesh.defaultConfig)
  const layer = readProxyConfig(`PROXY_CONFIG (${PROXY_CONFIG_ANNOTATION})`, text)
  return layer.ok ? good(mergeProxyConfig(mesh.defaultConfig, layer.value)) : layer
}

/** Annotations that the agent lays over its configuration, and injection does not write into it. */
function withAnnotations(config: ProxyConfig, annotations: StringMap): Read<ProxyConfig> {
  const { [STATUS_PORT_ANNOTATION]: status, [DISCOVERY_ANNOTATION]: discoveryAddress } = annotations
  const port = status === undefined ? good(0) : readPort(STATUS_PORT_ANNOTATION, status)
  if (!port.ok) return port
  const fields = {
    ...(discoveryAddress !== undefined && { discoveryAddress }),
    // With 0 no agent listens: whatever stands here is never answered.
    ...(port.value > 0 && { statusPort: port.value }),
  }
  return good(mergeProxyConfig(config, { fields }))
}

function ownAddresses({ status }: Pod): readonly string[] {
  const all = (status?.podIPs ?? []).map(({ ip }) => ip)
  const one = status?.podIP
  return all.length > 0 || one === undefined ? all : [one]
}

function familiesOf(addresses: readonly string[]): Read<readonly Family[]> {
  const read = addresses.map((text) => readAddress('--pod-ip', text))
  const problems = read.flatMap((one) => (one.ok ? [] : one.problems))
  if (problems.length > 0) return { ok: false, problems }
  return good([...new Set(read.flatMap((one) => (one.ok ? [one.value.family] : [])))])
}

function withAddress(pod: Pod, address: string): Pod {
  return { ...pod, status: { ...pod.status, podIP: address } }
}

/** `app.namespace`, as Istio names a workload towards its mesh unless the configuration does. */
function serviceCluster({ metadata }: Pod, { fields }: ProxyConfig, namespace: string): string {
  const said = textOf(fields['serviceCluster'])
  if (said !== '' && said !== 'istio-proxy') return said
  return `${metadata?.labels?.['app'] ?? 'istio-proxy'}.${namespace}`
}

/** The word after a flag, or after its `=`. */
function flag(args: readonly string[], name: string): string | undefined {
  const at = args.findIndex((word) => word === name || word.startsWith(`${name}=`))
  const word = at < 0 ? undefined : args[at]
  return word === name ? args[at + 1] : word?.slice(name.length + 1)
}
