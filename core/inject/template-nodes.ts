/** The nodes of Handlebars' syntax tree, as far as templates may use them. */
import type { Json } from '../json.ts'

export type Node = {
  readonly type: string
  readonly loc: { readonly start: { readonly line: number; readonly column: number } }
}

export type Path = Node & {
  readonly data: boolean
  readonly depth: number
  readonly parts: readonly string[]
  readonly original: string
}

/** A helper with its arguments: printing, in parentheses, or at the head of a block. */
export type Call = Node & {
  readonly path: Node
  readonly params: readonly Node[]
  readonly hash?: Node
  readonly escaped?: boolean
}

export type Program = {
  readonly body: readonly Node[]
  readonly blockParams?: readonly string[]
}

export type Block = Call & { readonly program?: Program; readonly inverse?: Program }

export function isCall(node: Node): node is Call {
  return 'path' in node && 'params' in node
}

export function isBlock(node: Node): node is Block {
  return node.type === 'BlockStatement'
}

export function isPath(node: Node): node is Path {
  return node.type === 'PathExpression'
}

/** The plain word that a path is; undefined for anything with dots, `@` or `../`. */
export function nameOf(node: Node): string | undefined {
  if (!isPath(node) || node.data || node.depth > 0 || node.parts.length !== 1) return undefined
  return node.parts[0]
}

/** The value of a literal or of text; null for a null literal. */
export function valueOf(node: Node): Json {
  return isLiteral(node) ? (node.value ?? null) : null
}

type Literal = Node & { readonly value: string | number | boolean | null | undefined }

function isLiteral(node: Node): node is Literal {
  return 'value' in node
}
