/** Where containers stand: in which list, and in which order they start. */
import { INIT_CONTAINER, PROXY_CONTAINER, VALIDATION_CONTAINER } from '../constants.ts'
import { isArray, isObject, own, type JsonObject } from '../json.ts'
import type { Container, Pod } from '../k8s.ts'

/** Init container of older templates that lets the proxy dump core. */
const CORE_DUMP_CONTAINER = 'enable-core-dump'

/** The names of each row stand in its order in front of, or behind, all other containers. */
type Order = { readonly first: readonly string[]; readonly last: readonly string[] }

/** Where the proxy holds the application until it is ready, the kubelet must start it first. */
const HELD: Order = { first: [PROXY_CONTAINER], last: [] }
const USUAL: Order = { first: [], last: [PROXY_CONTAINER] }
/** A native proxy serves the user's own init containers, so the rules must stand before they run. */
const NATIVE: Order = {
  first: [INIT_CONTAINER, VALIDATION_CONTAINER, PROXY_CONTAINER, CORE_DUMP_CONTAINER],
  last: [],
}
/** Without it the user's init containers reach the network only while no rule captures them. */
const PLAIN: Order = { first: [VALIDATION_CONTAINER], last: [INIT_CONTAINER, CORE_DUMP_CONTAINER] }

/**
 * The pod with its containers in starting order. `isFirst`: the proxy, where it is a regular container,
 * starts before the application. Of two containers with one of the reserved names the last one stays.
 * The same pod when nothing had to move.
 */
export function orderContainers(pod: Pod, isFirst: boolean): Pod {
  const inits = containersIn(pod, 'initContainers')
  const isNative = inits.some(({ name }) => name === PROXY_CONTAINER)
  return withContainers(pod, {
    containers: ordered(containersIn(pod, 'containers'), isFirst ? HELD : USUAL),
    initContainers: ordered(inits, isNative ? NATIVE : PLAIN),
  })
}

function ordered(containers: readonly Container[], order: Order): Container[] {
  const named = new Map<string, Container>()
  const rest: Container[] = []
  for (const container of containers) {
    const isReserved = order.first.includes(container.name) || order.last.includes(container.name)
    if (isReserved) named.set(container.name, container)
    else rest.push(container)
  }
  const pick = (names: readonly string[]) => names.flatMap((name) => named.get(name) ?? [])
  return [...pick(order.first), ...rest, ...pick(order.last)]
}

/** The two lists of containers that run in every pod. */
export type ContainerList = 'containers' | 'initContainers'

/** The containers of a pod's list; none when it has no such list. */
export function containersIn(pod: Pod, list: ContainerList): readonly Container[] {
  return pod.spec?.[list] ?? []
}

/** The pod with other containers; the pod itself when they are the same ones. */
export function withContainers(
  pod: Pod,
  lists: { readonly [List in ContainerList]: Container[] },
): Pod {
  const isKept = isSameList(containersIn(pod, 'containers'), lists.containers)
  const isInitKept = isSameList(containersIn(pod, 'initContainers'), lists.initContainers)
  if (isKept && isInitKept) return pod
  const spec = { containers: [], ...pod.spec }
  if (!isKept) spec.containers = lists.containers
  if (!isInitKept) spec.initContainers = lists.initContainers
  return { ...pod, spec }
}

/** The pod with every container of a name in one list changed; the pod itself when nothing changed. */
export function mapContainers(
  pod: Pod,
  list: ContainerList,
  name: string,
  change: (container: Container) => Container,
): Pod {
  const changed = (each: ContainerList): Container[] =>
    containersIn(pod, each).map((container) =>
      each === list && container.name === name ? change(container) : container,
    )
  return withContainers(pod, {
    containers: changed('containers'),
    initContainers: changed('initContainers'),
  })
}

function isSameList(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index])
}

/** Whether something carries the proxy's name. */
export function isProxy({ name }: { readonly name?: unknown }): boolean {
  return name === PROXY_CONTAINER
}

/** Overlays that agree where the user's proxy stands: if one makes it native, the others mean that one. */
export function withOneProxy(overlays: readonly JsonObject[]): readonly JsonObject[] {
  const itemsIn = (overlay: JsonObject, list: ContainerList): readonly JsonObject[] => {
    const items = isObject(overlay['spec']) ? (own(overlay['spec'], list) ?? []) : []
    return isArray(items) ? items.filter(isObject) : []
  }
  if (!overlays.some((overlay) => itemsIn(overlay, 'initContainers').some(isProxy))) return overlays
  return overlays.map((overlay) => {
    const { spec } = overlay
    const apps = itemsIn(overlay, 'containers')
    if (!isObject(spec) || !apps.some(isProxy)) return overlay
    const initContainers = [...itemsIn(overlay, 'initContainers'), ...apps.filter(isProxy)]
    const containers = apps.filter((item) => !isProxy(item))
    return { ...overlay, spec: { ...spec, containers, initContainers } }
  })
}
