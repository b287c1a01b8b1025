// Builds the Kubernetes programs that the end-to-end tests start, once, into a cache folder
// outside the tree, and prints that folder as the last line:
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
import { homedir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const module = fileURLToPath(new URL('../test/tools', import.meta.url))
const goMod = readFileSync(join(module, 'go.mod'), 'utf8')

// No C compiler is asked for: the same programs come out on a machine with one and without.
const environment = { ...process.env, CGO_ENABLED: '0', GOWORK: 'off' }

const goVersion = run('go', ['env', 'GOVERSION'])
const flags = ['-mod=readonly', '-buildvcs=false', '-ldflags', `-s -w ${versionFlags()}`]
const cache = cacheFolder()
const key = createHash('sha256')
  .update([goMod, readFileSync(join(module, 'go.sum'), 'utf8'), goVersion, ...flags].join('\0'))
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
  console.error(`test tools: building Kubernetes programs with ${goVersion}, some minutes once`)
  const draft = mkdtempSync(join(cache, `building-${String(process.pid)}-`))
  const bin = join(draft, 'bin')
  mkdirSync(bin)
  try {
    run('go', ['build', ...flags, '-o', `${bin}/`, 'tool'])
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

function publish(draft) {
  try {
    renameSync(draft, folder)
  } catch (error) {
    // Another run was faster: its folder is as good as ours.
    if (!existsSync(folder)) throw error
  }
}

/** Drafts of runs that were killed; a draft is named for the process that fills it. */
function removeAbandoned() {
  for (const name of readdirSync(cache)) {
    const pid = /^building-(\d+)-/.exec(name)?.[1]
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue
    rmSync(join(cache, name), { recursive: true, force: true })
  }
}

/** Built outside the Kubernetes tree, the programs would call themselves v0.0.0-master. */
function versionFlags() {
  const [, version, major, minor] = /k8s\.io\/kubernetes (v(\d+)\.(\d+)\S*)/.exec(goMod) ?? []
  if (version === undefined) fail('test/tools/go.mod: no k8s.io/kubernetes, want its version')
  const facts = { gitVersion: version, gitMajor: major, gitMinor: minor, gitTreeState: 'clean' }
  return Object.entries(facts)
    .map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`)
    .join(' ')
}

function cacheFolder() {
  const named = process.env.SIDECAR_TEST_CACHE
  if (named) return resolve(named)
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'sidecar-injector-tests')
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

/** Runs a program in the module's folder and gives what it printed; its complaints go to stderr. */
function run(file, args) {
  const done = spawnSync(file, args, {
    cwd: module,
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
