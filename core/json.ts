/** Any JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject

/** A JSON object; an absent member reads as undefined. */
export type JsonObject = { readonly [key: string]: Json | undefined }

/** Whether a value is an object with members: no array, no null. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Whether a value is an array of whatever. */
export function isArray(value: unknown): value is readonly unknown[] {
  return Array.isArray(value)
}

/** A member that the map itself has: `constructor` and `__proto__` are names like any other. */
export function own<T>(map: Readonly<Record<string, T>>, name: string): T | undefined {
  const value = map[name]
  // What every object inherits is a function, or stands under this one name: the rest need not be asked.
  const mayBeInherited = typeof value === 'function' || name === '__proto__'
  return mayBeInherited && !Object.hasOwn(map, name) ? undefined : value
}

/** Whether two JSON values are the same; the order of object members does not count, absent equals undefined. */
export function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (isArray(a)) {
    if (!isArray(b) || a.length !== b.length) return false
    for (let index = 0; index < a.length; index++) if (!isSame(a[index], b[index])) return false
    return true
  }
  if (!isObject(a) || !isObject(b)) return false
  for (const key in a) if (!isSame(a[key], own(b, key))) return false
  for (const key in b) if (b[key] !== undefined && own(a, key) === undefined) return false
  return true
}

/** The members of a map in bytewise order of their keys, as Go prints maps. */
export function sortedEntries<T>(map: Readonly<Record<string, T>>): [string, T][] {
  return Object.entries(map).sort(([a], [b]) => compareBytes(a, b))
}

/** Bytewise order of the UTF-8 forms, which JavaScript's order of UTF-16 units is not above U+FFFF. */
export function compareBytes(a: string, b: string): number {
  if (a === b) return 0
  for (let index = 0; index < a.length && index < b.length; index++) {
    const left = a.charCodeAt(index)
    const right = b.charCodeAt(index)
    if (left !== right) return rank(left) - rank(right)
  }
  return a.length - b.length
}

/** Surrogates stand for code points above every other unit. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}

/** Compact JSON as Go's encoder writes it: `<`, `>`, `&`, U+2028 and U+2029 are escaped. Members keep their order. */
export function goJson(value: Json): string {
  return JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}
