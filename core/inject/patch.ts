import jsonpatch from 'fast-json-patch'
import { writeJson } from '../json-text.ts'
import { isArray, isObject, own, type Json } from '../json.ts'

/** The operations of RFC 6902 that a patch of ours consists of. `path` is a JSON Pointer, RFC 6901. */
export type Operation =
  | { readonly op: 'add'; readonly path: string; readonly value: unknown }
  | { readonly op: 'replace'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string }

/**
 * The operations that turn `before` into `after`, empty when they are the same. Subtrees shared by
 * reference are not looked at; list items are paired by what names them, so that an item put in
 * front is one operation. The operations share values with `after`; neither input is changed.
 */
export function diff(before: unknown, after: unknown): readonly Operation[] {
  const operations: Operation[] = []
  collect(before, after, '', operations)
  return operations
}

/**
 * What `operations` make of `document`, which stays as it is; the result shares what did not
 * change. The library applies them, so that the code that made them does not judge itself.
 * Throws where an operation points to nothing.
 */
export function applyPatch(document: Json, operations: readonly Operation[]): Json {
  const draft: Draft = { root: document, copies: new Map(), prefix: undefined, parent: [] }
  for (const operation of operations) applyOne(draft, operation)
  return draft.root
}

/** The JSON text of a patch. */
export function printPatch(operations: readonly Operation[]): string {
  const pieces: string[] = []
  for (const operation of operations) {
    const { op, path } = operation
    pieces.push(pieces.length === 0 ? '[' : ',', '{"op":"', op, '","path":')
    writeJson(path, pieces)
    if (operation.op !== 'remove') {
      pieces.push(',"value":')
      writeJson(operation.value, pieces)
    }
    pieces.push('}')
  }
  return operations.length === 0 ? '[]' : `${pieces.join('')}]`
}

function collect(before: unknown, after: unknown, path: string, out: Operation[]): void {
  if (before === after) return
  if (isArray(before) && isArray(after)) collectList(before, after, path, out)
  else if (isObject(before) && isObject(after)) collectMap(before, after, path, out)
  else out.push({ op: 'replace', path, value: after })
}

type Members = Readonly<Record<string, unknown>>

function collectMap(before: Members, after: Members, path: string, out: Operation[]): void {
  const start = out.length
  for (const key in before) {
    if (before[key] === undefined || own(after, key) !== undefined) continue
    if (isBanned(key)) {
      replaceInstead(start, after, path, out)
      return
    }
    out.push({ op: 'remove', path: `${path}/${escapeKey(key)}` })
  }
  for (const key in after) {
    const value = own(after, key)
    const old = own(before, key)
    if (value === undefined || value === old) continue
    if (isBanned(key)) {
      replaceInstead(start, after, path, out)
      return
    }
    const at = `${path}/${escapeKey(key)}`
    if (old === undefined) out.push({ op: 'add', path: at, value })
    else collect(old, value, at, out)
  }
}

/** Appliers refuse a pointer through these, or worse, follow it: the map around them goes whole. */
function isBanned(key: string): boolean {
  return key === '__proto__' || key === 'prototype'
}

function replaceInstead(start: number, after: Members, path: string, out: Operation[]): void {
  out.length = start
  out.push({ op: 'replace', path, value: after })
}

/** Removes from the back, adds from the front, then changes in place: each index is final when used. */
function collectList(
  before: readonly unknown[],
  after: readonly unknown[],
  path: string,
  out: Operation[],
): void {
  const kept = pairItems(before, after)
  if (kept.length === 0 && before.length + after.length > 0) {
    out.push({ op: 'replace', path, value: after })
    return
  }
  let next = kept.length - 1
  for (let index = before.length - 1; index >= 0; index--) {
    if (kept[next]?.[0] === index) next--
    else out.push({ op: 'remove', path: `${path}/${index}` })
  }
  next = 0
  for (let index = 0; index < after.length; index++) {
    if (kept[next]?.[1] === index) next++
    else out.push({ op: 'add', path: `${path}/${index}`, value: after[index] })
  }
  for (const [from, to] of kept) {
    if (before[from] !== after[to]) collect(before[from], after[to], `${path}/${to}`, out)
  }
}

/** Index before and index after of one item that stays in the list. */
type Pair = readonly [from: number, to: number]

/** The most pairs of items with the same name that keep their order among each other; both rise. */
function pairItems(before: readonly unknown[], after: readonly unknown[]): readonly Pair[] {
  const places = new Map<string, number>()
  const oldNames = nameItems(before)
  for (let index = 0; index < oldNames.length; index++) places.set(oldNames[index] ?? '', index)
  const newNames = nameItems(after)
  const pairs: Pair[] = []
  for (let to = 0; to < newNames.length; to++) {
    const from = places.get(newNames[to] ?? '')
    if (from !== undefined) pairs.push([from, to])
  }
  return longestRising(pairs)
}

