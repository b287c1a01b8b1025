import { INJECT_KEY, PROXY_CONTAINER } from '../constants.ts'
import { printEntry } from '../gates/entry.ts'
import { takersOf, type GateFacts } from '../gates/gate.ts'
import { readable } from '../gates/read-webhooks.ts'
import { usualEntries } from '../gates/usual-entries.ts'
import type { Decision, InjectRequest } from '../inject/decision.ts'
import { containersIn } from '../inject/order.ts'
import { IGNORED_NAMESPACES } from '../inject/decide.ts'
import { ownerOf, type Owner } from '../inject/owner.ts'
import { pointer, readPod } from '../inject/pod-shape.ts'
import { isObject, type JsonObject } from '../json.ts'
import { byName, type Pod, type StringMap } from '../k8s.ts'
import { ANNOTATIONS } from '../options/annotations.ts'
import type { Inventory } from './inventory.ts'
import { findInJob } from './jobs.ts'
import { findLimits } from './limit-ranges.ts'
import {
  mapAt,
  metadataOf,
  printLabels,
  type Finding,
  type PodPlace,
  type Setting,
  type Subject,
} from './model.ts'
import { findPodSecurity } from './pod-security/findings.ts'
import { findProxyIds } from './pod-ids.ts'
import { captureOf, findPodPorts } from './pod-ports.ts'
import { findProbes } from './probes.ts'
import { addUsage, findUnsaid, type Usage } from './quotas.ts'
import { findServiceConflicts } from './service-conflicts.ts'

/** What will become of one pod or pod template, and what of the injected one will not work. */
export function findInPod(
  subject: Subject,
  place: PodPlace,
  inventory: Inventory,
  setting: Setting,
  usage: Usage,
): readonly Finding[] {
  const { namespace } = subject
  if (IGNORED_NAMESPACES.includes(namespace)) return []
  const namespaceLabels = inventory.namespaces.get(namespace) ?? setting.namespaceLabels
  const taken = takenBy({ namespace, namespaceLabels }, place, inventory, setting)
  if (setting.isLive && subject.kind === 'Pod') return missingProxy(subject, place, taken, setting)
  const decision = setting.inject(requestOf(subject, place, setting))
  const injected = taken.length > 0 && decision.kind === 'inject' ? decision : undefined
  const limits = inventory.limits.get(namespace) ?? []
  const quotas = inventory.quotas.get(namespace) ?? []
  const before = injected?.before ?? podOf(place)
  const pods = { before, after: injected?.pod ?? before, copies: copiesOf(subject) }
  addUsage(usage, namespace, quotas, pods, limits)
  if (injected === undefined) return notInjected(place, taken, decision, namespaceLabels)
  const { path } = place
  const { pod: after } = injected
  const isCaptured = captureOf(after, setting.config)
  const services = inventory.services.get(namespace) ?? []
  const labels = after.metadata?.labels ?? {}
  return [
    ...takenTwice(path, taken),
    ...findInJob(subject, before, after, path),
    ...findProxyIds(before, path),
    ...findPodPorts(before, path, isCaptured),
    ...findProbes(before, after, path, setting.config, isCaptured),
    ...findServiceConflicts(services, labels, `${path}/metadata/labels`),
    ...findPodSecurity(before, after, namespaceLabels, path),
    ...findLimits(before, after, limits, path),
    ...findUnsaid(after, quotas, limits, path),
  ]
}

/** The webhook entries that take a pod; Istio's own where no entry is known. */
function takenBy(
  of: Pick<GateFacts, 'namespace' | 'namespaceLabels'>,
  { pod }: PodPlace,
  { injectors }: Inventory,
  { config }: Setting,
): readonly string[] {
  const facts = { ...of, podLabels: metadataOf(pod).labels, pod: isObject(pod) ? pod : {} }
  if (injectors.length > 0) return takersOf(readable(injectors), facts).map(printEntry)
  return takersOf(usualEntries(config.revision, facts), facts).length > 0 ? ['Istio'] : []
}

function takenTwice(path: string, taken: readonly string[]): readonly Finding[] {
  if (taken.length < 2) return []
  const got = taken.join(', ')
  return [{ code: 'SI0121', path: `${path}/metadata`, got, want: 'one entry of one webhook' }]
}

