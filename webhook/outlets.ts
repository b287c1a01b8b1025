/** What an answer tells besides the verdict: warnings for who creates the pod, annotations for the audit log. */
import type { Decision } from '../core/inject/decision.ts'
import { describeReason } from '../core/inject/why.ts'
import type { JsonObject } from '../core/json.ts'
import { formatProblem, visible } from '../core/problem.ts'

/** Which of them are used. */
export type Outlets = { readonly warnings: boolean; readonly audit: boolean }

/** Where nobody says: warnings alone. */
export const USUAL_OUTLETS: Outlets = { warnings: true, audit: false }

/** Characters of one warning, and how many of those fit: the API server cuts and drops at the same places. */
const LONGEST_WARNING = 256
const MOST_WARNINGS = 4096 / LONGEST_WARNING

/** Warnings as they may be sent: on one line each, not too long, not too many. */
export function boundedWarnings(warnings: readonly string[]): readonly string[] {
  const shown = warnings.map((warning) => shorten(visible(warning), LONGEST_WARNING))
  if (shown.length <= MOST_WARNINGS) return shown
  const kept = shown.slice(0, MOST_WARNINGS - 1)
  return [...kept, `and ${String(shown.length - kept.length)} more warnings`]
}

/** Characters of an annotation: an audit log keeps one for each pod. */
const LONGEST_ANNOTATION = 512

/**
 * The decision for the audit log: `decision`, and `why` in the words of `explain`; `reason` where a row of the
 * policy spoke. The API server puts the name of the webhook before each key.
 */
export function auditAnnotations(decision: Decision): JsonObject {
  if (decision.kind === 'reject') {
    const why = decision.problems.map(formatProblem).join('; ')
    return { decision: decision.kind, why: shorten(why, LONGEST_ANNOTATION) }
  }
  const { kind, reason } = decision
  return { decision: kind, reason, why: shorten(describeReason(decision), LONGEST_ANNOTATION) }
}

function shorten(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`
}
