// Builds everything that `npm ci` promises: the template module of core, then dist/ by tsc, then one file a door that starts often.
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { bundle, BUNDLES, OUTSIDE } from './bundle.mjs'
import { keepCode } from './keep-code.mjs'
import { writeTemplateModule } from './templates.mjs'

const root = new URL('..', import.meta.url).pathname
const require = createRequire(import.meta.url)

// Beside the old one until it is whole: what runs from dist/ meanwhile, and a build that fails, break nothing.
const draft = `.dist-${String(process.pid)}`
process.on('exit', () => {
  rmSync(join(root, draft), { recursive: true, force: true })
})

writeTemplateModule(root)
const tsc = require.resolve('typescript/bin/tsc')
const built = spawnSync(
  process.execPath,
  [tsc, '-p', join(root, 'tsconfig.build.json'), '--outDir', join(root, draft)],
  { stdio: 'inherit' },
)
if (built.status !== 0) process.exit(built.status ?? 1)
for (const [entry, outfile, ...rest] of BUNDLES) {
  await bundle(root, entry, outfile.replace(/^dist/, draft), ...rest)
}
keepCode(root, join(root, draft, 'cli'), OUTSIDE)

const { bin } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
for (const file of Object.values(bin)) {
  const path = join(root, file.replace(/^dist/, draft))
  if (!existsSync(path)) {
    throw new Error(`package.json bin: got ${file}, want a file that the build makes`)
  }
  chmodSync(path, 0o755)
}
rmSync(join(root, 'dist'), { recursive: true, force: true })
renameSync(join(root, draft), join(root, 'dist'))
