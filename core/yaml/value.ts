import type { Json } from '../json.ts'
import type { YamlMap, YamlNode } from './tree.ts'

/** How many nodes the aliases and merge keys of one document may stand for, all together. */
export const MOST_REPEATED = 100_000

/** The value of a document, or the node whose repeats make it too large. */
export type Value =
  { readonly ok: true; readonly value: Json } | { readonly ok: false; readonly offset: number }

/** What a node stands for. Repeated parts are shared, not copied, so that a bomb costs nothing. */
export function valueOf(root: YamlNode): Value {
  const state: State = { members: new Map(), known: new Map(), repeated: 0 }
  const { value } = measure(state, root)
  return state.tooMany === undefined ? { ok: true, value } : { ok: false, offset: state.tooMany }
}

/** A value and the number of nodes in it, repeats counted each time. */
type Sized = { readonly value: Json; readonly size: number }

/** What the members of a map are, by map. */
export type MembersByMap = Map<YamlMap, ReadonlyMap<string, YamlNode>>

type State = {
  readonly members: MembersByMap
  readonly known: Map<YamlNode, Sized>
  repeated: number
  tooMany?: number
}

function measure(state: State, node: YamlNode): Sized {
  switch (node.kind) {
    case 'scalar':
      return { value: node.value, size: 1 }
    case 'alias':
      return repeat(state, measure(state, node.target), node.start)
    case 'list':
    case 'map': {
      const known = state.known.get(node) ?? measureContent(state, node)
      state.known.set(node, known)
      return known
    }
  }
}

function repeat(state: State, sized: Sized, offset: number): Sized {
  state.repeated += sized.size
  if (state.repeated > MOST_REPEATED) state.tooMany ??= offset
  return sized
}

function measureContent(state: State, node: Extract<YamlNode, { kind: 'list' | 'map' }>): Sized {
  let size = 1
  const add = (sized: Sized): Json => {
    size += sized.size
    return sized.value
  }
  if (node.kind === 'list') {
    return { value: node.items.map((item) => add(measure(state, item.value))), size }
  }
  const own = new Set(node.pairs.map((pair) => pair.value))
  const members = [...membersOf(node, state.members)].map(([key, child]) => {
    const sized = measure(state, child)
    return [key, add(own.has(child) ? sized : repeat(state, sized, node.start))] as const
  })
  return { value: Object.fromEntries(members), size }
}

/**
 * The members of a map with its merge keys resolved. As kubectl's reader has it, what comes later
 * wins: an own key that stands before the `<<` loses. `known` keeps what was worked out before.
 */
export function membersOf(
  map: YamlMap,
  known: MembersByMap = new Map(),
): ReadonlyMap<string, YamlNode> {
  const before = known.get(map)
  if (before !== undefined) return before
  const members = new Map<string, YamlNode>()
  for (const { key, isMerge, value } of map.pairs) {
    if (!isMerge) members.set(key, value)
    else for (const [name, node] of mergedMembers(value, known)) members.set(name, node)
  }
  known.set(map, members)
  return members
}

/** What a merge key brings. Of a list of maps the first one that has a key wins. */
function mergedMembers(source: YamlNode, known: MembersByMap): ReadonlyMap<string, YamlNode> {
  const node = source.kind === 'alias' ? source.target : source
  if (node.kind === 'map') return membersOf(node, known)
  const members = new Map<string, YamlNode>()
  const items = node.kind === 'list' ? node.items : []
  for (const item of items.toReversed()) {
    for (const [name, value] of mergedMembers(item.value, known)) members.set(name, value)
  }
  return members
}
