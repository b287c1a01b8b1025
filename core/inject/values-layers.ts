import { isArray, isObject, type Json, type JsonObject } from '../json.ts'

/** The upper map laid over the lower one: maps merge key by key; everything else, null too, replaces. */
export function layer(lower: JsonObject, upper: JsonObject): JsonObject {
  const merged = new Map(Object.entries(lower))
  for (const [key, value] of Object.entries(upper)) {
    const below = merged.get(key)
    merged.set(key, isObject(value) && isObject(below) ? layer(below, value) : value)
  }
  return Object.fromEntries(merged)
}

/**
 * The value without nulls, at any depth. A map or list that loses all its members is undefined itself;
 * what had no null stays as it is, also when empty.
 */
export function omitNulls(value: Json): Json | undefined {
  if (value === null) return undefined
  if (isArray(value)) return omitFromList(value)
  return isObject(value) ? omitFromMap(value) : value
}

function omitFromList(list: readonly Json[]): Json | undefined {
  const kept = list.map(omitNulls)
  if (kept.every((item, index) => item === list[index])) return list
  const left = kept.filter((item) => item !== undefined)
  return left.length === 0 ? undefined : left
}

function omitFromMap(map: JsonObject): Json | undefined {
  const entries = Object.entries(map)
  const kept = entries.map(([key, item]) => [key, omitNulls(item ?? null)] as const)
  if (kept.every(([key, item]) => item === map[key])) return map
  const left = kept.filter(([, item]) => item !== undefined)
  return left.length === 0 ? undefined : Object.fromEntries(left)
}
