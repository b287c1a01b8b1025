/** How the lists and members of a pod are found when two pods are merged or compared. */
import { isArray, isObject, own, type Json, type JsonObject } from '../json.ts'
import { POD_TYPES, type Field, type ObjectType } from './pod-fields.ts'

/** The object type that a field holds, alone, in a list or in a map; nothing for scalars. */
export function objectType(field: Field | undefined): ObjectType | undefined {
  return field === undefined || typeof field.of === 'string' ? undefined : field.of
}

/** Sets a member of an object under construction, `__proto__` too. */
export function put(object: Record<string, Json | undefined>, name: string, value: Json): void {
  if (name !== '__proto__') object[name] = value
  else
    Object.defineProperty(object, name, {
      value,
      enumerable: true,
      writable: true,
      configurable: true,
    })
}

/** The value that tells an item of a keyed list from its neighbours, or the scalar itself. */
export function keyOf(item: Json | undefined, key: string | undefined): Json | undefined {
  if (key === undefined) return item
  return isObject(item) ? own(item, key) : undefined
}

/** The items by name; of several with one name the first, as everywhere in Kubernetes' merge. */
export function firstByName<T extends { readonly name?: unknown }>(
  items: readonly T[],
): ReadonlyMap<unknown, T> {
  const found = new Map<unknown, T>()
  for (const item of items) if (!found.has(item.name)) found.set(item.name, item)
  return found
}

/** The object without some of its members. */
export function without(object: JsonObject, names: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)))
}

/** Members of which an object may have only one; a second one makes the API server refuse it. */
export const ALTERNATIVES: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ['Volume', new Set(POD_TYPES.VolumeSource.fields.keys())],
  ['EnvVar', new Set(['value', 'valueFrom'])],
  [
    'EnvVarSource',
    new Set(['fieldRef', 'resourceFieldRef', 'configMapKeyRef', 'secretKeyRef', 'fileKeyRef']),
  ],
  ['Probe', new Set(['exec', 'httpGet', 'tcpSocket', 'grpc'])],
  ['LifecycleHandler', new Set(['exec', 'httpGet', 'tcpSocket', 'sleep'])],
])

/**
 * An object without the members that rule out what a patch brings: `valueFrom` where the patch says
 * `value`, another handler of a probe. Nested objects and items of keyed lists are looked into. Merging
 * alone would leave both, which the API server refuses.
 */
export function withoutRivals(object: JsonObject, patch: JsonObject, type: ObjectType): JsonObject {
  const group = ALTERNATIVES.get(type.name)
  const isContested = group !== undefined && Object.keys(patch).some((name) => group.has(name))
  let copy: Record<string, Json | undefined> | undefined
  for (const name in object) {
    const before = object[name]
    const rival = own(patch, name)
    const isGone = isContested && group.has(name) && rival === undefined
    const after = rival && before ? narrowed(before, rival, type.fields.get(name)) : before
    if (!isGone && after === before) continue
    copy ??= { ...object }
    // eslint-disable-next-line @typescript-eslint/no-dynamic-delete -- in our own copy
    if (isGone) delete copy[name]
    else if (after !== undefined) put(copy, name, after)
  }
  return copy ?? object
}

function narrowed(before: Json, patch: Json | undefined, field: Field | undefined): Json {
  const type = objectType(field)
  if (type === undefined || field === undefined) return before
  if (isObject(before) && isObject(patch)) return withoutRivals(before, patch, type)
  if (field.key === undefined || !isArray(before) || !isArray(patch)) return before
  const patches = new Map(patch.map((item) => [keyOf(item, field.key), item]))
  const items = before.map((item) => {
    const rival = patches.get(keyOf(item, field.key))
    return isObject(item) && isObject(rival) ? withoutRivals(item, rival, type) : item
  })
  return items.every((item, index) => item === before[index]) ? before : items
}
