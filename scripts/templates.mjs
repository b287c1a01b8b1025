// Turns templates/<set>/<name>.yaml.hbs and <name>.declares.yaml into core/generated/templates.ts, so that core reads no file.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Handlebars from 'handlebars'
import { load } from 'js-yaml'

/** Writes the module; the text is the same for the same templates. */
export function writeTemplateModule(root) {
  const folder = join(root, 'templates')
  const sets = {}
  const declarations = {}
  for (const set of readdirSync(folder, { withFileTypes: true })
    .filter((e) => e.isDirectory())
    .map((e) => e.name)
    .sort()) {
    sets[set] = {}
    declarations[set] = {}
    for (const file of readdirSync(join(folder, set))
      .filter((f) => f.endsWith('.hbs'))
      .sort()) {
      const name = file.replace(/\.yaml\.hbs$/, '')
      sets[set][name] = readFileSync(join(folder, set, file), 'utf8')
      declarations[set][name] = load(
        readFileSync(join(folder, set, `${name}.declares.yaml`), 'utf8'),
      )
    }
  }
  const programs = Object.entries(sets).map(([set, texts]) => [
    set,
    Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, printProgram(text)])),
  ])
  mkdirSync(join(root, 'core/generated'), { recursive: true })
  writeFileSync(
    join(root, 'core/generated/templates.ts'),
    `// Made from templates/ by scripts/templates.mjs; not in git.\n` +
      `import type { Program } from '../inject/template-nodes.ts'\n` +
      `import type { Json } from '../json.ts'\n\n` +
      `/** Set, then template name, then Handlebars text. */\n` +
      `export const TEMPLATE_TEXTS: Readonly<Record<string, Readonly<Record<string, string>>>> = ${JSON.stringify(sets, null, 2)}\n\n` +
      `/** Set, then template name, then what the template declares. */\n` +
      `export const TEMPLATE_DECLARATIONS: Readonly<Record<string, Readonly<Record<string, Json>>>> = ${JSON.stringify(declarations, null, 2)}\n\n` +
      `/** The same parsed: set, then template name, then its syntax tree as JSON, read where it is needed. */\n` +
      `const PROGRAMS: Readonly<Record<string, Readonly<Record<string, string>>>> = ${JSON.stringify(Object.fromEntries(programs), null, 2)}\n\n` +
      `/** The syntax tree of a built-in template; an empty one where there is no such template. */\n` +
      `export function readProgram(set: string, name: string): Program {\n` +
      `  return JSON.parse(PROGRAMS[set]?.[name] ?? '{"body":[]}')\n` +
      `}\n`,
  )
}

/** Handlebars' tree without the places of the source, which only problems tell and a built-in has none. */
function printProgram(text) {
  return JSON.stringify(Handlebars.parse(text), (key, value) =>
    ['loc', 'strip', 'openStrip', 'closeStrip', 'inverseStrip', 'original', 'chained'].includes(key)
      ? undefined
      : value,
  )
}
