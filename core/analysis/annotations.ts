import { INJECT_KEY } from '../constants.ts'
import { pointer } from '../inject/pod-shape.ts'
import type { StringMap } from '../k8s.ts'
import { ANNOTATIONS } from '../options/annotations.ts'
import { metadataOf, type Finding, type PodPlace, type Subject } from './model.ts'

/** Annotations that stand where nothing reads them, or that nothing reads at all, or that have a successor. */
export function findInAnnotations(subject: Subject): readonly Finding[] {
  const isPod = subject.pods.some(({ path }) => path === '')
  const own = isPod ? [] : misplaced(subject)
  return [...own, ...subject.pods.flatMap(findInPod)]
}

/** What only pods may carry, on an object that is none. */
function misplaced({ kind, value }: Subject): readonly Finding[] {
  const { labels, annotations } = metadataOf(value)
  const found = Object.keys(annotations).flatMap((key): readonly Finding[] => {
    const path = `/metadata/annotations${pointer(key)}`
    const got = `on ${kind}`
    if (POD_ANNOTATIONS.has(key)) return [{ code: 'SI0202', path, got, want: 'on a pod' }]
    return isOfInjection(key) ? [unknown(path, key)] : []
  })
  if (labels[INJECT_KEY] === undefined) return found
  const path = `/metadata/labels${pointer(INJECT_KEY)}`
  return [...found, { code: 'SI0202', path, got: `on ${kind}`, want: 'on a pod' }]
}

function findInPod({ path: root, pod }: PodPlace): readonly Finding[] {
  const { labels, annotations } = metadataOf(pod)
  const found = Object.keys(annotations).flatMap((key): readonly Finding[] => {
    const path = `${root}/metadata/annotations${pointer(key)}`
    if (isOfInjection(key) && !POD_ANNOTATIONS.has(key)) return [unknown(path, key)]
    const want = successorOf(key, labels)
    return want === undefined ? [] : [{ code: 'SI0204', path, got: key, want }]
  })
  return [
    ...found,
    ...notBoolean(root, 'labels', labels),
    ...notBoolean(root, 'annotations', annotations),
  ]
}

function notBoolean(root: string, member: string, texts: StringMap): readonly Finding[] {
  const got = texts[INJECT_KEY]
  if (got === undefined || got === 'true' || got === 'false') return []
  const path = `${root}/metadata/${member}${pointer(INJECT_KEY)}`
  return [{ code: 'SI0114', path, got, want: '"true" or "false"' }]
}

function unknown(path: string, got: string): Finding {
  return { code: 'SI0201', path, got, want: 'an annotation that injection or the proxy knows' }
}

/** Keys of Istio that are read on pods: all that injection knows, and what only the agent reads. */
const POD_ANNOTATIONS: ReadonlySet<string> = new Set([
  ...ANNOTATIONS.flatMap(({ rows }) => rows)
    .filter(({ on, key }) => on !== 'label' && isOfInjection(key))
    .map(({ key }) => key),
  'sidecar.istio.io/controlPlaneAuthPolicy',
  'sidecar.istio.io/enableCoreDump',
])

/** Domains of which every key is known here; under the others of Istio live keys of other parts of it. */
function isOfInjection(key: string): boolean {
  const domain = key.slice(0, Math.max(0, key.indexOf('/')))
  return (
    domain === 'sidecar.istio.io' ||
    domain.endsWith('.sidecar.istio.io') ||
    domain === 'inject.istio.io' ||
    domain === 'proxy.istio.io'
  )
}

/** What to write instead of an old key; whoever has the label beside the annotation knows. */
function successorOf(key: string, labels: StringMap): string | undefined {
  if (key === INJECT_KEY && labels[INJECT_KEY] !== undefined) return undefined
  return SUCCESSORS.get(key)
}

const SUCCESSORS: ReadonlyMap<string, string> = new Map([
  [INJECT_KEY, `the label ${INJECT_KEY}`],
  ['traffic.sidecar.istio.io/kubevirtInterfaces', 'istio.io/reroute-virtual-interfaces'],
  ['sidecar.istio.io/controlPlaneAuthPolicy', 'nothing: control planes have one policy now'],
  ['sidecar.istio.io/discoveryAddress', 'discoveryAddress in proxy.istio.io/config'],
  ...['Prefixes', 'Regexps', 'Suffixes'].map((kind) => {
    const field = `inclusion${kind}`
    const want = `proxyStatsMatcher.${field} in proxy.istio.io/config`
    return [`sidecar.istio.io/statsInclusion${kind}`, want] as const
  }),
])
