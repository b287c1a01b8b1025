import {
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  parseDocument,
  type Alias,
  type CST,
  type Node,
  type Pair,
  type Range,
  type Scalar as SyntaxScalar,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml'
import type { Problem, Read } from '../problem.ts'
import { COLLECTION_TAGS, resolveKey, resolvePlain, resolveTagged, type Scalar } from './scalars.ts'
import type { Placed, YamlItem, YamlList, YamlMap, YamlNode, YamlPair } from './tree.ts'

/** How deep maps and lists may nest. */
export const DEEPEST = 500

/**
 * Reads the text of one document; one without content is undefined. `where` names an offset of the
 * text in problems.
 */
export function parseTree(
  text: string,
  where: (offset: number) => string,
): Read<YamlNode | undefined> {
  const problems: Problem[] = []
  const complain: Complain = (offset, got, want) => {
    problems.push({ path: where(offset), got, want })
  }
  const control = CONTROL.exec(text)
  if (control !== null) complain(control.index, control[0], 'text without control characters')
  const root = problems.length === 0 ? build(text, complain) : undefined
  return problems.length === 0 ? { ok: true, value: root } : { ok: false, problems }
}

type Complain = (offset: number, got: string, want: string) => void

/**
 * Characters that YAML 1.1 allows nowhere (section 5.1), and U+0085, a line break there that later
 * versions take for text.
 */
// eslint-disable-next-line no-control-regex -- these are what is looked for
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\ufffe\uffff]/

function build(text: string, complain: Complain): YamlNode | undefined {
  try {
    // The library reads the syntax only (failsafe: every scalar is text); the dialect is ours.
    const document = parseDocument(text, {
      version: '1.1',
      schema: 'failsafe',
      merge: false,
      resolveKnownTags: false,
      uniqueKeys: false,
      keepSourceTokens: true,
      prettyErrors: false,
      logLevel: 'error',
    })
    // One slip can bring thousands after it.
    for (const { code, pos, message } of document.errors.slice(0, 20)) {
      const want = code === 'RESOURCE_EXHAUSTION' ? TOO_DEEP : `well-formed YAML (${message})`
      complain(pos[0], lineAt(text, pos[0]), want)
    }
    if (document.errors.length > 0 || document.contents === null) return undefined
    const reading = { text, complain, anchors: new Map<string, YamlNode>() }
    return readNode(reading, document.contents, { tokens: [], end: 0 }, 0)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    complain(0, lineAt(text, 0), TOO_DEEP)
    return undefined
  }
}

const TOO_DEEP = `maps and lists nested at most ${DEEPEST} deep`

function lineAt(text: string, offset: number): string {
  // A little more than a problem shows.
  return text.slice(offset, offset + 300).split(/\r?\n/, 1)[0] ?? ''
}

type Reading = {
  readonly text: string
  readonly complain: Complain
  readonly anchors: Map<string, YamlNode>
}

/** What stands before a node: its tokens, and where it would stand if it had no text. */
type Before = { readonly tokens: readonly CST.SourceToken[]; readonly end: number }

function readNode(reading: Reading, node: unknown, before: Before, depth: number): YamlNode {
  const nothing = { kind: 'scalar', start: before.end, end: before.end, value: null } as const
  if (depth > DEEPEST) {
    const at = rangeOf(node)?.[0] ?? before.end
    reading.complain(at, lineAt(reading.text, at), TOO_DEEP)
    return { ...nothing, block: false }
  }
  if (isAlias(node)) return readAlias(reading, node)
  if (isScalar(node)) return anchored(reading, readScalar(reading, node, placed(node, before)))
  if (isMap(node)) return anchored(reading, readMap(reading, node, placed(node, before), depth))
  if (isSeq(node)) return anchored(reading, readList(reading, node, placed(node, before), depth))
  return { ...nothing, block: false }
}

