import { formatProblem, type Problem } from '../core/problem.ts'
import type { Check } from './readiness.ts'
import type { LiveFiles } from './source.ts'

/** One part of what requests are answered from, and how well it is known. */
export type Part<T> = {
  /** Undefined before it was good once. */
  readonly current: () => T | undefined
  /** Calls `listener` after each change of `current()`. */
  readonly onChange: (listener: () => void) => void
  /** Ready once it was good; what is wrong since then is in the detail. */
  readonly check: () => Check
  readonly close: () => void
}

/** A part that is read from files, which were good at the start. */
export function partOfFiles<T>(name: string, files: LiveFiles<T>): Part<T> {
  return {
    ...files,
    check: () => ({ name, isReady: true, detail: describe('read', files.problems()) }),
  }
}

/** What readiness says of something that serves: that a newer one was refused, or `whenGood`. */
export function describe(whenGood: string, problems: readonly Problem[]): string {
  if (problems.length === 0) return whenGood
  return `the last good one serves, the newest was refused: ${problems.map(formatProblem).join('; ')}`
}
