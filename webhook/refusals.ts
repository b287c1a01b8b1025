import type { FailureReason } from './metrics.ts'

/** Why a request is turned away before its body is read as a review. */
export type RefusalReason = Exclude<FailureReason, 'refused' | 'unreadable'>

/** How a request is turned away: plain text, which the API server passes on to whoever asked. */
export type HttpRefusal = { readonly status: number; readonly text: string }

/** Status and text of each refusal; the first three are Istio's. */
export function describeRefusal(reason: RefusalReason, bodyLimit: number): HttpRefusal {
  switch (reason) {
    case 'too-large':
      return { status: 400, text: `Request entity too large: limit is ${String(bodyLimit)}\n` }
    case 'empty-body':
      return { status: 400, text: 'no body found\n' }
    case 'media-type':
      return { status: 415, text: 'invalid Content-Type, want application/json\n' }
    case 'aborted':
      return { status: 400, text: 'the body ended early, want as much as its Content-Length\n' }
    case 'internal':
      return { status: 500, text: 'sidecar-injector: a fault of its own, see its log\n' }
  }
}

/** What an error that the HTTP framework raised means. */
export function reasonOf(error: Error & { readonly code?: string }): RefusalReason {
  return REASONS.get(error.code ?? '') ?? 'internal'
}

const REASONS: ReadonlyMap<string, RefusalReason> = new Map([
  ['FST_ERR_CTP_BODY_TOO_LARGE', 'too-large'],
  ['FST_ERR_CTP_INVALID_MEDIA_TYPE', 'media-type'],
  ['FST_ERR_CTP_INVALID_CONTENT_LENGTH', 'aborted'],
  ['ECONNRESET', 'aborted'],
])

/** Whether a Content-Type is JSON; parameters such as `charset=utf-8` do not matter. */
export function isJson(contentType: string | undefined): boolean {
  return contentType?.split(';', 1)[0]?.trim().toLowerCase() === 'application/json'
}
