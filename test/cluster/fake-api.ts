/** A small API server on loopback: lists, watches, and every way to let a client down. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Test } from 'tap'
import { makeApi, type Api } from '../../cluster/api.ts'
import { connect } from '../../cluster/connect.ts'
import { isObject, type JsonObject } from '../../core/json.ts'

/** What the server does with a request instead of answering it well. */
export type Fault =
  | { readonly do: 'refuse'; readonly status: number; readonly message?: string }
  /** Takes the request and never says a word. */
  | { readonly do: 'mute' }
  | { readonly do: 'cut' }
  /** Answers with this text. */
  | { readonly do: 'say'; readonly text: string }

/** One request as it came. */
export type Asked = { readonly path: string; readonly query: Readonly<Record<string, string>> }

/** The server, and what a test does to it. */
export type FakeApi = {
  readonly api: Api
  readonly url: string
  readonly asked: Asked[]
  /** Gives an object to a path; every watch hears of it. */
  readonly set: (path: string, name: string, more?: JsonObject) => void
  readonly remove: (path: string, name: string) => void
  /** Changes the store without a word to watches. */
  readonly setUnheard: (path: string, name: string, more?: JsonObject) => void
  /** Sends a line to every watch. */
  readonly send: (line: unknown) => void
  /** Ends every watch: in peace, by a broken connection, or not at all but silent from now on. */
  readonly endWatches: (how: 'end' | 'cut' | 'mute') => void
  /** What becomes of the next requests; undefined is the normal answer. */
  fault: (asked: Asked) => Fault | undefined
  /** Objects a page. */
  pageSize: number
}

type Watching = { readonly path: string; readonly query: Asked['query'] }

/** Starts one for a test, and ends it with the test. */
export async function startFakeApi(t: Test): Promise<FakeApi> {
  const stores = new Map<string, Map<string, JsonObject>>()
  const watches = new Map<ServerResponse, Watching>()
  const sockets = new Set<Socket>()
  let version = 100
  const server = createServer((request, response) => {
    answer(request, response)
  })
  server.on('connection', (socket) => sockets.add(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const api = makeApi(await connect({ kubeconfig: kubeconfigFor(t, url) }))
  t.teardown(() => {
    api.close()
    for (const socket of sockets) socket.destroy()
    server.close()
  })

  const write = (path: string, name: string, more: JsonObject = {}): JsonObject => {
    version++
    const [, namespace] = /namespaces\/([^/]+)\//.exec(path) ?? []
    const given = isObject(more['metadata']) ? more['metadata'] : {}
    const place = namespace === undefined ? {} : { namespace }
    const metadata = { ...place, ...given, name, resourceVersion: String(version) }
    const object = { ...more, metadata }
    stores.set(path, (stores.get(path) ?? new Map<string, JsonObject>()).set(name, object))
    return object
  }
  const tell = (path: string, type: string, object: JsonObject): void => {
    const line = `${JSON.stringify({ type, object })}\n`
    for (const [watch, watched] of watches) {
      if (watched.path === path && isSelected(object, watched.query)) watch.write(line)
    }
  }
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const { pathname: path, searchParams } = new URL(request.url ?? '', url)
    const asked = { path, query: Object.fromEntries(searchParams) }
    fake.asked.push(asked)
    const fault = fake.fault(asked)
    switch (fault?.do) {
      case 'refuse':
        response.writeHead(fault.status).end(JSON.stringify({ message: fault.message }))
        return
      case 'mute':
        return
      case 'cut':
        request.socket.destroy()
        return
      case 'say':
        response.end(fault.text)
        return
      case undefined:
    }
    if (!stores.has(path)) {
      response.writeHead(404).end(JSON.stringify({ message: 'the server could not find it' }))
    } else if (asked.query['watch'] === 'true') follow(path, asked.query, response)
    else list(path, asked.query, response)
  }
  const list = (path: string, query: Asked['query'], response: ServerResponse): void => {
    const all = [...(stores.get(path)?.values() ?? [])].filter((one) => isSelected(one, query))
    const from = Number(query['continue'] ?? 0)
    const to = from + fake.pageSize
    const next = to < all.length ? { continue: String(to) } : {}
    const metadata = { resourceVersion: String(version), ...next }
    response.end(JSON.stringify({ kind: 'List', metadata, items: all.slice(from, to) }))
  }
  const follow = (path: string, query: Asked['query'], response: ServerResponse): void => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.flushHeaders()
    // What was written since then is told at once, as a real one does; deletions are not kept here.
    for (const object of stores.get(path)?.values() ?? []) {
      if (!isSelected(object, query)) continue
      const { metadata } = object
      const at = isObject(metadata) ? Number(metadata['resourceVersion']) : 0
      if (at > Number(query['resourceVersion'])) {
        response.write(`${JSON.stringify({ type: 'MODIFIED', object })}\n`)
      }
    }
    watches.set(response, { path, query })
    response.on('close', () => watches.delete(response))
    setTimeout(
      () => {
        if (watches.has(response)) response.end()
      },
      Number(query['timeoutSeconds']) * 1000,
    ).unref()
  }
  const fake: FakeApi = {
    api,
    url,
    asked: [],
    set: (path, name, more) => {
      const isNew = stores.get(path)?.has(name) !== true
      tell(path, isNew ? 'ADDED' : 'MODIFIED', write(path, name, more))
    },
    remove: (path, name) => {
      const object = write(path, name)
      stores.get(path)?.delete(name)
      tell(path, 'DELETED', object)
    },
    setUnheard: write,
    send: (line) => {
      for (const watch of watches.keys()) watch.write(`${JSON.stringify(line)}\n`)
    },
    endWatches: (how) => {
      for (const watch of watches.keys()) {
        if (how === 'end') watch.end()
        if (how === 'cut') watch.socket?.destroy()
      }
      watches.clear()
    },
    fault: () => undefined,
    pageSize: 500,
  }
  return fake
}

/** Whether an object has the name that the query asks for, if any. */
function isSelected({ metadata }: JsonObject, query: Asked['query']): boolean {
  const [, only] = /^metadata\.name=(.*)$/.exec(query['fieldSelector'] ?? '') ?? []
  return only === undefined || (isObject(metadata) && metadata['name'] === only)
}

/** A kubeconfig for this server, with a token. */
export function kubeconfigFor(t: Test, server: string): string {
  const folder = t.testdir({
    kubeconfig: JSON.stringify({
      'current-context': 'here',
      clusters: [{ name: 'c', cluster: { server, 'insecure-skip-tls-verify': true } }],
      users: [{ name: 'u', user: { token: 'secret' } }],
      contexts: [{ name: 'here', context: { cluster: 'c', user: 'u' } }],
    }),
  })
  return `${folder}/kubeconfig`
}
