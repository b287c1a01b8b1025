import { createHash } from 'node:crypto'
import { REDIRECT_PLAN_ANNOTATION } from '../core/constants.ts'
import type { RunOptions } from '../core/options/argv.ts'

/**
 * Whether the redirect plan that the node obeyed is still the one that injection wrote: its digest stands in
 * the container's environment, which nobody can change, the plan in an annotation, which many can. Says
 * what is wrong, nothing where all is well or where there is no plan to guard.
 */
export function checkGuard({ guardedPlan }: RunOptions): readonly string[] {
  if (guardedPlan === undefined) return []
  const { text, digest } = guardedPlan
  const found = createHash('sha256').update(text).digest('hex')
  if (found === digest) return []
  const what = text === '' ? 'is gone' : `has SHA-256 ${found}`
  return [
    `annotation ${REDIRECT_PLAN_ANNOTATION} ${what}, want ${digest}: it was changed after injection, so that ` +
      'the rules of this pod cannot be trusted; delete the pod and let its owner create it anew',
  ]
}
