import type { Api, ApiRequest } from '../cluster/api.ts'
import { messageOf } from '../cluster/events.ts'

/** What became of a call: the object in the answer, or why there is none. */
export type Asked =
  | { readonly ok: true; readonly body: unknown }
  | {
      readonly ok: false
      /** HTTP status; 0 where no answer came. */
      readonly status: number
      /** For logs: status and message of the API server, or what broke. */
      readonly why: string
    }

/** Calls the API server; refusals and silence are values. */
export async function ask(api: Pick<Api, 'call'>, request: ApiRequest): Promise<Asked> {
  try {
    const { status, body } = await api.call(request)
    if (status >= 200 && status < 300) return { ok: true, body }
    const why = `HTTP ${status} ${messageOf(body) ?? ''}`.trimEnd()
    return { ok: false, status, why }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    return { ok: false, status: 0, why }
  }
}

/**
 * Whether a write came too late, because somebody else had written or made the object. A `test` of a
 * JSON Patch that does not hold is answered with 422 and the reason `Invalid`, as an object against
 * the rules is; only the message tells them apart.
 */
export function isConflict(asked: Asked): boolean {
  if (asked.ok) return false
  return asked.status === 409 || (asked.status === 422 && !asked.why.includes(' is invalid: '))
}
