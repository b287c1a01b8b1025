/**
 * The init container's arguments after the word `istio-iptables`, in the order of Istio's template.
 * Texts of annotations are passed on as they are (decisions, Injection 6): the program that reads
 * them accepts whatever the annotation table accepted.
 */
import {
  INBOUND_CAPTURE_PORT,
  OUTBOUND_CAPTURE_PORT,
  PROXY_METRICS_PORT,
  HEALTH_PORT,
} from '../constants.ts'
import type { StringMap } from '../k8s.ts'
import { excludeInboundPort } from './inbound-ports.ts'
import type { MeshConfig } from './mesh-config.ts'
import type { Values } from './values.ts'

/** What the arguments depend on. */
export type InitFacts = {
  readonly annotations: StringMap
  readonly values: Values
  readonly mesh: MeshConfig
  /** REDIRECT or TPROXY. */
  readonly mode: string
  /** The uid that the rules leave alone. */
  readonly uid: number
  /** Port of the agent as text; `0` when it has none. */
  readonly statusPort: string
  /** Whether this Istio line's init container takes logging and validation switches. */
  readonly hasLogLevel: boolean
}

/** `traffic.sidecar.istio.io/<name>`, the annotations that steer interception. */
export function trafficKey(name: string): string {
  return `traffic.sidecar.istio.io/${name}`
}

/** The annotation's text when the key is there, even empty; else the default. */
export function annotationOr(annotations: StringMap, key: string, fallback: string): string {
  return Object.hasOwn(annotations, key) ? (annotations[key] ?? fallback) : fallback
}

/** The ports that inbound capture leaves alone besides Envoy's own, with the agent's among them. */
export function excludedInboundPorts(facts: InitFacts): string {
  const listed = annotationOr(
    facts.annotations,
    trafficKey('excludeInboundPorts'),
    facts.values.global.proxy.excludeInboundPorts,
  )
  return excludeInboundPort(facts.statusPort, listed)
}

/** The list, one argument an item; `-x` keeps its empty text. */
export function initArgs(facts: InitFacts): readonly string[] {
  const { annotations, values, mesh } = facts
  const proxy = values.global.proxy
  const excluded = excludedInboundPorts(facts)
  const own = `${PROXY_METRICS_PORT},${HEALTH_PORT}`
  const args = [
    ...['-p', String(mesh.proxyListenPort || OUTBOUND_CAPTURE_PORT)],
    ...['-z', String(mesh.proxyInboundListenPort || INBOUND_CAPTURE_PORT)],
    ...['-u', String(facts.uid)],
    ...['-m', facts.mode],
    ...[
      '-i',
      annotationOr(annotations, trafficKey('includeOutboundIPRanges'), proxy.includeIPRanges),
    ],
    ...[
      '-x',
      annotationOr(annotations, trafficKey('excludeOutboundIPRanges'), proxy.excludeIPRanges),
    ],
    ...[
      '-b',
      annotationOr(annotations, trafficKey('includeInboundPorts'), proxy.includeInboundPorts),
    ],
    ...['-d', excluded === '' ? own : `${own},${excluded}`],
  ]
  for (const [flag, key, fallback] of [
    ['-q', trafficKey('includeOutboundPorts'), proxy.includeOutboundPorts],
    ['-o', trafficKey('excludeOutboundPorts'), proxy.excludeOutboundPorts],
  ] as const) {
    if (Object.hasOwn(annotations, key) || fallback !== '') {
      args.push(flag, annotationOr(annotations, key, fallback))
    }
  }
  const virtual = [REROUTE_KEY, trafficKey('kubevirtInterfaces')].find((key) =>
    Object.hasOwn(annotations, key),
  )
  if (virtual !== undefined) args.push('-k', annotations[virtual] ?? '')
  const interfaces = annotations[trafficKey('excludeInterfaces')]
  if (interfaces !== undefined) args.push('-c', interfaces)
  return facts.hasLogLevel ? [...args, ...switches(facts)] : args
}

const REROUTE_KEY = 'istio.io/reroute-virtual-interfaces'

function switches({ annotations, values }: InitFacts): readonly string[] {
  const level = annotationOr(
    annotations,
    'sidecar.istio.io/agentLogLevel',
    values.global.logging.level,
  )
  const args = [`--log_output_level=${level}`]
  if (values.global.logAsJson) args.push('--log_as_json')
  if (values.pilot.cni.enabled) args.push('--run-validation', '--skip-rule-apply')
  else if (values.global.proxy_init.forceApplyIptables) args.push('--force-apply')
  if (values.global.nativeNftables) args.push('--native-nftables')
  return args
}

/** Annotations of CNI mode that tell the node what the init container would have been told. */
export function cniAnnotations(
  facts: InitFacts,
  networks: string | undefined,
): readonly { readonly key: string; readonly value: string }[] {
  const { annotations, values, mode } = facts
  const proxy = values.global.proxy
  const rows: { key: string; value: string }[] = []
  const add = (key: string, value: string | undefined, when: boolean): void => {
    if (when && value !== undefined) rows.push({ key, value })
  }
  const told = (name: string, fallback: string): [string, string, boolean] => {
    const key = trafficKey(name)
    return [key, annotationOr(annotations, key, fallback), Object.hasOwn(annotations, key)]
  }
  add('k8s.v1.cni.cncf.io/networks', networks, true)
  add('sidecar.istio.io/interceptionMode', mode, true)
  for (const [name, fallback] of [
    ['includeOutboundIPRanges', proxy.includeIPRanges],
    ['excludeOutboundIPRanges', proxy.excludeIPRanges],
  ] as const) {
    const [key, value] = told(name, fallback)
    add(key, value, value !== '')
  }
  const [inboundKey, inbound] = told('includeInboundPorts', proxy.includeInboundPorts)
  add(inboundKey, inbound, true)
  add(trafficKey('excludeInboundPorts'), excludedInboundPorts(facts), true)
  for (const [name, fallback] of [
    ['includeOutboundPorts', proxy.includeOutboundPorts],
    ['excludeOutboundPorts', proxy.excludeOutboundPorts],
  ] as const) {
    const [key, value, isThere] = told(name, fallback)
    add(key, value, isThere || fallback !== '')
  }
  for (const key of [
    trafficKey('kubevirtInterfaces'),
    REROUTE_KEY,
    trafficKey('excludeInterfaces'),
  ]) {
    const value = annotations[key]
    add(key, value, value !== undefined && value !== '')
  }
  return rows
}
