import { isArray, isObject, isSame, type Json } from '../json.ts'
import { keyOf } from '../inject/merge-keys.ts'

/**
 * For each item of `after` the place in `before` of the item that it is, undefined for a new one. Items of
 * a keyed list are told by their key; others by being equal, at both ends first, then by their place.
 */
export function pairItems(
  before: readonly Json[],
  after: readonly Json[],
  key: string | undefined,
): readonly (number | undefined)[] {
  return key === undefined ? byPlace(before, after) : byKey(before, after, key)
}

function byKey(
  before: readonly Json[],
  after: readonly Json[],
  key: string,
): readonly (number | undefined)[] {
  const waiting = new Map<Json | undefined, number[]>()
  for (const [index, item] of before.entries()) {
    const value = keyOf(item, key)
    waiting.set(value, [...(waiting.get(value) ?? []), index])
  }
  return after.map((item) => {
    const places = waiting.get(keyOf(item, key)) ?? []
    const place = places.find((index) => isSame(before[index], item)) ?? places[0]
    if (place !== undefined) places.splice(places.indexOf(place), 1)
    return place
  })
}

function byPlace(before: readonly Json[], after: readonly Json[]): readonly (number | undefined)[] {
  const most = Math.min(before.length, after.length)
  let head = 0
  while (head < most && isSame(before[head], after[head])) head++
  let tail = 0
  while (tail < most - head && isSame(before.at(-1 - tail), after.at(-1 - tail))) tail++
  const end = after.length - tail
  const isAligned = before.length === after.length
  return after.map((item, index) => {
    if (index < head) return index
    if (index >= end) return index + before.length - after.length
    return isAligned && isAlike(before[index], item) ? index : undefined
  })
}

function isAlike(a: Json | undefined, b: Json): boolean {
  return isObject(a) === isObject(b) && isArray(a) === isArray(b)
}
