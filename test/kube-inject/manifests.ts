/** Random values, YAML texts in many styles that say them, and random changes of values. */
import fc from 'fast-check'
import { isSame, type Json } from '../../core/json.ts'

/** How a text is written. */
export type Style = {
  readonly step: number
  readonly listOffset: number
  readonly dashWidth: number
  readonly eol: string
  readonly head: string
  readonly isEnded: boolean
  readonly form: string
  readonly seed: number
  /** Block style only, without anchors. */
  readonly plain?: boolean
}

const scalar = fc.oneof(
  fc.constantFrom<Json>(
    null,
    true,
    0,
    'x',
    'yes',
    '',
    'a: b',
    'two\nlines\n',
    'no\nend',
    '- d',
    '8080',
  ),
  fc.integer(),
)

/** Any JSON value, lists of named items among them. */
export const anyJson: fc.Arbitrary<Json> = fc.letrec<{ value: Json; item: Json }>((tie) => ({
  item: fc.oneof(
    fc.record({ name: fc.constantFrom('p', 'q', 'r', 's'), v: tie('value') }),
    tie('value'),
  ),
  value: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    scalar,
    fc.array(tie('item'), { maxLength: 4 }),
    fc.dictionary(fc.constantFrom('name', 'a', 'labels', 'x y', 'yes'), tie('value'), {
      maxKeys: 4,
    }),
  ),
})).value

/** A text that says the value: comments, blank lines, anchors and flow parts strewn in by the seed. */
export function manifestText(value: Json, style: Style): string {
  if (style.form === 'json') return `${JSON.stringify(value, null, style.step)}\n`
  if (style.form === 'dense json') return JSON.stringify(value)
  const writer: Writer = { style, chance: chances(style.seed), anchors: [] }
  const lines = pairs(writer, value, 0).join('\n') + (style.isEnded ? '\n' : '')
  return (style.head + lines).replaceAll('\n', style.eol)
}

type Writer = {
  readonly style: Style
  readonly chance: () => number
  readonly anchors: { readonly name: string; readonly value: Json }[]
}

/** A repeatable source of numbers from 0 to 1 (mulberry32). */
function chances(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

function pairs(writer: Writer, value: Json, column: number): string[] {
  return Object.entries(value ?? {}).flatMap(([key, member]) => {
    const lead = writer.chance() < 0.15 ? [`${' '.repeat(column)}# lead`] : []
    const blank = writer.chance() < 0.07 ? [''] : []
    const [beside, ...below] = hanging(writer, member as Json, column, false)
    return [...lead, ...blank, `${' '.repeat(column)}${flow(key)}:${beside ?? ''}`, ...below]
  })
}

function items(writer: Writer, list: readonly Json[], column: number): string[] {
  return list.flatMap((item) => {
    const lead = writer.chance() < 0.15 ? [`${' '.repeat(column)}# item`] : []
    const [beside, ...below] = hanging(writer, item, column, true)
    return [...lead, `${' '.repeat(column)}-${beside ?? ''}`, ...below]
  })
}

/** What stands behind a colon or a dash: the rest of the line, and the lines below. */
function hanging(writer: Writer, value: Json, column: number, isItem: boolean): string[] {
  const { style, chance, anchors } = writer
  const known = anchors.find((one) => isSame(one.value, value))
  if (known !== undefined && chance() < 0.5) return [` *${known.name}${comment(writer)}`]
  const name = `x${anchors.length}`
  const anchor = style.plain !== true && chance() < 0.15 ? ` &${name}` : ''
  const lines = content(writer, value, column, isItem, anchor)
  // Names are given once the value is written, so that two may not be the same.
  if (anchor === '') return lines
  const isTaken = anchors.some((one) => one.name === name)
  if (isTaken) return [lines[0]?.replace(anchor, '') ?? '', ...lines.slice(1)]
  anchors.push({ name, value })
  return lines
}

function content(
  writer: Writer,
  value: Json,
  column: number,
  isItem: boolean,
  anchor: string,
): string[] {
  const { style, chance } = writer
  if (typeof value === 'string' && value.includes('\n') && chance() < 0.7) {
    const lines = value.replace(/\n$/, '').split('\n')
    const header = value.endsWith('\n') ? '|' : '|-'
    return [
      `${anchor} ${header}${comment(writer)}`,
      ...lines.map((line) => ' '.repeat(column + 2) + line),
    ]
  }
  if (value === null && chance() < 0.5) return [anchor + comment(writer)]
  const isFull = typeof value === 'object' && value !== null && Object.keys(value).length > 0
  if (!isFull || (style.plain !== true && chance() < 0.2)) {
    return [`${anchor} ${flow(value)}${comment(writer)}`]
  }
  const isList = Array.isArray(value)
  const inner = column + (isItem ? style.dashWidth : isList ? style.listOffset : style.step)
  const lines = isList ? items(writer, value as Json[], inner) : pairs(writer, value, inner)
  const [first = '', ...rest] = lines
  if (isItem && anchor === '' && chance() < 0.8 && /^ *[^# ]/.test(first)) {
    return [' '.repeat(style.dashWidth - 1) + first.slice(inner), ...rest]
  }
  return [anchor + comment(writer), ...lines]
}

function comment({ chance }: Writer): string {
  return chance() < 0.2 ? ' # note' : ''
}

function flow(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(flow).join(', ')}]`
  if (typeof value === 'object' && value !== null) {
    return `{${Object.entries(value)
      .map(([key, member]) => `${flow(key)}: ${flow(member)}`)
      .join(', ')}}`
  }
  const isBare = typeof value === 'string' && /^[a-z]+$/.test(value) && value !== 'yes'
  return isBare ? value : JSON.stringify(value)
}

/** The value with members and items changed, added, dropped and moved about; its root stays a map. */
export function mutated(value: Json, extra: readonly Json[], seed: number): Json {
  const chance = chances(seed ^ 0x5bd1e995)
  const pick = <T>(from: readonly T[], otherwise: T): T =>
    from[Math.floor(chance() * from.length)] ?? otherwise
  const within = (inner: Json): Json => {
    if (Array.isArray(inner)) {
      const list = inner.filter(() => chance() > 0.1).map((item: Json) => change(item))
      if (chance() < 0.4)
        list.splice(Math.floor(chance() * (list.length + 1)), 0, pick(extra, null))
      return chance() < 0.2 ? list.toReversed() : list
    }
    if (typeof inner !== 'object' || inner === null) return chance() < 0.5 ? inner : pick(extra, 1)
    const members = Object.entries(inner)
      .filter(() => chance() > 0.15)
      .map(([key, member]): [string, Json] => [key, change(member as Json)])
    if (chance() < 0.4) members.push([pick(['n', 'metadata', 'labels'], 'n'), pick(extra, null)])
    return Object.fromEntries(members)
  }
  const change = (inner: Json): Json => {
    const roll = chance()
    return roll < 0.1 ? pick(extra, null) : roll < 0.6 ? inner : within(inner)
  }
  return within(value)
}
