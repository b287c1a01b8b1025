/** Rebuilds a pod from the origins of its fields, knowing nothing of how they were found. */
import { isArray, isObject, type Json } from '../../core/json.ts'

/** What of an origin is needed to apply it. */
export type Applied = {
  readonly change: 'added' | 'changed' | 'moved' | 'removed'
  readonly path: string
  readonly was?: string
  readonly value?: Json
}

/** The value that origins make of a value: removed, then moved all at once, then set in their order. */
export function replay(before: Json, origins: readonly Applied[]): Json {
  const removed = origins.filter(({ change }) => change === 'removed').map(({ path }) => path)
  const moves = origins
    .filter(({ change }) => change === 'moved')
    .map(({ path, was = '' }) => [was, path] as const)
    .sort(([a], [b]) => b.length - a.length)
  const nodes = new Map<string, Json>()
  for (const [path, value] of nodesOf(before)) {
    if (removed.some((gone) => isWithin(path, gone))) continue
    const move = moves.find(([was]) => isWithin(path, was))
    nodes.set(move === undefined ? path : move[1] + path.slice(move[0].length), value)
  }
  for (const { change, path, value = null } of origins) {
    if (change === 'removed' || change === 'moved') continue
    if (change === 'changed') {
      for (const at of [...nodes.keys()]) if (isWithin(at, path)) nodes.delete(at)
    }
    nodes.set(path, value)
  }
  return assembled(nodes)
}

/** Every node by its JSON Pointer; maps and lists without what is in them. */
export function nodesOf(value: Json, path = ''): readonly (readonly [string, Json])[] {
  if (isArray(value)) {
    return [[path, []], ...value.flatMap((item, at) => nodesOf(item, `${path}/${at}`))]
  }
  if (!isObject(value)) return [[path, value]]
  const members = Object.entries(value).flatMap(([name, member]) =>
    member === undefined
      ? []
      : nodesOf(member, `${path}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`),
  )
  return [[path, {}], ...members]
}

function isWithin(path: string, place: string): boolean {
  return path === place || path.startsWith(`${place}/`)
}

function assembled(nodes: ReadonlyMap<string, Json>): Json {
  const built = new Map<string, unknown>()
  const depth = (path: string): number => path.split('/').length
  for (const [path, value] of [...nodes].sort(([a], [b]) => depth(a) - depth(b))) {
    const own: unknown = isArray(value) ? [] : isObject(value) ? {} : value
    built.set(path, own)
    if (path === '') continue
    const above = built.get(path.slice(0, path.lastIndexOf('/')))
    const step = path
      .slice(path.lastIndexOf('/') + 1)
      .replaceAll('~1', '/')
      .replaceAll('~0', '~')
    if (Array.isArray(above)) above[Number(step)] = own
    else if (isObject(above)) Object.defineProperty(above, step, { value: own, enumerable: true })
    else throw new Error(`${path}: nothing to put it in`)
  }
  const root = built.get('') as Json
  const holes = [...built.values()].filter((value) => Array.isArray(value) && !isDense(value))
  if (holes.length > 0) throw new Error(`a list with holes: ${JSON.stringify(holes[0])}`)
  return root
}

function isDense(list: readonly unknown[]): boolean {
  return Object.keys(list).length === list.length
}
