/** What an API server says in lists and watches, read without I/O. */
import { isArray, isObject, type JsonObject } from '../core/json.ts'

/** One page of a list. */
export type Listing = {
  readonly items: readonly JsonObject[]
  readonly resourceVersion: string
  /** Where the next page begins; undefined on the last. */
  readonly next: string | undefined
}

/** One line of a watch. */
export type WatchEvent =
  /** Before the first line: the API server took the watch. */
  | { readonly kind: 'opened' }
  | {
      readonly kind: 'changed' | 'deleted'
      readonly object: JsonObject
      readonly resourceVersion: string
    }
  | { readonly kind: 'bookmark'; readonly resourceVersion: string }
  /** What was asked for is too old to be followed: list again. */
  | { readonly kind: 'gone' }
  | { readonly kind: 'error'; readonly message: string }

/** Reads the answer to a list; undefined when it is none. */
export function readListing(body: unknown): Listing | undefined {
  if (!isObject(body) || !isObject(body['metadata'])) return undefined
  const { resourceVersion, continue: next } = body['metadata']
  // A list without items has null, or nothing, in their place.
  const items = body['items'] ?? []
  if (!isArray(items) || typeof resourceVersion !== 'string') return undefined
  return {
    items: items.filter(isObject),
    resourceVersion,
    next: typeof next === 'string' && next !== '' ? next : undefined,
  }
}

/** Reads one line of a watch. */
export function readEvent(line: string): WatchEvent {
  const event = parsed(line)
  if (!isObject(event) || !isObject(event['object'])) return unreadable(line)
  const { type, object } = event
  if (type === 'ERROR') {
    if (object['code'] === 410) return { kind: 'gone' }
    return { kind: 'error', message: messageOf(object) ?? 'a watch that broke' }
  }
  const metadata = isObject(object['metadata']) ? object['metadata'] : {}
  const { resourceVersion } = metadata
  if (typeof resourceVersion !== 'string') return unreadable(line)
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
      return { kind: 'changed', object, resourceVersion }
    case 'DELETED':
      return { kind: 'deleted', object, resourceVersion }
    case 'BOOKMARK':
      return { kind: 'bookmark', resourceVersion }
    default:
      return unreadable(line)
  }
}

/** `namespace/name`, or the name of what has no namespace. */
export function keyOf(object: JsonObject): string {
  const { name, namespace } = isObject(object['metadata']) ? object['metadata'] : {}
  const parts = [namespace, name].filter((part) => typeof part === 'string')
  return parts.join('/')
}

/** The message of a Status, as API servers explain a refusal; undefined for anything else. */
export function messageOf(body: unknown): string | undefined {
  const message = isObject(body) ? body['message'] : undefined
  return typeof message === 'string' && message !== '' ? message : undefined
}

const LONGEST_SHOWN = 100

function unreadable(line: string): WatchEvent {
  return { kind: 'error', message: `a watch event, got ${line.slice(0, LONGEST_SHOWN)}` }
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
