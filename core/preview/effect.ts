/** What a new configuration makes of one pod that the present one makes something else of. */
import type { Decision } from '../inject/decision.ts'
import type { Pod } from '../k8s.ts'
import type { Problem } from '../problem.ts'
import { changedFields, type FieldChange } from './fields.ts'

/** What becomes of a pod under one configuration. */
export type Outcome =
  | Decision
  /** The configuration is at fault: the webhook answers 500, and its failurePolicy decides. */
  | { readonly kind: 'fault'; readonly problems: readonly Problem[] }

/** The effect of a new configuration on one pod. */
export type Effect =
  | { readonly kind: 'same' }
  /** Injected before and after; these fields differ. */
  | { readonly kind: 'changes'; readonly fields: readonly FieldChange[] }
  /** Not injected before. `why` says what takes it in. */
  | { readonly kind: 'gains'; readonly why: string; readonly fields: readonly FieldChange[] }
  /** No longer injected. `why` says what keeps it out. */
  | { readonly kind: 'loses'; readonly why: string; readonly fields: readonly FieldChange[] }
  /** Refused by the new configuration, and not by the present one. */
  | { readonly kind: 'refused'; readonly problems: readonly Problem[] }
  /** Refused by both; these are the problems that the new one finds. */
  | { readonly kind: 'still-refused'; readonly problems: readonly Problem[] }
  /** Refused by the present configuration only. */
  | { readonly kind: 'accepted'; readonly problems: readonly Problem[] }

/** Compares what becomes of a pod now with what will become of it. */
export function effectOf(now: Outcome, next: Outcome): Effect {
  if (isRefused(next)) {
    return { kind: isRefused(now) ? 'still-refused' : 'refused', problems: next.problems }
  }
  if (isRefused(now)) return { kind: 'accepted', problems: now.problems }
  if (now.kind === 'inject' && next.kind === 'inject') {
    const fields = changedFields(now.pod, next.pod)
    return fields.length === 0 ? { kind: 'same' } : { kind: 'changes', fields }
  }
  if (next.kind === 'inject') {
    const fields = changedFields(leftAlone(now, next), next.pod)
    return { kind: 'gains', why: next.sentence, fields }
  }
  if (now.kind === 'inject') {
    const fields = changedFields(now.pod, leftAlone(next, now))
    return { kind: 'loses', why: next.sentence, fields }
  }
  return { kind: 'same' }
}

type Refused = Extract<Outcome, { readonly problems: readonly Problem[] }>
type Admitted = Exclude<Outcome, Refused>

function isRefused(outcome: Outcome): outcome is Refused {
  return outcome.kind === 'reject' || outcome.kind === 'fault'
}

/** The pod that gets in without a sidecar; the other configuration tells how the pod came. */
function leftAlone(outcome: Admitted, other: Extract<Admitted, { kind: 'inject' }>): Pod {
  const isCleaned = outcome.kind === 'skip' && outcome.cleaned !== undefined
  return isCleaned ? outcome.cleaned.pod : other.before
}
