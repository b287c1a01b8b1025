/**
 * Strategic merge as Kubernetes does it (apimachinery, util/strategicpatch): objects merge member by
 * member, null deletes, lists of objects with a merge key merge item by item, other lists are
 * replaced, and `$patch`, `$retainKeys`, `$setElementOrder/…` and `$deleteFromPrimitiveList/…` steer.
 */
import { isArray, isObject, isSame, own, type Json, type JsonObject } from '../json.ts'
import type { Pod } from '../k8s.ts'
import { Refusal } from '../problem.ts'
import { keyOf, objectType, put } from './merge-keys.ts'
import { POD_TYPES, type Field, type ObjectType } from './pod-fields.ts'
import { isPod, pointer, shown } from './pod-shape.ts'

/**
 * The pod with an overlay merged into it. What the overlay does not touch is the pod's own, by
 * reference; nothing is mutated. Throws a Refusal, with paths in the overlay, for a list item
 * without its merge key and for a directive that says nothing sensible.
 */
export function mergePod(pod: Pod, overlay: JsonObject): Pod {
  const before: unknown = pod
  if (!isObject(before)) return pod
  const merged: unknown = mergeObject(before, overlay, POD_TYPES.Pod, '')
  return isPod(merged) ? merged : pod
}

const PATCH = '$patch'
const RETAIN_KEYS = '$retainKeys'
const ORDER = '$setElementOrder/'
const DELETE = '$deleteFromPrimitiveList/'

/** Whether a member of an overlay steers the merge instead of being merged. */
export function isDirective(name: string): boolean {
  return (
    name.startsWith('$') &&
    (name === PATCH || name === RETAIN_KEYS || name.startsWith(ORDER) || name.startsWith(DELETE))
  )
}

function hasDirectives(patch: JsonObject): boolean {
  for (const name in patch) if (isDirective(name)) return true
  return false
}

function mergeObject(
  before: JsonObject,
  patch: JsonObject,
  type: ObjectType | undefined,
  path: string,
): JsonObject {
  const directive = own(patch, PATCH)
  if (directive === 'replace') return kept(patch)
  if (directive === 'delete') return {}
  if (directive !== undefined) return refuse(path + pointer(PATCH), directive, 'replace or delete')

  const steers = hasDirectives(patch)
  const draft = new Draft(steers ? retained(before, patch, path) : before)
  if (steers) {
    for (const name in patch) if (name.startsWith(DELETE)) deleteScalars(draft, name, patch[name])
    for (const name in patch) if (name.startsWith(ORDER)) orderList(draft, patch, name, type, path)
  }
  for (const name in patch) {
    if (steers && (isDirective(name) || own(patch, ORDER + name) !== undefined)) continue
    const value = patch[name]
    if (value === undefined) continue
    const isScalar = typeof value !== 'object'
    draft.set(name, isScalar ? value : merged(draft.get(name), value, name, type, path))
  }
  return draft.done()
}

/** A member after the merge; nothing when it is gone. */
function merged(
  before: Json | undefined,
  patch: Json,
  name: string,
  type: ObjectType | undefined,
  parent: string,
): Json | undefined {
  if (patch === null) return undefined
  const field = type?.fields.get(name)
  const path = parent + pointer(name)
  if (isObject(patch) && isObject(before)) {
    return mergeObject(before, patch, field?.holds === 'one' ? objectType(field) : undefined, path)
  }
  if (isArray(patch) && isArray(before)) return mergeList(before, patch, field, path)
  return fresh(patch)
}

function mergeList(
  before: readonly Json[],
  patch: readonly Json[],
  field: Field | undefined,
  path: string,
): readonly Json[] {
  if (field?.key !== undefined) {
    return mergeItems(before, patch, field.key, objectType(field), path)
  }
  if (field?.union === true) {
    const all = [...new Set([...before, ...patch])]
    return unlessSame(before, arranged(all, patch, before, undefined))
  }
  return unlessSame(before, keptItems(patch))
}

function mergeItems(
  before: readonly Json[],
  patch: readonly Json[],
  key: string,
  type: ObjectType | undefined,
  path: string,
): readonly Json[] {
  const { doomed, items, isReplacement } = readItems(patch, key, path)
  if (isReplacement) return arranged(items.map(keptItem), [], items, key)
  const server = doomed.size === 0 ? before : before.filter((item) => !doomed.has(keyOf(item, key)))
  const all = [...server]
  const places = firstPlaces(all, key)
  for (const [index, item] of items.entries()) {
    const value = keyOf(item, key)
    const place = places.get(value)
    const old = place === undefined ? undefined : all[place]
    if (place === undefined || !isObject(old)) {
      places.set(value, all.length)
      all.push(keptItem(item))
    } else {
      all[place] = mergeObject(old, item, type, `${path}/${index}`)
    }
  }
  return unlessSame(before, arranged(all, items, server, key))
}

