import type { Happening, Occurrence } from './object.ts'

/** How much is remembered, and how long. Times are milliseconds. */
export type BookLimits = {
  /** Happenings that are told apart at a time. */
  readonly entries: number
  /** Time between two calls for one Event: what comes in it is told at its end, as one. */
  readonly restMs: number
  /** A repetition after so long without one begins a new Event, as client-go has it. */
  readonly seriesMs: number
  /** Calls that may fail one after the other until an entry is given up. */
  readonly tries: number
}

/** One kind of thing that happened, and how much of it the API server knows. */
export type Entry = {
  readonly happening: Happening
  /** Name of the Event that was created; undefined before. */
  readonly name: string | undefined
  readonly occurrence: Occurrence
}

/** What to do next: tell of an entry, or wait so many milliseconds, for ever when it is Infinity. */
export type Next =
  | { readonly do: 'tell'; readonly key: string; readonly entry: Entry }
  | { readonly do: 'wait'; readonly ms: number }

/**
 * Happenings, the same ones counted together, waiting for the API server. All times but the dates
 * are of a clock that never goes back.
 */
export type Book = {
  /** False when the book is full of what is not told yet. */
  readonly record: (happening: Happening, now: number, at: Date) => boolean
  readonly next: (now: number) => Next
  /** The Event called `name` tells of `count` occurrences. */
  readonly told: (key: string, name: string, count: number, now: number) => void
  /** A call failed; `gone` when the Event is no longer there. True when the entry is given up. */
  readonly failed: (key: string, now: number, why: 'gone' | 'refused' | 'unanswered') => boolean
}

type Line = {
  readonly happening: Happening
  count: number
  firstAt: Date
  lastAt: Date
  lastSeen: number
  /** What the API server knows of. */
  told: number
  name: string | undefined
  notBefore: number
  failures: number
}

/** An empty book. */
export function makeBook(limits: BookLimits): Book {
  // In the order in which they were last recorded, the oldest first.
  const lines = new Map<string, Line>()
  return {
    record: (happening, now, at) => {
      const key = keyOf(happening)
      const known = lines.get(key)
      const isOver = known !== undefined && now - known.lastSeen > limits.seriesMs
      const line = known === undefined || isOver ? newLine(happening, now, at) : known
      if (known === undefined && !makeRoom(lines, limits.entries)) return false
      line.count += 1
      line.lastAt = at
      line.lastSeen = now
      lines.delete(key)
      lines.set(key, line)
      return true
    },
    next: (now) => {
      let ms = Infinity
      for (const [key, line] of lines) {
        if (line.told === line.count) continue
        if (line.notBefore <= now) return { do: 'tell', key, entry: entryOf(line) }
        ms = Math.min(ms, line.notBefore - now)
      }
      return { do: 'wait', ms }
    },
    told: (key, name, count, now) => {
      const line = lines.get(key)
      if (line === undefined) return
      Object.assign(line, { name, told: count, notBefore: now + limits.restMs, failures: 0 })
    },
    failed: (key, now, why) => {
      const line = lines.get(key)
      if (line === undefined) return true
      line.failures += 1
      if (why === 'refused' || line.failures >= limits.tries) return lines.delete(key)
      if (why === 'gone') line.name = undefined
      else line.notBefore = now + limits.restMs
      return false
    },
  }
}

function newLine(happening: Happening, now: number, at: Date): Line {
  const seen = { firstAt: at, lastAt: at, lastSeen: now }
  return { happening, ...seen, count: 0, told: 0, name: undefined, notBefore: now, failures: 0 }
}

/** What was told may be forgotten: at worst its repetition begins an Event of its own. */
function makeRoom(lines: Map<string, Line>, most: number): boolean {
  if (lines.size < most) return true
  for (const [key, line] of lines) {
    if (line.told !== line.count) continue
    lines.delete(key)
    return true
  }
  return false
}

function entryOf({ happening, name, count, firstAt, lastAt }: Line): Entry {
  return { happening, name, occurrence: { count, firstAt, lastAt } }
}

/** Events of the API cannot change their note, so another note is another Event. */
function keyOf({ regarding, type, reason, note }: Happening): string {
  const { apiVersion, kind, namespace = '', name, uid = '' } = regarding
  return JSON.stringify([apiVersion, kind, namespace, name, uid, type, reason, note])
}
