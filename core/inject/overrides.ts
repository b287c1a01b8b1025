/**
 * The user's own containers and the templates: who wins, and how it is remembered.
 *
 * A container that the pod brings under the name of one of the template's (`istio-proxy` above all) is
 * the user's customisation: every field it sets wins over the template's. What the user set is remembered
 * in the annotation `proxy.istio.io/overrides`, so that it wins again when the pod is injected again.
 *
 * Calling order, after the pod was read and before anything is added to it:
 *
 * 1. `readOverrides(annotations)` with the other annotations, so that its problems are told with theirs;
 * 2. `stripped(pod, …)`: the pod that templates see; render every template from it;
 * 3. `overlaid(pod, overlays, …)`: settles containers in the lists where the templates put them, merges the
 *    overlays, lays the user's containers over them, writes the annotation and makes the ids agree.
 *    Its `template` is what the status annotation names, its `merged` goes on to cluster variables,
 *    prometheus, probes, status and order.
 */
import {
  INIT_CONTAINER,
  OVERRIDES_ANNOTATION,
  PROXY_CONTAINER,
  STATUS_ANNOTATION,
  VALIDATION_CONTAINER,
} from '../constants.ts'
import { isArray, isObject, isSame, own, type Json, type JsonObject } from '../json.ts'
import type { Container, Pod, StringMap } from '../k8s.ts'
import { bad, good, type Problem, type Read } from '../problem.ts'
import { firstByName, without, withoutRivals } from './merge-keys.ts'
import type { Observe } from './observe.ts'
import { adjustUser } from './own-user.ts'
import { POD_TYPES } from './pod-fields.ts'
import { containersIn, isProxy, withContainers, withOneProxy, type ContainerList } from './order.ts'
import { isContainer, isPod } from './pod-shape.ts'
import { listen, PROMETHEUS_CURRENT } from './prometheus.ts'
import { isInjected, readStatus, withAnnotations } from './status.ts'
import { mergePod } from './strategic-merge.ts'
import { printTyped, readTyped } from './typed.ts'

/** The user's own containers as the annotation remembers them, in the lists of the templates. */
export type Overrides = { readonly [List in ContainerList]: readonly JsonObject[] }

/** The merged templates alone, and the pod with everything merged into it. */
export type Overlaid = { readonly template: Pod; readonly merged: Pod }

const LISTS: readonly ContainerList[] = ['containers', 'initContainers']
const NO_OVERRIDES: Overrides = { containers: [], initContainers: [] }

/** Names that mean the same container wherever they stand. */
const RESERVED: ReadonlySet<string> = new Set([
  PROXY_CONTAINER,
  INIT_CONTAINER,
  VALIDATION_CONTAINER,
])

/** Reads what an earlier injection remembered; nothing remembered reads as two empty lists. */
export function readOverrides(annotations: StringMap | undefined): Read<Overrides> {
  const text = annotations?.[OVERRIDES_ANNOTATION] ?? ''
  if (text === '') return good(NO_OVERRIDES)
  const value = parse(text)
  if (!isObject(value)) return bad(OVERRIDES_ANNOTATION, text, 'a JSON object')
  const problems: Problem[] = []
  const list = (name: ContainerList): readonly JsonObject[] => {
    const items: Json = own(value, name) ?? []
    if (isArray(items)) {
      return items.flatMap((item, index) =>
        readContainer(`${OVERRIDES_ANNOTATION}: /${name}/${index}`, item, problems),
      )
    }
    problems.push({ path: `${OVERRIDES_ANNOTATION}: /${name}`, got: text, want: 'a list' })
    return []
  }
  const overrides = { containers: list('containers'), initContainers: list('initContainers') }
  return problems.length === 0 ? good(overrides) : { ok: false, problems }
}

/**
 * The pod that templates see: without what an earlier injection added, with the user's own containers
 * as they were. The user's `istio-proxy` stands last among the regular containers, whatever its place, so
 * that an injected pod gives the same as it gave before. `meshStatusPort`: metrics annotations that point
 * at this port are the injection's own.
 */
