import { isArray, isObject, isSame, type Json, type JsonObject } from '../core/json.ts'

/** What is to become of a value. */
export type Change =
  | { readonly kind: 'same' }
  | { readonly kind: 'set'; readonly value: Json }
  /** The members of a map that differ; those not named stay. */
  | { readonly kind: 'members'; readonly members: ReadonlyMap<string, Change | Removed> }
  /** All items of a list, in their new order. */
  | { readonly kind: 'items'; readonly items: readonly ItemChange[] }

/** The member goes away. */
export type Removed = { readonly kind: 'removed' }

/** An item that was there before, by its old index, or a new one. */
export type ItemChange =
  | { readonly kind: 'kept'; readonly from: number; readonly change: Change }
  | { readonly kind: 'new'; readonly value: Json }

export const SAME: Change = { kind: 'same' }

/** The smallest change that turns one value into the other. */
export function changeBetween(before: Json, after: Json): Change {
  if (isSame(before, after)) return SAME
  if (isObject(before) && isObject(after)) return memberChanges(before, after)
  if (isArray(before) && isArray(after)) return itemChanges(before, after)
  return { kind: 'set', value: after }
}

function memberChanges(before: JsonObject, after: JsonObject): Change {
  const members = new Map<string, Change | Removed>()
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const was = before[key]
    const is = after[key]
    if (is === undefined) {
      if (was !== undefined) members.set(key, { kind: 'removed' })
      continue
    }
    const change: Change = was === undefined ? { kind: 'set', value: is } : changeBetween(was, is)
    if (change.kind !== 'same') members.set(key, change)
  }
  return { kind: 'members', members }
}

/** Items are the same ones where their key is, and in doubt where they are equal. */
function itemChanges(before: readonly Json[], after: readonly Json[]): Change {
  const waiting = new Map<string, number[]>()
  for (const [index, item] of before.entries()) {
    const key = keyOf(item)
    waiting.set(key, [...(waiting.get(key) ?? []), index])
  }
  const items = after.map((item): ItemChange => {
    const candidates = waiting.get(keyOf(item)) ?? []
    const from = candidates.find((index) => isSame(before[index], item)) ?? candidates[0]
    if (from === undefined) return { kind: 'new', value: item }
    candidates.splice(candidates.indexOf(from), 1)
    return { kind: 'kept', from, change: changeBetween(before[from] ?? null, item) }
  })
  const isNew = items.every((item) => item.kind === 'new')
  return isNew ? { kind: 'set', value: after } : { kind: 'items', items }
}

/** Fields that tell the items of a pod's lists apart, the first one present counts. */
const ITEM_KEYS = ['mountPath', 'devicePath', 'name', 'containerPort', 'ip', 'key', 'topologyKey']

function keyOf(item: Json): string {
  if (isArray(item)) return '[]'
  if (!isObject(item)) return JSON.stringify(item)
  const [key, value] = keyIn(item) ?? ['{}']
  return value === undefined ? key : `${key}=${JSON.stringify(value)}`
}

/** What tells an item of a pod's list from the others; undefined where nothing does. */
export function itemName(item: Json): string | undefined {
  const found = isObject(item) ? keyIn(item) : undefined
  return found === undefined ? undefined : String(found[1])
}

function keyIn(item: JsonObject): readonly [string, string | number] | undefined {
  for (const key of ITEM_KEYS) {
    const value = item[key]
    if (typeof value === 'string' || typeof value === 'number') return [key, value]
  }
  return undefined
}

/** What a change makes of a value; the value itself is left as it is. */
export function applyChange(value: Json, change: Change): Json {
  switch (change.kind) {
    case 'same':
      return value
    case 'set':
      return change.value
    case 'members': {
      const members = new Map(isObject(value) ? Object.entries(value) : [])
      for (const [key, member] of change.members) {
        if (member.kind === 'removed') members.delete(key)
        else members.set(key, applyChange(members.get(key) ?? null, member))
      }
      return Object.fromEntries(members)
    }
    case 'items': {
      const list = isArray(value) ? value : []
      return change.items.map((item) =>
        item.kind === 'new' ? item.value : applyChange(list[item.from] ?? null, item.change),
      )
    }
  }
}

/** The change of one member, as a change of the map around it. */
export function memberChange(key: string, change: Change): Change {
  return change.kind === 'same' ? SAME : { kind: 'members', members: new Map([[key, change]]) }
}

/** The changes of a list's items, each in its place. */
export function placedChanges(changes: readonly Change[]): Change {
  if (changes.every((change) => change.kind === 'same')) return SAME
  return { kind: 'items', items: changes.map((change, from) => ({ kind: 'kept', from, change })) }
}

/**
 * The change of what lies at a path of member names, as a change of the whole; `*` stands for every
 * item of a list. `visit` is told the place as a JSON Pointer, and `undefined` where the path ends early.
 */
export function changeAt(
  value: Json | undefined,
  path: readonly string[],
  place: string,
  visit: (value: Json | undefined, place: string) => Change,
): Change {
  const [step, ...rest] = path
  if (step === undefined) return visit(value, place)
  if (step === '*' && isArray(value)) {
    return placedChanges(
      value.map((item, index) => changeAt(item, rest, `${place}/${index}`, visit)),
    )
  }
  const member = isObject(value) ? value[step] : undefined
  return memberChange(step, changeAt(member, rest, `${place}/${step}`, visit))
}
