// Makes dist/sidecar-cni, the CNI plugin as one executable, with the licence of the Node inside it:
//
//   node scripts/build-cni.mjs [--arch x64|arm64]
import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, readFileSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ARCHITECTURES, makePlugin } from './executable.mjs'

const { values } = parseArgs({ options: { arch: { type: 'string', default: process.arch } } })
if (!ARCHITECTURES.includes(values.arch)) {
  console.error(`--arch: got ${values.arch}, want ${ARCHITECTURES.join(' or ')}`)
  process.exit(2)
}

const root = new URL('..', import.meta.url).pathname
const made = await makePlugin(root, values.arch)
const outfile = join(root, 'dist/sidecar-cni')
mkdirSync(join(root, 'dist'), { recursive: true })
for (const [name, path] of [
  ['LICENSE', `${outfile}.LICENSE.txt`],
  ['sidecar-cni', outfile],
]) {
  // A running plugin keeps its file: a new one takes the name.
  const draft = `${path}.${String(process.pid)}`
  copyFileSync(join(made, name), draft)
  renameSync(draft, path)
}
const sum = createHash('sha256').update(readFileSync(outfile)).digest('hex')
const size = (statSync(outfile).size / 1e6).toFixed(0)
console.log(`dist/sidecar-cni: ${values.arch}, ${size} MB, sha256 ${sum}`)
