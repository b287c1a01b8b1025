import type { Problem, Read } from '../core/problem.ts'

/** Who is told about each reading, the first one included: taken, or refused for these problems. */
export type Report<T> = {
  readonly taken: (value: T) => void
  /** `isServing` is false where there is no last good one yet that could go on serving. */
  readonly refused: (problems: readonly Problem[], isServing?: boolean) => void
}

/** The newest good value of what is read again and again. A bad one changes nothing but `problems`. */
export type LastGood<T, Before> = {
  readonly current: () => T | Before
  /** What the newest was refused for; empty while `current()` is the newest. */
  readonly problems: () => readonly Problem[]
  /** Calls `listener` with every later value. */
  readonly onChange: (listener: (value: T) => void) => void
  /** Takes what was read, if it is good, and tells. */
  readonly offer: (read: Read<T>) => void
}

/** Begins with `before`, of which nobody is told: undefined for nothing. */
export function keepLastGood<T, Before>(report: Report<T>, before: Before): LastGood<T, Before> {
  const listeners: ((value: T) => void)[] = []
  let current: T | Before = before
  let problems: readonly Problem[] = []
  return {
    current: () => current,
    problems: () => problems,
    onChange: (listener) => void listeners.push(listener),
    offer: (read) => {
      problems = read.ok ? [] : read.problems
      if (!read.ok) {
        report.refused(problems, current !== undefined)
        return
      }
      current = read.value
      report.taken(read.value)
      for (const listener of listeners) listener(read.value)
    },
  }
}

/**
 * What `read` says. That it throws is a bug of ours, and is treated like a refused text, because the
 * last good value still serves; `path` names the texts.
 */
export function readGuarded<T>(path: string, read: () => Read<T>): Read<T> {
  try {
    return read()
  } catch (error) {
    const got = error instanceof Error ? error.message : String(error)
    return { ok: false, problems: [{ path, got, want: 'texts that can be read' }] }
  }
}
