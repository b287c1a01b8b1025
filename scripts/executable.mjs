// Makes the CNI plugin one file that needs no Node on the host: Node's own single-executable build (docs/adr/0009).
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { bundle, BUNDLES } from './bundle.mjs'
import { cacheFolder, draftPrefix, removeAbandoned } from './cache.mjs'
import { guardEntry } from './entry.mjs'

/** The Node inside. Both architectures are pinned: what is fetched must have this SHA-512. */
const VERSION = '24.21.0'
const NODES = {
  x64: '3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
  arm64: 'FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==',
}

/** Architectures that an executable can be made for. */
export const ARCHITECTURES = Object.keys(NODES)

/** Neither NODE_OPTIONS nor arguments reach Node, and no warning goes to stderr. */
const SETTINGS = { disableExperimentalSEAWarning: true, execArgvExtension: 'none' }

/** With a seed of its own V8 writes another code cache each time; this one is of no consequence. */
const SAME_EACH_TIME = '--random-seed=1'

/** Postject's name of the mark that Node looks at to learn that it carries a program. */
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2'

/** Executables that the cache keeps; each is as large as Node. */
const KEPT = 4

/** Why no executable can be made without a connection, undefined when one can. */
export function executableUnavailable(arch = process.arch) {
  for (const needed of new Set([process.arch, arch])) {
    if (!existsSync(nodeFolder(needed)))
      return `Node ${VERSION} for ${needed} is not in the cache; npm run build:cni fetches it`
  }
  return undefined
}

/** Makes the executable of the CNI plugin; see `makeExecutable`. */
export function makePlugin(root, arch = process.arch) {
  const row = BUNDLES.find(([, outfile]) => outfile === 'dist/sidecar-cni.cjs')
  if (row === undefined) throw new Error('BUNDLES: no dist/sidecar-cni.cjs, want the CNI plugin')
  return makeExecutable(root, row[0], arch)
}

/**
 * Bundles `entry` (a .ts file below `root`) and puts it into Node. Gives the folder, in the cache, with the executable
 * `sidecar-cni` and Node's `LICENSE`. What is the same is not made twice.
 */
export async function makeExecutable(root, entry, arch = process.arch) {
  mkdirSync(cacheFolder(), { recursive: true })
  const own = fetchNode(process.arch)
  const target = arch === process.arch ? own : fetchNode(arch)
  removeAbandoned()
  const draft = mkdtempSync(draftPrefix())
  try {
    await bundle(root, entry, join(draft, 'main.cjs'))
    const folder = join(cacheFolder(), `sidecar-cni-${keyOf(draft, arch)}`)
    if (existsSync(folder)) {
      const now = new Date()
      utimesSync(folder, now, now)
      return folder
    }
    const file = join(draft, 'sidecar-cni')
    copyFileSync(join(target, 'node'), file)
    copyFileSync(join(target, 'LICENSE'), join(draft, 'LICENSE'))
    chmodSync(file, 0o755)
    inject(file, blobOf(draft, join(own, 'node'), arch === process.arch))
    const elf = readFileSync(file)
    guardEntry(elf, arch)
    writeFileSync(file, elf)
    for (const name of readdirSync(draft)) {
      if (name !== 'sidecar-cni' && name !== 'LICENSE') rmSync(join(draft, name))
    }
    chmodSync(draft, 0o755)
    publish(draft, folder)
    removeOld()
    return folder
  } finally {
    rmSync(draft, { recursive: true, force: true })
  }
}

/** Gives the folder with Node of an architecture, fetched through npm when it is not there. */
function fetchNode(arch) {
  const folder = nodeFolder(arch)
  if (existsSync(folder)) return folder
  const draft = mkdtempSync(draftPrefix())
  try {
    const name = `node-linux-${arch}@${VERSION}`
    run('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', draft, name], draft)
    const packed = readdirSync(draft).find((file) => file.endsWith('.tgz'))
    const sum = createHash('sha512')
      .update(readFileSync(join(draft, packed)))
      .digest('base64')
    if (sum !== NODES[arch]) throw new Error(`${name}: got SHA-512 ${sum}, want ${NODES[arch]}`)
    const members = ['package/bin/node', 'package/LICENSE']
    run('tar', ['-xzf', packed, '--no-same-owner', ...members], draft)
    const made = join(draft, 'made')
    mkdirSync(made)
    renameSync(join(draft, 'package/bin/node'), join(made, 'node'))
    renameSync(join(draft, 'package/LICENSE'), join(made, 'LICENSE'))
    publish(made, folder)
    return folder
  } finally {
    rmSync(draft, { recursive: true, force: true })
  }
}

function nodeFolder(arch) {
  return join(cacheFolder(), `node-${VERSION}-linux-${arch}`)
}

/** Everything that decides which bytes come out. */
function keyOf(draft, arch) {
  const require = createRequire(import.meta.url)
  return createHash('sha256')
    .update(readFileSync(join(draft, 'main.cjs')))
    .update(readFileSync(new URL(import.meta.url)))
    .update(readFileSync(new URL('entry.mjs', import.meta.url)))
    .update([arch, require('postject/package.json').version].join('\0'))
    .digest('hex')
    .slice(0, 16)
}

/**
 * Path of the program as Node wants to find it. Names are relative: the blob holds them. A code cache saves 4 ms
 * of each start, and only a Node of the same architecture can write it.
 */
function blobOf(draft, node, useCodeCache) {
  const config = { main: 'main.cjs', output: 'main.blob', ...SETTINGS, useCodeCache }
  writeFileSync(join(draft, 'config.json'), JSON.stringify(config))
  run(node, [SAME_EACH_TIME, '--experimental-sea-config', 'config.json'], draft)
  return join(draft, 'main.blob')
}

/** In a process of its own: it holds the file several times over, and warns of what is usual. */
function inject(file, blob) {
  const postject = createRequire(import.meta.url).resolve('postject/dist/cli.js')
  run(process.execPath, [postject, file, 'NODE_SEA_BLOB', blob, '--sentinel-fuse', FUSE])
}

/** Renames what is complete; another run may have been faster, and its folder is as good as ours. */
function publish(draft, folder) {
  try {
    renameSync(draft, folder)
  } catch (error) {
    if (!existsSync(folder)) throw error
  }
}

function removeOld() {
  const cache = cacheFolder()
  const made = readdirSync(cache)
    .filter((name) => name.startsWith('sidecar-cni-'))
    .map((name) => ({ path: join(cache, name), time: statSync(join(cache, name)).mtimeMs }))
    .sort((a, b) => b.time - a.time)
  for (const { path } of made.slice(KEPT)) rmSync(path, { recursive: true, force: true })
}

/** Runs a program with a small environment, for what comes out must not depend on ours. */
function run(file, args, cwd) {
  const { PATH = '', HOME = '' } = process.env
  const npm = Object.entries(process.env).filter(([name]) => /^npm_config_|_proxy$/i.test(name))
  const env = { PATH, HOME, LC_ALL: 'C', ...Object.fromEntries(npm) }
  const done = spawnSync(file, args, {
    cwd,
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  if (done.error) throw new Error(`${file}: ${done.error.message}`, { cause: done.error })
  if (done.status !== 0)
    throw new Error(
      `${file} ${args.join(' ')}: got exit ${String(done.status)}, want 0\n${done.stderr}`,
    )
}
