import { isArray, isObject, type Json, type JsonObject } from '../json.ts'
import { readPort } from '../ports.ts'
import { omitNulls } from './values-layers.ts'

/** Told of a field with the wrong type: its dotted name, what stood there, what would have been right. */
export type Refuse = (name: string, value: Json, want: string) => void

/** Typed access by dotted name. Absent and null read as the zero of the type; wrong types are told. */
export type Fields = {
  /** Text; a number or boolean in the file counts as its text. */
  readonly text: (name: string) => string
  /** A switch; the words `true` and `false` in quotes are taken too, and empty text as false. */
  readonly flag: (name: string) => boolean
  /** A whole number from 0; digits in quotes are taken too. */
  readonly count: (name: string) => number | undefined
  /** The text of a port; `0` when there is none. */
  readonly port: (name: string) => string
  /** A map, nulls in it taken out at any depth; undefined when nothing is in it. */
  readonly map: (name: string) => JsonObject | undefined
  readonly texts: (name: string) => readonly string[]
  readonly maps: (name: string) => readonly JsonObject[]
  readonly textMap: (name: string) => Readonly<Record<string, string>>
  readonly textsMap: (name: string) => Readonly<Record<string, readonly string[]>>
}

/** The fields of a tree of values. */
export function fieldsOf(root: JsonObject, refuse: Refuse): Fields {
  /** Maps that are none were told once: every field below them would tell it again. */
  const told = new Set<string>()
  const get = (name: string): Json => {
    let value: Json = root
    const way: string[] = []
    for (const key of name.split('.')) {
      if (!isObject(value)) {
        const place = way.join('.')
        if (value !== null && !told.has(place)) refuse(place, value, 'a map')
        told.add(place)
        return null
      }
      way.push(key)
      value = (Object.hasOwn(value, key) ? value[key] : undefined) ?? null
    }
    return value
  }
  const members = (name: string): (readonly [string, Json])[] => {
    const value = get(name)
    if (isObject(value)) return Object.entries(value).map(([key, item]) => [key, item ?? null])
    if (value !== null) refuse(name, value, 'a map')
    return []
  }
  return {
    text: (name) => readText(name, get(name), refuse),
    flag: (name) => readFlag(name, get(name), refuse),
    count: (name) => readCount(name, get(name), refuse),
    port: (name) => readPortText(name, get(name), refuse),
    map: (name) => readMap(name, get(name), refuse),
    texts: (name) => readTexts(name, get(name), refuse),
    maps: (name) => readMaps(name, get(name), refuse),
    textMap: (name) =>
      Object.fromEntries(
        members(name).map(([key, value]) => [key, readText(`${name}.${key}`, value, refuse)]),
      ),
    textsMap: (name) =>
      Object.fromEntries(
        members(name).map(([key, value]) => [key, readTexts(`${name}.${key}`, value, refuse)]),
      ),
  }
}

function readText(name: string, value: Json, refuse: Refuse): string {
  if (value === null) return ''
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  refuse(name, value, 'text')
  return ''
}

function readFlag(name: string, value: Json, refuse: Refuse): boolean {
  if (value === true || value === 'true') return true
  if (value !== null && value !== false && value !== 'false' && value !== '') {
    refuse(name, value, 'true or false')
  }
  return false
}

const LARGEST_COUNT = 2147483647

function readCount(name: string, value: Json, refuse: Refuse): number | undefined {
  if (value === null || value === '') return undefined
  const number = typeof value === 'string' && /^\d{1,10}$/.test(value) ? Number(value) : value
  if (typeof number === 'number' && isCount(number)) return number
  refuse(name, value, `a whole number from 0 to ${LARGEST_COUNT}`)
  return undefined
}

function readPortText(name: string, value: Json, refuse: Refuse): string {
  const text = typeof value === 'number' ? String(value) : (value ?? '')
  if (text === '') return '0'
  if (typeof text === 'string' && readPort(name, text).ok) return text.trim()
  refuse(name, value, 'a port from 0 to 65535')
  return '0'
}

function isCount(number: number): boolean {
  return Number.isInteger(number) && number >= 0 && number <= LARGEST_COUNT
}

function readMap(name: string, value: Json, refuse: Refuse): JsonObject | undefined {
  const kept = omitNulls(value)
  if (kept === undefined) return undefined
  if (isObject(kept)) return Object.keys(kept).length === 0 ? undefined : kept
  refuse(name, value, 'a map')
  return undefined
}

function readTexts(name: string, value: Json, refuse: Refuse): readonly string[] {
  if (value === null) return []
  if (isArray(value)) return value.map((item, index) => readText(`${name}.${index}`, item, refuse))
  refuse(name, value, 'a list of text')
  return []
}

function readMaps(name: string, value: Json, refuse: Refuse): readonly JsonObject[] {
  if (value === null) return []
  if (isArray(value) && value.every(isObject)) return value
  refuse(name, value, 'a list of maps')
  return []
}