function placed(node: Node & { anchor?: string }, { tokens, end }: Before): Placed {
  const properties = tokens.filter(({ type }) => type === 'anchor' || type === 'tag')
  const anchor = node.anchor === undefined ? {} : { anchor: node.anchor }
  const [from, to] = node.range ?? [end, end]
  if (from < to) return { start: properties[0]?.offset ?? from, end: to, ...anchor }
  // Without text of its own, a node stands right behind what comes before it.
  const last = properties.at(-1)
  const stop = last === undefined ? end : last.offset + last.source.length
  return { start: properties[0]?.offset ?? end, end: stop, ...anchor }
}

/** Later aliases of this name mean this node. */
function anchored(reading: Reading, node: YamlNode): YamlNode {
  if (node.anchor !== undefined) reading.anchors.set(node.anchor, node)
  return node
}

function readAlias({ complain, anchors }: Reading, alias: Alias): YamlNode {
  const [start, end] = alias.range ?? [0, 0, 0]
  const target = anchors.get(alias.source)
  if (target !== undefined) return { kind: 'alias', start, end, target }
  complain(start, `*${alias.source}`, `an alias of an anchor that stands before it`)
  return { kind: 'scalar', start, end, value: null, block: false }
}

function readScalar(reading: Reading, node: SyntaxScalar, place: Placed): YamlNode {
  const block = node.type === 'BLOCK_LITERAL' || node.type === 'BLOCK_FOLDED'
  const isUnended = block && place.end === reading.text.length && !reading.text.endsWith('\n')
  const source = typeof node.value === 'string' ? node.value : ''
  // A last line without its line break does not get one.
  const text = isUnended ? source.replace(/\n$/, '') : source
  const value =
    node.tag === undefined
      ? node.type === 'PLAIN'
        ? resolvePlain(text)
        : text
      : resolveTagged(node.tag, text)
  return {
    kind: 'scalar',
    ...place,
    value: value === undefined ? refuseTag(reading, node, place) : finite(reading, value, place),
    block,
  }
}

function refuseTag({ text, complain }: Reading, node: Node, place: Placed): Scalar {
  complain(place.start, text.slice(place.start, place.end), 'no tag, or one that fits the value')
  return null
}

function finite({ text, complain }: Reading, value: Scalar, place: Placed): Scalar {
  if (typeof value !== 'number' || Number.isFinite(value)) return value
  complain(place.start, text.slice(place.start, place.end), 'a number that JSON can hold')
  return null
}

function readMap(reading: Reading, node: YAMLMap, place: Placed, depth: number): YamlMap {
  if (node.tag !== undefined && node.tag !== COLLECTION_TAGS.map) refuseTag(reading, node, place)
  const pairs: YamlPair[] = []
  const keys = new Set<string>()
  for (const item of node.items) {
    const pair = readPair(reading, item, depth)
    if (pair === undefined) continue
    if (!pair.isMerge && keys.has(pair.key)) {
      reading.complain(pair.start, pair.key, 'each key once in a map')
    }
    keys.add(pair.key)
    pairs.push(pair)
  }
  return { kind: 'map', ...place, flow: node.flow === true, pairs }
}

const NO_TOKENS: readonly CST.SourceToken[] = []

function readPair(reading: Reading, pair: Pair, depth: number): YamlPair | undefined {
  const { start: lead = NO_TOKENS, sep = NO_TOKENS } = pair.srcToken ?? {}
  const colon = sep.findIndex(({ type }) => type === 'map-value-ind')
  const [keyStart, keyEnd] = rangeOf(pair.key) ?? [sep[0]?.offset ?? 0, sep[0]?.offset ?? 0]
  const start = lead.find(({ type }) => BEGINS_PAIR.has(type))?.offset ?? keyStart
  const key = readKey(reading, pair.key, { tokens: lead, end: keyStart })
  if (key === undefined) {
    reading.complain(start, reading.text.slice(start, keyEnd), 'a key that JSON can hold')
    return undefined
  }
  const colonEnd = colon < 0 ? undefined : (sep[colon]?.offset ?? keyEnd) + 1
  const before = { tokens: colon < 0 ? NO_TOKENS : sep.slice(colon), end: colonEnd ?? keyEnd }
  const value = readNode(reading, pair.value, before, depth + 1)
  if (colonEnd !== undefined && isGlued(reading.text, pair.key, colonEnd)) {
    reading.complain(start, lineAt(reading.text, start), 'a blank behind the colon, or quotes')
  }
  if (key !== MERGE) return { key, isMerge: false, start, colonEnd, value }
  if (!canMerge(value)) {
    reading.complain(start, lineAt(reading.text, start), 'a map, or a list of maps, to merge')
  }
  return { key: '<<', isMerge: true, start, colonEnd, value }
}

