/** The difference of two pods for people: paths by name, and JSON that is kept as text looked into. */
import { STATUS_ANNOTATION } from '../constants.ts'
import { keyOf, objectType } from '../inject/merge-keys.ts'
import { POD_TYPES, type Field, type ObjectType } from '../inject/pod-fields.ts'
import { isArray, isObject, isSame, own, type Json, type JsonObject } from '../json.ts'
import type { Pod } from '../k8s.ts'

/**
 * One field that differs. `path` is a JSON Pointer in which an item of a list stands under what names it
 * (`/spec/containers/istio-proxy/image`); in text that is JSON itself a second pointer follows behind `#`.
 */
export type FieldChange = {
  /** `moved`: the items of a list are the same ones in another order, which `before` and `after` name. */
  readonly kind: 'added' | 'removed' | 'changed' | 'moved'
  readonly path: string
  /** Absent where it was not there. */
  readonly before?: Json
  /** Absent where it is no longer there. */
  readonly after?: Json
}

/**
 * The fields that differ between two forms of a pod, in the order of the new one. The digest of the
 * configuration in the status annotation is none: every configuration has its own.
 */
export function changedFields(before: Pod, after: Pod): readonly FieldChange[] {
  const changes: FieldChange[] = []
  compare({ before: asJson(before), after: asJson(after), path: '', type: POD_TYPES.Pod }, changes)
  return changes
}

/** Two values of one place, and what the API says of it; nothing where it says nothing. */
type Place = {
  readonly before: Json | undefined
  readonly after: Json | undefined
  readonly path: string
  readonly type?: ObjectType | undefined
  /** The field that holds the value, where it holds a list or a map. */
  readonly field?: Field | undefined
}

function compare(place: Place, out: FieldChange[]): void {
  const { before, after, path, field } = place
  if (before === after) return
  if (before === undefined) {
    if (after !== undefined) out.push({ kind: 'added', path, after })
  } else if (after === undefined) out.push({ kind: 'removed', path, before })
  else if (isObject(before) && isObject(after)) compareMembers(before, after, place, out)
  else if (isSame(before, after)) return
  else if (isArray(before) && isArray(after) && compareItems(before, after, path, field, out))
    return
  else if (typeof before === 'string' && typeof after === 'string') {
    compareTexts(before, after, path, out)
  } else out.push({ kind: 'changed', path, before, after })
}

function compareMembers(
  before: JsonObject,
  after: JsonObject,
  { path, type, field }: Place,
  out: FieldChange[],
): void {
  for (const key of new Set([...Object.keys(after), ...Object.keys(before)])) {
    const member = field?.holds === 'map' ? undefined : type?.fields.get(key)
    const inMap = field?.holds === 'map' ? objectType(field) : objectType(member)
    const at = `${path}/${escaped(key)}`
    const values = { before: own(before, key), after: own(after, key) }
    compare({ ...values, path: at, type: inMap, field: member }, out)
  }
}

/** Whether the items could be told apart by name; else the list counts as one value. */
function compareItems(
  before: readonly Json[],
  after: readonly Json[],
  path: string,
  field: Field | undefined,
  out: FieldChange[],
): boolean {
  const old = itemsByName(before, field?.key)
  const now = itemsByName(after, field?.key)
  if (old === undefined || now === undefined) return false
  const type = objectType(field)
  const orders = [
    [...old.keys()].filter((name) => now.has(name)),
    [...now.keys()].filter((name) => old.has(name)),
  ] as const
  if (!isSame(orders[0], orders[1])) {
    out.push({ kind: 'moved', path, before: [...old.keys()], after: [...now.keys()] })
  }
  for (const name of new Set([...now.keys(), ...old.keys()])) {
    const values = { before: old.get(name), after: now.get(name) }
    compare({ ...values, path: `${path}/${escaped(name)}`, type }, out)
  }
  return true
}

function itemsByName(
  items: readonly Json[],
  key: string | undefined,
): ReadonlyMap<string, Json> | undefined {
  if (key === undefined) return undefined
  const named = new Map<string, Json>()
  for (const item of items) {
    const name = keyOf(item, key)
    if (typeof name !== 'string' && typeof name !== 'number') return undefined
    named.set(String(name), item)
  }
  return named.size === items.length ? named : undefined
}

/** Variables and annotations hold JSON: one member of a proxy's configuration is one change. */
function compareTexts(before: string, after: string, path: string, out: FieldChange[]): void {
  const [old, now] = [parsed(before), parsed(after)]
  if (old === undefined || now === undefined) {
    out.push({ kind: 'changed', path, before, after })
    return
  }
  const isStatus = path.endsWith(`/${escaped(STATUS_ANNOTATION)}`)
  const [was, is] = isStatus ? [withoutDigest(old), withoutDigest(now)] : [old, now]
  compare({ before: was, after: is, path: `${path}#` }, out)
}

function parsed(text: string): JsonObject | undefined {
  if (!text.startsWith('{')) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

function withoutDigest({ version: _version, ...rest }: JsonObject): JsonObject {
  return rest
}

function escaped(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1')
}

/** A pod is plain JSON. */
function asJson(pod: Pod): Json {
  return isObject(pod) ? pod : null
}
