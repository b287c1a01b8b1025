import type { InjectRequest, Decision } from '../inject/decision.ts'
import type { InjectConfig } from '../inject/config.ts'
import { isObject, own, type Json, type JsonObject } from '../json.ts'
import type { StringMap } from '../k8s.ts'
import type { Code } from './codes.ts'

/** One object of Kubernetes, and what it is called. */
export type Subject = {
  readonly kind: string
  /** API group, empty for the core group. */
  readonly group: string
  /** Where it lives, or will live when it does not say; empty for objects of the whole cluster. */
  readonly namespace: string
  readonly name: string
  readonly value: JsonObject
  /** The pods in it: itself, or its templates. */
  readonly pods: readonly PodPlace[]
}

/** A pod or pod template, and where it stands in its object, as a JSON Pointer. */
export type PodPlace = { readonly path: string; readonly pod: Json }

/** One thing that was found in one object. */
export type Finding = {
  readonly code: Code
  /** JSON Pointer in the object. */
  readonly path: string
  readonly got: string
  readonly want: string
}

/** What all objects have in common. */
export type Setting = {
  readonly config: InjectConfig
  readonly inject: (request: InjectRequest) => Decision
  readonly nativeSidecars: boolean
  /** Labels of namespaces that are not among the objects. */
  readonly namespaceLabels: StringMap
  /** Whether pods stand for running ones, which were injected when they were made, or not at all. */
  readonly isLive: boolean
}

/** The texts of a map; members that are no text are left out. */
export function textsOf(value: unknown): StringMap {
  const pairs = isObject(value) ? Object.entries(value) : []
  const texts: Record<string, string> = {}
  for (const [key, text] of pairs) if (typeof text === 'string') texts[key] = text
  return texts
}

/** Metadata as far as it steers injection. */
export function metadataOf(object: unknown): {
  readonly labels: StringMap
  readonly annotations: StringMap
} {
  const metadata = isObject(object) ? object['metadata'] : undefined
  const { labels, annotations } = isObject(metadata) ? metadata : {}
  return { labels: textsOf(labels), annotations: textsOf(annotations) }
}

/** A list of a map, its objects only. */
export function objectsAt(value: unknown, key: string): readonly JsonObject[] {
  const list = isObject(value) ? own(value, key) : undefined
  return Array.isArray(list) ? list.filter(isObject) : []
}

/** The member of a map that is a map itself, or an empty one. */
export function mapAt(value: unknown, key: string): JsonObject {
  const member = isObject(value) ? own(value, key) : undefined
  return isObject(member) ? member : {}
}

/** Labels as people write them: `a=b, c=d`, or `no labels`. */
export function printLabels(labels: StringMap): string {
  const pairs = Object.entries(labels).map(([key, text]) => `${key}=${text}`)
  return pairs.length === 0 ? 'no labels' : pairs.sort().join(', ')
}
