/** A pod that is injected already and gets another sidecar: what its author changed in the old one stays. */
import { STATUS_ANNOTATION } from '../core/constants.ts'
import type { Decision } from '../core/inject/decision.ts'
import { readStatus, type Status } from '../core/inject/status.ts'
import { isArray, isObject, isSame, type Json, type JsonObject } from '../core/json.ts'
import type { Pod } from '../core/k8s.ts'
import { itemName } from './change.ts'
import { plainPod, strangers } from './plain-pod.ts'
import { mergeThree, type Difference, type Findings } from './three-way.ts'

/** Injects a pod; `owner` is another one than that of the document only for a stranger. */
export type Decide = (pod: Json, isStranger: boolean) => Decision

/** Who injects: with the configuration of today, and with the one that the pod was injected with, if it is known. */
export type Injectors = { readonly today: Decide; readonly former: Decide | undefined }

/** The upgraded pod and what is to be told about it. */
export type Upgraded = {
  readonly pod: Json
  /** Whether the configuration is known that the pod was injected with. */
  readonly isKnown: boolean
  /** What the author changed in the injected parts, and what stays of what nobody says any more. */
  readonly kept: readonly Difference[]
  /** What stood in the injected parts and gave way, where it may have been the author's. */
  readonly replaced: readonly Difference[]
}

/** Upgrades an injected pod; `after` is what injecting it again makes of it. */
export function upgradePod(before: Pod, after: Pod, { today, former }: Injectors): Upgraded {
  const known = former === undefined ? undefined : threeWay(before, today, former)
  return known ?? twoWay(before, after, today)
}

/** The names in the status of a pod. */
export function statusOf(pod: Pod): Status {
  return readStatus(pod.metadata?.annotations?.[STATUS_ANNOTATION]).status
}

function threeWay(before: Pod, today: Decide, former: Decide): Upgraded | undefined {
  const plain = plainPod(before, (pod) => injectedBy(former, pod))
  if (plain === undefined) return undefined
  const base = injectedBy(former, plain)
  const next = injectedBy(today, plain)
  const elsewhere = strangers(plain).map((pod) => injectedBy(former, pod, true))
  if (base === undefined || next === undefined || elsewhere.includes(undefined)) return undefined
  const found: Findings = { kept: [], replaced: [] }
  const names = injectedNames([before, base, next])
  const merged = mapParts(asMap(next), names, (item, list, name) => {
    const mine = partOf(before, list, name)
    // One that was taken out as a whole is put back: without it there is no sidecar.
    if (mine === undefined) return item
    const versions = {
      base: partOf(base, list, name),
      mine,
      next: item,
      elsewhere: elsewhere.map((pod) => (pod === undefined ? undefined : partOf(pod, list, name))),
    }
    return mergeThree(versions, titleOf(list, name), found) ?? item
  })
  return { pod: merged, isKnown: true, ...found }
}

/** Without the old configuration nobody can say who wrote what, so everything that differs is told. */
function twoWay(before: Pod, after: Pod, today: Decide): Upgraded {
  const plain = plainPod(before, (pod) => injectedBy(today, pod))
  const fresh = plain === undefined ? undefined : injectedBy(today, plain)
  const names = injectedNames([before, after])
  const [mine, now, wanted] = [before, after, fresh ?? after].map((pod) => leavesOf(pod, names))
  const found: Findings = { kept: [], replaced: [] }
  for (const [path, yours] of mine ?? []) {
    const [is, configured] = [now?.get(path), wanted?.get(path)]
    const said = configured === undefined ? {} : { configured }
    if (!isSame(is, yours)) found.replaced.push({ path, yours, ...said })
    else if (!isSame(configured, yours)) found.kept.push({ path, yours, ...said })
  }
  return { pod: asMap(after), isKnown: false, ...found }
}

function injectedBy(decide: Decide, pod: Pod, isStranger = false): Pod | undefined {
  const decision = decide(asMap(pod), isStranger)
  return decision.kind === 'inject' ? decision.pod : undefined
}

const LISTS = ['initContainers', 'containers', 'volumes', 'imagePullSecrets'] as const
type List = (typeof LISTS)[number]

function injectedNames(pods: readonly Pod[]): Readonly<Record<List, ReadonlySet<string>>> {
  const statuses = pods.map(statusOf)
  const inLists = (...lists: readonly List[]): ReadonlySet<string> =>
    new Set(statuses.flatMap((status) => lists.flatMap((list) => status[list])))
  // The proxy may change from the one list to the other.
  const containers = inLists('containers', 'initContainers')
  return {
    containers,
    initContainers: containers,
    volumes: inLists('volumes'),
    imagePullSecrets: inLists('imagePullSecrets'),
  }
}

type Names = ReturnType<typeof injectedNames>

/** The pod with each injected item of its lists replaced. */
function mapParts(
  pod: JsonObject,
  names: Names,
  change: (item: Json, list: List, name: string) => Json,
): JsonObject {
  const { spec } = pod
  if (!isObject(spec)) return pod
  const lists = LISTS.flatMap((list) => {
    const items = spec[list]
    if (!isArray(items)) return []
    const changed = items.map((item) => {
      const name = itemName(item)
      return name === undefined || !names[list].has(name) ? item : change(item, list, name)
    })
    return [[list, changed] as const]
  })
  return { ...pod, spec: { ...spec, ...Object.fromEntries(lists) } }
}

function partOf(pod: Pod, list: List, name: string): Json | undefined {
  const spec = asMap(pod)['spec']
  const places: readonly List[] =
    list === 'containers' || list === 'initContainers' ? ['containers', 'initContainers'] : [list]
  return places
    .flatMap((place) => {
      const items = isObject(spec) ? spec[place] : undefined
      return isArray(items) ? items : []
    })
    .find((item) => itemName(item) === name)
}

function titleOf(list: List, name: string): string {
  switch (list) {
    case 'containers':
    case 'initContainers':
      return `${name}: `
    case 'volumes':
      return `volume ${name}: `
    case 'imagePullSecrets':
      return `pull secret ${name}: `
  }
}

/** The values in the injected parts, each with its place; a list whose items have no names is one. */
function leavesOf(pod: Pod, names: Names): ReadonlyMap<string, Json> {
  const leaves = new Map<string, Json>()
  const collect = (value: Json, path: string): void => {
    if (isObject(value) && Object.keys(value).length > 0) {
      const glue = path.endsWith(': ') ? '' : '.'
      for (const [key, member] of Object.entries(value)) collect(member ?? null, path + glue + key)
    } else if (isArray(value) && value.some((item) => itemName(item) !== undefined)) {
      for (const item of value) collect(item, `${path}[${itemName(item) ?? ''}]`)
    } else leaves.set(path, value)
  }
  mapParts(asMap(pod), names, (item, list, name) => {
    collect(item, titleOf(list, name))
    return item
  })
  return leaves
}

/** A pod is plain JSON. */
function asMap(pod: unknown): JsonObject {
  return isObject(pod) ? pod : {}
}
