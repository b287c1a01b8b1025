/** How a pod differs from the pod as it came, node by node, each with the stage that made it so. */
import { isArray, isObject, own, type Json } from '../json.ts'
import { pointer } from '../inject/pod-shape.ts'
import { entriesOf, type Losses, type Mark, type Trail } from './trail.ts'

/**
 * One difference. Maps and lists that are new stand before what is in them, as `{}` or `[]`, so that
 * applying all in order to the pod as it came rebuilds the other one:
 *
 * 1. what is `removed` goes, by its place in the pod as it came,
 * 2. what `moved` goes from there to its place in the other pod, all at once; what is in it goes along,
 * 3. what is `added` or `changed` is set, by its place in the other pod.
 */
export type Difference =
  | {
      readonly change: 'added' | 'changed'
      readonly path: string
      readonly value: Json
      readonly mark: Mark
    }
  | {
      readonly change: 'moved'
      readonly path: string
      readonly was: string
      readonly mark: Mark
    }
  | { readonly change: 'removed'; readonly path: string; readonly mark: Mark }

/** Every difference, what is removed first, then in the order of the pod. */
export function differencesOf(
  before: Json,
  after: Json,
  trail: Trail,
  losses: Losses,
): readonly Difference[] {
  const removed: Difference[] = []
  const others: Difference[] = []
  compare(before, after, trail, '')
  return [...removed, ...others]

  /** `was` undefined: nothing of the pod as it came is meant. */
  function compare(was: Json | undefined, is: Json, node: Trail, path: string): void {
    if (was === undefined || !isAlike(was, is)) {
      const change = was === undefined ? 'added' : 'changed'
      others.push({ change, path, value: emptied(is), mark: markOf(node, path) })
      inside(undefined, is, node, path)
    } else if (isArray(is) || isObject(is)) inside(was, is, node, path)
    else if (was !== is) {
      others.push({ change: 'changed', path, value: is, mark: markOf(node, path) })
    }
  }

  function inside(was: Json | undefined, is: Json, node: Trail, path: string): void {
    if (isArray(is)) insideList(isArray(was) ? was : [], is, node, path)
    else if (isObject(is)) {
      const old = isObject(was) ? was : {}
      for (const [name] of entriesOf(old)) {
        if (own(is, name) === undefined) remove((node.own ?? path) + pointer(name))
      }
      for (const [name, member] of entriesOf(is)) {
        const inner = node.members?.get(name) ?? {}
        // Taken away by one stage and set again by another, it is the same member.
        const known = own(old, name)
        const at = known === undefined ? {} : { own: (node.own ?? '') + pointer(name) }
        compare(known, member, { ...inner, ...at }, path + pointer(name))
      }
    }
  }

  function insideList(was: readonly Json[], is: readonly Json[], node: Trail, path: string): void {
    const places = new Map(
      was.map((_, place) => [(node.own ?? path) + pointer(place), place] as const),
    )
    const items = is.map((item, place) => ({ item, place, inner: node.items?.[place] ?? {} }))
    const kept = new Set(items.map(({ inner }) => inner.own))
    for (const at of places.keys()) if (!kept.has(at)) remove(at)
    for (const { item, place, inner } of items) {
      const at = path + pointer(place)
      const from = places.get(inner.own ?? '')
      const known = from === undefined ? undefined : was[from]
      if (from !== undefined && from !== place && inner.own !== undefined) {
        const mark = losses.moved.get(inner.own) ?? markOf(inner, at)
        others.push({ change: 'moved', path: at, was: inner.own, mark })
      }
      compare(known, item, inner, at)
    }
  }

  function remove(path: string): void {
    removed.push({ change: 'removed', path, mark: lossOf(path) })
  }

  /** The stage that took away a place of the pod as it came, or what it stood in. */
  function lossOf(path: string): Mark {
    for (let at = path; at !== ''; at = at.slice(0, at.lastIndexOf('/'))) {
      const mark = losses.removed.get(at)
      if (mark !== undefined) return mark
    }
    throw new Error(`${path}: internal error, no stage says that it removed this`)
  }
}

function markOf({ mark }: Trail, path: string): Mark {
  if (mark !== undefined) return mark
  throw new Error(`${path}: internal error, no stage says that it set this`)
}

/** A scalar, or the map or list without what is in it. */
function emptied(value: Json): Json {
  if (isArray(value)) return []
  return isObject(value) ? {} : value
}

/** Whether two values are both maps, both lists, or both scalars. */
function isAlike(a: Json, b: Json): boolean {
  if (isArray(a) || isArray(b)) return isArray(a) && isArray(b)
  return isObject(a) === isObject(b)
}