/** The items of an overlay's list, its directives apart. */
type Items = {
  readonly items: readonly JsonObject[]
  readonly doomed: ReadonlySet<Json | undefined>
  readonly isReplacement: boolean
}

function readItems(patch: readonly Json[], key: string, path: string): Items {
  const items: JsonObject[] = []
  const doomed = new Set<Json | undefined>()
  const isReplacement = patch.some((item) => isObject(item) && own(item, PATCH) === 'replace')
  for (const [index, item] of patch.entries()) {
    const at = `${path}/${index}`
    if (!isObject(item)) return refuse(at, item, 'an object')
    const directive = own(item, PATCH)
    if (directive === 'replace') continue
    const value = keyOf(item, key)
    if (value === undefined || value === null) return refuse(at, item, `an object with ${key}`)
    if (directive === undefined) items.push(item)
    else if (directive === 'delete') doomed.add(value)
    else return refuse(at + pointer(PATCH), directive, 'replace or delete')
  }
  return { items, doomed, isReplacement }
}

/**
 * The merged items in Kubernetes' order: those of the patch in its order, the others in theirs. The
 * first of the others goes ahead of the next of the patch only if both stood in the old list and it
 * stood before; so new items come first. Items with one key stay together.
 */
function arranged(
  all: readonly Json[],
  patch: readonly Json[],
  server: readonly Json[],
  key: string | undefined,
): readonly Json[] {
  const inPatch = firstPlaces(patch, key)
  const inServer = firstPlaces(server, key)
  const left: Json[] = []
  const right: Json[] = []
  for (const item of all) (inPatch.has(keyOf(item, key)) ? right : left).push(item)
  const others = sorted(left, inServer, key)
  const named = sorted(right, inPatch, key)
  const result: Json[] = []
  let next = 0
  for (const item of named) {
    const place = inServer.get(keyOf(item, key)) ?? -1
    while (next < others.length && (inServer.get(keyOf(others[next], key)) ?? Infinity) < place) {
      result.push(...others.slice(next, next + 1))
      next++
    }
    result.push(item)
  }
  return [...result, ...others.slice(next)]
}

/** Items in the order of the places of their keys; one without a place stays behind its neighbour. */
function sorted(
  items: readonly Json[],
  places: ReadonlyMap<Json | undefined, number>,
  key: string | undefined,
): readonly Json[] {
  const ranks: number[] = []
  for (const item of items) ranks.push(places.get(keyOf(item, key)) ?? ranks.at(-1) ?? -1)
  if (ranks.every((rank, index) => index === 0 || rank >= (ranks[index - 1] ?? rank))) return items
  const placed = items.map((item, index) => ({ item, rank: ranks[index] ?? -1 }))
  return placed.sort((a, b) => a.rank - b.rank).map(({ item }) => item)
}

/** Where each key stands first. Items without the key are in no place. */
function firstPlaces(
  items: readonly Json[],
  key: string | undefined,
): Map<Json | undefined, number> {
  const places = new Map<Json | undefined, number>()
  for (let index = 0; index < items.length; index++) {
    const value = keyOf(items[index], key)
    if (value !== undefined && !places.has(value)) places.set(value, index)
  }
  return places
}

/** `$setElementOrder/<list>`: merges the list and brings it into the order that is given. */
function orderList(
  draft: Draft,
  patch: JsonObject,
  directive: string,
  type: ObjectType | undefined,
  path: string,
): void {
  const name = directive.slice(ORDER.length)
  const field = type?.fields.get(name)
  const order = patch[directive]
  const at = path + pointer(directive)
  if (!isArray(order)) return refuse(at, order, 'a list')
  const key = field?.key
  const before = draft.get(name) ?? []
  const given = own(patch, name)
  const items = given ?? []
  if (!isArray(before) || !isArray(items)) return refuse(path + pointer(name), items, 'a list')
  if (order.some((item) => isObject(item) === (key === undefined))) {
    return refuse(at, order, 'a list of what tells the items apart')
  }
  checkOrder(items, order, key, at)
  const all = given === undefined ? before : mergeList(before, items, field, path + pointer(name))
  if (all.length === 0 && !draft.has(name)) return
  draft.set(name, unlessSame(before, arranged(all, order, before, key)))
}

/** The items of the patch must stand in the order list, in the same order. */
function checkOrder(
  items: readonly Json[],
  order: readonly Json[],
  key: string | undefined,
  at: string,
): void {
  if (order.length === 0) return
  let next = 0
  for (const item of items) {
    if (isObject(item) && own(item, PATCH) !== undefined) continue
    const value = keyOf(item, key)
    while (next < order.length && keyOf(order[next], key) !== value) next++
    if (next === order.length) refuse(at, value, 'the items of the list in its own order')
    next++
  }
}

