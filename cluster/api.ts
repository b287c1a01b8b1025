/** Calls of an API server as plain JSON: no generated classes, nothing dropped, nothing added. */
import { request as requestHttp, type IncomingMessage } from 'node:http'
import { request as requestHttps } from 'node:https'
import { text } from 'node:stream/consumers'
import type { Connection } from './connect.ts'

/** One call. */
export type ApiRequest = {
  /** GET unless said otherwise. */
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Path from the root, each part encoded: `/api/v1/namespaces/default/pods`. */
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  /** Sent as JSON. */
  readonly body?: unknown
  /** Media type of `body`: `application/json`, or one of Kubernetes' patches. */
  readonly contentType?: string
  /** Seconds for the whole answer. */
  readonly seconds?: number
}

/** What the API server said. */
export type ApiAnswer = {
  readonly status: number
  /** The parsed body where it is JSON, else its text. */
  readonly body: unknown
}

/** An API server. A call rejects only where no answer came; a refusal is an answer. */
export type Api = {
  readonly call: (request: ApiRequest) => Promise<ApiAnswer>
  /** Opens an answer that is read while it comes (a watch); the caller ends it by `signal`. */
  readonly open: (request: ApiRequest, signal: AbortSignal) => Promise<IncomingMessage>
  readonly server: URL
  readonly namespace: string | undefined
  readonly close: () => void
}

/** Seconds for one answer where the caller does not say: longer than any healthy API server takes. */
const ANSWER_SECONDS = 10

/** Media types of patches, as the API conventions name them. */
export const JSON_PATCH = 'application/json-patch+json'
export const MERGE_PATCH = 'application/merge-patch+json'

/** Speaks to the API server of a connection. */
export function makeApi(connection: Connection): Api {
  const open: Api['open'] = async (request, signal) => {
    const { method = 'GET', path, query = {}, body, contentType = 'application/json' } = request
    const url = new URL(path.replace(/^\//, ''), connection.server)
    for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value)
    const options = await connection.options()
    const sent = body === undefined ? undefined : JSON.stringify(body)
    return new Promise((resolve, reject) => {
      const send = url.protocol === 'http:' ? requestHttp : requestHttps
      const call = send(url, { ...options, method, signal }, resolve)
      call.on('error', reject)
      if (sent !== undefined) call.setHeader('content-type', contentType)
      call.end(sent)
    })
  }
  return {
    open,
    call: async (request) => {
      const { seconds = ANSWER_SECONDS } = request
      const response = await open(request, AbortSignal.timeout(seconds * 1000))
      return { status: response.statusCode ?? 0, body: parsed(await text(response)) }
    },
    server: connection.server,
    namespace: connection.namespace,
    close: connection.close,
  }
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return body
  }
}
