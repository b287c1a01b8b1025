/**
 * The text of a template, read as YAML, made ready to be filled again and again: what does not depend on
 * printed values is checked against the Pod type once and shared, and each mark knows which field it fills.
 */
import { keepText } from '../json-text.ts'
import { isArray, isObject, type Json, type JsonObject } from '../json.ts'
import { Refusal } from '../problem.ts'
import { put } from './merge-keys.ts'
import type { Field, ObjectType } from './pod-fields.ts'
import { isPlainFit, readOverlayField } from './typed.ts'
import { isDirective, keepPlainness } from './strategic-merge.ts'

/** Starts a mark; its number and MARK_END follow. No template may contain it. */
export const MARK = '@slot:'
const MARK_END = ';'

/** The text that stands for printed value `number` until it is filled in. */
export function markOf(number: number): string {
  return `"${MARK}${number}${MARK_END}"`
}

/** Builds a value from the printed values of one rendering; undefined leaves it out. */
export type Fill = (slots: readonly Json[]) => Json | undefined

/** What stands always there, or what has to be built of printed values, which `uses` numbers. */
type Part =
  { readonly fixed: Json | undefined } | { readonly fill: Fill; readonly uses: readonly number[] }

/** The place in a template, for problems. */
type Place = { readonly template: string; readonly path: string }

/** Prepares a whole document. With a type, unknown fields are dropped and wrong ones refused; without, anything goes. */
export function prepareOverlay(template: string, value: Json, type: ObjectType | 'any'): Fill {
  if (type !== 'any' && value !== null && !isObject(value)) {
    throw fault(template, JSON.stringify(value), 'a map')
  }
  const place = { template, path: '' }
  const part = isObject(value)
    ? prepareMap(value, type === 'any' ? undefined : type, place)
    : prepare(value, undefined, '', place)
  return 'fill' in part ? part.fill : () => part.fixed
}

/** `field` undefined: nothing is known of what stands here. */
function prepare(value: Json, field: Field | undefined, name: string, place: Place): Part {
  if (!hasMark(value)) {
    return always(field === undefined ? value : checked(value, field, name, place))
  }
  if (typeof value === 'string') {
    const index = slotIndex(value, place)
    const { template } = place
    const read =
      field && sameAgain((slots) => checked(slots[index] ?? null, field, name, place), [index])
    return {
      uses: [index],
      fill: (slots) => {
        const printed = slots[index]
        if (printed === undefined) throw fault(template, value, 'a mark that was printed')
        return read === undefined || (field && isPlainFit(printed, field)) ? printed : read(slots)
      },
    }
  }
  const inner = { ...place, path: `${place.path}/${name}` }
  if (isArray(value)) {
    if (field !== undefined && field.holds !== 'list') throw wrong(value, field, inner)
    return prepareList(value, field, inner)
  }
  if (!isObject(value)) return { fixed: value }
  if (field === undefined || field.of === 'any') return prepareMap(value, undefined, inner)
  if (field.holds === 'map') return prepareNames(value, itemOf(field), inner)
  if (field.holds === 'list' || typeof field.of === 'string') throw wrong(value, field, inner)
  return prepareMap(value, field.of, inner)
}

function prepareList(items: readonly Json[], field: Field | undefined, place: Place): Part {
  const item = field === undefined ? undefined : itemOf(field)
  const parts = items.map((each, index) => {
    // A printed item of a keyed list is read as a list of one, so that its key is asked for.
    if (field !== undefined && typeof each === 'string' && each.includes(MARK)) {
      return firstOf(prepare(each, undefined, String(index), place), field, index, place)
    }
    if (
      field?.key !== undefined &&
      isObject(each) &&
      !Object.hasOwn(each, field.key) &&
      !hasDirective(each)
    ) {
      throw fault(place.template, `${place.path}/${index}`, `an object with ${field.key}`)
    }
    return prepare(each, item, String(index), place)
  })
  const build: Fill = (slots) => {
    const list: Json[] = []
    for (const part of parts) {
      const value = 'fill' in part ? part.fill(slots) : part.fixed
      if (value !== undefined) list.push(value)
    }
    return list
  }
  return built(build, parts.flatMap(usesOf))
}

function firstOf(part: Part, field: Field, index: number, place: Place): Part {
  if (!('fill' in part)) return part
  return {
    uses: part.uses,
    fill: (slots) => {
      const value = part.fill(slots)
      if (
        value === undefined ||
        (typeof field.of === 'string' && isPlainFit(value, itemOf(field)))
      ) {
        return value
      }
      const read = checked([value], field, String(index), place)
      return isArray(read) ? read[0] : undefined
    },
  }
}

