// Turns templates/<set>/<name>.hbs into core/generated/templates.ts, so that core reads no file.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Writes the module; the text is the same for the same templates. */
export function writeTemplateModule(root) {
  const folder = join(root, 'templates')
  const sets = {}
  for (const set of readdirSync(folder, { withFileTypes: true })
    .filter((e) => e.isDirectory())
    .map((e) => e.name)
    .sort()) {
    sets[set] = {}
    for (const file of readdirSync(join(folder, set))
      .filter((f) => f.endsWith('.hbs'))
      .sort()) {
      sets[set][file.replace(/\.yaml\.hbs$/, '')] = readFileSync(join(folder, set, file), 'utf8')
    }
  }
  mkdirSync(join(root, 'core/generated'), { recursive: true })
  writeFileSync(
    join(root, 'core/generated/templates.ts'),
    `// Made from templates/ by scripts/templates.mjs; not in git.\n` +
      `/** Set, then template name, then Handlebars text. */\n` +
      `export const TEMPLATE_TEXTS: Readonly<Record<string, Readonly<Record<string, string>>>> = ${JSON.stringify(sets, null, 2)}\n`,
  )
}
