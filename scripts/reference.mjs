// Writes the reference pages that are printed from tables in the code: `npm run reference`.
import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { compileFunction } from 'node:vm'
import { buildSync } from 'esbuild'

const root = new URL('..', import.meta.url).pathname

/** Page below docs/reference/, and the function that prints it. */
const pages = [
  { page: 'annotations.md', module: 'core/options/annotations.ts', print: 'printAnnotations' },
  {
    page: 'template-context.md',
    module: 'core/inject/context-page.ts',
    print: 'printTemplateContext',
  },
  { page: 'reasons.md', module: 'core/reasons-page.ts', print: 'printReasons' },
  { page: 'cni-config.md', module: 'cni-plugin/page.ts', print: 'printCniConfig' },
  { page: 'metrics.md', module: 'webhook/metrics-page.ts', print: 'printMetrics' },
  { page: 'check.md', module: 'core/analysis/page.ts', print: 'printCheckPage' },
]

for (const { page, module, print } of pages) {
  writeFileSync(join(root, 'docs/reference', page), load(module)[print]())
}

/** Loads a TypeScript module as it stands, without a build. */
function load(path) {
  const { outputFiles } = buildSync({
    entryPoints: [join(root, path)],
    bundle: true,
    format: 'cjs',
    platform: 'node',
    write: false,
  })
  const loaded = { exports: {} }
  const run = compileFunction(outputFiles[0].text, ['module', 'exports', 'require'])
  run(loaded, loaded.exports, createRequire(import.meta.url))
  return loaded.exports
}
