/**
 * The trail of a pod through the stages: for each node where in the pod as it came it stood, and the last
 * stage that set it. It is kept beside the pod and led from one stage's pod to the next.
 */
import { isArray, isObject, own, type Json, type JsonObject } from '../json.ts'
import { keyOf, objectType } from '../inject/merge-keys.ts'
import type { Stage } from '../inject/observe.ts'
import { POD_TYPES, type Field, type ObjectType } from '../inject/pod-fields.ts'
import { pointer } from '../inject/pod-shape.ts'
import { pairItems } from './pairs.ts'

/** One node of the pod and how it came to be what it is. */
export type Trail = {
  /** Its JSON Pointer in the pod as it came; absent for what was added. */
  readonly own?: string
  /** Who set it last; absent for what nobody touched. */
  readonly mark?: Mark
  readonly members?: ReadonlyMap<string, Trail>
  readonly items?: readonly Trail[]
}

/** One touch of a stage. */
export type Mark = {
  readonly stage: Stage
  /** Of several templates which. */
  readonly index: number
  /** Where the node stood after the stage, list items named by their keys where they have any. */
  readonly keyed: readonly string[]
  /** The same as a JSON Pointer. */
  readonly path: string
}

/** What the trail tells of a pod's nodes that are gone, and of list items that moved, by their old pointers. */
export type Losses = {
  readonly removed: Map<string, Mark>
  readonly moved: Map<string, Mark>
}

/** The trail of a pod that nobody touched yet. */
export function trailOf(value: Json, at = ''): Trail {
  if (isArray(value)) {
    return { own: at, items: value.map((item, index) => trailOf(item, at + pointer(index))) }
  }
  if (!isObject(value)) return { own: at }
  const members = entriesOf(value).map(
    ([name, member]) => [name, trailOf(member, at + pointer(name))] as const,
  )
  return { own: at, members: new Map(members) }
}

/** A value with the type that the API knows for it. */
type Typed = { readonly field: Field | undefined; readonly type: ObjectType | undefined }

/** The trail of a pod after a stage. What the stage took away or moved is noted in `losses`. */
export function lead(
  trail: Trail,
  before: Json,
  after: Json,
  { stage, index }: Pick<Mark, 'stage' | 'index'>,
  losses: Losses,
): Trail {
  return next(trail, before, after, { field: undefined, type: POD_TYPES.Pod }, [], '')

  function next(
    old: Trail,
    was: Json,
    is: Json,
    typed: Typed,
    keyed: readonly string[],
    path: string,
  ): Trail {
    if (was === is) return old
    if (isArray(was) && isArray(is)) {
      return { ...old, items: nextItems(old, was, is, typed, keyed, path) }
    }
    if (isObject(was) && isObject(is)) {
      return { ...old, members: nextMembers(old, was, is, typed, keyed, path) }
    }
    const mark = { stage, index, keyed, path }
    if (!isArray(is) && !isObject(is)) return { ...place(old), mark }
    return { ...place(old), ...fresh(is, typed, keyed, path) }
  }

  function nextMembers(
    old: Trail,
    was: JsonObject,
    is: JsonObject,
    typed: Typed,
    keyed: readonly string[],
    path: string,
  ): ReadonlyMap<string, Trail> {
    for (const [name] of entriesOf(was)) {
      if (own(is, name) === undefined) lose(old.members?.get(name), keyed, path)
    }
    return new Map(
      entriesOf(is).map(([name, member]) => {
        const inner = memberOf(typed, name)
        const [names, at] = [[...keyed, name], path + pointer(name)]
        const known = old.members?.get(name)
        const value = own(was, name)
        return known === undefined || value === undefined
          ? [name, fresh(member, inner, names, at)]
          : [name, next(known, value, member, inner, names, at)]
      }),
    )
  }

  function nextItems(
    old: Trail,
    was: readonly Json[],
    is: readonly Json[],
    typed: Typed,
    keyed: readonly string[],
    path: string,
  ): readonly Trail[] {
    const pairs = pairItems(was, is, typed.field?.key)
    const kept = new Set(pairs)
    for (const [place, item] of (old.items ?? []).entries()) {
      if (!kept.has(place)) lose(item, keyed, path)
    }
    return is.map((item, place) => {
      const inner = itemOf(typed)
      const names = [...keyed, itemName(item, place, typed)]
      const at = path + pointer(place)
      const from = pairs[place]
      const known = from === undefined ? undefined : old.items?.[from]
      if (from === undefined || known === undefined) return fresh(item, inner, names, at)
      if (from !== place && known.own !== undefined) {
        losses.moved.set(known.own, { stage, index, keyed: names, path: at })
      }
      return next(known, was[from] ?? null, item, inner, names, at)
    })
  }

  /** The whole of a value that was not there before. */
  function fresh(value: Json, typed: Typed, keyed: readonly string[], path: string): Trail {
    const mark = { stage, index, keyed, path }
    if (isArray(value)) {
      const items = value.map((item, place) => {
        const names = [...keyed, itemName(item, place, typed)]
        return fresh(item, itemOf(typed), names, path + pointer(place))
      })
      return { mark, items }
    }
    if (!isObject(value)) return { mark }
    const members = entriesOf(value).map(
      ([name, member]) =>
        [
          name,
          fresh(member, memberOf(typed, name), [...keyed, name], path + pointer(name)),
        ] as const,
    )
    return { mark, members: new Map(members) }
  }

  function lose(gone: Trail | undefined, keyed: readonly string[], path: string): void {
    if (gone?.own !== undefined) losses.removed.set(gone.own, { stage, index, keyed, path })
  }
}

/** What stays of a trail where another value came in: the place in the pod as it came. */
function place({ own: at }: Trail): Trail {
  return at === undefined ? {} : { own: at }
}

/** What an item of a list is called in a keyed path: its key where the list has keys, else its place. */
export function itemName(item: Json, place: number, { field }: { readonly field: Typed['field'] }) {
  const key = field?.key === undefined ? undefined : keyOf(item, field.key)
  return key === undefined ? String(place) : `=${JSON.stringify(key)}`
}

/** The type of a member of an object. */
export function memberOf({ type, field }: Typed, name: string): Typed {
  if (field?.holds === 'map') return { field: undefined, type: objectType(field) }
  const member = type?.fields.get(name)
  return { field: member, type: member?.holds === 'one' ? objectType(member) : undefined }
}

/** The type of an item of a list. */
export function itemOf({ field }: Typed): Typed {
  return { field: undefined, type: field?.holds === 'list' ? objectType(field) : undefined }
}

/** The members of an object that are there. */
export function entriesOf(object: JsonObject): readonly (readonly [string, Json])[] {
  return Object.entries(object).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const],
  )
}
