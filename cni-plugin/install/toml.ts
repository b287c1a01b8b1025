/** Runtimes' configuration files: the texts in them, by the keys that lead there. */
import { parse, TomlError } from 'smol-toml'
import { isArray, isObject } from '../../core/json.ts'

/** A configuration file. */
export type Toml = {
  /** The texts at a path: one, or those of a list; none where nothing or something else stands there. */
  readonly texts: (...keys: readonly string[]) => readonly string[]
}

/** Reads a file; undefined where it is no TOML. */
export function readToml(source: string): Toml | undefined {
  const root = parsed(source)
  if (root === undefined) return undefined
  return {
    texts: (...keys) => {
      let found: unknown = root
      for (const key of keys) {
        found = isObject(found) && Object.hasOwn(found, key) ? found[key] : undefined
      }
      const items = isArray(found) ? found : [found]
      return items.filter((item) => typeof item === 'string')
    },
  }
}

function parsed(source: string): unknown {
  try {
    // Whole numbers may be larger than a number of JavaScript, and none of them is asked for.
    return parse(source, { integersAsBigInt: 'asNeeded' })
  } catch (error) {
    if (error instanceof TomlError) return undefined
    throw error
  }
}
