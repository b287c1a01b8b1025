// Builds everything that `npm ci` promises: the template module of core, then dist/ by tsc, then one file a door that starts often.
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { bundle, BUNDLES } from './bundle.mjs'
import { writeTemplateModule } from './templates.mjs'

const root = new URL('..', import.meta.url).pathname
const require = createRequire(import.meta.url)

writeTemplateModule(root)
rmSync(join(root, 'dist'), { recursive: true, force: true })
const tsc = require.resolve('typescript/bin/tsc')
const built = spawnSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json')], {
  stdio: 'inherit',
})
if (built.status !== 0) process.exit(built.status ?? 1)
for (const bundled of BUNDLES) await bundle(root, ...bundled)

const { bin } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
for (const file of Object.values(bin)) {
  const path = join(root, file)
  if (!existsSync(path))
    throw new Error(`package.json bin: got ${file}, want a file that the build makes`)
  chmodSync(path, 0o755)
}