export function stripped(pod: Pod, meshStatusPort?: number): Pod {
  const status = statusOf(pod)
  const read = readOverrides(pod.metadata?.annotations)
  const overrides = read.ok ? read.value : NO_OVERRIDES
  const isOwn = ({ name }: Container): boolean => !lists(status, name)
  const apps = containersIn(pod, 'containers').filter(isOwn)
  const inits = containersIn(pod, 'initContainers').filter(isOwn)
  const names = new Set([...apps, ...inits].map(({ name }) => name))
  const returned = (list: ContainerList): readonly Container[] =>
    containersOf(overrides[list]).filter(({ name }) => !names.has(name))
  const all = [...apps, ...returned('containers')]
  const allInits = [...inits, ...returned('initContainers')]
  const isReserved = ({ name }: Container): boolean => RESERVED.has(name)
  const isOther = (container: Container): boolean => !isReserved(container)
  const isNoProxy = (container: Container): boolean => !isProxy(container)
  return withContainers(withoutMarks(pod, status, meshStatusPort), {
    containers: [
      ...all.filter(isOther),
      ...all.filter(isReserved).filter(isNoProxy),
      ...[...all, ...allInits].filter(isProxy),
    ],
    initContainers: [...allInits.filter(isOther), ...allInits.filter(isReserved).filter(isNoProxy)],
  })
}

/**
 * Merges the overlays of the rendered templates into the pod and lets the user's own containers win.
 * `isTproxy`: the mode of the proxy's configuration; the pod's annotation counts beside it. Problems are
 * those of the annotation and of the user's containers. Doing it twice is doing it once.
 */
export function overlaid(
  pod: Pod,
  overlays: readonly JsonObject[],
  facts: { readonly isTproxy: boolean },
  observe?: Observe,
): Read<Overlaid> {
  const overrides = readOverrides(pod.metadata?.annotations)
  if (!overrides.ok) return overrides
  const settledOverlays = withOneProxy(overlays)
  const template = settledOverlays.reduce<Pod>(mergePod, {})
  const users = userContainers(pod, template, overrides.value)
  if (!users.ok) return users
  const base = settled(pod, template, overrides.value)
  observe?.({ stage: 'settled', pod: base })
  const overlaidOnce = settledOverlays.reduce((below, overlay, index) => {
    const above = mergePod(below, overlay)
    observe?.({ stage: 'template', pod: above, index })
    return above
  }, base)
  const merged = withOneSource(overlaidOnce, pod)
  observe?.({ stage: 'volume-sources', pod: merged })
  const reapplied = reapply(merged, users.value)
  observe?.({ stage: 'own-container', pod: reapplied })
  const remembered = remember(reapplied, users.value, overrides.value)
  observe?.({ stage: 'remembered', pod: remembered })
  const adjusted = adjustUser(remembered, users.value, facts.isTproxy)
  observe?.({ stage: 'own-user', pod: adjusted })
  return good({ template, merged: adjusted })
}

/** One of the user's containers that a template has too. */
export type UserContainer = {
  /** The list in which the templates put the container. */
  readonly list: ContainerList
  readonly name: string
  /** What the user wrote, checked, without the image `auto`. */
  readonly container: JsonObject
  /** The part of it that is laid over the template's. */
  readonly applied: JsonObject
  /** Whether the annotation holds it. A container taken over from an older kind of injection is not. */
  readonly isRemembered: boolean
}

