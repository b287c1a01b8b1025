/**
 * The walk over a template before it is compiled. Handlebars' own flags leave holes (a path that is
 * no member prints nothing inside a helper, triple-stash prints raw), so only what is known to be
 * harmless passes: the printing helpers, paths of the schema, four block helpers.
 */
import type { Problem } from '../problem.ts'
import type { Schema } from './schema.ts'
import {
  isBlock,
  isCall,
  isPath,
  nameOf,
  type Block,
  type Call,
  type Node,
  type Path,
  type Program,
} from './template-nodes.ts'
import { PURE_HELPERS } from './template-program.ts'

/** Helpers that print one whole YAML value. */
const PRINTERS = ['json', 'indentYaml']
const BLOCKS = ['if', 'unless', 'each', 'with']
const LOOP_VARIABLES = ['index', 'first', 'last']

/** What `this`, its parents and block parameters mean at one place of a template. */
type Scope = {
  readonly self: Schema | undefined
  readonly parent: Scope | undefined
  readonly root: Schema
  readonly names: Readonly<Record<string, Schema | undefined>>
  readonly isLoop: boolean
}

/** Every place of a parsed template that is not allowed, with line and column. */
export function checkTemplate(name: string, program: Program, root: Schema): readonly Problem[] {
  const problems: Problem[] = []
  const report = (node: Node, got: string, want: string) => {
    const { line, column } = node.loc.start
    problems.push({ path: `template ${name}:${line}:${column + 1}`, got, want })
  }
  walk(program, { self: root, parent: undefined, root, names: {}, isLoop: false })
  return problems

  function walk(part: Program, scope: Scope): void {
    for (const node of part.body) statement(node, scope)
  }

  function statement(node: Node, scope: Scope): void {
    switch (node.type) {
      case 'ContentStatement':
      case 'CommentStatement':
        return
      case 'MustacheStatement':
        if (isCall(node)) printed(node, scope)
        return
      case 'BlockStatement':
        if (isBlock(node)) block(node, scope)
        return
      default:
        report(
          node,
          node.type,
          'text, {{json …}}, {{indentYaml …}} or an if, unless, each or with block',
        )
    }
  }

  function printed(node: Call, scope: Scope): void {
    const helper = nameOf(node.path)
    if (node.escaped === false) {
      report(
        node,
        `{{{${helper ?? ''} …}}}`,
        'two braces and a printing helper: raw text is never printed',
      )
      return
    }
    if (helper === undefined || !PRINTERS.includes(helper)) {
      report(node, `{{${helper ?? originalOf(node.path)}}}`, `{{json …}} or {{indentYaml …}}`)
      return
    }
    const wanted = helper === 'json' ? 1 : 2
    if (node.params.length !== wanted) {
      report(node, `${node.params.length} arguments`, `${wanted} for ${helper}`)
    }
    call(node, scope)
  }

  function block(node: Block, scope: Scope): void {
    const helper = nameOf(node.path)
    if (helper === undefined || !BLOCKS.includes(helper)) {
      report(
        node,
        `{{#${helper ?? originalOf(node.path)}}}`,
        `a block helper: ${BLOCKS.join(', ')}`,
      )
      return
    }
    const [subject] = node.params
    if (node.params.length !== 1 || subject === undefined) {
      report(node, `${node.params.length} arguments`, `1 for ${helper}`)
      return
    }
    const schema = expression(subject, scope)
    if (node.hash !== undefined) report(node, 'named arguments', 'none')
    const names = node.program?.blockParams ?? []
    if (helper === 'each') {
      if (schema !== undefined && schema.kind !== 'list') {
        report(subject, originalOf(subject), 'a list')
      }
      const item = schema?.kind === 'list' ? schema.item : undefined
      inner(node.program, item, scope, names, true)
    } else if (helper === 'with') {
      inner(node.program, schema, scope, names, false)
    } else if (node.program !== undefined) {
      // if and unless keep `this`, as Handlebars does.
      walk(node.program, scope)
    }
    if (node.inverse !== undefined) walk(node.inverse, scope)
  }

  function inner(
    part: Program | undefined,
    self: Schema | undefined,
    scope: Scope,
    names: readonly string[],
    isLoop: boolean,
  ): void {
    if (part === undefined) return
    const [first, index] = names
    const known = {
      ...scope.names,
      ...(first === undefined ? {} : { [first]: self }),
      ...(index === undefined ? {} : { [index]: undefined }),
    }
    walk(part, { self, parent: scope, root: scope.root, names: known, isLoop })
  }

  function call(node: Call, scope: Scope): void {
    if (node.hash !== undefined) report(node, 'named arguments', 'none')
    for (const param of node.params) expression(param, scope)
  }

  /** Checks an argument; answers its schema where one is known. */
  function expression(node: Node, scope: Scope): Schema | undefined {
    switch (node.type) {
      case 'StringLiteral':
      case 'NumberLiteral':
      case 'BooleanLiteral':
      case 'NullLiteral':
        return undefined
      case 'SubExpression': {
        if (!isCall(node)) return undefined
        const helper = nameOf(node.path)
        if (helper === undefined || !PURE_HELPERS.includes(helper)) {
          report(
            node,
            `(${helper ?? originalOf(node.path)} …)`,
            `a helper: ${PURE_HELPERS.join(', ')}`,
          )
          return undefined
        }
        call(node, scope)
        return undefined
      }
      case 'PathExpression':
        return isPath(node) ? path(node, scope) : undefined
      default:
        report(node, node.type, 'a path, a literal or a helper in parentheses')
        return undefined
    }
  }

  function path(node: Path, scope: Scope): Schema | undefined {
    let parts = node.parts
    let from: Schema | undefined
    if (node.data) {
      const [variable, ...rest] = parts
      if (variable === 'root') {
        from = scope.root
        parts = rest
      } else {
        if (
          !scope.isLoop ||
          variable === undefined ||
          !LOOP_VARIABLES.includes(variable) ||
          rest.length > 0
        ) {
          report(node, node.original, '@root, or @index, @first, @last inside each')
        }
        return undefined
      }
    } else {
      const [first, ...rest] = parts
      if (first !== undefined && node.depth === 0 && Object.hasOwn(scope.names, first)) {
        from = scope.names[first]
        parts = rest
      } else {
        let at: Scope | undefined = scope
        for (let up = 0; up < node.depth; up++) at = at?.parent
        if (at === undefined) {
          report(node, node.original, 'a path that stays inside the template context')
          return undefined
        }
        from = at.self
      }
    }
    for (const part of parts) {
      if (from === undefined) return undefined
      const next: Schema | undefined =
        from.kind === 'group' && Object.hasOwn(from.members, part) ? from.members[part] : undefined
      if (next === undefined) {
        report(node, node.original, `a path of the template context; ${membersOf(from)}`)
        return undefined
      }
      from = next
    }
    return from
  }
}

function membersOf(schema: Schema): string {
  if (schema.kind === 'group') return `here: ${Object.keys(schema.members).join(', ')}`
  return schema.kind === 'list' ? 'a list is walked with each' : 'nothing is below this value'
}

function originalOf(node: Node): string {
  return isPath(node) ? node.original : node.type
}