/** A running pod that would be injected today and has no proxy. */
function missingProxy(
  subject: Subject,
  place: PodPlace,
  taken: readonly string[],
  setting: Setting,
): readonly Finding[] {
  const pod = podOf(place)
  const all = [...containersIn(pod, 'containers'), ...containersIn(pod, 'initContainers')]
  if (taken.length === 0 || byName(all, PROXY_CONTAINER) !== undefined) return []
  const phase = mapAt(subject.value, 'status')['phase']
  if (phase === 'Succeeded' || phase === 'Failed') return []
  if (setting.inject(requestOf(subject, place, setting)).kind !== 'inject') return []
  const want = `a container ${PROXY_CONTAINER}, for ${taken.join(', ')} takes the pod`
  return [{ code: 'SI0113', path: '/spec/containers', got: 'no proxy', want }]
}

function notInjected(
  { path, pod }: PodPlace,
  taken: readonly string[],
  decision: Decision,
  namespaceLabels: StringMap,
): readonly Finding[] {
  const { labels, annotations } = metadataOf(pod)
  const auto = autoImage(path, pod)
  if (taken.length > 0 && decision.kind === 'reject') {
    return decision.problems.map(({ path: at, got, want }): Finding => {
      if (!isAnnotation(at))
        return { code: 'SI0112', path: path + (at.startsWith('/') ? at : ''), got, want }
      return { code: 'SI0203', path: `${path}/metadata/annotations${pointer(at)}`, got, want }
    })
  }
  if (decision.kind === 'skip') {
    const { reason, sentence } = decision
    const want = 'nothing that says no, where it is to be injected'
    return [
      { code: 'SI0110', path: `${path}${placeOf(reason)}`, got: `${reason}: ${sentence}`, want },
      ...auto,
    ]
  }
  const asks = (labels[INJECT_KEY] ?? annotations[INJECT_KEY]) === 'true'
  const got = `namespace with ${printLabels(namespaceLabels)}, pod with ${printLabels(labels)}`
  const want = 'labels that an entry of an injection webhook takes'
  return [{ code: asks ? 'SI0111' : 'SI0110', path: `${path}/metadata`, got, want }, ...auto]
}

/** The part of a pod that a reason speaks about. */
function placeOf(reason: Extract<Decision, { kind: 'skip' }>['reason']): string {
  switch (reason) {
    case 'host-network':
      return '/spec/hostNetwork'
    case 'label-opt-out':
      return `/metadata/labels${pointer(INJECT_KEY)}`
    case 'annotation-opt-out':
      return `/metadata/annotations${pointer(INJECT_KEY)}`
    default:
      return '/metadata'
  }
}

function autoImage(path: string, pod: unknown): readonly Finding[] {
  const { containers } = mapAt(pod, 'spec')
  const list = Array.isArray(containers) ? containers : []
  return list.flatMap((container: unknown, index): readonly Finding[] => {
    const isAuto = isObject(container) && container['image'] === 'auto'
    const want = 'an image, or a pod that is injected'
    const at = `${path}/spec/containers/${index}/image`
    return isAuto ? [{ code: 'SI0115', path: at, got: 'auto', want }] : []
  })
}

/** The request that the webhook would get: the API server asks about pods, which say their owner. */
function requestOf(subject: Subject, { pod }: PodPlace, setting: Setting): InjectRequest {
  return {
    pod,
    namespace: subject.namespace,
    owner: ownerOfSubject(subject),
    nativeSidecars: setting.nativeSidecars,
    door: 'webhook',
    proxyEnvs: {},
  }
}

function ownerOfSubject({ kind, name, namespace, value }: Subject): Owner {
  if (kind === 'Pod') return ownerOf(value['metadata'], namespace)
  const version = value['apiVersion']
  return { apiVersion: typeof version === 'string' ? version : '', kind, name, namespace }
}

function podOf({ pod }: PodPlace): Pod {
  const read = readPod('', pod)
  return read.ok ? read.value : {}
}

/** How many pods an object keeps; a DaemonSet is counted as one, for nobody knows the nodes. */
function copiesOf({ kind, value }: Subject): number {
  const spec: JsonObject = mapAt(value, 'spec')
  const copies = kind === 'Job' ? spec['parallelism'] : spec['replicas']
  return typeof copies === 'number' ? copies : 1
}

const ANNOTATION_KEYS: ReadonlySet<string> = new Set(
  ANNOTATIONS.flatMap(({ rows }) => rows).map(({ key }) => key),
)

function isAnnotation(path: string): boolean {
  return ANNOTATION_KEYS.has(path)
}
