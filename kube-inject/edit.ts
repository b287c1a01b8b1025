import type { Json } from '../core/json.ts'
import { isSame } from '../core/json.ts'
import {
  indent,
  inlineText,
  pairLines,
  underDash,
  underKey,
  type Hanging,
} from '../core/yaml/print.ts'
import type { YamlItem, YamlNode, YamlPair } from '../core/yaml/tree.ts'
import { valueOf } from '../core/yaml/value.ts'
import { applyChange, type Change } from './change.ts'
import { editBlockList, editBlockMap } from './edit-block.ts'
import { editFlow, flowText } from './edit-flow.ts'
import {
  applySplices,
  columnOf,
  commentEnd,
  contentEnd,
  readPage,
  type Page,
  type Splice,
} from './page.ts'

/** An edit under way: the page, what is to be replaced in it, and the aliases to write out. */
export type Editing = {
  readonly page: Page
  readonly splices: Splice[]
  readonly expanded: ReadonlySet<YamlNode>
}

/** Where a node stands: what its text hangs from. */
export type Slot =
  | { readonly in: 'root' }
  | { readonly in: 'flow' }
  | { readonly in: 'pair'; readonly of: YamlPair }
  | { readonly in: 'item'; readonly of: YamlItem }

/**
 * The text of a document after a change; what the change does not name stays byte for byte. A last
 * line without its line break gets one, which the caller takes back where the value allows. The
 * aliases of `expanded` give way to what they stand for.
 */
export function editText(
  text: string,
  root: YamlNode,
  change: Change,
  expanded: ReadonlySet<YamlNode>,
): string {
  const page = readPage(text, root)
  const editing = { page, splices: [], expanded }
  editNode(editing, root, change, { in: 'root' })
  return applySplices(page.text, [...editing.splices, ...endedScalar(editing, root, text.length)])
}

/** Makes a change at one node. */
export function editNode(editing: Editing, node: YamlNode, change: Change, slot: Slot): void {
  const { expanded } = editing
  if (change.kind === 'same' && expanded.size === 0) return
  if (node.kind === 'alias') {
    if (change.kind !== 'same' || expanded.has(node)) {
      replaceNode(editing, node, applyChange(jsonOf(node), change), slot)
    }
    return
  }
  if (node.kind === 'scalar' && change.kind === 'same') return
  const isWhole =
    change.kind === 'set' ||
    isEmptied(node, change) ||
    // An empty `{}` within block style gives way to block style.
    (isEmptyNode(node) && change.kind !== 'same' && (slot.in === 'pair' || slot.in === 'item'))
  if (isWhole || !editCollection(editing, node, change)) {
    replaceNode(editing, node, applyChange(jsonOf(node), change), slot)
  }
}

function isEmptyNode(node: YamlNode): boolean {
  return (
    (node.kind === 'map' && node.pairs.length === 0) ||
    (node.kind === 'list' && node.items.length === 0)
  )
}

/** Whether a collection loses all that it has. */
function isEmptied(node: YamlNode, change: Change): boolean {
  if (change.kind === 'items') return change.items.length === 0
  if (change.kind !== 'members') return false
  const changes = [...change.members.values()]
  if (changes.some(({ kind }) => kind !== 'removed') || isEmptyNode(node)) return false
  return isSame(applyChange(jsonOf(node), change), {})
}

/** Makes a change within a collection; says whether it could. */
function editCollection(editing: Editing, node: YamlNode, change: Change): boolean {
  if (node.kind !== 'map' && node.kind !== 'list') return false
  if (node.flow) return editFlow(editing, node, change)
  if (node.kind === 'list') return editBlockList(editing, node, change)
  editBlockMap(editing, node, change)
  return true
}

/** What a node stands for. */
export function jsonOf(node: YamlNode): Json {
  const value = valueOf(node)
  return value.ok ? value.value : null
}

function replaceNode(editing: Editing, node: YamlNode, value: Json, slot: Slot): void {
  const { page, splices } = editing
  switch (slot.in) {
    case 'flow':
      splices.push({ start: node.start, end: node.end, text: flowText(page, node.start, value) })
      return
    case 'root':
      splices.push({
        start: node.start,
        end: contentEnd(page.text, node),
        text: page.isJson ? flowText(page, node.start, value) : inlineText(value),
      })
      return
    case 'pair': {
      const { key, start, colonEnd } = slot.of
      const column = columnOf(page.text, start)
      if (colonEnd !== undefined) {
        hang(page, splices, node, colonEnd, column, underKey(value, page.layout))
        return
      }
      // A key without a colon (`? key`) is written anew.
      const lines = indent(column, pairLines(key, value, page.layout))
      splices.push({ start, end: node.end, text: lines.join(page.eol).slice(column) })
      return
    }
    case 'item': {
      const { start } = slot.of
      const hanging = underDash(value, page.layout)
      hang(page, splices, node, start + 1, columnOf(page.text, start), hanging)
    }
  }
}

/** Replaces what hangs from a colon or a dash that ends at `head`; its line's comment stays there. */
function hang(
  page: Page,
  splices: Splice[],
  node: YamlNode,
  head: number,
  column: number,
  { beside, below }: Hanging,
): void {
  const { text, eol } = page
  const end = Math.max(contentEnd(text, node), head)
  const isOneLine = !text.slice(head, end).includes('\n')
  if (isOneLine && below.length === 0) {
    if (node.start > head) splices.push({ start: node.start, end, text: beside.trimStart() })
    else splices.push({ start: head, end, text: beside })
    return
  }
  const comment = /^[ \t]+#[^\r\n]*/.exec(text.slice(isOneLine ? end : head))?.[0] ?? ''
  const lines = below.map((line) => (line === '' ? '' : ' '.repeat(column) + line))
  // A comment behind the last line of several went with what it spoke of.
  const stop = commentEnd(text, end)
  const close = end > head && text[end - 1] === '\n' ? eol : ''
  splices.push({
    start: head,
    end: stop,
    text: [beside + comment, ...lines].join(eol) + close,
  })
}

/**
 * A literal or folded scalar that ends the text without a line break has none in its value either;
 * when something is put behind it, its header has to say so.
 */
function endedScalar(
  { page, splices }: Editing,
  root: YamlNode,
  length: number,
): readonly Splice[] {
  const { text } = page
  if (text.length === length || !splices.some(({ start }) => start >= length)) return []
  const last = lastLeaf(root)
  if (last.kind !== 'scalar' || !last.block || last.end !== length) return []
  if (splices.some(({ start, end }) => start <= last.start && end > last.start)) return []
  const header = /[|>]\d?[-+]?\d?(?=[ \t]*(?:#[^\r\n]*)?\r?\n)/.exec(text.slice(last.start))
  if (header === null) return []
  const start = last.start + header.index
  return [{ start, end: start + header[0].length, text: `${header[0].replace(/[-+]/, '')}-` }]
}

function lastLeaf(node: YamlNode): YamlNode {
  if (node.kind !== 'map' && node.kind !== 'list') return node
  const last = node.kind === 'map' ? node.pairs.at(-1) : node.items.at(-1)
  return last === undefined || node.flow ? node : lastLeaf(last.value)
}
