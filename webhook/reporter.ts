import type { FastifyBaseLogger } from 'fastify'
import { formatProblem } from '../core/problem.ts'
import type { Report } from './last-good.ts'
import type { Metrics } from './metrics.ts'
import type { ReloadedThing } from './metrics-table.ts'

/** Tells log and metrics what became of a reading; `also` hears what was taken. */
export function reporter<T>(
  what: ReloadedThing,
  log: FastifyBaseLogger,
  metrics: Metrics,
  also?: (taken: T) => void,
): Report<T> {
  return {
    taken: (value) => {
      metrics.reloaded(what, true)
      log.info({ what }, 'read')
      also?.(value)
    },
    refused: (problems, isServing = true) => {
      metrics.reloaded(what, false)
      const lines = problems.map(formatProblem)
      const then = isServing ? 'the last good one goes on serving' : 'there is none yet to serve'
      log.error({ what, problems: lines }, `refused, ${then}`)
    },
  }
}
