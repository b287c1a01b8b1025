/** One look at an API server: what is there, what is not, and what may not be seen. */
import { ApiRefused, demand, type Api } from './api.ts'
import { listPages, type Collection } from './collection.ts'
import { WATCH_TIMING } from './timing.ts'
import { isObject, type JsonObject } from '../core/json.ts'

/** What one look gave. `why` is the API server's own word, or that none came. */
export type Looked<T> =
  | { readonly kind: 'found'; readonly value: T }
  | { readonly kind: 'missing' }
  | { readonly kind: 'unseen'; readonly why: string }

/** Looks at one object. */
export async function lookAt(
  api: Api,
  collection: string,
  name: string,
): Promise<Looked<JsonObject>> {
  try {
    const answer = await api.call({ path: `${collection}/${encodeURIComponent(name)}` })
    if (answer.status === 404) return { kind: 'missing' }
    const body = demand(answer, 200)
    return isObject(body) ? { kind: 'found', value: body } : unseen('an answer that is no object')
  } catch (cause) {
    return unseen(cause)
  }
}

/** Looks at all objects of a collection. */
export async function lookThrough(
  api: Api,
  collection: Collection,
): Promise<Looked<readonly JsonObject[]>> {
  const items: JsonObject[] = []
  try {
    for await (const page of listPages(api, collection, WATCH_TIMING)) items.push(...page.items)
    return { kind: 'found', value: items }
  } catch (cause) {
    if (cause instanceof ApiRefused && cause.status === 404) return { kind: 'missing' }
    return unseen(cause)
  }
}

/** What was found, or what stands in its place. */
export function foundOr<T>(looked: Looked<T>, otherwise: T): T {
  return looked.kind === 'found' ? looked.value : otherwise
}

function unseen(cause: unknown): { readonly kind: 'unseen'; readonly why: string } {
  return { kind: 'unseen', why: cause instanceof Error ? cause.message : String(cause) }
}
