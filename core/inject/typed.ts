/**
 * JSON that must fit the Kubernetes API: rendered template overlays, and what users write as JSON in
 * annotations. Read with every problem, printed in the field order of the API.
 */
import {
  goJson,
  isArray,
  isObject,
  own,
  sortedEntries,
  type Json,
  type JsonObject,
} from '../json.ts'
import type { Read } from '../problem.ts'
import { keyOf, put } from './merge-keys.ts'
import { POD_TYPES, type Field, type ObjectType, type Scalar } from './pod-fields.ts'
import { Place, WANTED } from './pod-shape.ts'
import { canonicalQuantity } from './quantity.ts'
import { isDirective } from './strategic-merge.ts'

/** A type of the Kubernetes API that can be read and printed on its own. */
export type TypeName = keyof typeof POD_TYPES

/**
 * Reads one object of the API, such as a container from an annotation, with paths below `path`.
 * Unknown fields and nulls are left out, quantities are made canonical, directives are unknown.
 */
export function readTyped(typeName: TypeName, path: string, value: unknown): Read<JsonObject> {
  return readAs(POD_TYPES[typeName], path, value, false)
}

/**
 * The JSON text of one object of the API as Go writes it: fields in the order of the API, empty ones
 * left out where Go leaves them out, `<`, `>` and `&` escaped. Unknown fields follow at the end.
 */
export function printTyped(typeName: TypeName, value: JsonObject): string {
  return goJson(inOrder(value, POD_TYPES[typeName]))
}

/** Reads one field of an overlay that stands at `path`; undefined for what is left out. */
export function readOverlayField(
  path: string,
  name: string,
  value: Json,
  field: Field,
): Read<Json | undefined> {
  if (value === null) return { ok: true, value }
  const place = new Place(path)
  const read = readField(name, value, field, { place, isOverlay: true })
  return place.problems.length > 0
    ? { ok: false, problems: place.problems }
    : { ok: true, value: read }
}

/** Whether a value needs no reading to stand in a field: text where text is wanted. */
export function isPlainFit(value: Json, field: Field): boolean {
  return field.holds === 'one' && field.of === 'string' && typeof value === 'string'
}

/** What a reader carries along: where it stands, and whether it reads an overlay for a merge. */
type Reading = { readonly place: Place; readonly isOverlay: boolean }

function readAs(
  type: ObjectType,
  path: string,
  value: unknown,
  isOverlay: boolean,
): Read<JsonObject> {
  const place = new Place(path)
  const read = isObject(value) ? readObject(value, type, { place, isOverlay }) : undefined
  if (read === undefined) place.complain(value, 'an object')
  return read === undefined || place.problems.length > 0
    ? { ok: false, problems: place.problems }
    : { ok: true, value: read }
}

function readObject(object: JsonObject, type: ObjectType, reading: Reading): JsonObject {
  const read: Record<string, Json | undefined> = {}
  for (const name of Object.keys(object)) {
    const value = object[name]
    const field = type.fields.get(name)
    if (value === undefined) continue
    if (field === undefined) readDirective(read, name, value, reading)
    else if (value !== null) set(read, name, readField(name, value, field, reading))
    else if (reading.isOverlay) put(read, name, null)
  }
  return read
}

/** Keeps a merge directive after a look at its form; every other unknown field is left out. */
function readDirective(
  read: Record<string, Json | undefined>,
  name: string,
  value: Json,
  { place, isOverlay }: Reading,
): void {
  if (!isOverlay || !isDirective(name)) return
  const isRight = name === '$patch' ? value === 'replace' || value === 'delete' : isArray(value)
  if (isRight) put(read, name, value)
  else place.complain(value, name === '$patch' ? 'replace or delete' : 'a list', name)
}

function readField(name: string, value: Json, field: Field, reading: Reading): Json | undefined {
  const { place } = reading
  if (field.holds === 'one') return readOne(name, value, field.of, reading)
  const isRight = field.holds === 'list' ? isArray(value) : isObject(value)
  if (!isRight) return refused(name, value, field.holds === 'list' ? 'a list' : 'an object', place)
  place.enter(name)
  const read = isArray(value) ? readList(value, field, reading) : readMap(value, field.of, reading)
  place.leave()
  return read
}

function readList(items: readonly Json[], field: Field, reading: Reading): Json {
  return items
    .map((item, index) => {
      const read = readOne(index, item, field.of, reading)
      if (!isObject(read) || field.key === undefined || own(read, '$patch') === 'replace')
        return read
      const key = keyOf(item, field.key)
      const isKeyed = key !== undefined && key !== null
      return isKeyed ? read : refused(index, item, `an object with ${field.key}`, reading.place)
    })
    .filter((item) => item !== undefined)
}

