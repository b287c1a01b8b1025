/** A pod as it arrives from a manifest or a review: checked for its structure, not for its meaning. */
import { isArray, isObject, type Json, type JsonObject } from '../json.ts'
import type { Container, Pod } from '../k8s.ts'
import type { Problem, Read } from '../problem.ts'
import { put } from './merge-keys.ts'
import { POD_TYPES, type Field, type ObjectType, type Scalar } from './pod-fields.ts'

/**
 * Reads a pod. Objects must be objects, lists lists, scalars scalars: everything else is a problem
 * with its path below `path`. In the pod that comes back
 *
 * - a number or boolean in a string field is its text, as unquoted YAML gives it,
 * - null is absent in known fields; in maps it is what Go reads there: `""`, for quantities `"0"`,
 * - unknown fields and scalars of another wrong type stand as they came,
 * - every subtree in which nothing had to change is the one that came in.
 */
export function readPod(path: string, value: unknown): Read<Pod> {
  const place = new Place(path)
  if (!isObject(value)) {
    place.complain(value, 'an object')
    return { ok: false, problems: place.problems }
  }
  const pod: unknown = readObject(value, POD_TYPES.Pod, place)
  if (place.problems.length > 0 || !isPod(pod)) return { ok: false, problems: place.problems }
  return { ok: true, value: pod }
}

/** The claim that an object is a pod, for those who checked its structure or merged two pods. */
export function isPod(value: unknown): value is Pod {
  return isObject(value)
}

/** Whether a value is a container as far as its name goes. */
export function isContainer(value: unknown): value is Container {
  return isObject(value) && typeof value['name'] === 'string' && value['name'] !== ''
}

/** Nobody reads further, and a hostile pod could have millions. */
const MOST_PROBLEMS = 100

/** Where a reader stands in a tree, and what it found wrong so far. */
export class Place {
  readonly problems: Problem[] = []
  readonly #steps: (string | number)[] = []
  readonly #root: string

  constructor(root: string) {
    this.#root = root
  }

  enter(step: string | number): void {
    this.#steps.push(step)
  }

  leave(): void {
    this.#steps.pop()
  }

  /** Notes, up to the hundredth problem, what stands here, or at `step` below it, and what would have been right. */
  complain(value: unknown, want: string, step?: string | number): void {
    if (this.problems.length >= MOST_PROBLEMS) return
    const steps = step === undefined ? this.#steps : [...this.#steps, step]
    this.problems.push({ path: this.#root + steps.map(pointer).join(''), got: shown(value), want })
  }
}

/** One step of a JSON pointer (RFC 6901). */
export function pointer(step: string | number): string {
  const text = String(step)
  const isPlain = !text.includes('/') && !text.includes('~')
  return isPlain ? `/${text}` : `/${text.replaceAll('~', '~0').replaceAll('/', '~1')}`
}

/** What stands somewhere, in few words: a text as it is, lists and objects by what they are. */
export function shown(value: unknown): string {
  if (isArray(value)) return value.length === 0 ? '[]' : 'a list'
  if (isObject(value)) return Object.keys(value).length === 0 ? '{}' : 'an object'
  return String(value)
}

function readObject(object: JsonObject, type: ObjectType, place: Place): JsonObject {
  let copy: Record<string, Json | undefined> | undefined
  for (const name in object) {
    const field = type.fields.get(name)
    if (field === undefined) continue
    const before = object[name]
    const after = before === null ? undefined : readField(name, before, field, place)
    if (after === before) continue
    copy ??= { ...object }
    // eslint-disable-next-line @typescript-eslint/no-dynamic-delete -- a known field, in our own copy
    if (after === undefined) delete copy[name]
    else copy[name] = after
  }
  return copy ?? object
}

function readField(
  name: string,
  value: Json | undefined,
  field: Field,
  place: Place,
): Json | undefined {
  if (field.holds === 'one') {
    if (typeof field.of === 'string') return readScalar(name, value, field.of, place)
    if (!isObject(value)) return refused(name, value, 'an object', place)
    place.enter(name)
    const read = readObject(value, field.of, place)
    place.leave()
    return read
  }
  if (field.holds === 'list') {
    if (!isArray(value)) return refused(name, value, 'a list', place)
    place.enter(name)
    const read = readList(value, field.of, place)
    place.leave()
    return read
  }
  if (!isObject(value)) return refused(name, value, 'an object', place)
  place.enter(name)
  const read = readMap(value, field.of, place)
  place.leave()
  return read
}

function readList(items: readonly Json[], of: Field['of'], place: Place): readonly Json[] {
  let copy: Json[] | undefined
  for (let index = 0; index < items.length; index++) {
    const after = readItem(index, items[index], of, place)
    if (after === items[index] || after === undefined) continue
    copy ??= [...items]
    copy[index] = after
  }
  return copy ?? items
}

function readMap(members: JsonObject, of: Field['of'], place: Place): JsonObject {
  let copy: Record<string, Json | undefined> | undefined
  for (const name in members) {
    const after = readItem(name, members[name], of, place)
    if (after === members[name] || after === undefined) continue
    copy ??= { ...members }
    put(copy, name, after)
  }
  return copy ?? members
}

function readItem(
  step: string | number,
  value: Json | undefined,
  of: Field['of'],
  place: Place,
): Json | undefined {
  if (typeof of === 'string') return readScalar(step, value ?? NULL_ITEMS[of], of, place)
  if (!isObject(value)) return refused(step, value, 'an object', place)
  place.enter(step)
  const read = readObject(value, of, place)
  place.leave()
  return read
}

/** What Go makes of null where it cannot leave the item out. */
const NULL_ITEMS: Readonly<Partial<Record<Scalar, string>>> = { string: '', quantity: '0' }

function readScalar(
  step: string | number,
  value: Json | undefined,
  scalar: Scalar,
  place: Place,
): Json | undefined {
  if (scalar === 'any' || typeof value === 'string') return value
  if (typeof value === 'object') return refused(step, value, WANTED[scalar], place)
  if (scalar !== 'string' || value === undefined) return value
  return typeof value === 'number' ? goNumberText(value) : String(value)
}

/** What a reader says that it wants of a scalar. */
export const WANTED: Readonly<Record<Scalar, string>> = {
  string: 'a text',
  int32: 'a whole number from -2147483648 to 2147483647',
  int64: 'a whole number',
  bool: 'true or false',
  quantity: 'a quantity such as 100m or 1Gi',
  intOrString: 'a whole number or a text',
  time: 'a time such as 2006-01-02T15:04:05Z',
  any: 'any value',
}

/** A number as kubectl turns it into the text of a string field: exponents from 1e6 on, unless whole. */
function goNumberText(number: number): string {
  const size = Math.abs(number)
  const isPlain = Number.isInteger(number) ? size < 1e21 : size < 1e6 && size >= 1e-4
  if (isPlain) return String(number)
  return number.toExponential().replace(/e([+-])(\d)$/, 'e$10$2')
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
