/**
 * The way back: an injected pod without its injection. What injection noted is read (the status, the user's
 * own containers, the checks and metrics that it turned to the agent). What it did not note, labels and
 * annotations above all, is found by injecting again: it is what comes back when it is taken away.
 */
import { OVERRIDES_ANNOTATION, REDIRECT_PLAN_ANNOTATION, STATUS_ANNOTATION } from '../constants.ts'
import { isSame } from '../json.ts'
import type { Container, Pod, StringMap } from '../k8s.ts'
import { good, type Read } from '../problem.ts'
import { findProxy } from './cluster-envs.ts'
import { containersIn, withContainers, type ContainerList } from './order.ts'
import { readOverrides, type Overrides } from './overrides.ts'
import { isContainer } from './pod-shape.ts'
import { restoreProbes } from './probe-restore.ts'
import { restoreMetrics } from './prometheus.ts'
import { isInjected, readStatus, type InjectedNames } from './status.ts'

/** A pod as it was before its injection. */
export type Uninjected = {
  readonly pod: Pod
  /** Whether injecting it again gives the injected pod; not after a change of the configuration. */
  readonly isExact: boolean
}

/** Injects a pod with the configuration of today; undefined where that does not inject it. */
export type Reinject = (pod: Pod) => Pod | undefined

/**
 * Takes the injection out of a pod; one without is returned as it is. Problems are marks of the
 * injection that cannot be read: then nothing can be taken out safely.
 */
export function uninjectPod(pod: Pod, reinject: Reinject): Read<Uninjected> {
  if (!isInjected(pod)) return good({ pod, isExact: true })
  const annotations = pod.metadata?.annotations ?? {}
  const { status, problems } = readStatus(annotations[STATUS_ANNOTATION])
  if (problems.length > 0) return { ok: false, problems }
  const overrides = readOverrides(annotations)
  if (!overrides.ok) return overrides
  const proxy = findProxy(pod)
  const base: Base = {
    pod: withoutNamed(restoreProbes(pod, proxy), status, overrides.value),
    annotations: omit(restoreMetrics(annotations, proxy), MARKS),
    labels: pod.metadata?.labels ?? {},
  }
  return good(search(pod, base, reinject))
}

/** Marks that nobody but the injection writes. */
const MARKS: readonly string[] = [STATUS_ANNOTATION, OVERRIDES_ANNOTATION, REDIRECT_PLAN_ANNOTATION]

/** A pod without all that the injection noted, and the maps of which some keys may be its own. */
type Base = { readonly pod: Pod; readonly annotations: StringMap; readonly labels: StringMap }

/**
 * New keys are appended, so those of the injection are the last ones. How many of them it wrote and how
 * many the author had written already, the injected pod tells: taken away, exactly its own come back.
 */
function search(injected: Pod, base: Base, reinject: Reinject): Uninjected {
  const comesBack = (place: Place, map: StringMap): boolean => {
    const again = reinject(assembled({ ...base, [place]: map }))
    const [got, want] = [again, injected].map((pod) => pod?.metadata?.[place] ?? {})
    return isSameInOrder(got, want) && isSame(again, injected)
  }
  const pod = assembled({
    pod: base.pod,
    annotations: shortest(base.annotations, (map) => comesBack('annotations', map)),
    labels: shortest(base.labels, (map) => comesBack('labels', map)),
  })
  const isBack = (candidate: Pod): boolean => isSame(reinject(candidate), injected)
  const plain = isBack(pod) ? withoutReturning(pod, isBack) : pod
  return { pod: plain, isExact: isBack(plain) }
}

/** The pod without the settings of the whole pod that come back by themselves. */
function withoutReturning(pod: Pod, isBack: (pod: Pod) => boolean): Pod {
  const { spec } = pod
  if (spec === undefined) return pod
  let plain = spec
  for (const name of POD_SETTINGS) {
    const { [name]: setting, ...others } = plain
    if (setting !== undefined && isBack({ ...pod, spec: others })) plain = others
  }
  return plain === spec ? pod : { ...pod, spec: plain }
}

/** What templates of Istio set for all containers of a pod. */
const POD_SETTINGS = ['securityContext', 'dnsConfig'] as const

type Place = 'annotations' | 'labels'

/**
 * The fewest first keys of a map with which it comes back. Where none does, because another injector or
 * another configuration wrote the file: those that not every version of the templates writes.
 */
function shortest(map: StringMap, comesBack: (map: StringMap) => boolean): StringMap {
  const keys = Object.keys(map)
  for (let kept = 0; kept <= keys.length; kept++) {
    const some = omit(map, keys.slice(kept))
    if (comesBack(some)) return some
  }
  return omit(map, WRITTEN)
}

/** What Istio's templates write into the metadata of pods. */
const WRITTEN: readonly string[] = [
  'security.istio.io/tlsMode',
  'service.istio.io/canonical-name',
  'service.istio.io/canonical-revision',
  'kubectl.kubernetes.io/default-container',
  'kubectl.kubernetes.io/default-logs-container',
  'istio.io/rev',
]

function isSameInOrder(a: StringMap | undefined, b: StringMap | undefined): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

/** The pod with these labels and annotations; what became empty goes. */
function assembled({ pod, annotations, labels }: Base): Pod {
  const { labels: _labels, annotations: _annotations, ...rest } = pod.metadata ?? {}
  const metadata = {
    ...rest,
    ...(Object.keys(labels).length > 0 && { labels }),
    ...(Object.keys(annotations).length > 0 && { annotations }),
  }
  const { metadata: _metadata, ...others } = pod
  return Object.keys(metadata).length > 0 ? { ...others, metadata } : others
}

/** What authors write where the injection is to choose, and what it does not remember. */
const AUTO_IMAGE = 'auto'

/** The pod without what the status names, with the user's own containers where those stood. */
function withoutNamed(pod: Pod, status: InjectedNames, overrides: Overrides): Pod {
  const names = new Set([...status.containers, ...status.initContainers])
  const users = new Map(
    [...overrides.containers, ...overrides.initContainers].flatMap((item) =>
      isContainer(item) ? [[item.name, { image: AUTO_IMAGE, ...item }] as const] : [],
    ),
  )
  const own = (list: ContainerList): Container[] =>
    containersIn(pod, list).flatMap((container) => {
      if (!names.has(container.name)) return [container]
      const user = users.get(container.name)
      return user === undefined ? [] : [user]
    })
  const { spec } = withContainers(pod, {
    containers: own('containers'),
    initContainers: own('initContainers'),
  })
  if (spec === undefined) return pod
  const { initContainers, volumes, imagePullSecrets, ...others } = spec
  const inits = initContainers ?? []
  const ownVolumes = unlisted(volumes, status.volumes)
  const secrets = unlisted(imagePullSecrets, status.imagePullSecrets)
  return {
    ...pod,
    spec: {
      ...others,
      ...(inits.length > 0 && { initContainers: inits }),
      ...(ownVolumes.length > 0 && { volumes: ownVolumes }),
      ...(secrets.length > 0 && { imagePullSecrets: secrets }),
    },
  }
}

function unlisted<T extends { readonly name?: string }>(
  list: readonly T[] | undefined,
  names: readonly string[],
): T[] {
  return (list ?? []).filter(({ name }) => name === undefined || !names.includes(name))
}

function omit(map: StringMap, keys: readonly string[]): StringMap {
  return Object.fromEntries(Object.entries(map).filter(([key]) => !keys.includes(key)))
}
