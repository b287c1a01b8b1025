// Writes what the images carry of others: dist/sbom.cdx.json (CycloneDX, from the lockfile) and
// dist/LICENSES.txt (each package with the text of its licence, from what is installed).
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const root = new URL('..', import.meta.url).pathname
mkdirSync(join(root, 'dist'), { recursive: true })

const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
const carried = Object.entries(packages).filter(([path, { dev }]) => path !== '' && dev !== true)

// Without --omit=dev, which also leaves out packages that development needs besides.
const args = ['sbom', '--sbom-format=cyclonedx', '--package-lock-only']
const npm = spawnSync('npm', args, {
  cwd: root,
  encoding: 'utf8',
  stdio: ['ignore', 'pipe', 'inherit'],
  maxBuffer: 64 << 20,
})
if (npm.status !== 0) throw new Error(`npm sbom: got exit ${String(npm.status)}, want 0`)
const all = JSON.parse(npm.stdout)
const kept = new Set(carried.map(([path, { version }]) => `${nameOf(path)}@${version}`))
const components = all.components.filter(({ name, version }) => kept.has(`${name}@${version}`))
const refs = new Set([
  all.metadata.component['bom-ref'],
  ...components.map((one) => one['bom-ref']),
])
const dependencies = all.dependencies
  .filter(({ ref }) => refs.has(ref))
  .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((one) => refs.has(one)) }))
const sbom = { ...all, components, dependencies }
writeFileSync(join(root, 'dist/sbom.cdx.json'), `${JSON.stringify(sbom, null, 2)}\n`)

const texts = carried.map(([path, { version, license }]) => {
  return `${nameOf(path)} ${version}: ${license ?? licenseIn(path)}\n\n${textIn(path)}`
})
const line = `\n${'-'.repeat(80)}\n\n`
writeFileSync(join(root, 'dist/LICENSES.txt'), texts.join(line))
console.log(`dist/sbom.cdx.json, dist/LICENSES.txt: ${String(carried.length)} packages`)

function nameOf(path) {
  return path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
}

/** The lockfile of npm knows the licence of nearly all; the package itself of the others. */
function licenseIn(path) {
  return JSON.parse(readFileSync(join(root, path, 'package.json'), 'utf8')).license ?? 'unknown'
}

/** The text that the package brings, if it brings one; an optional one may not be installed. */
function textIn(path) {
  try {
    const files = readdirSync(join(root, path)).filter((name) =>
      /^(licen[cs]e|notice|copying)/i.test(name),
    )
    return files.map((name) => readFileSync(join(root, path, name), 'utf8').trim()).join('\n\n')
  } catch {
    return ''
  }
}
