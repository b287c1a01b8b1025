/** Calls of an API server as plain JSON: no generated classes, nothing dropped, nothing added. */
import { request as requestHttp, type IncomingMessage } from 'node:http'
import { request as requestHttps } from 'node:https'
import { text } from 'node:stream/consumers'
import type { Connection } from './connect.ts'
import { messageOf } from './events.ts'

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
  /** Closes the connections that nobody uses now: one that went silent is seldom alone. */
  readonly forgetIdle: () => void
  readonly close: () => void
}

/** An API server said no; the message is its own. */
export class ApiRefused extends Error {
  readonly status: number

  constructor({ status, body }: ApiAnswer) {
    const message = messageOf(body)
    super(`HTTP ${status}${message === undefined ? '' : `: ${message}`}`)
    this.name = 'ApiRefused'
    this.status = status
  }
}

/** The body of an answer that must have one of these statuses; throws an ApiRefused otherwise. */
export function demand(answer: ApiAnswer, ...statuses: readonly number[]): unknown {
  if (statuses.includes(answer.status)) return answer.body
  throw new ApiRefused(answer)
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
      if (sent !== undefined) {
        call.setHeader('content-type', contentType)
        // Node says no length for DELETE, and the body would be taken for the next request.
        call.setHeader('content-length', Buffer.byteLength(sent))
      }
      call.end(sent)
    })
  }
  return {
    open,
    call: async (request) => {
      const { seconds = ANSWER_SECONDS } = request
      const signal = AbortSignal.timeout(seconds * 1000)
      try {
        const response = await open(request, signal)
        return await readAnswer(response)
      } catch (cause) {
        if (!signal.aborted) throw cause
        connection.forgetIdle()
        const message = `no answer of ${connection.server.origin} within ${seconds} s`
        throw new Error(message, { cause })
      }
    },
    server: connection.server,
    namespace: connection.namespace,
    forgetIdle: connection.forgetIdle,
    close: connection.close,
  }
}

/** Reads an opened answer to its end. */
export async function readAnswer(response: IncomingMessage): Promise<ApiAnswer> {
  return { status: response.statusCode ?? 0, body: parsed(await text(response)) }
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return body
  }
}
