import { isArray, isObject, type Json, type JsonObject } from '../json.ts'
import { resolvePlain } from './scalars.ts'

/** How block YAML is laid out, in columns. */
export type Layout = {
  /** From a key to the keys of the map below it. */
  readonly step: number
  /** From a key to the dashes of the list below it. */
  readonly listOffset: number
  /** From a dash to the content of its item. */
  readonly dashWidth: number
}

/** As kubectl prints: two columns a level, lists not indented under their key. */
export const KUBECTL_LAYOUT: Layout = { step: 2, listOffset: 0, dashWidth: 2 }

/** The lines of a value in block style, without the indentation of the place they go to. */
export function blockLines(value: Json, layout: Layout): readonly string[] {
  if (isFullMap(value)) {
    return Object.entries(value).flatMap(([key, member]) =>
      member === undefined ? [] : pairLines(key, member, layout),
    )
  }
  if (isFullList(value)) return value.flatMap((item) => itemLines(item, layout))
  return [blockText(value)]
}

/** The lines of one pair of a block map. */
export function pairLines(key: string, value: Json, layout: Layout): readonly string[] {
  const text = scalarText(key)
  const { beside, below } = underKey(value, layout)
  return isLongKey(text) ? [`? ${text}`, `:${beside}`, ...below] : [`${text}:${beside}`, ...below]
}

/** The lines of one item of a block list. */
export function itemLines(value: Json, layout: Layout): readonly string[] {
  const { beside, below } = underDash(value, layout)
  return [`-${beside}`, ...below]
}

/** A value behind a colon or a dash: the rest of that line with its blank, and the lines below it. */
export type Hanging = { readonly beside: string; readonly below: readonly string[] }

/** The value of a block map's key; columns count from the key. */
export function underKey(value: Json, layout: Layout): Hanging {
  if (isFullMap(value)) return { beside: '', below: indent(layout.step, blockLines(value, layout)) }
  if (isFullList(value)) {
    return { beside: '', below: indent(layout.listOffset, blockLines(value, layout)) }
  }
  const [first = '', ...below] = valueLines(value, layout.step)
  return { beside: ` ${first}`, below }
}

/** The value of a block list's item; columns count from the dash. */
export function underDash(value: Json, layout: Layout): Hanging {
  const isBlock = isFullMap(value) || isFullList(value)
  const width = layout.dashWidth
  const [first = '', ...rest] = isBlock ? blockLines(value, layout) : valueLines(value, width)
  if (!isBlock) return { beside: ` ${first}`, below: rest }
  return { beside: ' '.repeat(width - 1) + first, below: indent(width, rest) }
}

/** A value on one line, in flow style where it has parts; in plain JSON when asked for. */
export function inlineText(value: Json, isJson = false): string {
  if (isArray(value)) return `[${value.map((item) => inlineText(item, isJson)).join(', ')}]`
  if (!isObject(value)) return scalarText(value, isJson ? 'json' : 'flow')
  const pairs = Object.entries(value).flatMap(([key, member]) =>
    member === undefined ? [] : [`${flowKey(key, isJson)} ${inlineText(member, isJson)}`],
  )
  return `{${pairs.join(', ')}}`
}

/** The key of a pair within braces, with its colon. */
export function flowKey(key: string, isJson: boolean): string {
  const text = scalarText(key, isJson ? 'json' : 'flow')
  return isLongKey(text) && !isJson ? `? ${text} :` : `${text}:`
}

/** YAML 1.1, section 7.4.1: a key without `?` has at most 1024 characters. */
function isLongKey(text: string): boolean {
  return text.length > 1000
}

/** A scalar on one line: bare where every YAML reader takes it for the same text, else quoted. */
export function scalarText(
  value: null | boolean | number | string,
  place: 'block' | 'flow' | 'json' = 'block',
): string {
  if (typeof value !== 'string') return String(value)
  if (place === 'json') return doubleQuoted(value)
  if (isBare(value, place === 'flow')) return value
  // JSON within a text stays readable.
  return /["\\]/.test(value) && PLAIN_ASCII.test(value)
    ? `'${value.replaceAll("'", "''")}'`
    : doubleQuoted(value)
}

const PLAIN_ASCII = /^[\x20-\x7e]*$/

/** Whether the value is a map that prints on lines of its own: one with something in it. */
export function isFullMap(value: Json): value is JsonObject {
  return isObject(value) && Object.values(value).some((member) => member !== undefined)
}

/** Whether the value is a list that prints on lines of its own: one with something in it. */
export function isFullList(value: Json): value is readonly Json[] {
  return Array.isArray(value) && value.length > 0
}

/** The lines indented by so many columns; blank ones stay blank. */
export function indent(columns: number, lines: readonly string[]): readonly string[] {
  const space = ' '.repeat(columns)
  return lines.map((line) => (line === '' ? '' : space + line))
}

/** A value without parts: one line, or a literal block whose lines are indented by `columns`. */
function valueLines(value: Json, columns: number): readonly string[] {
  if (typeof value !== 'string' || !isLiteral(value)) return [blockText(value)]
  const ends = value.endsWith('\n')
  const lines = (ends ? value.slice(0, -1) : value).split('\n')
  return [ends ? '|' : '|-', ...indent(columns, lines)]
}

/** A scalar as block style allows it, or an empty `{}` or `[]`. */
function blockText(value: Json): string {
  return isObject(value) || isArray(value) ? inlineText(value) : scalarText(value)
}

/** Text of several lines that a literal block can hold whatever the indentation. */
function isLiteral(text: string): boolean {
  return (
    text.includes('\n') &&
    /^\S/.test(text) &&
    !/\n\n$|\n[ \t]+(\n|$)/.test(text) &&
    !UNPRINTABLE.test(text)
  )
}

/** What is escaped within quotes: control characters and what YAML 1.1 takes for a line break. */
const UNPRINTABLE = /[^\t\n\x20-\x7e\u00a0-\u2027\u202a-\ufefe\uff00-\ufffd]/
const ESCAPED = /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g

function doubleQuoted(text: string): string {
  return JSON.stringify(text).replace(ESCAPED, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}

const BARE = /^(?:[A-Za-z0-9_./$(+\\^]|-[^\s-]|--[^\s-])[\x20-\x7e]*$/
/** Made only of what numbers and dates of any dialect are made of. */
const LIKE_A_NUMBER = /^[-+.]?[0-9][-+.:,_0-9a-fA-FxXoOTtZz ]*$/

function isBare(text: string, inFlow: boolean): boolean {
  return (
    BARE.test(text) &&
    !/: | #|[: ]$|^\.\.\./.test(text) &&
    !(inFlow && /[,[\]{}:#?]/.test(text)) &&
    !LIKE_A_NUMBER.test(text) &&
    typeof resolvePlain(text) === 'string'
  )
}
