/** A decision in the words that all outlets use: warnings, Events, logs and `explain`. */
import { formatProblem, quoted, visible } from '../problem.ts'
import type { Decision, Spoken } from './decision.ts'

/**
 * What became of a pod and the true cause, on one line: `not injected: sentence: path is "text" (reason)`.
 * Control characters of the pod's text are escaped.
 */
export function describeDecision(decision: Decision): string {
  switch (decision.kind) {
    case 'inject':
      return `injected: ${describeReason(decision)}`
    case 'skip':
      return `not injected: ${describeReason(decision)}`
    case 'reject':
      return `refused: ${decision.problems.map(formatProblem).join('; ')}`
  }
}

/** The row that spoke and what it spoke about: `sentence: path is "text" (reason)`. */
export function describeReason({ reason, sentence, evidence }: Spoken): string {
  return `${sentence}: ${visible(evidence.path)} is ${quoted(evidence.got)} (${reason})`
}
