import type { Scalar } from './scalars.ts'

/** Offsets into the text: from the anchor or tag, if any, to behind the last character. */
export type Placed = { readonly start: number; readonly end: number; readonly anchor?: string }

/** One node of a document, as it stands in the text. */
export type YamlNode = YamlScalar | YamlMap | YamlList | YamlAlias

/** A scalar; `block` for `|` and `>`. One without any text is an empty range and null. */
export type YamlScalar = Placed & {
  readonly kind: 'scalar'
  readonly value: Scalar
  readonly block: boolean
}

/** A map, `flow` when written in braces. */
export type YamlMap = Placed & {
  readonly kind: 'map'
  readonly flow: boolean
  readonly pairs: readonly YamlPair[]
}

/** One pair of a map. */
export type YamlPair = {
  /** The JSON key. A merge pair has `<<`. */
  readonly key: string
  readonly isMerge: boolean
  /** Where the pair begins: at its `?`, or at the key with its anchor and tag. */
  readonly start: number
  /** Behind the `:`; nothing when there is none, as in `{a}`. */
  readonly colonEnd: number | undefined
  readonly value: YamlNode
}

/** A list, `flow` when written in brackets. */
export type YamlList = Placed & {
  readonly kind: 'list'
  readonly flow: boolean
  readonly items: readonly YamlItem[]
}

/** One item of a list; `start` is where its dash stands, or the item itself in brackets. */
export type YamlItem = { readonly start: number; readonly value: YamlNode }

/** An alias with the node that it repeats. */
export type YamlAlias = Placed & { readonly kind: 'alias'; readonly target: YamlNode }
