import {
  HEALTH_PORT,
  INIT_CONTAINER,
  INJECT_KEY,
  INTERCEPTION_MODE_ANNOTATION,
  PROXY_CONTAINER,
  PROXY_ID,
  PROXY_METRICS_PORT,
  STATUS_ANNOTATION,
  STATUS_PORT,
} from '../core/constants.ts'
import { isArray, isObject, type Json, type JsonObject } from '../core/json.ts'
import type { StringMap } from '../core/k8s.ts'
import { readBoolean } from '../core/options/annotation-readers.ts'
import { readArgv, type Environment } from '../core/options/argv.ts'
import { DEFAULT_LOOK } from '../core/options/redirect-plan.ts'
import { TRAFFIC } from '../core/options/traffic-rows.ts'
import type { Problem } from '../core/problem.ts'
import { decideByPlan, HAS_OWN_USERS, textOf, type Decision } from './decide.ts'
import type { Options } from './options.ts'
import { summarize } from './protocol.ts'
import type { SkipReason } from './skips.ts'

/** What a pod says, and lines for the log about what was left aside. */
export type Derived = { readonly decision: Decision; readonly warnings: readonly string[] }

/**
 * Decides by the whole pod, as the API server has it: reasons to skip first, then its redirect plan, and
 * without one the annotations of Istio, so that the rules are those that the init container would write.
 */
export function decideByPod(pod: JsonObject, defaults: Options['defaults']): Derived {
  const spec = objectAt(pod, 'spec')
  const metadata = objectAt(pod, 'metadata')
  const annotations = textsOf(objectAt(metadata, 'annotations'))
  const proxy = containers(spec).find(({ name }) => name === PROXY_CONTAINER)
  const reason = skipByPod(spec, textsOf(objectAt(metadata, 'labels')), annotations, proxy)
  if (reason !== undefined) return { decision: { kind: 'skip', reason }, warnings: [] }
  const planned = decideByPlan(annotations)
  if (planned !== undefined) return { decision: planned, warnings: [] }
  if (spec['hostUsers'] === false) return { decision: HAS_OWN_USERS, warnings: [] }
  return derivePlan({ spec, proxy: proxy ?? {}, annotations }, defaults)
}

/** The table of cni-plugin/skips.ts in the order in which it is asked; the first that speaks wins. */
function skipByPod(
  spec: JsonObject,
  labels: StringMap,
  annotations: StringMap,
  proxy: JsonObject | undefined,
): SkipReason | undefined {
  if (spec['hostNetwork'] === true) return 'host-network'
  if (containers(spec).some(({ name }) => name === INIT_CONTAINER)) return 'rules-by-init'
  if (proxy === undefined) return 'no-proxy'
  if (isTrue(textOf(environmentOf(proxy, []), 'DISABLE_ENVOY'))) return 'proxyless'
  const args = isArray(proxy['args']) ? proxy['args'] : []
  if (args[0] === 'proxy' && args[1] !== undefined && args[1] !== 'sidecar') return 'no-sidecar'
  const wish = [labels, annotations].find(
    (texts) => parseBoolean(textOf(texts, INJECT_KEY)) !== undefined,
  )
  if (wish !== undefined && parseBoolean(textOf(wish, INJECT_KEY)) === false) return 'opted-out'
  if (!Object.hasOwn(annotations, STATUS_ANNOTATION)) return 'not-injected'
  return textOf(annotations, INTERCEPTION_MODE_ANNOTATION) === 'NONE' ? 'mode-none' : undefined
}

type Parts = {
  readonly spec: JsonObject
  readonly proxy: JsonObject
  readonly annotations: StringMap
}

function derivePlan({ spec, proxy, annotations }: Parts, defaults: Options['defaults']): Derived {
  const problems = TRAFFIC.flatMap(({ key, read }): readonly Problem[] => {
    const text = textOf(annotations, key)
    const value = text === undefined ? undefined : read?.(key, text)
    return value === undefined || value.ok ? [] : value.problems
  })
  const warnings: string[] = []
  const env = environmentOf(proxy, warnings)
  const known: Environment = Object.fromEntries(
    READ_FROM_PROXY.map((name) => [name, textOf(env, name)]),
  )
  const read = readArgv(argsFor(annotations, defaults, userOf(spec, proxy)), known)
  if (problems.length > 0) {
    return { decision: { kind: 'refuse', as: 'annotation', ...summarize(problems) }, warnings }
  }
  if (!read.ok) {
    // The annotations were right: what a flag complains about came from the node's configuration.
    const isOurs = read.problems.some(({ path }) => path.startsWith('--'))
    const told = read.problems.map((one) => ({
      ...one,
      path: isOurs ? `defaults: ${one.path}` : one.path,
    }))
    const as = isOurs ? 'config' : 'annotation'
    return { decision: { kind: 'refuse', as, ...summarize(told) }, warnings }
  }
  warnings.push(...read.value.warnings)
  const plan = {
    apply: 'cni',
    options: read.value.options,
    look: DEFAULT_LOOK,
    nativeNftables: false,
    hostUsers: true,
    revision: '',
  } as const
  return { decision: { kind: 'apply', plan }, warnings }
}