/** Finds the user's containers for everything the templates bring, in their order. */
export function userContainers(
  pod: Pod,
  template: Pod,
  overrides: Overrides,
): Read<readonly UserContainer[]> {
  const problems: Problem[] = []
  const status = statusOf(pod)
  const remembered = firstByName([...overrides.containers, ...overrides.initContainers])
  const places = LISTS.map((list) => {
    const containers = containersIn(pod, list)
    return firstByName(
      containers.map((container, index) => ({
        name: container.name,
        container,
        path: `/spec/${list}/${index}`,
      })),
    )
  })
  const users = LISTS.flatMap((list) =>
    containersIn(template, list).flatMap(({ name }): readonly UserContainer[] => {
      const isListed = lists(status, name)
      const memory = remembered.get(name)
      if (memory !== undefined) {
        const applied = isListed && !RESERVED.has(name) ? without(memory, CHECKS) : memory
        return [user(list, name, memory, applied, true)]
      }
      if (isListed && !(status !== undefined && isOlderKind(status, list, name))) return []
      const found = places[0]?.get(name) ?? places[1]?.get(name)
      if (found === undefined) return []
      return readContainer(found.path, found.container, problems).map((container) =>
        user(list, name, container, container, !isListed),
      )
    }),
  )
  return problems.length === 0 ? good(users) : { ok: false, problems }
}

/** Fields that injection itself rewrites in the application's containers, and that stay as they are then. */
const CHECKS = ['livenessProbe', 'readinessProbe', 'startupProbe', 'lifecycle']

/** The container was injected as a regular one and becomes a native sidecar: all of it is kept, as Istio does. */
function isOlderKind(status: Listed, list: ContainerList, name: string): boolean {
  return (
    list === 'initContainers' && status.containers.has(name) && !status.initContainers.has(name)
  )
}

function user(
  list: ContainerList,
  name: string,
  whole: JsonObject,
  part: JsonObject,
  isRemembered: boolean,
): UserContainer {
  const { image } = whole
  const left = image === 'auto' || image === '' ? ['image'] : []
  // Whether the proxy is a native sidecar is decided elsewhere, and this field is the difference.
  const unapplied = name === PROXY_CONTAINER ? ['restartPolicy'] : []
  return {
    list,
    name,
    container: without(whole, left),
    applied: without(part, [...left, ...unapplied]),
    isRemembered,
  }
}

/**
 * The pod on which overlays are merged: containers of an earlier injection, and those with reserved names,
 * stand in the list where the templates put them now; what the templates no longer bring is gone, or is
 * the user's own again. So switching native sidecars or CNI leaves no old container beside a new one.
 */
export function settled(pod: Pod, template: Pod, overrides: Overrides): Pod {
  const status = statusOf(pod)
  const places = new Map(
    LISTS.flatMap((list) => containersIn(template, list).map(({ name }) => [name, list] as const)),
  )
  const staying: Record<ContainerList, Container[]> = { containers: [], initContainers: [] }
  const moving: (readonly [ContainerList, Container])[] = []
  for (const list of LISTS) {
    for (const container of containersIn(pod, list)) {
      const place = places.get(container.name)
      const isListed = lists(status, container.name)
      const isReserved = RESERVED.has(container.name)
      if (place === list || !(isReserved || isListed)) staying[list].push(container)
      else if (place !== undefined) moving.push([place, container])
      else if (isReserved && isListed) staying[list].push(...formerly(container.name, overrides))
      else staying[list].push(container)
    }
  }
  const taken = new Set(LISTS.flatMap((list) => staying[list].map(({ name }) => list + name)))
  for (const [list, container] of moving) {
    if (taken.has(list + container.name)) continue
    taken.add(list + container.name)
    staying[list].push(list === 'containers' ? withoutRestart(container) : container)
  }
  return withContainers(pod, staying)
}

/** Lays the user's containers over what the templates made of them. */
export function reapply(pod: Pod, users: readonly UserContainer[]): Pod {
  if (users.length === 0) return pod
  const inList = (list: ContainerList): readonly JsonObject[] =>
    users.filter((each) => each.list === list).map((each) => each.applied)
  const overlay = {
    spec: { containers: inList('containers'), initContainers: inList('initContainers') },
  }
  const before: unknown = pod
  const cleared: unknown = isObject(before) ? withoutRivals(before, overlay, POD_TYPES.Pod) : before
  return mergePod(isPod(cleared) ? cleared : pod, overlay)
}

