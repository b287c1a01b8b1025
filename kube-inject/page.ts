import type { YamlNode } from '../core/yaml/tree.ts'
import { KUBECTL_LAYOUT, type Layout } from '../core/yaml/print.ts'

/** The text of one document with its habits: what an insertion has to follow. */
export type Page = {
  /** The text, its last line ended. */
  readonly text: string
  readonly eol: string
  readonly layout: Layout
  /** Whether the document is JSON, so that what is inserted must be JSON too. */
  readonly isJson: boolean
  /** Whether it is JSON without a single blank. */
  readonly isDense: boolean
}

/** One replacement: the text between two offsets gives way to another. */
export type Splice = { readonly start: number; readonly end: number; readonly text: string }

/** Reads the habits of a document from its text and tree. */
export function readPage(text: string, root: YamlNode): Page {
  const eol = /\r?\n/.exec(text)?.[0] ?? '\n'
  return {
    text: text.endsWith('\n') ? text : text + eol,
    eol,
    layout: readLayout(text, root),
    ...readJsonHabits(text, root),
  }
}

function readJsonHabits(text: string, root: YamlNode): Pick<Page, 'isJson' | 'isDense'> {
  if (root.kind === 'alias' || root.kind === 'scalar' || !root.flow) return NO_JSON
  const body = text.slice(root.start, root.end)
  try {
    return { isJson: true, isDense: JSON.stringify(JSON.parse(body)) === body }
  } catch {
    return NO_JSON
  }
}

const NO_JSON = { isJson: false, isDense: false }

/** The layout that most of the document follows; kubectl's where it shows nothing. */
function readLayout(text: string, root: YamlNode): Layout {
  const votes: Votes = { step: new Map(), listOffset: new Map(), dashWidth: new Map() }
  const visit = (node: YamlNode, column: number | undefined): void => {
    if (node.kind === 'alias' || node.kind === 'scalar') return
    // Brackets have no layout, and nothing in them has one; their one line may be the whole text.
    if (node.flow) return
    if (node.kind === 'map') {
      for (const [index, pair] of node.pairs.entries()) {
        const own = columnOf(text, pair.start)
        if (index === 0 && column !== undefined) vote(votes.step, own - column)
        visit(pair.value, own)
      }
      return
    }
    for (const [index, item] of node.items.entries()) {
      const own = columnOf(text, item.start)
      if (index === 0 && column !== undefined) vote(votes.listOffset, own - column)
      const isBeside = !text.slice(item.start, item.value.start).includes('\n')
      const hasParts = item.value.kind === 'map' || item.value.kind === 'list'
      if (isBeside && hasParts) vote(votes.dashWidth, columnOf(text, item.value.start) - own)
      visit(item.value, undefined)
    }
  }
  visit(root, undefined)
  return {
    step: winner(votes.step, 1) ?? KUBECTL_LAYOUT.step,
    listOffset: winner(votes.listOffset, 0) ?? KUBECTL_LAYOUT.listOffset,
    dashWidth: winner(votes.dashWidth, 2) ?? KUBECTL_LAYOUT.dashWidth,
  }
}

type Votes = Readonly<Record<keyof Layout, Map<number, number>>>

function vote(votes: Map<number, number>, columns: number): void {
  votes.set(columns, (votes.get(columns) ?? 0) + 1)
}

function winner(votes: ReadonlyMap<number, number>, least: number): number | undefined {
  const ranked = [...votes].filter(([columns]) => columns >= least).sort(([, a], [, b]) => b - a)
  return ranked[0]?.[0]
}

/** Where the line of an offset begins, behind a byte order mark. */
export function lineStart(text: string, offset: number): number {
  const start = offset === 0 ? 0 : text.lastIndexOf('\n', offset - 1) + 1
  return start === 0 && text.startsWith('\uFEFF') && offset > 0 ? 1 : start
}

/** Behind the line break of an offset's line, or the end of the text. */
export function lineEnd(text: string, offset: number): number {
  const end = text.indexOf('\n', offset)
  return end < 0 ? text.length : end + 1
}

/** The column of an offset, from 0. */
export function columnOf(text: string, offset: number): number {
  return offset - lineStart(text, offset)
}

/** Whether only blanks stand before an offset on its line. */
export function isFirstOnLine(text: string, offset: number): boolean {
  return /^[ \t]*$/.test(text.slice(lineStart(text, offset), offset))
}

/** Where the comment lines begin that stand right above an offset's line, or the line itself. */
export function leadStart(text: string, offset: number): number {
  let start = lineStart(text, offset)
  while (start > 1) {
    const above = lineStart(text, start - 1)
    if (!/^[ \t]*#/.test(text.slice(above, start))) break
    start = above
  }
  return start
}

/** Behind the last character of a node's content; blank lines that end a block scalar do not count. */
export function contentEnd(text: string, node: YamlNode): number {
  if (node.kind === 'map' && !node.flow) {
    const last = node.pairs.at(-1)
    return last === undefined
      ? node.end
      : Math.max(contentEnd(text, last.value), last.colonEnd ?? 0)
  }
  if (node.kind === 'list' && !node.flow) {
    const last = node.items.at(-1)
    return last === undefined ? node.end : Math.max(contentEnd(text, last.value), last.start + 1)
  }
  if (node.kind !== 'scalar' || !node.block) return node.end
  const body = text.slice(node.start, node.end)
  if (/^[^\r\n]*[|>]\d?\+/.test(body)) return node.end
  return node.start + body.trimEnd().length
}

/** Behind the comment that follows some content on its line, if any. */
export function commentEnd(text: string, end: number): number {
  if (text[end - 1] === '\n') return end
  return end + (/^[ \t]*(?:#[^\r\n]*)?/.exec(text.slice(end))?.[0].length ?? 0)
}

/** The text with all replacements made; they do not overlap, those at one place keep their order. */
export function applySplices(
  text: string,
  splices: readonly Splice[],
  from = 0,
  to = text.length,
): string {
  const parts: string[] = []
  let at = from
  for (const splice of splices.toSorted((a, b) => a.start - b.start || a.end - b.end)) {
    if (splice.start < at) throw new Error(`edits overlap at ${splice.start}`)
    parts.push(text.slice(at, splice.start), splice.text)
    at = splice.end
  }
  parts.push(text.slice(at, to))
  return parts.join('')
}
