import { isArray, isObject, type Json } from '../core/json.ts'
import { flowKey, inlineText, isFullList, isFullMap } from '../core/yaml/print.ts'
import type { YamlList, YamlMap, YamlNode } from '../core/yaml/tree.ts'
import { SAME, type Change, type ItemChange } from './change.ts'
import { editNode, type Editing } from './edit.ts'
import { planMap } from './map-plan.ts'
import { applySplices, commentEnd, isFirstOnLine, lineStart, type Page } from './page.ts'

/** A part of a collection in braces or brackets: one that stays, with its change, or a new one. */
type Part =
  | { readonly old: Written; readonly node: YamlNode; readonly change: Change }
  | { readonly text: string }

type Written = { readonly start: number; readonly end: number }

/** Changes a collection in braces or brackets; says whether it could. */
export function editFlow(editing: Editing, node: YamlMap | YamlList, change: Change): boolean {
  const { page, splices } = editing
  const open = page.text.indexOf(node.kind === 'map' ? '{' : '[', node.start)
  // A single pair as in `[a: b]` has no braces of its own.
  if (open < 0 || open >= node.end) return false
  const style = styleOf(page, node)
  const olds = writtenParts(node)
  const parts =
    node.kind === 'map'
      ? mapParts(editing, node, change, style)
      : listParts(page, node, change, style)
  const stay = parts.filter((part) => 'old' in part)
  const isAppended =
    stay.length === olds.length &&
    olds.every((old, index) => stay[index]?.old.start === old.start) &&
    parts.slice(0, stay.length).every((part) => 'old' in part)
  const last = olds.at(-1)
  if (isAppended && last !== undefined) {
    for (const part of stay) editNode(editing, part.node, part.change, { in: 'flow' })
    const texts = parts.flatMap((part) => ('text' in part ? [part.text] : []))
    if (texts.length > 0) append(editing, last.end, texts, style)
    return true
  }
  const isCut =
    stay.length === parts.length &&
    stay.every((part, index) => part.old.start === olds[index]?.start)
  const lastStaying = stay.at(-1)
  if (isCut && lastStaying !== undefined && last !== undefined) {
    for (const part of stay) editNode(editing, part.node, part.change, { in: 'flow' })
    cut(editing, lastStaying.old.end, last.end, style)
    return true
  }
  const texts = parts.map((part) => ('text' in part ? part.text : keptText(editing, part)))
  const [pad, close] = style.isTall ? [style.gap, style.closing] : [style.pad, style.pad]
  const text = pad + texts.join(`,${style.gap}`) + close
  splices.push({ start: open + 1, end: node.end - 1, text })
  return true
}

/** Puts parts behind the last one: behind its comma and its comment, where it has them. */
function append(
  { page, splices }: Editing,
  end: number,
  texts: readonly string[],
  style: Style,
): void {
  const joined = texts.join(`,${style.gap}`)
  const comma = /^[ \t]*,/.exec(page.text.slice(end))?.[0].length
  const at = style.isTall ? commentEnd(page.text, end + (comma ?? 0)) : end + (comma ?? 0)
  if (comma !== undefined) splices.push({ start: at, end: at, text: `${style.gap}${joined},` })
  else if (at === end) splices.push({ start: end, end, text: `,${style.gap}${joined}` })
  else {
    splices.push({ start: end, end, text: ',' }, { start: at, end: at, text: style.gap + joined })
  }
}

/** Takes away the last parts, the way back from `append`: the comma and the comment before them stay. */
function cut({ page, splices }: Editing, end: number, lastEnd: number, style: Style): void {
  const commaAfter = /^[ \t]*,/.exec(page.text.slice(lastEnd))?.[0].length
  const commaBefore = /^[ \t]*,/.exec(page.text.slice(end))?.[0].length ?? 0
  const from = style.isTall ? commentEnd(page.text, end + commaBefore) : end + commaBefore
  if (commaAfter !== undefined) splices.push({ start: from, end: lastEnd + commaAfter, text: '' })
  else
    splices.push(
      { start: end, end: end + commaBefore, text: '' },
      { start: from, end: lastEnd, text: '' },
    )
}

function keptText({ page, expanded }: Editing, part: Extract<Part, { old: Written }>): string {
  const inner: Editing = { page, expanded, splices: [] }
  editNode(inner, part.node, part.change, { in: 'flow' })
  return applySplices(page.text, inner.splices, part.old.start, part.old.end)
}

function writtenParts(node: YamlMap | YamlList): readonly Written[] {
  if (node.kind === 'list') return node.items.map(({ start, value }) => ({ start, end: value.end }))
  return node.pairs.map(({ start, colonEnd, value }) => {
    return { start, end: Math.max(value.end, colonEnd ?? value.end) }
  })
}

