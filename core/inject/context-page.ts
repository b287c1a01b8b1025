/** The reference page of the template context: every path and helper, printed from what templates are checked with. */
import { CONTEXT_SCHEMA } from './context-schema.ts'
import type { Schema } from './schema.ts'

/** One value that a template can name. Below a list, `[]` stands for one item of it. */
export type ContextRow = {
  readonly path: string
  readonly holds: string
  readonly says: string
}

/** Every value of the context, in the order of the schema. */
export function contextRows(schema: Schema = CONTEXT_SCHEMA, path = ''): readonly ContextRow[] {
  switch (schema.kind) {
    case 'leaf':
      return [{ path, holds: schema.holds, says: schema.says }]
    case 'list':
      return [{ path, holds: 'list', says: schema.says }, ...contextRows(schema.item, `${path}[]`)]
    case 'group':
      return Object.entries(schema.members).flatMap(([name, member]) =>
        contextRows(member, path === '' ? name : `${path}.${name}`),
      )
  }
}

/** What each helper does; a test compares the names with those that templates may use. */
export const HELPER_ROWS: readonly {
  readonly name: string
  readonly use: string
  readonly says: string
}[] = [
  {
    name: 'json',
    use: '{{json path}}',
    says: 'prints a value, whatever it holds, as one YAML value or key',
  },
  {
    name: 'indentYaml',
    use: '{{indentYaml 4 path}}',
    says: 'the same; the number is for the eye of the reader only',
  },
  {
    name: 'concat',
    use: '(concat "a" path …)',
    says: 'texts, numbers and flags joined to one text',
  },
  { name: 'eq', use: '(eq a b)', says: 'whether two values are the same' },
  { name: 'not', use: '(not a)', says: 'whether a value is empty: false, 0, "", null or no items' },
  { name: 'and', use: '(and a b …)', says: 'whether no value is empty' },
  { name: 'or', use: '(or a b …)', says: 'the first value that is not empty, else the last one' },
  {
    name: 'annotation',
    use: '(annotation "key" fallback)',
    says: 'the annotation of the pod, also an empty one; else the fallback, else null',
  },
  {
    name: 'label',
    use: '(label "key" fallback)',
    says: 'the label of the pod, also an empty one; else the fallback, else null',
  },
  {
    name: 'value',
    use: '(value "global.proxy.image" fallback)',
    says: 'what stands in the values under that path; else the fallback, else null',
  },
]

/** The page, Markdown. `npm run reference` writes it; a test compares. */
export function printTemplateContext(): string {
  const rows = contextRows().map(({ path, holds, says }) => [`\`${path}\``, holds, says])
  const helpers = HELPER_ROWS.map(({ use, says }) => [`\`${use}\``, says])
  return [
    INTRODUCTION,
    '## Values\n',
    table(['path', 'holds', 'what it is'], rows),
    '## Helpers\n',
    HELPERS_INTRODUCTION,
    table(['use', 'what it gives'], helpers),
  ].join('\n')
}

const INTRODUCTION = `# The template context

What a template can name. A path that is not in this table is refused when the configuration is read, with line and
column. \`[]\` stands for one item of a list: walk it with \`{{#each path}}\`, where \`this\` is the item. Values that
may be null are tested with \`{{#if path}}\`. How to write a template: [templates](../guides/templates.md). This page
is printed from \`core/inject/context-schema.ts\`.
`

const HELPERS_INTRODUCTION = `Blocks are \`if\`, \`unless\`, \`each\` and \`with\`, all with \`else\`. Inside \`each\` there are \`@index\`, \`@first\` and
\`@last\`; \`@root\` is the whole context everywhere. Only the first two helpers print.
`

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map(() => '---'), ...rows].map((cells) => {
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  })
  return `${lines.join('\n')}\n`
}
