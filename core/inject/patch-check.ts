/**
 * The proof of a patch before it is sent: it is carried out on its input, and what comes out is compared. By other
 * code than made it, so that this does not judge itself. Nothing is copied but lists: what an operation puts
 * into a map, or takes from it, is noted beside the map.
 */
import { isArray, isObject, isSame, own, type JsonObject } from '../json.ts'
import type { Operation } from './patch.ts'

/** Whether `operations` apply to `before` and make exactly `after` of it. */
export function isApplicable(
  before: unknown,
  operations: readonly Operation[],
  after: unknown,
): boolean {
  const place: Place = { prefix: undefined, node: undefined }
  let root: unknown = before
  for (const operation of operations) {
    const { path } = operation
    const end = path.lastIndexOf('/')
    if (end < 0) {
      if (path !== '' || operation.op === 'remove') return false
      root = operation.value
      place.prefix = undefined
      continue
    }
    const prefix = path.slice(0, end)
    if (prefix !== place.prefix) {
      const top = isEdited(root) ? root : opened(root)
      root = top ?? root
      place.prefix = prefix
      place.node = walk(top, prefix)
    }
    const { node } = place
    const key = unescapeKey(path.slice(end + 1))
    if (node === undefined || !node.change(operation, key)) return false
  }
  return isMade(root, after)
}

/** Where the last operation was: operations often come in runs that share it. */
type Place = { prefix: string | undefined; node: Edited | undefined }

type Edited = EditedMap | EditedList

/** A map, and what became of some of its members. */
class EditedMap {
  readonly #before: JsonObject
  readonly #edits = new Map<string, unknown>()

  constructor(before: JsonObject) {
    this.#before = before
  }

  get(key: string): unknown {
    return this.#edits.has(key) ? this.#edits.get(key) : own(this.#before, key)
  }

  put(key: string, value: unknown): void {
    this.#edits.set(key, value)
  }

  /** False where there is nothing to change. */
  change(operation: Operation, key: string): boolean {
    // Appliers refuse a pointer through this, or worse, follow it.
    if (key === '__proto__') return false
    if (operation.op !== 'add' && this.get(key) === undefined) return false
    this.#edits.set(key, operation.op === 'remove' ? undefined : operation.value)
    return true
  }

  isNow(after: unknown): boolean {
    if (!isObject(after)) return false
    for (const [key, value] of this.#edits) if (!isMade(value, own(after, key))) return false
    for (const key in this.#before) {
      if (this.#edits.has(key)) continue
      if (!isSame(this.#before[key], own(after, key))) return false
    }
    for (const key in after) {
      if (after[key] !== undefined && this.get(key) === undefined) return false
    }
    return true
  }
}

/** A list, copied. */
class EditedList {
  readonly #items: unknown[]

  constructor(before: readonly unknown[]) {
    this.#items = [...before]
  }

  get(key: string): unknown {
    return isIndex(key) ? this.#items[Number(key)] : undefined
  }

  put(key: string, value: unknown): void {
    this.#items[Number(key)] = value
  }

  /** False where there is nothing to change. */
  change(operation: Operation, key: string): boolean {
    const isAdded = operation.op === 'add'
    const index = Number(key)
    if (!isIndex(key) || index >= this.#items.length + (isAdded ? 1 : 0)) return false
    if (operation.op === 'remove') this.#items.splice(index, 1)
    else this.#items.splice(index, isAdded ? 0 : 1, operation.value)
    return true
  }

  isNow(after: unknown): boolean {
    if (!isArray(after) || after.length !== this.#items.length) return false
    return this.#items.every((item, index) => isMade(item, after[index]))
  }
}

/** The place that a path names, open for changes with all above it; undefined where it leads nowhere. */
function walk(root: Edited | undefined, path: string): Edited | undefined {
  let at = root
  for (let start = 1; at !== undefined && start <= path.length;) {
    const slash = path.indexOf('/', start)
    const end = slash < 0 ? path.length : slash
    const key = unescapeKey(path.slice(start, end))
    const child = at.get(key)
    const next: Edited | undefined = isEdited(child) ? child : opened(child)
    if (next !== undefined && next !== child) at.put(key, next)
    at = next
    start = end + 1
  }
  return at
}

function opened(value: unknown): Edited | undefined {
  if (isArray(value)) return new EditedList(value)
  return isObject(value) ? new EditedMap(value) : undefined
}

function isEdited(value: unknown): value is Edited {
  return value instanceof EditedMap || value instanceof EditedList
}

function isMade(value: unknown, after: unknown): boolean {
  return isEdited(value) ? value.isNow(after) : isSame(value, after)
}

function isIndex(key: string): boolean {
  return /^(0|[1-9]\d*)$/.test(key)
}

function unescapeKey(key: string): string {
  return key.includes('~') ? key.replaceAll('~1', '/').replaceAll('~0', '~') : key
}
