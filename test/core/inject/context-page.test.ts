import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import {
  contextRows,
  HELPER_ROWS,
  printTemplateContext,
} from '../../../core/inject/context-page.ts'
import { PURE_HELPERS } from '../../../core/inject/template-program.ts'
import { compileTemplate } from '../../../core/inject/template.ts'

t.test('the reference page is printed from the schema', async (t) => {
  const page = join(import.meta.dirname, '../../../docs/reference/template-context.md')
  t.equal(readFileSync(page, 'utf8'), printTemplateContext(), 'npm run reference')
})

t.test('every helper is told, and no other', async (t) => {
  const names = HELPER_ROWS.map(({ name }) => name)
  t.strictSame([...names].sort(), ['indentYaml', 'json', ...PURE_HELPERS].sort())
})

t.test('a template can print every path of the page', async (t) => {
  for (const { path, holds } of contextRows()) {
    const [list, item] = path.split('[].')
    const inList = path.endsWith('[]') ? 'this' : item
    const printed =
      inList === undefined
        ? `a: {{json ${path}}}`
        : `a: [{{#each ${(list ?? '').replace('[]', '')}}}{{json ${inList}}}{{/each}}]`
    t.equal(compileTemplate('t', printed, 'any').ok, true, `${path}, ${holds}`)
  }
})
