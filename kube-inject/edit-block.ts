import type { Json } from '../core/json.ts'
import { indent, itemLines, pairLines } from '../core/yaml/print.ts'
import type { YamlItem, YamlList, YamlMap, YamlPair } from '../core/yaml/tree.ts'
import { SAME, type Change, type ItemChange } from './change.ts'
import { editNode, type Editing } from './edit.ts'
import { planMap } from './map-plan.ts'
import { longestRun } from './moves.ts'
import {
  applySplices,
  columnOf,
  commentEnd,
  contentEnd,
  isFirstOnLine,
  leadStart,
  lineEnd,
  lineStart,
  type Page,
} from './page.ts'

/** Keys that go before another one when they are new, because people look for them there. */
const GOES_BEFORE: Readonly<Record<string, string>> = { metadata: 'spec' }

/** Changes a block map in place. */
export function editBlockMap(editing: Editing, map: YamlMap, change: Change): void {
  const { page, splices } = editing
  const { kept, removed, added } = planMap(map, change, editing.expanded)
  const column = columnOf(page.text, map.pairs[0]?.start ?? map.start)
  const lines = ([key, value]: readonly [string, Json]): readonly string[] =>
    indent(column, pairLines(key, value, page.layout))
  for (const [pair, member] of kept) editNode(editing, pair.value, member, { in: 'pair', of: pair })
  // What is new takes the place of what goes, one for one.
  let gone = 0
  for (const [index, pair] of removed.entries()) {
    const next = added[index]
    const end = pairEnd(page, pair)
    if (pair.start < gone) continue
    if (next !== undefined) {
      const close = page.text[end - 1] === '\n' ? page.eol : ''
      const text = lines(next).join(page.eol).slice(column) + close
      splices.push({ start: pair.start, end: commentEnd(page.text, end), text })
    } else if (isFirstOnLine(page.text, pair.start)) {
      splices.push({ start: lineStart(page.text, pair.start), end: behind(page, end), text: '' })
    } else {
      // Behind a dash: the next pair that stays moves up to it.
      const survivor = kept.find(([one]) => one.start > pair.start)?.[0]
      gone = survivor?.start ?? end
      splices.push({ start: pair.start, end: gone, text: '' })
    }
  }
  for (const entry of added.slice(removed.length)) {
    const follower = map.pairs.find((pair) => pair.key === GOES_BEFORE[entry[0]])
    if (follower !== undefined && isFirstOnLine(page.text, follower.start)) {
      const at = leadStart(page.text, follower.start)
      splices.push({
        start: at,
        end: at,
        text: lines(entry)
          .map((one) => one + page.eol)
          .join(''),
      })
    } else insertBelow(editing, pairEnd(page, map.pairs.at(-1)), lines(entry))
  }
}

/** Changes a block list in place; says whether it could. */
export function editBlockList(editing: Editing, list: YamlList, change: Change): boolean {
  const { page, splices } = editing
  const { text } = page
  const items: readonly ItemChange[] =
    change.kind === 'items'
      ? change.items
      : list.items.map((_, from) => ({ kind: 'kept', from, change: SAME }))
  const staying = longestRun(items)
  const first = list.items[0]
  if (first === undefined) return false
  const leaves = list.items.filter((_, index) => !staying.has(index))
  if (leaves.some(({ start }) => !isFirstOnLine(text, start))) return false

  const column = columnOf(text, first.start)
  const moving = new Set<YamlItem>()
  let last: YamlItem | undefined
  const front: string[] = []
  for (const item of items) {
    const old = item.kind === 'kept' ? list.items[item.from] : undefined
    if (item.kind === 'kept' && old !== undefined && staying.has(item.from)) {
      editNode(editing, old.value, item.change, { in: 'item', of: old })
      last = old
      continue
    }
    if (old !== undefined) moving.add(old)
    const lines =
      item.kind === 'new'
        ? indent(column, itemLines(item.value, page.layout))
        : old === undefined
          ? []
          : movedLines(editing, old, item.change)
    if (last === undefined) front.push(...lines)
    else insertBelow(editing, itemEnd(page, last), lines)
  }
  for (const item of leaves) {
    const start = moving.has(item) ? leadStart(text, item.start) : lineStart(text, item.start)
    splices.push({ start, end: behind(page, itemEnd(page, item)), text: '' })
  }
  if (front.length > 0) insertAbove(editing, first.start, front)
  return true
}

/** The text of an item that moves, with the comment lines right above it. */
function movedLines(editing: Editing, item: YamlItem, change: Change): readonly string[] {
  const { page } = editing
  const inner: Editing = { ...editing, splices: [] }
  editNode(inner, item.value, change, { in: 'item', of: item })
  const from = leadStart(page.text, item.start)
  const text = applySplices(page.text, inner.splices, from, behind(page, itemEnd(page, item)))
  return text.replace(/\r?\n$/, '').split(/\r?\n/)
}

function pairEnd(page: Page, pair: YamlPair | undefined): number {
  if (pair === undefined) return 0
  return Math.max(contentEnd(page.text, pair.value), pair.colonEnd ?? pair.value.end)
}

function itemEnd(page: Page, item: YamlItem): number {
  return Math.max(contentEnd(page.text, item.value), item.start + 1)
}

/** Behind the line that some content ends on; content that ends with its line break is there already. */
function behind({ text }: Page, end: number): number {
  return text[end - 1] === '\n' ? end : lineEnd(text, end)
}

function insertBelow(editing: Editing, end: number, lines: readonly string[]): void {
  const { page, splices } = editing
  const at = behind(page, end)
  const isBroken = page.text[at - 1] === '\n'
  const text = lines.map((line) => (isBroken ? line + page.eol : page.eol + line)).join('')
  splices.push({ start: at, end: at, text })
}

/** Puts lines before a list's first item: above its comments, or beside the dash that it stands behind. */
function insertAbove(editing: Editing, start: number, lines: readonly string[]): void {
  const { page, splices } = editing
  if (isFirstOnLine(page.text, start)) {
    const at = leadStart(page.text, start)
    splices.push({ start: at, end: at, text: lines.map((line) => line + page.eol).join('') })
    return
  }
  const column = columnOf(page.text, start)
  const text = lines.map((line) => line + page.eol).join('') + ' '.repeat(column)
  splices.push({ start, end: start, text: text.slice(column) })
}