/** `$deleteFromPrimitiveList/<list>`: takes scalars out of a list. */
function deleteScalars(draft: Draft, directive: string, doomed: Json | undefined): void {
  const name = directive.slice(DELETE.length)
  const before = draft.get(name)
  if (!isArray(before) || !isArray(doomed)) return
  const rest = before.filter((item) => !doomed.includes(item))
  if (rest.length < before.length) draft.set(name, rest)
}

/** `$retainKeys`: of the old members only these stay, and the patch may bring no others. */
function retained(before: JsonObject, patch: JsonObject, path: string): JsonObject {
  const names = own(patch, RETAIN_KEYS)
  if (names === undefined) return before
  const at = path + pointer(RETAIN_KEYS)
  if (!isArray(names)) return refuse(at, names, 'a list of names')
  const wanted = new Set<Json>(names)
  for (const name in patch) {
    if (isDirective(name) || patch[name] === null || wanted.has(name)) continue
    return refuse(at, name, 'every member that stands beside it')
  }
  return Object.fromEntries(Object.entries(before).filter(([name]) => wanted.has(name)))
}

/** What a patch brings where nothing was: without nulls, and without what carries a directive. */
function fresh(value: Json): Json | undefined {
  if (isPlain(value)) return value
  if (isArray(value)) {
    return value
      .map((item) => (item === null ? item : fresh(item)))
      .filter((item) => item !== undefined)
  }
  if (!isObject(value)) return value
  return own(value, PATCH) === undefined ? members(value, fresh) : undefined
}

/** What stands for itself, as a new item of a list does: its directives are left out, not obeyed. */
function kept(object: JsonObject): JsonObject {
  return members(object, (value) => {
    if (isArray(value)) return keptItems(value)
    if (!isObject(value)) return value
    return own(value, PATCH) === 'delete' ? undefined : kept(value)
  })
}

function keptItem(item: Json): Json {
  return isObject(item) && !isPlain(item) ? kept(item) : item
}

/** Whether a part of an overlay holds nothing but values: most do, and stand in the result as they are. */
function isPlain(value: Json): boolean {
  if (typeof value !== 'object' || value === null) return true
  const known = PLAINNESS.get(value)
  if (known !== undefined) return known
  if (isArray(value)) return value.every(isPlain)
  for (const name in value) {
    const member = value[name]
    if (member === null || member === undefined || isDirective(name) || !isPlain(member)) {
      return false
    }
  }
  return true
}

/** Whether a value that never changes is plain, by the value. */
const PLAINNESS = new WeakMap<object, boolean>()

/** Says that a value never changes: whether it holds nothing but values is asked now, and never again. */
export function keepPlainness(value: Json): void {
  if (typeof value === 'object' && value !== null) PLAINNESS.set(value, isPlain(value))
}

function keptItems(items: readonly Json[]): readonly Json[] {
  return items.filter((item) => !isObject(item) || own(item, PATCH) === undefined).map(keptItem)
}

/** An object's members without nulls and directives; the object itself when nothing changed. */
function members(object: JsonObject, read: (value: Json) => Json | undefined): JsonObject {
  const draft = new Draft(object)
  for (const name in object) {
    const value = object[name]
    const isLeftOut = value === undefined || value === null || isDirective(name)
    draft.set(name, isLeftOut ? undefined : read(value))
  }
  return draft.done()
}

function unlessSame(before: readonly Json[], after: readonly Json[]): readonly Json[] {
  return isSame(before, after) ? before : after
}

function refuse(path: string, got: unknown, want: string): never {
  throw new Refusal([{ path, got: shown(got), want }])
}

/** An object under change, copied when the first member really changes. */
class Draft {
  readonly #before: JsonObject
  #copy: Record<string, Json | undefined> | undefined

  constructor(before: JsonObject) {
    this.#before = before
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#copy ?? this.#before, name)
  }

  get(name: string): Json | undefined {
    return own(this.#copy ?? this.#before, name)
  }

  /** Sets a member, or deletes it when there is no value. */
  set(name: string, value: Json | undefined): void {
    const before = this.get(name)
    if (before === value && (value !== undefined || !this.has(name))) return
    this.#copy ??= { ...this.#before }
    // eslint-disable-next-line @typescript-eslint/no-dynamic-delete -- in our own copy
    if (value === undefined) delete this.#copy[name]
    else put(this.#copy, name, value)
  }

  done(): JsonObject {
    return this.#copy ?? this.#before
  }
}