function readMap(value: Json, of: Field['of'], reading: Reading): Json {
  const read: Record<string, Json | undefined> = {}
  if (!isObject(value)) return read
  for (const name of Object.keys(value)) {
    const member = value[name]
    if (member === undefined) continue
    if (reading.isOverlay && (member === null || isDirective(name))) put(read, name, member)
    else set(read, name, readOne(name, orZero(member, of), of, reading))
  }
  return read
}

function readOne(
  step: string | number,
  value: Json,
  of: Field['of'],
  reading: Reading,
): Json | undefined {
  if (typeof of === 'string') return readScalar(step, value, of, reading.place)
  if (!isObject(value)) return refused(step, value, 'an object', reading.place)
  reading.place.enter(step)
  const read = readObject(value, of, reading)
  reading.place.leave()
  return read
}

/** What Go reads where null stands in a map; elsewhere than in those of texts and quantities, null. */
function orZero(value: Json, of: Field['of']): Json {
  return value ?? (of === 'string' ? '' : of === 'quantity' ? '0' : null)
}

function readScalar(
  step: string | number,
  value: Json,
  scalar: Scalar,
  place: Place,
): Json | undefined {
  if (scalar === 'any') return value
  if (scalar === 'quantity') return readAmount(step, value, place)
  return FITS[scalar](value) ? value : refused(step, value, WANTED[scalar], place)
}

const FITS: Readonly<Record<Exclude<Scalar, 'any' | 'quantity'>, (value: Json) => boolean>> = {
  string: (value) => typeof value === 'string',
  time: (value) => typeof value === 'string',
  bool: (value) => typeof value === 'boolean',
  int32: (value) => Number.isInteger(value) && Math.abs(Number(value)) < 2 ** 31,
  int64: (value) => Number.isInteger(value) && Math.abs(Number(value)) < 2 ** 63,
  intOrString: (value) => typeof value === 'string' || FITS.int32(value),
}

/** A quantity may be a number; blanks around its text do not count. */
function readAmount(step: string | number, value: Json, place: Place): Json | undefined {
  const isAmount = typeof value === 'string' || typeof value === 'number'
  const canonical = isAmount ? canonicalQuantity(String(value).trim()) : undefined
  return canonical ?? refused(step, value, WANTED.quantity, place)
}

function set(read: Record<string, Json | undefined>, name: string, value: Json | undefined): void {
  if (value !== undefined) put(read, name, value)
}

function refused(
  step: string | number,
  value: unknown,
  want: string,
  place: Place,
): Json | undefined {
  place.complain(value, want, step)
  return undefined
}

function inOrder(object: JsonObject, type: ObjectType): JsonObject {
  const result: Record<string, Json | undefined> = {}
  for (const [name, field] of type.fields) {
    const value = own(object, name)
    const printed = printedField(value === null ? undefined : value, field)
    if (printed !== undefined) result[name] = printed
  }
  for (const name of Object.keys(object)) {
    const value = object[name]
    if (!type.fields.has(name) && value !== undefined && value !== null) put(result, name, value)
  }
  return result
}

function printedField(value: Json | undefined, field: Field): Json | undefined {
  if (value === undefined) return field.printed === 'always' ? zeroOf(field) : undefined
  if (isArray(value)) {
    const items = value.map((item) => printedOne(item, field.of))
    return items.length > 0 || field.printed === 'always' ? items : undefined
  }
  if (field.holds === 'map' && isObject(value)) {
    const members = sortedEntries(value).map(([name, member]) => {
      return [name, printedOne(member ?? '', field.of)] as const
    })
    return members.length > 0 ? Object.fromEntries(members) : undefined
  }
  const isEmpty = value === '' || value === 0 || value === false
  return isEmpty && field.printed === 'nonempty' ? undefined : printedOne(value, field.of)
}

function printedOne(value: Json, of: Field['of']): Json {
  if (of === 'quantity' && typeof value === 'string') return canonicalQuantity(value) ?? value
  return typeof of !== 'string' && isObject(value) ? inOrder(value, of) : value
}

const ZEROS: Readonly<Record<Scalar, Json>> = {
  string: '',
  int32: 0,
  int64: 0,
  bool: false,
  quantity: '0',
  intOrString: 0,
  time: null,
  any: null,
}

/** What Go prints for a field that it never leaves out. */
function zeroOf({ holds, of }: Field): Json {
  if (holds !== 'one') return null
  if (typeof of !== 'string') return inOrder({}, of)
  return ZEROS[of]
}
