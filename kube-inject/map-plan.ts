import type { Json } from '../core/json.ts'
import type { YamlMap, YamlNode, YamlPair } from '../core/yaml/tree.ts'
import { membersOf } from '../core/yaml/value.ts'
import { applyChange, SAME, type Change, type Removed } from './change.ts'
import { jsonOf } from './edit.ts'

/** What happens to the pairs of a map as they are written. */
export type MapPlan = {
  readonly kept: readonly (readonly [YamlPair, Change])[]
  readonly removed: readonly YamlPair[]
  readonly added: readonly (readonly [string, Json])[]
}

/**
 * Plans the change of a map. Merge keys stay as long as nothing that they bring is changed and no
 * alias in them has to go; otherwise what they bring is written out in their place.
 */
export function planMap(map: YamlMap, change: Change, expanded: ReadonlySet<YamlNode>): MapPlan {
  const changes = change.kind === 'members' ? change.members : new Map<string, Change | Removed>()
  const members = membersOf(map)
  const own = new Map(map.pairs.flatMap((pair) => (pair.isMerge ? [] : [[pair.key, pair]])))
  const isMerged = (key: string): boolean =>
    members.has(key) && members.get(key) !== own.get(key)?.value
  const unmerge =
    [...changes.keys()].some(isMerged) ||
    map.pairs.some((pair) => pair.isMerge && bringsAny(pair.value, expanded))

  const kept: (readonly [YamlPair, Change])[] = []
  const removed: YamlPair[] = []
  for (const pair of map.pairs) {
    const member = changes.get(pair.key) ?? SAME
    if (pair.isMerge) {
      if (unmerge) removed.push(pair)
      else kept.push([pair, SAME])
    } else if (member.kind === 'removed') removed.push(pair)
    else
      kept.push([pair, unmerge && isMerged(pair.key) ? merged(members, pair.key, member) : member])
  }
  const added: (readonly [string, Json])[] = []
  if (unmerge) {
    for (const [key, node] of members) {
      const member = changes.get(key) ?? SAME
      if (own.has(key) || member.kind === 'removed') continue
      added.push([key, applyChange(jsonOf(node), member)])
    }
  }
  for (const [key, member] of changes) {
    if (!members.has(key) && member.kind !== 'removed') added.push([key, applyChange(null, member)])
  }
  return { kept, removed, added }
}

/** An own pair that a merge key behind it overrules takes over what counted. */
function merged(members: ReadonlyMap<string, YamlNode>, key: string, member: Change): Change {
  const node = members.get(key)
  return { kind: 'set', value: applyChange(node === undefined ? null : jsonOf(node), member) }
}

function bringsAny(node: YamlNode, expanded: ReadonlySet<YamlNode>): boolean {
  if (expanded.has(node)) return true
  return node.kind === 'list' && node.items.some((item) => expanded.has(item.value))
}
