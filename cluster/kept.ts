/** What is kept of the objects of a collection: an immutable map, replaced at each change. */
import { isSame, type JsonObject } from '../core/json.ts'
import { keyOf } from './events.ts'

/** What was kept, by `namespace/name`, or by the name of what has no namespace. */
export type Kept<T> = ReadonlyMap<string, T>

/** The map as it is now, and the ways to change it. */
export type Keeper<T> = {
  /** Empty before the first `replace`. */
  readonly current: () => Kept<T>
  /** Calls `listener` after the first `replace`, and after each change. */
  readonly onChange: (listener: (objects: Kept<T>) => void) => void
  /** Whether `replace` was called at least once. */
  readonly isSynced: () => boolean
  readonly replace: (next: Kept<T>) => void
  /** Adds an object to a map that is in the making. */
  readonly put: (into: Map<string, T>, object: JsonObject) => void
  readonly changed: (object: JsonObject) => void
  readonly deleted: (object: JsonObject) => void
  /** Tells nobody from now on. */
  readonly close: () => void
}

/** Begins with nothing. `keep` says what of an object matters; undefined leaves it out. */
export function keepObjects<T>(keep: (object: JsonObject) => T | undefined): Keeper<T> {
  const listeners: ((objects: Kept<T>) => void)[] = []
  let objects: Kept<T> = new Map()
  let isSynced = false
  const replace = (next: Kept<T>): void => {
    if (isSynced && isSameMap(objects, next)) return
    isSynced = true
    objects = next
    for (const listener of listeners) listener(objects)
  }
  const lay = (into: Map<string, T>, key: string, kept: T | undefined): void => {
    if (kept === undefined) into.delete(key)
    else into.set(key, kept)
  }
  const edit = (change: (next: Map<string, T>) => void): void => {
    const next = new Map(objects)
    change(next)
    replace(next)
  }
  return {
    current: () => objects,
    onChange: (listener) => void listeners.push(listener),
    isSynced: () => isSynced,
    replace,
    put: (into, object) => {
      lay(into, keyOf(object), keep(object))
    },
    changed: (object) => {
      const [key, kept] = [keyOf(object), keep(object)]
      // Most changes are of what is not kept, such as a Node's status: they must not cost a look at all others.
      if (isSynced && isSame(kept, objects.get(key))) return
      edit((next) => {
        lay(next, key, kept)
      })
    },
    deleted: (object) => {
      edit((next) => next.delete(keyOf(object)))
    },
    close: () => {
      listeners.length = 0
    },
  }
}

function isSameMap<T>(a: Kept<T>, b: Kept<T>): boolean {
  return a.size === b.size && [...a].every(([key, value]) => isSame(value, b.get(key)))
}