/** The pod whose volumes have one source each: one that the pod has already keeps its kind. */
function withOneSource(merged: Pod, pod: Pod): Pod {
  const before: unknown = merged
  const old: unknown = { spec: { volumes: pod.spec?.volumes ?? [] } }
  if (!isObject(before) || !isObject(old)) return merged
  const after: unknown = withoutRivals(before, old, POD_TYPES.Pod)
  return isPod(after) ? after : merged
}

/** Writes what the user set, by the lists of the templates, unless it stands there already. */
function remember(pod: Pod, users: readonly UserContainer[], overrides: Overrides): Pod {
  const taken = new Set<Json | undefined>(users.map(({ name }) => name))
  const inList = (list: ContainerList): readonly JsonObject[] => [
    ...users
      .filter((each) => each.isRemembered && each.list === list)
      .map((each) => each.container),
    ...overrides[list].filter((each) => !taken.has(each['name'])),
  ]
  const now = { containers: inList('containers'), initContainers: inList('initContainers') }
  if (isSame(now, overrides)) return pod
  const parts = LISTS.filter((list) => now[list].length > 0).map((list) => {
    return `"${list}":[${now[list].map((each) => printTyped('Container', each)).join(',')}]`
  })
  return withAnnotations(pod, { [OVERRIDES_ANNOTATION]: `{${parts.join(',')}}` })
}

/** The pod's metadata without the status, and without metrics annotations that injection wrote. */
function withoutMarks(pod: Pod, status: Listed | undefined, statusPort?: number): Pod {
  const { annotations } = pod.metadata ?? {}
  if (status === undefined || annotations === undefined) return pod
  const { port, scrape, path, targets } = listen(annotations, PROMETHEUS_CURRENT)
  const isOurs = port[0]?.text === String(statusPort)
  const marks = isOurs ? [...port, ...scrape, ...path, ...targets].map(({ key }) => key) : []
  const gone = new Set([STATUS_ANNOTATION, ...marks])
  const kept = Object.entries(annotations).filter(([key]) => !gone.has(key))
  return { ...pod, metadata: { ...pod.metadata, annotations: Object.fromEntries(kept) } }
}

/** What an earlier injection brought, by name; nothing where there was none. */
type Listed = Readonly<Record<ContainerList, ReadonlySet<string>>>

function statusOf(pod: Pod): Listed | undefined {
  if (!isInjected(pod)) return undefined
  const { status } = readStatus(pod.metadata?.annotations?.[STATUS_ANNOTATION])
  return {
    containers: new Set(status.containers),
    initContainers: new Set(status.initContainers),
  }
}

function lists(status: Listed | undefined, name: string): boolean {
  return status?.containers.has(name) === true || status?.initContainers.has(name) === true
}

/** The user's own containers of this name, ready to stand by themselves. */
function formerly(name: string, overrides: Overrides): readonly Container[] {
  const own = LISTS.flatMap((list) => overrides[list]).filter((each) => each['name'] === name)
  return containersOf(own.map((container) => ({ image: 'auto', ...container })))
}

function containersOf(objects: readonly unknown[]): readonly Container[] {
  return objects.filter(isContainer)
}

function withoutRestart(container: Container): Container {
  const before: unknown = container
  const after: unknown = isObject(before) ? without(before, ['restartPolicy']) : before
  return isContainer(after) ? after : container
}

/** A container as Kubernetes would print it: empty fields say nothing, before and after it is remembered. */
function readContainer(path: string, value: unknown, problems: Problem[]): readonly JsonObject[] {
  const read = readTyped('Container', path, value)
  if (!read.ok) problems.push(...read.problems)
  else if (isContainer(read.value)) return containerIn(printTyped('Container', read.value))
  else problems.push({ path, got: 'an object', want: 'a container with a name' })
  return []
}

function containerIn(text: string): readonly JsonObject[] {
  const container = parse(text)
  if (!isObject(container)) return []
  return [isSame(container['resources'], {}) ? without(container, ['resources']) : container]
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
