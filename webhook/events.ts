/** Events of the cluster: told to the API server beside the work, never in its way. */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Api } from '../cluster/api.ts'
import { ask, type Asked } from './asked.ts'
import { makeBook, type BookLimits, type Entry } from './events/book.ts'
import { makeBucket, type Rate } from './token-bucket.ts'
import { creation, eventName, repetition, type Happening, type Reporter } from './events/object.ts'
import type { EventResult } from './metrics-table.ts'

export type { Happening, ObjectReference } from './events/object.ts'

/** Where Events go. `record` takes no time, whatever the API server does, and never throws. */
export type Events = {
  readonly record: (happening: Happening) => void
  /** Tells what is waiting, for a moment at most, and stops. */
  readonly close: () => Promise<void>
}

/** Nobody to tell: without a cluster, or switched off. */
export const NO_EVENTS: Events = { record: () => undefined, close: () => Promise.resolve() }

/** Who hears what becomes of Events. */
export type EventReport = {
  readonly counted: (result: EventResult) => void
  /** Why the API server does not take them, once until it takes one again. */
  readonly failed: (why: string) => void
}

/** Bounds of what is kept in memory and of what an API server is asked. */
export type EventLimits = BookLimits & {
  readonly rate: Rate
  /** Seconds that one call may take. */
  readonly callSeconds: number
  /** Milliseconds that `close` may take. */
  readonly closeMs: number
}

const LIMITS: EventLimits = {
  entries: 500,
  restMs: 10_000,
  seriesMs: 6 * 60_000,
  tries: 5,
  rate: { burst: 20, everyMs: 1000 },
  callSeconds: 5,
  closeMs: 2000,
}

/** The webhook's name in Events. */
const CONTROLLER = 'sidecar-injector.io/webhook'

/**
 * Begins to tell an API server what is recorded. The same happening is one Event with a count, calls
 * go out one by one and no faster than the rate; what is too much for the book is dropped and counted.
 */
export function makeEvents(
  api: Pick<Api, 'call'>,
  instance: string,
  report: EventReport,
  limits: Partial<EventLimits> = {},
): Events {
  const bounds = { ...LIMITS, ...limits }
  const book = makeBook(bounds)
  const bucket = makeBucket(bounds.rate, performance.now())
  const reporter: Reporter = { controller: CONTROLLER, instance }
  const state = { isClosed: false, isStopped: false, isWorking: false, isFailing: false }
  let working = Promise.resolve()
  const start = (): void => {
    if (!state.isWorking) working = work()
  }
  const alarm = makeAlarm(start)

  const tell = async (key: string, entry: Entry): Promise<void> => {
    const { happening, name: known, occurrence } = entry
    const name = known ?? eventName(happening.regarding, randomBytes(8).toString('hex'))
    const request =
      known === undefined
        ? creation(name, happening, occurrence, reporter)
        : repetition(name, happening, occurrence)
    const answer = await ask(api, { ...request, seconds: bounds.callSeconds })
    const now = performance.now()
    const outcome = judge(answer, known)
    if (outcome === 'taken') {
      book.told(key, name, occurrence.count, now)
      report.counted('written')
      state.isFailing = false
      return
    }
    if (outcome !== 'gone' && !answer.ok && !state.isFailing) {
      report.failed(answer.why)
      state.isFailing = true
    }
    if (book.failed(key, now, outcome)) report.counted('failed')
  }
  /** Tells one thing after the other, until there is nothing left or it has to wait. */
  const work = async (): Promise<void> => {
    state.isWorking = true
    while (!state.isStopped) {
      const next = book.next(performance.now())
      const ms = next.do === 'wait' ? next.ms : bucket.take(performance.now())
      if (next.do === 'wait' || ms > 0) {
        // No pause between the last look and this: what is recorded from now on sets the alarm itself.
        state.isWorking = false
        if (!state.isClosed) alarm.set(ms)
        return
      }
      await tell(next.key, next.entry)
    }
  }
  return {
    record: (happening) => {
      if (state.isClosed) return
      if (!book.record(happening, performance.now(), new Date())) report.counted('dropped')
      else if (!state.isWorking) alarm.set(GATHER_MS)
    },
    close: async () => {
      state.isClosed = true
      alarm.clear()
      start()
      const patience = new AbortController()
      const { signal } = patience
      await Promise.race([working, sleep(bounds.closeMs, undefined, { signal })])
      patience.abort()
      state.isStopped = true
    },
  }
}

/** Milliseconds in which what is recorded is gathered: requests come first. */
const GATHER_MS = 50

/** One timer, which rings at the earliest time that it was set to, and holds no process. */
function makeAlarm(ring: () => void): { set: (ms: number) => void; clear: () => void } {
  let timer: NodeJS.Timeout | undefined
  let rings = Infinity
  const clear = (): void => {
    clearTimeout(timer)
    rings = Infinity
  }
  return {
    set: (ms) => {
      const at = performance.now() + ms
      if (at >= rings) return
      clear()
      rings = at
      timer = setTimeout(() => {
        rings = Infinity
        ring()
      }, Math.ceil(ms)).unref()
    },
    clear,
  }
}

type Judgement = 'taken' | 'gone' | 'refused' | 'unanswered'

/** A repetition of an Event that the API server has forgotten is `gone`: it begins a new one. */
function judge(asked: Asked, known: string | undefined): Judgement {
  if (asked.ok) return 'taken'
  const { status } = asked
  if (status === 404 && known !== undefined) return 'gone'
  return status === 0 || status === 429 || status >= 500 ? 'unanswered' : 'refused'
}
