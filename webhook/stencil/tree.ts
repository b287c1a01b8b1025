/** Bodies by their shapes: a prefix tree over the texts between the holes, in which a body is found in one pass. */
import { endOfList, endOfText } from './ends.ts'
import { GRAMMARS, type Rules } from './holes.ts'
import { isFreeNamespace, ownerIn, type Hole, type Parts } from './scan.ts'

/** A prefix tree of bodies. */
export type Tree<Leaf> = { readonly root: Node<Leaf> }

/** What a body's shape leads to, and what stands in its holes. */
export type Found<Leaf> = { readonly leaf: Leaf; readonly values: readonly string[] }

type Node<Leaf> = {
  /** What stands here, before anything below. */
  literal: string
  /** What may stand behind it, by the first character. */
  below: Map<number, Node<Leaf>>
  /** The hole that may stand behind it, which is tried first. */
  hole: { readonly is: Hole; readonly node: Node<Leaf> } | undefined
  /** Where a body ends here. */
  leaf: Leaf | undefined
}

export function emptyTree<Leaf>(): Tree<Leaf> {
  return { root: nodeOf('') }
}

/** Finds a body of a shape that was planted. */
export function find<Leaf>(
  { root }: Tree<Leaf>,
  body: string,
  rules: Rules,
): Found<Leaf> | undefined {
  const values: string[] = []
  let node = root
  let at = 0
  for (;;) {
    if (!body.startsWith(node.literal, at)) return undefined
    at += node.literal.length
    const { hole, leaf } = node
    if (hole !== undefined) {
      const end = hole.is.kind === 'list' ? endOfList(body, at) : endOfText(body, at)
      const value = end < 0 ? undefined : valueIn(hole.is, body.slice(at, end), values, rules)
      if (value !== undefined) {
        values.push(value)
        at = end
        node = hole.node
        continue
      }
    }
    if (at === body.length) return leaf === undefined ? undefined : { leaf, values }
    const next = node.below.get(body.charCodeAt(at))
    if (next === undefined) return undefined
    node = next
  }
}

/** Plants a shape. Throws where two kinds of holes follow the same text, which `scan` does not give. */
export function plant<Leaf>({ root }: Tree<Leaf>, { literals, holes }: Parts, leaf: Leaf): void {
  let node = root
  for (const [index, literal] of literals.entries()) {
    node = descend(node, literal)
    const is = holes[index]
    if (is === undefined) break
    node.hole ??= { is, node: nodeOf('') }
    if (!isSameHole(node.hole.is, is)) throw new Error('two kinds of holes at one place')
    node = node.hole.node
  }
  node.leaf = leaf
}

/** What a text means in a hole; undefined where it does not fit. */
function valueIn(
  hole: Hole,
  text: string,
  values: readonly string[],
  rules: Rules,
): string | undefined {
  switch (hole.kind) {
    case 'free':
    case 'list':
      return text
    case 'namespace':
      return isFreeNamespace(text, rules) ? text : undefined
    case 'same':
      return text === values[hole.of] ? text : undefined
    case 'hashed':
      return ownerIn(text, values[hole.of] ?? '')
    default:
      return GRAMMARS[hole.kind].fits(text) ? text : undefined
  }
}

function isSameHole(a: Hole, b: Hole): boolean {
  return a.kind === b.kind && ('of' in a ? a.of : -1) === ('of' in b ? b.of : -1)
}

/** The node behind a literal below a node, made where it is missing; nodes are split where texts part. */
function descend<Leaf>(from: Node<Leaf>, literal: string): Node<Leaf> {
  let node = from
  let rest = literal
  while (rest !== '') {
    const first = rest.charCodeAt(0)
    const next = node.below.get(first)
    if (next === undefined) {
      const made = nodeOf<Leaf>(rest)
      node.below.set(first, made)
      return made
    }
    const shared = sharedLength(next.literal, rest)
    if (shared < next.literal.length) split(next, shared)
    rest = rest.slice(shared)
    node = next
  }
  return node
}

function split<Leaf>(node: Node<Leaf>, length: number): void {
  const lower: Node<Leaf> = { ...node, literal: node.literal.slice(length) }
  node.literal = node.literal.slice(0, length)
  node.below = new Map([[lower.literal.charCodeAt(0), lower]])
  node.hole = undefined
  node.leaf = undefined
}

function sharedLength(a: string, b: string): number {
  let length = 0
  while (length < a.length && a.charCodeAt(length) === b.charCodeAt(length)) length++
  return length
}

function nodeOf<Leaf>(literal: string): Node<Leaf> {
  return { literal, below: new Map(), hole: undefined, leaf: undefined }
}
