/**
 * The language of the context schema: one description gives the TypeScript type of the template
 * context, the check of every path at load, the reference page, and a sample to try templates on.
 */
import type { Json } from '../json.ts'

/** One value that a template may print or test. */
export type Leaf<T extends Json> = {
  readonly kind: 'leaf'
  /** What it holds, in the words of the reference page. */
  readonly holds: 'text' | 'text or null' | 'flag' | 'number' | 'JSON'
  readonly says: string
  readonly sample: T
}
/** A list that a template may walk with `each`. */
export type List<Item extends Schema> = {
  readonly kind: 'list'
  readonly says: string
  readonly item: Item
}
/** Named members. */
export type Group<Members extends Readonly<Record<string, Schema>>> = {
  readonly kind: 'group'
  readonly says: string
  readonly members: Members
}
export type Schema =
  | Leaf<Json>
  | { readonly kind: 'list'; readonly says: string; readonly item: Schema }
  | {
      readonly kind: 'group'
      readonly says: string
      readonly members: Readonly<Record<string, Schema>>
    }

/** The type of the values that a schema describes. */
export type ValueOf<S> =
  S extends Leaf<infer T>
    ? T
    : S extends List<infer Item>
      ? readonly ValueOf<Item>[]
      : S extends Group<infer Members>
        ? { readonly [Key in keyof Members]: ValueOf<Members[Key]> }
        : never

export function text(says: string, sample = 'text'): Leaf<string> {
  return { kind: 'leaf', holds: 'text', says, sample }
}

/** Text that may be absent; a template tests it with `if`. */
export function maybeText(says: string, sample: string | null = 'text'): Leaf<string | null> {
  return { kind: 'leaf', holds: 'text or null', says, sample }
}

export function flag(says: string, sample = true): Leaf<boolean> {
  return { kind: 'leaf', holds: 'flag', says, sample }
}

export function number(says: string, sample = 1): Leaf<number> {
  return { kind: 'leaf', holds: 'number', says, sample }
}

/** Any JSON, printed whole; null is absent. Paths below it are refused. */
export function json(says: string, sample: Json = {}): Leaf<Json> {
  return { kind: 'leaf', holds: 'JSON', says, sample }
}

export function list<Item extends Schema>(says: string, item: Item): List<Item> {
  return { kind: 'list', says, item }
}

export function group<Members extends Readonly<Record<string, Schema>>>(
  says: string,
  members: Members,
): Group<Members> {
  return { kind: 'group', says, members }
}

/** A value of the schema's shape, every list with one item: what templates are tried on at load. */
export function sampleOf(schema: Schema): Json {
  switch (schema.kind) {
    case 'leaf':
      return schema.sample
    case 'list':
      return [sampleOf(schema.item)]
    case 'group':
      return Object.fromEntries(
        Object.entries(schema.members).map(([name, member]) => [name, sampleOf(member)]),
      )
  }
}