function prepareMap(map: JsonObject, type: ObjectType | undefined, place: Place): Part {
  const members: {
    readonly key: string
    readonly keySlot: number | undefined
    readonly part: Part
  }[] = []
  for (const [key, value = null] of Object.entries(map)) {
    const field = type?.fields.get(key)
    const keySlot = key.includes(MARK) ? slotIndex(key, place) : undefined
    if (type !== undefined && keySlot !== undefined) {
      throw fault(place.template, `${place.path}/{{json …}}`, 'the name of a field as it is')
    }
    if (type !== undefined && field === undefined) {
      if (!isDirective(key)) continue
      if (hasMark(value))
        throw fault(place.template, key, 'a merge directive without printed values')
    }
    members.push({ key, keySlot, part: prepare(value, field, key, place) })
  }
  return assembled(members, place)
}

/** A map whose keys are free, such as labels. */
function prepareNames(map: JsonObject, field: Field, place: Place): Part {
  const members = Object.entries(map).map(([key, value = null]) => ({
    key,
    keySlot: key.includes(MARK) ? slotIndex(key, place) : undefined,
    part: isDirective(key) ? { fixed: value } : prepare(value, field, key, place),
  }))
  return assembled(members, place)
}

function assembled(
  members: readonly {
    readonly key: string
    readonly keySlot: number | undefined
    readonly part: Part
  }[],
  { template }: Place,
): Part {
  const build: Fill = (slots) => {
    const map: Record<string, Json> = {}
    for (const { key, keySlot, part } of members) {
      const value = 'fill' in part ? part.fill(slots) : part.fixed
      if (value === undefined) continue
      const name = keySlot === undefined ? key : slots[keySlot]
      if (typeof name !== 'string') throw fault(template, JSON.stringify(name), 'text as a key')
      put(map, name, value)
    }
    return map
  }
  const uses = members.flatMap(({ keySlot, part }) => [
    ...(keySlot === undefined ? [] : [keySlot]),
    ...usesOf(part),
  ])
  const isFixed = members.every(({ keySlot, part }) => keySlot === undefined && !('fill' in part))
  return isFixed ? always(build([])) : built(build, uses)
}

function usesOf(part: Part): readonly number[] {
  return 'fill' in part ? part.uses : []
}

/** The most printed values of a part that is kept: such a part is mostly the configuration's alone. */
const FEW = 24

function built(build: Fill, uses: readonly number[]): Part {
  return { fill: uses.length <= FEW ? sameAgain(build, uses) : build, uses }
}

/**
 * Builds nothing anew while the printed values that it is built of stay the same, which those of the
 * configuration do from pod to pod. Only the last result is kept.
 */
function sameAgain(build: Fill, uses: readonly number[]): Fill {
  let last: readonly Json[] | undefined
  let value: Json | undefined
  let isKept = false
  return (slots) => {
    if (last !== undefined && isSameIn(uses, slots, last)) {
      if (!isKept) keep(value)
      isKept = true
      return value
    }
    value = build(slots)
    last = slots
    isKept = false
    return value
  }
}

function isSameIn(uses: readonly number[], a: readonly Json[], b: readonly Json[]): boolean {
  for (const index of uses) if (a[index] !== b[index]) return false
  return true
}

/** A part that every rendering shares. */
function always(fixed: Json | undefined): Part {
  keep(fixed)
  return { fixed }
}

/** What is asked of a shared value for every pod is asked once. */
function keep(value: Json | undefined): void {
  if (value !== undefined) keepPlainness(value)
  keepText(value)
}

function checked(value: Json, field: Field, name: string, place: Place): Json | undefined {
  const read = readOverlayField(place.path, name, value, field)
  if (read.ok) return read.value
  const at = (path: string) => `template ${place.template}: ${path}`
  throw new Refusal(read.problems.map((problem) => ({ ...problem, path: at(problem.path) })))
}

function wrong(value: Json, field: Field, place: Place): Refusal {
  const outer = place.path.slice(0, place.path.lastIndexOf('/'))
  const name = place.path.slice(outer.length + 1)
  checked(value, field, name, { ...place, path: outer })
  return fault(place.template, place.path, 'another kind of value')
}

/** The field that one item of a list or map is. */
function itemOf(field: Field): Field {
  return { holds: 'one', of: field.of, printed: field.printed }
}

function hasMark(value: Json): boolean {
  if (typeof value === 'string') return value.includes(MARK)
  if (isArray(value)) return value.some(hasMark)
  if (!isObject(value)) return false
  return Object.entries(value).some(([key, member = null]) => key.includes(MARK) || hasMark(member))
}

function hasDirective(map: JsonObject): boolean {
  return Object.keys(map).some(isDirective)
}

function slotIndex(text: string, { template }: Place): number {
  const number = /^@slot:(\d+);$/.exec(text)?.[1]
  if (number !== undefined) return Number(number)
  throw fault(
    template,
    text.replaceAll(/@slot:\d+;/g, '{{json …}}'),
    'a printed value as a whole YAML value; join text with (concat "a" b)',
  )
}

/** A problem of a template. */
export function fault(template: string, got: string, want: string): Refusal {
  return new Refusal([{ path: `template ${template}`, got, want }])
}
