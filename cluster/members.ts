/** Members of objects of an API server; what is missing or misshapen reads as empty. */
import { isArray, isObject, type JsonObject } from '../core/json.ts'
import type { StringMap } from '../core/k8s.ts'

/** The member at the end of the path; undefined where the path ends early. */
export function at(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>((inner, key) => (isObject(inner) ? inner[key] : undefined), value)
}

/** The text there. */
export function textAt(value: unknown, ...path: readonly string[]): string {
  const found = at(value, ...path)
  return typeof found === 'string' ? found : ''
}

/** The objects of the list there. */
export function objectsAt(value: unknown, ...path: readonly string[]): readonly JsonObject[] {
  const found = at(value, ...path)
  return isArray(found) ? found.filter(isObject) : []
}

/** The texts of the list there. */
export function textsAt(value: unknown, ...path: readonly string[]): readonly string[] {
  const found = at(value, ...path)
  return isArray(found) ? found.filter((item) => typeof item === 'string') : []
}

/** Labels or annotations of an object. */
export function mapAt(object: JsonObject, which: 'labels' | 'annotations'): StringMap {
  const map = at(object, 'metadata', which)
  if (!isObject(map)) return {}
  return Object.fromEntries(
    Object.entries(map).flatMap(([key, text]) => (typeof text === 'string' ? [[key, text]] : [])),
  )
}

/** Name of an object. */
export function nameOf(object: JsonObject): string {
  return textAt(object, 'metadata', 'name')
}