function mapParts(editing: Editing, map: YamlMap, change: Change, style: Style): readonly Part[] {
  const { kept, added } = planMap(map, change, editing.expanded)
  const written = writtenParts(map)
  return [
    ...kept.map(([pair, member]): Part => {
      const old = written[map.pairs.indexOf(pair)] ?? pair.value
      // A key that stands alone, or before nothing, has no text to replace.
      if (member.kind === 'same' || pair.value.end > pair.value.start) {
        return { old, node: pair.value, change: member }
      }
      return { text: pairText(editing.page, pair.key, valueAfter(member), style) }
    }),
    ...added.map(([key, value]) => ({ text: pairText(editing.page, key, value, style) })),
  ]
}

function valueAfter(change: Change): Json {
  return change.kind === 'set' ? change.value : null
}

function pairText(page: Page, key: string, value: Json, style: Style): string {
  return flowKey(key, page.isJson) + (page.isDense ? '' : ' ') + style.print(value)
}

function listParts(page: Page, list: YamlList, change: Change, style: Style): readonly Part[] {
  const written = writtenParts(list)
  const items: readonly ItemChange[] =
    change.kind === 'items'
      ? change.items
      : list.items.map((_, from) => ({ kind: 'kept', from, change: SAME }))
  return items.map((item): Part => {
    if (item.kind === 'new') return { text: style.print(item.value) }
    const old = written[item.from]
    const node = list.items[item.from]?.value
    if (old === undefined || node === undefined) throw new Error(`no item ${item.from} in a list`)
    return { old, node, change: item.change }
  })
}

/** How a collection is spread: on one line, or with each part on a line of its own (tall). */
type Style = {
  readonly isTall: boolean
  /** Between a comma and the next part. */
  readonly gap: string
  /** Before the closing brace of a tall one. */
  readonly closing: string
  /** Inside the braces of one on one line. */
  readonly pad: string
  readonly print: (value: Json) => string
}

function styleOf(page: Page, node: YamlMap | YamlList): Style {
  const { text, eol } = page
  const outer = indentOf(text, node.start)
  const first = writtenParts(node)[0]
  const inner =
    first === undefined
      ? unitBelow(page, outer)
      : isFirstOnLine(text, first.start) && text.slice(node.start, first.start).includes('\n')
        ? indentOf(text, first.start)
        : undefined
  if (inner === undefined) {
    const pad = /^[{[] /.test(text.slice(node.start)) ? ' ' : ''
    const print = (value: Json): string => onOneLine(page, value)
    return { isTall: false, gap: page.isDense ? '' : ' ', closing: '', pad, print }
  }
  const unit = inner.startsWith(outer) && inner !== outer ? inner.slice(outer.length) : '  '
  const print = (value: Json): string => tallText(page, value, inner, unit)
  return { isTall: true, gap: eol + inner, closing: eol + outer, pad: '', print }
}

/** The text of a value that replaces one in braces or brackets. */
export function flowText(page: Page, offset: number, value: Json): string {
  const unit = unitOf(page)
  if (unit === undefined) return onOneLine(page, value)
  return tallText(page, value, indentOf(page.text, offset), unit)
}

function unitBelow(page: Page, outer: string): string | undefined {
  const unit = unitOf(page)
  return unit === undefined ? undefined : outer + unit
}

/** The indentation of a JSON document that is spread over lines. */
function unitOf({ text, isJson }: Page): string | undefined {
  return isJson ? /[{[][ \t]*\r?\n([ \t]+)/.exec(text)?.[1] : undefined
}

function onOneLine(page: Page, value: Json): string {
  return page.isDense ? JSON.stringify(value) : inlineText(value, page.isJson)
}

function indentOf(text: string, offset: number): string {
  return /^[ \t]*/.exec(text.slice(lineStart(text, offset)))?.[0] ?? ''
}

function tallText(page: Page, value: Json, outer: string, unit: string): string {
  if (!isFullMap(value) && !isFullList(value)) return inlineText(value, page.isJson)
  const inner = outer + unit
  const print = (item: Json): string => tallText(page, item, inner, unit)
  const parts = isArray(value)
    ? value.map(print)
    : Object.entries(isObject(value) ? value : {}).flatMap(([key, member]) =>
        member === undefined ? [] : [`${flowKey(key, page.isJson)} ${print(member)}`],
      )
  const [open, close] = isArray(value) ? (['[', ']'] as const) : (['{', '}'] as const)
  return open + page.eol + inner + parts.join(`,${page.eol}${inner}`) + page.eol + outer + close
}
