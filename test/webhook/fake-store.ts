/** An API server in memory: objects by path, with versions, JSON Patch and its refusals. */
import jsonPatch, { type Operation } from 'fast-json-patch'
import type { Api, ApiAnswer, ApiRequest } from '../../cluster/api.ts'
import { isObject, type JsonObject } from '../../core/json.ts'

/** One write that was taken. */
export type Write = {
  readonly method: string
  readonly path: string
  readonly query: ApiRequest['query']
  readonly body: unknown
}

/** The store, and what a test does to it. */
export type FakeStore = {
  readonly api: Pick<Api, 'call'>
  /** The object at a path, undefined when there is none. */
  readonly get: (path: string) => JsonObject | undefined
  /** Writes as somebody else, whatever is there. */
  readonly set: (path: string, object: JsonObject) => void
  readonly remove: (path: string) => void
  readonly writes: readonly Write[]
  /** What is answered instead; a thrown error is no answer. */
  fault: (request: ApiRequest) => ApiAnswer | undefined
}

/** An empty store. */
export function makeFakeStore(): FakeStore {
  const objects = new Map<string, JsonObject>()
  const writes: Write[] = []
  let version = 0
  const put = (path: string, object: JsonObject): JsonObject => {
    version++
    const metadata = isObject(object['metadata']) ? object['metadata'] : {}
    const name = path.split('/').at(-1) ?? ''
    const stored = { ...object, metadata: { ...metadata, name, resourceVersion: String(version) } }
    objects.set(path, stored)
    return stored
  }
  const status = (code: number, message: string): ApiAnswer => {
    return { status: code, body: { message, ...(code === 422 ? { reason: 'Invalid' } : {}) } }
  }
  const answer = ({ method = 'GET', path, body }: ApiRequest): ApiAnswer => {
    const found = objects.get(path)
    if (method === 'POST') {
      const { metadata } = body as { metadata: { name: string } }
      const at = `${path}/${metadata.name}`
      if (objects.has(at)) return status(409, `${at} already exists`)
      return { status: 201, body: put(at, body as JsonObject) }
    }
    if (found === undefined) {
      if (method !== 'GET') return status(404, `${path} not found`)
      const items = [...objects].filter(([key]) => key.startsWith(`${path}/`))
      if (items.length === 0 && !path.endsWith('s')) return status(404, `${path} not found`)
      return { status: 200, body: { items: items.map(([, object]) => object) } }
    }
    if (method === 'GET') return { status: 200, body: found }
    try {
      const patched = jsonPatch.applyPatch(found, body as readonly Operation[], true, false)
      return { status: 200, body: put(path, patched.newDocument) }
    } catch {
      return status(422, 'the server rejected our request due to an error in our request')
    }
  }
  const store: FakeStore = {
    api: {
      call: async (request) => {
        await new Promise((resolve) => setImmediate(resolve))
        const faulty = store.fault(request)
        if (faulty !== undefined) return faulty
        const told = answer(request)
        const { method = 'GET', path, query, body } = request
        if (method !== 'GET' && told.status < 300) writes.push({ method, path, query, body })
        return structuredClone(told)
      },
    },
    get: (path) => objects.get(path),
    set: (path, object) => void put(path, object),
    remove: (path) => void objects.delete(path),
    writes,
    fault: () => undefined,
  }
  return store
}
