/** The objects of one collection as a map that follows the cluster, and keeps what it knew when it cannot. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { JsonObject } from '../core/json.ts'
import { ApiRefused, type Api } from './api.ts'
import { listPages, watchEvents, type Collection } from './collection.ts'
import type { WatchEvent } from './events.ts'
import { keepObjects, type Kept } from './kept.ts'
import { delayAfter, WATCH_TIMING, type WatchTiming } from './timing.ts'

export type { Kept } from './kept.ts'

/** What to watch, and what to keep of it. */
export type Watched<T> = Collection & {
  /** What of an object matters: a change elsewhere is none. Undefined leaves the object out. */
  readonly keep: (object: JsonObject) => T | undefined
  /** Whether a kind that the API server does not know (a CRD that is not there yet) is an empty list. */
  readonly mayBeAbsent?: boolean
  /** Told when the cluster cannot be read, or for another reason, and, with undefined, when it can again. */
  readonly onFailure?: (failure: WatchFailure | undefined) => void
  readonly timing?: Partial<WatchTiming>
}

/** Why the cluster cannot be read, and since when. */
export type WatchFailure = { readonly since: Date; readonly error: string }

/** A watch that runs until it is closed. It never throws. */
export type ObjectWatch<T> = {
  /** An immutable map, replaced at each change; empty before the first list. */
  readonly current: () => Kept<T>
  /** Calls `listener` after the first list, and after each change. */
  readonly onChange: (listener: (objects: Kept<T>) => void) => void
  /** Whether the list was read at least once. */
  readonly isSynced: () => boolean
  /** Undefined while the cluster can be read. */
  readonly failure: () => WatchFailure | undefined
  readonly close: () => void
}

/** A watch of a single object. */
export type OneWatch<T> = Omit<ObjectWatch<T>, 'current' | 'onChange'> & {
  /** Undefined before the first answer, and while there is no such object. */
  readonly current: () => T | undefined
  /** Calls `listener` after the first answer, and after each change. */
  readonly onChange: (listener: (object: T | undefined) => void) => void
}

/** Watches the object of this name in the collection at `path`: rights to that name are enough. */
export function watchOne<T>(api: Api, name: string, what: Watched<T>): OneWatch<T> {
  const watch = watchObjects(api, { ...what, fieldSelector: `metadata.name=${name}` })
  const only = (objects: Kept<T>): T | undefined => [...objects.values()][0]
  return {
    ...watch,
    current: () => only(watch.current()),
    onChange: (listener) => {
      watch.onChange((objects) => {
        listener(only(objects))
      })
    },
  }
}

/** Watches a collection. */
export function watchObjects<T>(api: Api, what: Watched<T>): ObjectWatch<T> {
  const timing = { ...WATCH_TIMING, ...what.timing }
  const end = new AbortController()
  const kept = keepObjects(what.keep)
  let failure: WatchFailure | undefined
  /** Where to go on watching; undefined asks for a list first. */
  let version: string | undefined
  let listedAt = 0

  const list = async (): Promise<void> => {
    const found = new Map<string, T>()
    let last: string | undefined
    for await (const page of listPages(api, what, timing)) {
      for (const object of page.items) kept.put(found, object)
      last = page.resourceVersion
    }
    listedAt = performance.now()
    version = last
    kept.replace(found)
  }
  /** False when a list must come before the next watch. */
  const apply = (event: WatchEvent): boolean => {
    switch (event.kind) {
      case 'opened':
        note(undefined)
        return true
      case 'changed':
        kept.changed(event.object)
        version = event.resourceVersion
        return true
      case 'deleted':
        kept.deleted(event.object)
        version = event.resourceVersion
        return true
      case 'bookmark':
        version = event.resourceVersion
        return true
      case 'gone':
        return false
      case 'error':
        version = undefined
        throw new Error(event.message)
    }
  }
  const follow = async (from: string): Promise<void> => {
    for await (const event of watchEvents(api, what, from, timing, end.signal)) {
      if (apply(event)) continue
      version = undefined
      return
    }
  }
  const note = (error: string | undefined): void => {
    if (end.signal.aborted || failure?.error === error) return
    const since = failure?.since ?? new Date()
    failure = error === undefined ? undefined : { since, error }
    what.onFailure?.(failure)
  }
  /** One list where it is due, and one watch. */
  const step = async (): Promise<void> => {
    try {
      const isDue = performance.now() - listedAt > timing.resyncMs
      if (version === undefined || isDue) await list()
      if (version !== undefined) await follow(version)
    } catch (error) {
      const status = error instanceof ApiRefused ? error.status : undefined
      if (status === 404 && what.mayBeAbsent === true) {
        version = undefined
        kept.replace(new Map())
        note(undefined)
        await pause(timing.absentMs)
      } else if (status === 410) version = undefined
      else throw error
    }
  }
  const pause = async (ms: number): Promise<void> => {
    // Only `close` ends a pause early, and then nothing is waited for.
    await sleep(ms, undefined, { signal: end.signal }).catch(() => undefined)
  }
  const run = async (): Promise<void> => {
    for (let failures = 0; !end.signal.aborted;) {
      const began = performance.now()
      const error = await step().then(() => undefined, explain)
      if (error !== undefined) note(error)
      // A watch that is ended at once again and again is as good as none, and must not become a busy loop.
      const isSteady = performance.now() - began >= STEADY_MS
      if (isSteady) failures = error === undefined ? 0 : 1
      else failures++
      if (error !== undefined && failures > 1) version = undefined
      if (failures > 0) await pause(delayAfter(failures, timing, Math.random()))
    }
  }
  void run()
  const { current, onChange, isSynced } = kept
  return {
    current,
    onChange,
    isSynced,
    failure: () => failure,
    close: () => {
      kept.close()
      end.abort()
    },
  }
}

/** Milliseconds of a watch that count as success. */
const STEADY_MS = 1000

/** Errors of sockets have a code, and some of them no message. */
function explain(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause)
  if (cause.message === 'aborted') return 'the connection broke'
  return cause.message === '' && 'code' in cause ? String(cause.code) : cause.message
}