/** Variables of the proxy that the init container is given too, and that change rules. */
const READ_FROM_PROXY = [
  'ISTIO_META_DNS_CAPTURE',
  'ISTIO_DUAL_STACK',
  'INVALID_DROP',
  'ISTIO_OUTBOUND_OWNER_GROUPS',
  'ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE',
  'ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR',
] as const

/** Flag of the init container, annotation, and what the injector passes where the pod says nothing. */
const FLAGS_BY_ANNOTATION = [
  ['-m', INTERCEPTION_MODE_ANNOTATION, 'REDIRECT'],
  ['-i', 'traffic.sidecar.istio.io/includeOutboundIPRanges', '*'],
  ['-x', 'traffic.sidecar.istio.io/excludeOutboundIPRanges', ''],
  ['-b', 'traffic.sidecar.istio.io/includeInboundPorts', '*'],
  ['-d', 'traffic.sidecar.istio.io/excludeInboundPorts', String(STATUS_PORT)],
  ['-q', 'traffic.sidecar.istio.io/includeOutboundPorts', ''],
  ['-o', 'traffic.sidecar.istio.io/excludeOutboundPorts', ''],
  ['-c', 'traffic.sidecar.istio.io/excludeInterfaces', ''],
  ['-k', 'traffic.sidecar.istio.io/kubevirtInterfaces', ''],
  ['-k', 'istio.io/reroute-virtual-interfaces', undefined],
] as const

/** Ports of Envoy that inbound capture always leaves alone. */
const ALWAYS_EXCLUDED = `${PROXY_METRICS_PORT},${HEALTH_PORT}`

function argsFor(
  annotations: StringMap,
  defaults: Options['defaults'],
  uid: number,
): readonly string[] {
  const args = ['-u', `${uid}`]
  for (const [flag, name] of [
    ['-p', 'outboundPort'],
    ['-z', 'inboundPort'],
  ] as const) {
    const port = textOf(defaults, name)
    if (port !== undefined) args.push(flag, port)
  }
  for (const [flag, key, fallback] of FLAGS_BY_ANNOTATION) {
    const name = key.slice(key.indexOf('/') + 1)
    const text = textOf(annotations, key) ?? textOf(defaults, name) ?? fallback
    if (text !== undefined) args.push(flag, flag === '-d' ? `${ALWAYS_EXCLUDED},${text}` : text)
  }
  return args
}

/**
 * The proxy's user; 0 and nothing are what the injector would replace by its own. Groups follow it, as they do
 * for the init container, whatever runAsGroup says.
 */
function userOf(spec: JsonObject, proxy: JsonObject): number {
  const own = objectAt(proxy, 'securityContext')['runAsUser']
  const found = own ?? objectAt(spec, 'securityContext')['runAsUser']
  return typeof found === 'number' && Number.isInteger(found) && found > 0 ? found : PROXY_ID
}

/** Variables with a text of their own; what others refer to cannot be seen from here. */
function environmentOf(container: JsonObject, warnings: string[]): StringMap {
  const rows = isArray(container['env']) ? container['env'].filter(isObject) : []
  const env = rows.flatMap(({ name, value, valueFrom }): [string, string][] => {
    if (typeof name !== 'string') return []
    if (valueFrom !== undefined && READ_FROM_PROXY.some((one) => one === name)) {
      warnings.push(
        `${name} of ${PROXY_CONTAINER}: left aside, its valueFrom cannot be read from here`,
      )
    }
    return typeof value === 'string' ? [[name, value]] : []
  })
  return Object.fromEntries(env)
}

function containers(spec: JsonObject): readonly JsonObject[] {
  return ['initContainers', 'containers'].flatMap((list) => {
    const items = spec[list]
    return isArray(items) ? items.filter(isObject) : []
  })
}

function isTrue(text: string | undefined): boolean {
  return parseBoolean(text) === true
}

/** A switch as Go reads it; other text says nothing. */
function parseBoolean(text: string | undefined): boolean | undefined {
  const read = text === undefined ? undefined : readBoolean('', text)
  return read?.ok === true ? read.value : undefined
}

function objectAt(object: JsonObject, name: string): JsonObject {
  const value: Json | undefined = object[name]
  return isObject(value) ? value : {}
}

function textsOf(object: JsonObject): StringMap {
  const texts = Object.entries(object).flatMap(([key, value]): [string, string][] =>
    typeof value === 'string' ? [[key, value]] : [],
  )
  return Object.fromEntries(texts)
}
