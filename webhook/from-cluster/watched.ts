import type { FastifyBaseLogger } from 'fastify'
import type { Api } from '../../cluster/api.ts'
import type { WatchTiming } from '../../cluster/timing.ts'
import type { Kept } from '../../cluster/kept.ts'
import type { ObjectWatch, OneWatch, WatchFailure } from '../../cluster/watch.ts'
import { visible } from '../../core/problem.ts'
import type { Events } from '../events.ts'
import type { Metrics } from '../metrics.ts'
import type { WatchedThing } from '../metrics-table.ts'
import type { Part } from '../part.ts'

/** Where watched parts come from, and who is told about them. */
export type ClusterDeps = {
  readonly api: Api
  readonly log: FastifyBaseLogger
  readonly metrics: Metrics
  readonly events: Pick<Events, 'record'>
  /** Shorter times, for tests. */
  readonly timing?: Partial<WatchTiming>
}

/** What a watch of this thing is made with besides its path: who hears that it cannot be read. */
export function watchedBy(deps: ClusterDeps, what: WatchedThing) {
  const { log, metrics, timing } = deps
  metrics.watching(what, true)
  return {
    ...(timing === undefined ? {} : { timing }),
    onFailure: (failure: WatchFailure | undefined): void => {
      metrics.watching(what, failure === undefined)
      if (failure === undefined) log.info({ what }, 'the cluster can be read again')
      else log.warn({ what, error: visible(failure.error) }, 'the cluster cannot be read')
    },
  }
}

/** A part that is made anew of all objects of a watch whenever one of them changes. */
export function partOf<Object, T>(
  name: string,
  watch: ObjectWatch<Object>,
  make: (objects: Kept<Object>) => T,
  describe: (made: T) => string,
): Part<T> {
  let current: T | undefined
  watch.onChange((objects) => {
    current = make(objects)
  })
  return {
    current: () => current,
    onChange: watch.onChange,
    check: () => {
      const detail = current === undefined ? 'not read yet' : describe(current)
      return { name, isReady: current !== undefined, detail: `${detail}${failureOf([watch])}` }
    },
    close: watch.close,
  }
}

/** What readiness adds where the cluster cannot be read: since when, and why. */
export function failureOf(watches: readonly Pick<OneWatch<unknown>, 'failure'>[]): string {
  const failures = watches.map((watch) => watch.failure()).filter((one) => one !== undefined)
  const told = failures.map(({ since, error }) => {
    return `; the cluster cannot be read since ${since.toISOString()}: ${visible(error)}`
  })
  return [...new Set(told)].join('')
}
