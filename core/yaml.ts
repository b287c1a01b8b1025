/**
 * One YAML dialect for the whole house: what kubectl reads (sigs.k8s.io/yaml), and on output what it
 * reads back unchanged. Nothing else imports a YAML library.
 */
import { isSame, type Json } from './json.ts'
import { bad, type Read } from './problem.ts'
import { parseTree } from './yaml/parse.ts'
import { blockLines, KUBECTL_LAYOUT } from './yaml/print.ts'
import { readQuickly } from './yaml/quick.ts'
import { splitStream, type Slice } from './yaml/stream.ts'
import type { YamlNode } from './yaml/tree.ts'
import { MOST_REPEATED, valueOf } from './yaml/value.ts'

/**
 * Reads the one document of a text; an empty one is null. Problems carry `path:line:column`.
 * Duplicate keys and unknown tags are refused, keys become the strings that kubectl makes of them.
 */
export function readYaml(path: string, text: string): Read<Json> {
  const document = readDocument(path, text, { start: 0, end: text.length })
  return document.ok ? { ok: true, value: document.value.value } : document
}

/**
 * Whether a document says exactly this value: the check of a text that was made here. Asks a quicker
 * reader first and the one that everything else is read with where the two might differ.
 */
export function saysValue(path: string, text: string, value: Json): boolean {
  if (isSame(readQuickly(text), value)) return true
  const read = readYaml(path, text)
  return read.ok && isSame(read.value, value)
}

/** Prints a value as one document in block style, ending in a line break. */
export function printYaml(value: Json): string {
  return `${blockLines(value, KUBECTL_LAYOUT).join('\n')}\n`
}

/** One document of a stream: its text, its tree with offsets into that text, and its value. */
export type YamlDocument = {
  readonly text: string
  /** Line of the stream where the text begins, from 1. */
  readonly line: number
  /** Nothing when there are only comments. */
  readonly root: YamlNode | undefined
  readonly value: Json
}

/**
 * Reads the documents of a stream one by one, so that memory stays flat. Put together, their texts
 * are the stream.
 */
export function* parseDocuments(path: string, text: string): Generator<Read<YamlDocument>> {
  let line = 1
  for (const slice of splitStream(text)) {
    yield readDocument(path, text, slice, line)
    line += countLines(text, slice.start, slice.end)
  }
}

function readDocument(path: string, stream: string, slice: Slice, line = 1): Read<YamlDocument> {
  const text = stream.slice(slice.start, slice.end)
  const where = (offset: number): string => {
    const column = offset - text.lastIndexOf('\n', offset - 1)
    return `${path}:${line + countLines(text, 0, offset)}:${column}`
  }
  const tree = parseTree(text, where)
  if (!tree.ok) return tree
  const root = tree.value
  if (root === undefined) return { ok: true, value: { text, line, root, value: null } }
  const value = valueOf(root)
  if (value.ok) return { ok: true, value: { text, line, root, value: value.value } }
  const got = text.slice(value.offset, value.offset + 300).split('\n', 1)[0] ?? ''
  return bad(where(value.offset), got, `aliases that repeat at most ${MOST_REPEATED} nodes`)
}

function countLines(text: string, start: number, end: number): number {
  let lines = 0
  for (let at = text.indexOf('\n', start); at >= 0 && at < end; at = text.indexOf('\n', at + 1)) {
    lines++
  }
  return lines
}
