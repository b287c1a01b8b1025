/** What each node of a template names: the values that it prints, and the blocks that it stands in. */
import {
  isBlock,
  isCall,
  isPath,
  nameOf,
  valueOf,
  type Node,
  type Path,
  type Program,
} from '../inject/template-nodes.ts'

/** One thing that a template reads: a path of the context (`[]` for an item), or what a helper looks up. */
export type Reference = {
  readonly kind: 'context' | 'annotation' | 'label' | 'value'
  readonly name: string
}

/** A block that a node stands in. */
export type Condition = {
  readonly line: number
  /** The head of the block, such as `#if init.isPresent`. */
  readonly text: string
  /** Whether the node stands in the block itself, not behind its `else`. */
  readonly isTaken: boolean
  readonly reads: readonly Reference[]
}

/** What a node prints, if anything, and under which conditions. */
export type NodePlace = {
  readonly line: number
  readonly prints: readonly Reference[]
  readonly conditions: readonly Condition[]
}

/** The place of every node of a template that prints or stands for itself. */
export function placesOf(program: Program): ReadonlyMap<Node, NodePlace> {
  const places = new Map<Node, NodePlace>()
  walk(program, { self: '', parent: undefined, names: {} }, [])
  return places

  function walk(part: Program, scope: Scope, conditions: readonly Condition[]): void {
    for (const node of part.body) {
      const { line } = node.loc.start
      if (isBlock(node)) {
        const { program: body, inverse, params } = node
        const [subject] = params
        const reads = subject === undefined ? [] : referencesIn(subject, scope)
        const head = nameOf(node.path) ?? ''
        const text = `#${head} ${subject === undefined ? '' : printed(subject)}`
        const under = (isTaken: boolean): readonly Condition[] => {
          return [...conditions, { line, text, isTaken, reads }]
        }
        if (body !== undefined) {
          walk(body, inner(head, subject, body.blockParams ?? [], scope), under(true))
        }
        if (inverse !== undefined) walk(inverse, scope, under(false))
      } else {
        const value = isCall(node) ? node.params.at(-1) : undefined
        const prints = value === undefined ? [] : referencesIn(value, scope)
        places.set(node, { line, prints, conditions })
      }
    }
  }
}

/** What `this`, its parents and block parameters are, as paths of the context. */
type Scope = {
  readonly self: string
  readonly parent: Scope | undefined
  readonly names: Readonly<Record<string, string>>
}

function inner(
  head: string,
  subject: Node | undefined,
  params: readonly string[],
  scope: Scope,
): Scope {
  if (head !== 'each' && head !== 'with') return scope
  const path = subject !== undefined && isPath(subject) ? resolved(subject, scope) : ''
  const self = head === 'each' ? `${path ?? ''}[]` : (path ?? '')
  const [first] = params
  const names = first === undefined ? scope.names : { ...scope.names, [first]: self }
  return { self, parent: scope, names }
}

function referencesIn(node: Node, scope: Scope): readonly Reference[] {
  if (isPath(node)) {
    const name = resolved(node, scope)
    return name === undefined ? [] : [{ kind: 'context', name }]
  }
  if (!isCall(node)) return []
  const helper = nameOf(node.path)
  const [first, ...others] = node.params
  const key = first === undefined ? null : valueOf(first)
  const isLookUp = helper === 'annotation' || helper === 'label' || helper === 'value'
  if (!isLookUp || typeof key !== 'string') {
    return node.params.flatMap((param) => referencesIn(param, scope))
  }
  return [{ kind: helper, name: key }, ...others.flatMap((param) => referencesIn(param, scope))]
}

/** The path of the context that a path of the template means; undefined for a loop's variables. */
function resolved({ data, depth, parts }: Path, scope: Scope): string | undefined {
  const [first, ...rest] = parts
  if (data) return first === 'root' ? rest.join('.') : undefined
  const named = first !== undefined && depth === 0 ? scope.names[first] : undefined
  if (named !== undefined) return joined(named, rest)
  let at: Scope | undefined = scope
  for (let up = 0; up < depth; up++) at = at?.parent
  return joined(at?.self ?? '', parts)
}

function joined(path: string, parts: readonly string[]): string {
  return [...(path === '' ? [] : [path]), ...parts].join('.')
}

/** An expression as the template has it, blanks aside. */
function printed(node: Node): string {
  if (isPath(node)) return node.original
  if (!isCall(node)) return JSON.stringify(valueOf(node))
  return `(${[nameOf(node.path) ?? '', ...node.params.map(printed)].join(' ')})`
}
