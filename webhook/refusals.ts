import type { FailureReason } from './metrics-table.ts'

/** Why a request is turned away before its body is read as a review. */
export type RefusalReason = Exclude<FailureReason, 'refused' | 'unreadable' | 'client'>

/** How a request is turned away: plain text, which the API server passes on to whoever asked. */
export type HttpRefusal = { readonly status: number; readonly text: string }

/** A request that is turned away, on its way to the answer. */
export class Refused extends Error {
  readonly reason: RefusalReason

  constructor(reason: RefusalReason) {
    super(reason)
    this.name = 'Refused'
    this.reason = reason
  }
}

/** There is no configuration yet to answer from. */
export class NotReady extends Refused {
  constructor() {
    super('not-ready')
  }
}

/** Status and text of each refusal; the first three are Istio's. */
export function describeRefusal(reason: RefusalReason, bodyLimit: number): HttpRefusal {
  switch (reason) {
    case 'too-large':
      return { status: 400, text: `Request entity too large: limit is ${String(bodyLimit)}\n` }
    case 'empty-body':
      return { status: 400, text: 'no body found\n' }
    case 'media-type':
      return { status: 415, text: 'invalid Content-Type, want application/json\n' }
    case 'bad-path':
      return { status: 400, text: 'the path is not a valid url: want escapes of UTF-8\n' }
    case 'aborted':
      return { status: 400, text: 'the body ended early, want as much as its Content-Length\n' }
    case 'overloaded':
      return { status: 503, text: 'sidecar-injector: too many requests under way, try again\n' }
    case 'late':
      return { status: 503, text: 'sidecar-injector: too late for the timeout of this request\n' }
    case 'not-ready':
      return { status: 503, text: 'sidecar-injector: no configuration yet, see its readiness\n' }
    case 'internal':
      return { status: 500, text: 'sidecar-injector: a fault of its own, see its log\n' }
  }
}

/** What an error on the way to an answer means. */
export function reasonOf(error: unknown): RefusalReason {
  if (error instanceof Refused) return error.reason
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE' ? 'media-type' : 'internal'
}

/** Whether a Content-Type is JSON; parameters such as `charset=utf-8` do not matter. */
export function isJson(contentType: string | undefined): boolean {
  if (contentType === 'application/json') return true
  return contentType?.split(';', 1)[0]?.trim().toLowerCase() === 'application/json'
}

/** Seconds that an API server gives a webhook which its configuration gives none. */
const DEFAULT_TIMEOUT = 10

/** Milliseconds that the one who asks waits: the API server says so in the query of each call. */
export function timeoutOf(url: string): number {
  const seconds = /[?&]timeout=(\d{1,3})s(?:&|$)/.exec(url)?.[1]
  return 1000 * (seconds === undefined ? DEFAULT_TIMEOUT : Number(seconds))
}
