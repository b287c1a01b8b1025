import type { YamlNode } from '../core/yaml/tree.ts'
import { membersOf } from '../core/yaml/value.ts'
import { longestRun } from './moves.ts'
import { SAME, type Change } from './change.ts'

/**
 * The aliases that must give way to what they stand for, so that a change behind their anchor, or
 * the end of that anchor, does not reach them.
 */
export function aliasesToExpand(root: YamlNode, change: Change): ReadonlySet<YamlNode> {
  const found: Found = { touched: new Set(), expanded: new Set() }
  trace(root, change, found)
  if (found.touched.size > 0) {
    walk(root, (node) => {
      if (node.kind === 'alias' && found.touched.has(node.target)) found.expanded.add(node)
    })
  }
  return found.expanded
}

/** Every alias of a document. */
export function allAliases(root: YamlNode): ReadonlySet<YamlNode> {
  const aliases = new Set<YamlNode>()
  walk(root, (node) => {
    if (node.kind === 'alias') aliases.add(node)
  })
  return aliases
}

type Found = {
  /** Nodes with an anchor whose content changes, goes away or moves. */
  readonly touched: Set<YamlNode>
  readonly expanded: Set<YamlNode>
}

/** Goes down the path of the change and notes the anchors on it. */
function trace(node: YamlNode, change: Change, found: Found): void {
  if (change.kind === 'same' || node.kind === 'alias') return
  touch(node, found)
  if (change.kind === 'members' && node.kind === 'map') {
    const members = membersOf(node)
    for (const pair of node.pairs) {
      const member = change.members.get(pair.key) ?? SAME
      if (pair.isMerge || members.get(pair.key) !== pair.value) continue
      if (member.kind === 'removed') touchAll(pair.value, found)
      else trace(pair.value, member, found)
    }
  } else if (change.kind === 'items' && node.kind === 'list') {
    const staying = longestRun(change.items)
    for (const [index, item] of node.items.entries()) {
      const kept = change.items.find((one) => one.kind === 'kept' && one.from === index)
      if (kept?.kind === 'kept' && staying.has(index)) trace(item.value, kept.change, found)
      else touchAll(item.value, found)
    }
  } else touchAll(node, found)
}

function touch(node: YamlNode, found: Found): void {
  if (node.anchor !== undefined) found.touched.add(node)
}

/** Text that goes away or moves: its anchors are lost, and its aliases may lose theirs. */
function touchAll(node: YamlNode, found: Found): void {
  walk(node, (one) => {
    touch(one, found)
    if (one.kind === 'alias') found.expanded.add(one)
  })
}

/** Calls for a node and everything written below it. */
function walk(node: YamlNode, visit: (node: YamlNode) => void): void {
  visit(node)
  if (node.kind === 'map') for (const { value } of node.pairs) walk(value, visit)
  if (node.kind === 'list') for (const { value } of node.items) walk(value, visit)
}