/**
 * Fields that name an item of a list in a pod, the telling ones first. A wrong guess costs a longer
 * patch, never a wrong one.
 */
const NAMING_FIELDS = ['name', 'mountPath', 'containerPort', 'devicePath', 'uid', 'ip', 'key']

/** A name for each item, unique in the list; items of one name are numbered from the second on. */
function nameItems(items: readonly unknown[]): readonly string[] {
  const seen = new Map<string, number>()
  const names: string[] = []
  for (const item of items) {
    const name = nameOf(item)
    const count = seen.get(name)
    seen.set(name, (count ?? 0) + 1)
    names.push(count === undefined ? name : `${count} ${name}`)
  }
  return names
}

/** Begins with a word, so that no name is the numbered one of another item. */
function nameOf(item: unknown): string {
  if (isArray(item)) return 'list'
  if (!isObject(item)) return `${typeof item} ${String(item)}`
  const { name } = item
  if (typeof name === 'string') return `name ${name}`
  for (const field of NAMING_FIELDS) {
    const value = own(item, field)
    if (typeof value === 'string' || typeof value === 'number') return `${field} ${value}`
  }
  return 'map'
}

/** The longest run of pairs that rises in `from`; `pairs` rise in `to`. Patience sorting. */
function longestRising(pairs: readonly Pair[]): readonly Pair[] {
  if (pairs.every(([from], index) => index === 0 || from > (pairs[index - 1]?.[0] ?? 0))) {
    return pairs
  }
  type Link = { readonly pair: Pair; readonly previous: Link | undefined }
  const ends: Link[] = []
  for (const pair of pairs) {
    const place = firstNotBelow(ends, pair[0])
    ends[place] = { pair, previous: ends[place - 1] }
  }
  const run: Pair[] = []
  for (let link = ends.at(-1); link !== undefined; link = link.previous) run.push(link.pair)
  return run.reverse()
}

function firstNotBelow(ends: readonly { readonly pair: Pair }[], from: number): number {
  let low = 0
  let high = ends.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((ends[middle]?.pair[0] ?? 0) < from) low = middle + 1
    else high = middle
  }
  return low
}

type Writable = Json[] | Record<string, Json | undefined>

/** A document that is being patched: what is about to change in it is copied first, once. */
type Draft = {
  root: Json
  /** By themselves. */
  readonly copies: Map<Json, Writable>
  /** Path of `parent`; operations often come in runs that share it. */
  prefix: string | undefined
  parent: Writable
}

function applyOne(draft: Draft, operation: Operation): void {
  const { op, path } = operation
  const end = path.lastIndexOf('/')
  if (end < 0) {
    draft.root = jsonpatch.applyOperation(draft.root, operation).newDocument
    draft.prefix = undefined
    return
  }
  const prefix = path.slice(0, end)
  if (prefix !== draft.prefix) openPlace(draft, prefix, operation)
  const last = path.slice(end)
  if (!isPlace(draft.parent, unescapeKey(last.slice(1)), op)) throw pointsToNothing(operation)
  jsonpatch.applyOperation<Json>(draft.parent, { ...operation, path: last })
}

/** Makes the way from the root to `prefix` writable and remembers where it ends. */
function openPlace(draft: Draft, prefix: string, operation: Operation): void {
  let place = writable(draft.root, draft, operation)
  draft.root = place
  for (const step of prefix.split('/').slice(1)) {
    const key = unescapeKey(step)
    const child = writable(member(place, key), draft, operation)
    if (Array.isArray(place)) place[Number(key)] = child
    else place[key] = child
    place = child
  }
  draft.prefix = prefix
  draft.parent = place
}

function writable(value: Json | undefined, draft: Draft, operation: Operation): Writable {
  if (!isArray(value) && !isObject(value)) throw pointsToNothing(operation)
  const known = draft.copies.get(value)
  if (known !== undefined) return known
  const copy = isArray(value) ? [...value] : { ...value }
  draft.copies.set(copy, copy)
  return copy
}

function isPlace(parent: Writable, key: string, op: Operation['op']): boolean {
  if (!Array.isArray(parent)) return op === 'add' || own(parent, key) !== undefined
  return /^(0|[1-9]\d*)$/.test(key) && Number(key) < parent.length + (op === 'add' ? 1 : 0)
}

function pointsToNothing(operation: Operation): Error {
  return new Error(`patch: got ${operation.op} at ${operation.path}, want a place that is there`)
}

function member(parent: Writable, key: string): Json | undefined {
  return Array.isArray(parent) ? parent[Number(key)] : own(parent, key)
}

function escapeKey(key: string): string {
  if (!key.includes('~') && !key.includes('/')) return key
  return key.replaceAll('~', '~0').replaceAll('/', '~1')
}

function unescapeKey(key: string): string {
  return key.includes('~') ? key.replaceAll('~1', '/').replaceAll('~0', '~') : key
}