/** As in `[a:]`, which is a map to later versions and the text `a:` to kubectl. */
function isGlued(text: string, key: unknown, colonEnd: number): boolean {
  return isScalar(key) && key.type === 'PLAIN' && /^[,\]}]/.test(text.charAt(colonEnd))
}

const BEGINS_PAIR: ReadonlySet<string> = new Set(['explicit-key-ind', 'anchor', 'tag'])

/** Told from the quoted key `"<<"`, which is an ordinary one. */
const MERGE = Symbol('<<')

function rangeOf(node: unknown): Range | undefined {
  return isNode(node) ? (node.range ?? undefined) : undefined
}

function readKey(
  reading: Reading,
  key: unknown,
  before: Before,
): string | typeof MERGE | undefined {
  if (isScalar(key) && key.type === 'PLAIN' && key.tag === undefined) {
    if (key.value === '<<') return MERGE
    if (key.anchor !== undefined) {
      anchored(reading, readScalar(reading, key, placed(key, before)))
    }
    return typeof key.value === 'string' ? resolveKey(key.value) : undefined
  }
  if (!isScalar(key) && !isAlias(key)) return undefined
  const node = readNode(reading, key, before, 0)
  const scalar = node.kind === 'alias' ? node.target : node
  return scalar.kind === 'scalar' && typeof scalar.value === 'string' ? scalar.value : undefined
}

function canMerge(node: YamlNode): boolean {
  const source = node.kind === 'alias' ? node.target : node
  if (source.kind === 'list') return source.items.every(({ value }) => isMergeable(value))
  return source.kind === 'map'
}

function isMergeable(node: YamlNode): boolean {
  return (node.kind === 'alias' ? node.target : node).kind === 'map'
}

function readList(reading: Reading, node: YAMLSeq, place: Placed, depth: number): YamlList {
  if (node.tag !== undefined && node.tag !== COLLECTION_TAGS.list) refuseTag(reading, node, place)
  const tokens = itemTokens(node)
  const items = node.items.map((item, index): YamlItem => {
    const lead = tokens[index] ?? NO_TOKENS
    const dash = lead.find(({ type }) => type === 'seq-item-ind')?.offset
    const before = { tokens: lead, end: dash === undefined ? place.end : dash + 1 }
    const value = readNode(reading, item, before, depth + 1)
    return { start: dash ?? value.start, value }
  })
  return { kind: 'list', ...place, flow: node.flow === true, items }
}

/** The tokens before each item; the library leaves out what stands behind the last one. */
function itemTokens({ srcToken }: YAMLSeq): readonly (readonly CST.SourceToken[])[] {
  switch (srcToken?.type) {
    case 'block-seq':
      return srcToken.items
        .map(({ start }) => start)
        .filter((start) => start.some(({ type }) => type === 'seq-item-ind'))
    case 'flow-collection':
      return srcToken.items
        .filter(({ start, sep, value }) => sep ?? value ?? start.find(isProperty))
        .map(({ start }) => start)
    default:
      return []
  }
}

function isProperty({ type }: CST.SourceToken): boolean {
  return type === 'anchor' || type === 'tag' || type === 'explicit-key-ind'
}
