import { goJson, isArray, isObject, type Json, type JsonObject } from '../json.ts'
import type { StringMap } from '../k8s.ts'
import type { Problem } from '../problem.ts'
import { printDuration, readDuration } from './durations.ts'
import { zeroOf, type Fields, type FieldType, type ScalarType } from './proxy-config-fields.ts'

/**
 * Reads a message as the API reads its JSON: both spellings of a name (the JSON name wins), numbers in
 * quotes, choices by word or number, null as absent; unknown names are passed over. The result is
 * canonical: JSON names in order of declaration, words, numbers, durations in seconds. A zero that was
 * written is kept. Of fields of which at most one can be set the last declared one counts. `prefix` stands
 * before the name of a field in the path of a problem.
 */
export function readFields(
  prefix: string,
  json: JsonObject,
  fields: Fields,
  problems: Problem[],
): JsonObject {
  const read = new Map<string, Json>()
  for (const [name, type] of Object.entries(fields)) {
    const given = member(json, name) ?? member(json, snakeCase(name)) ?? null
    if (given === null) continue
    if (type.kind === 'one-of') dropGroup(read, fields, type.group)
    const value = readValue(`${prefix}${name}`, given, type, problems)
    if (value !== undefined) read.set(name, value)
  }
  return Object.fromEntries(read)
}

function member(json: JsonObject, name: string): Json | undefined {
  return Object.hasOwn(json, name) ? json[name] : undefined
}

/** `statusPort` as the schema spells it: `status_port`. */
function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

function dropGroup(read: Map<string, Json>, fields: Fields, group: string): void {
  for (const name of read.keys()) {
    const type = fields[name]
    if (type?.kind === 'one-of' && type.group === group) read.delete(name)
  }
}

/** The canonical value, or undefined after a problem. */
function readValue(
  path: string,
  json: Json,
  type: FieldType,
  problems: Problem[],
): Json | undefined {
  switch (type.kind) {
    case 'message':
      if (isObject(json)) return readFields(`${path}.`, json, type.fields, problems)
      return refuse(path, json, 'a map of fields', problems)
    case 'list':
      if (isArray(json)) return readList(path, json, type.of, problems)
      return refuse(path, json, 'a list', problems)
    case 'map':
      if (isObject(json)) return readMap(path, json, type.of, problems)
      return refuse(path, json, 'a map', problems)
    case 'wrapper':
    case 'one-of':
      return readValue(path, json, type.of, problems)
    case 'text':
    case 'flag':
    case 'integer':
    case 'wide-integer':
    case 'double':
    case 'duration':
    case 'choice':
      return readScalar(json, type) ?? refuse(path, json, wanted(type), problems)
  }
}

function refuse(path: string, json: Json, want: string, problems: Problem[]): Json | undefined {
  problems.push({ path, got: typeof json === 'string' ? json : goJson(json), want })
  return undefined
}

function readList(
  path: string,
  json: readonly Json[],
  of: FieldType,
  problems: Problem[],
): readonly Json[] {
  return json.flatMap((item, index) => readItem(`${path}.${index}`, item, of, problems))
}

function readMap(path: string, json: JsonObject, of: FieldType, problems: Problem[]): JsonObject {
  const read = new Map<string, Json>()
  for (const [key, item] of Object.entries(json)) {
    for (const value of readItem(`${path}.${key}`, item ?? null, of, problems)) read.set(key, value)
  }
  return Object.fromEntries(read)
}

/** An item of a list or map: null is the zero of its type. None after a problem. */
function readItem(path: string, json: Json, type: FieldType, problems: Problem[]): Json[] {
  const value = json === null ? zeroOf(type) : readValue(path, json, type, problems)
  return value === undefined ? [] : [value]
}

function readScalar(json: Json, type: ScalarType): Json | undefined {
  switch (type.kind) {
    case 'text':
      return typeof json === 'string' ? json : undefined
    case 'flag':
      return typeof json === 'boolean' ? json : undefined
    case 'integer':
      return inRange(readInteger(json), type.low, type.high)
    case 'wide-integer':
      return readWideInteger(json)
    case 'double':
      return readDouble(json)
    case 'duration':
      return readSpan(json)
    case 'choice':
      return readChoice(json, type.words)
  }
}

function wanted(type: ScalarType): string {
  switch (type.kind) {
    case 'text':
      return 'text (put numbers, true and false in quotes)'
    case 'flag':
      return 'true or false'
    case 'integer':
      return `a whole number from ${type.low} to ${type.high}`
    case 'wide-integer':
      return 'a whole number of 64 bits'
    case 'double':
      return 'a number'
    case 'duration':
      return 'a duration in quotes or with its unit, such as 45s or 1m30s'
    case 'choice':
      return `one of ${Object.keys(type.words).join(', ')}`
  }
}

const INTEGER = /^\s*-?(0|[1-9]\d*)\s*$/
const NUMBER = /^\s*-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?\s*$/

function readInteger(json: Json): number | undefined {
  if (typeof json === 'string') return INTEGER.test(json) ? Number(json) : undefined
  return typeof json === 'number' && Number.isInteger(json) ? json : undefined
}

function inRange(value: number | undefined, low: number, high: number): number | undefined {
  return value !== undefined && value >= low && value <= high ? value : undefined
}

/** 64-bit numbers are text in JSON. */
function readWideInteger(json: Json): string | undefined {
  const text = typeof json === 'number' ? String(json) : json
  if (typeof text !== 'string' || !INTEGER.test(text)) return undefined
  const value = BigInt(text)
  return BigInt.asIntN(64, value) === value ? String(value) : undefined
}

function readDouble(json: Json): Json | undefined {
  if (json === 'NaN' || json === 'Infinity' || json === '-Infinity') return json
  if (typeof json === 'string') return NUMBER.test(json) ? Number(json) : undefined
  return typeof json === 'number' && Number.isFinite(json) ? json : undefined
}

function readSpan(json: Json): string | undefined {
  if (typeof json !== 'string') return undefined
  const duration = readDuration('', json)
  return duration.ok ? printDuration(duration.value) : undefined
}

/** The word; a number that has no word is kept as a number, as the API does. */
function readChoice(json: Json, words: Readonly<Record<string, number>>): Json | undefined {
  if (typeof json === 'string') return Object.hasOwn(words, json) ? json : undefined
  const number = inRange(readInteger(json), -2147483648, 2147483647)
  if (number === undefined) return undefined
  return Object.keys(words).find((word) => words[word] === number) ?? number
}

/** The value at a path of names; undefined where something on the way is missing. */
export function valueAt(json: Json | undefined, names: readonly string[]): Json | undefined {
  let value = json
  for (const name of names) value = isObject(value) ? value[name] : undefined
  return value
}

/** A canonical value as text; empty when there is none. */
export function textOf(value: Json | undefined): string {
  return typeof value === 'string' ? value : ''
}

/** A canonical value as a number; undefined when there is none. */
export function numberOf(value: Json | undefined): number | undefined {
  return typeof value === 'number' ? value : undefined
}

/** A canonical map of text; empty when there is none. */
export function textsOf(value: Json | undefined): StringMap {
  const entries = isObject(value) ? Object.entries(value) : []
  return Object.fromEntries(entries.map(([key, item]) => [key, textOf(item)]))
}
