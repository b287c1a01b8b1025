/** Two changes of one value made into one: what its author changed in it, and what another configuration changes. */
import { isArray, isObject, isSame, type Json, type JsonObject } from '../core/json.ts'
import { itemName } from './change.ts'

/** One value in its versions; one that is absent is undefined. */
export type Versions = {
  /** As the configuration wrote it that it was injected with. */
  readonly base: Json | undefined
  /** As it stands in the file. */
  readonly mine: Json | undefined
  /** As the configuration of today writes it. */
  readonly next: Json | undefined
  /** As the old configuration writes it for other pods. */
  readonly elsewhere: readonly (Json | undefined)[]
}

/** A place in an injected part where the author's text and the configuration differ. */
export type Difference = {
  /** As in `istio-proxy: resources.limits.cpu`. */
  readonly path: string
  /** What stands, or stood, in the file; absent where it was taken out. */
  readonly yours?: Json
  /** What the configuration of today says; absent where it says nothing. */
  readonly configured?: Json
}

/** What a merge has to tell. */
export type Findings = { readonly kept: Difference[]; readonly replaced: Difference[] }

/**
 * The value of today with what its author changed by hand. Where both changed it, the author's counts.
 * Where the value is made of the rest of the pod (other pods get another one), the file may just be older
 * than the pod: today's counts, and what stood there is told.
 */
export function mergeThree(versions: Versions, path: string, found: Findings): Json | undefined {
  const { base, mine, next, elsewhere } = versions
  if (isSame(mine, base) || isSame(mine, next)) return next
  if (isObject(mine) && isObject(next) && (base === undefined || isObject(base))) {
    return mergeMaps(mine, next, versions, path, found)
  }
  if (isNamedList(mine) && isNamedList(next) && (base === undefined || isNamedList(base))) {
    return mergeLists(mine, next, versions, path, found)
  }
  const difference = {
    path,
    ...(mine === undefined ? {} : { yours: mine }),
    ...(next === undefined ? {} : { configured: next }),
  }
  if (elsewhere.some((other) => !isSame(other, base))) {
    found.replaced.push(difference)
    return next
  }
  found.kept.push(difference)
  return withAdditions(versions) ?? mine
}

function mergeMaps(
  mine: JsonObject,
  next: JsonObject,
  { base, elsewhere }: Versions,
  path: string,
  found: Findings,
): JsonObject {
  const merged: Record<string, Json> = {}
  for (const key of new Set([...Object.keys(next), ...Object.keys(mine)])) {
    const versions = {
      base: memberOf(base, key),
      mine: mine[key],
      next: next[key],
      elsewhere: elsewhere.map((other) => memberOf(other, key)),
    }
    const glue = path.endsWith(': ') ? '' : '.'
    const member = mergeThree(versions, path + glue + key, found)
    if (member !== undefined) merged[key] = member
  }
  return merged
}

/** Items are the same ones where their key is; the author's own ones stay behind their neighbours. */
function mergeLists(
  mine: readonly Json[],
  next: readonly Json[],
  { base, elsewhere }: Versions,
  path: string,
  found: Findings,
): readonly Json[] {
  const merge = (name: string): readonly Json[] => {
    const versions = {
      base: itemOf(base, name),
      mine: itemOf(mine, name),
      next: itemOf(next, name),
      elsewhere: elsewhere.map((other) => itemOf(other, name)),
    }
    const item = mergeThree(versions, `${path}[${name}]`, found)
    return item === undefined ? [] : [item]
  }
  const merged = next.flatMap((item) => merge(nameOf(item)))
  let behind = 0
  for (const name of mine.map(nameOf)) {
    const place = merged.findIndex((item) => nameOf(item) === name)
    if (place >= 0) behind = place + 1
    else if (itemOf(next, name) === undefined) {
      const own = merge(name)
      merged.splice(behind, 0, ...own)
      behind += own.length
    }
  }
  return merged
}

/** A list of which every item has a name of its own. */
function isNamedList(value: Json | undefined): value is readonly Json[] {
  if (!isArray(value)) return false
  const names = value.map(itemName)
  return !names.includes(undefined) && new Set(names).size === names.length
}

function nameOf(item: Json): string {
  return itemName(item) ?? ''
}

function itemOf(list: Json | undefined, name: string): Json | undefined {
  return isArray(list) ? list.find((item) => nameOf(item) === name) : undefined
}

function memberOf(map: Json | undefined, key: string): Json | undefined {
  return isObject(map) ? map[key] : undefined
}

/** A list of texts to which its author only added: the list of today with the same behind it. */
function withAdditions({ base, mine, next }: Versions): Json | undefined {
  if (!isArray(base) || !isArray(mine) || !isArray(next)) return undefined
  let known = 0
  const added: Json[] = []
  for (const item of mine) {
    if (known < base.length && isSame(item, base[known])) known++
    else added.push(item)
  }
  return known === base.length ? [...next, ...added] : undefined
}
