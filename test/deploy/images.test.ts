/** The images, as far as no builder is needed: what each would hold is put together, and started. */
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t from 'tap'

const root = join(import.meta.dirname, '../..')
const dist = join(root, 'dist')

type Image = {
  readonly args: ReadonlyMap<string, string>
  /** Of the last stage: what it is built from, and its instructions. */
  readonly base: string
  readonly copied: readonly { readonly from: readonly string[]; readonly to: string }[]
  readonly user: string | undefined
  readonly entrypoint: readonly string[]
  readonly packages: readonly string[]
}

/** What of each image is known from elsewhere: who runs it, what it starts, and what it answers. */
const rows = [
  {
    name: 'webhook',
    user: '65532:65532',
    packages: [],
    runs: [
      { args: ['webhook', '--help'], says: /--config-from-cluster/ },
      { args: ['kube-inject', '-f', join(root, 'examples/nginx-deployment.yaml')], says: /istio-proxy/ },
    ],
  },
  {
    name: 'proxy-init',
    user: undefined,
    packages: ['iproute2', 'iptables', 'nftables'],
    runs: [
      // What the init container is started with: its own name first.
      { args: ['istio-iptables', '--dry-run', '-p', '15001', '-z', '15006', '-u', '1337'], says: /-A ISTIO-REDIRECT -p tcp -j REDIRECT --to-ports 15001/ },
      { args: ['--help'], says: /--run-validation/ },
    ],
  },
  {
    name: 'install-cni',
    user: undefined,
    packages: ['iproute2', 'iptables', 'nftables'],
    runs: [{ args: ['install', '--help'], says: /REPAIR_HOST_PROC/ }],
  },
] as const

const folder = mkdtempSync(join(tmpdir(), 'sidecar-injector-images-'))
t.teardown(() => {
  rmSync(folder, { recursive: true, force: true })
})
execFileSync(process.execPath, [join(root, 'scripts/sbom.mjs')], { stdio: 'pipe' })

for (const { name, user, packages, runs } of rows) {
  t.test(name, async (t) => {
    const image = read(readFileSync(join(root, 'deploy/images', name, 'Containerfile'), 'utf8'))
    t.equal(image.base, '${BASE}', 'its base is an argument')
    t.match(image.args.get('BASE'), /^docker\.io\/library\/node:24-/, 'the newest LTS by default')
    t.equal(image.user, user)
    t.strictSame(image.packages, packages)
    const tree = join(folder, name)
    for (const { from, to } of image.copied) for (const path of from) place(tree, path, to)
    const [node, program = ''] = image.entrypoint
    t.equal(node, 'node')
    for (const { args, says } of runs) {
      const { status, stdout, stderr } = spawnSync(
        process.execPath,
        ['--preserve-symlinks', '--preserve-symlinks-main', join(tree, program), ...args],
        { cwd: '/', encoding: 'utf8', env: { PATH: '' } },
      )
      t.equal(status, 0, `${args.join(' ')}: ${stderr}`)
      t.match(stdout, says)
    }
  })
}

t.test('what they carry of others is listed', async (t) => {
  const sbom = json(join(dist, 'sbom.cdx.json')) as Sbom
  t.equal(sbom.bomFormat, 'CycloneDX')
  const listed = sbom.components.map(({ name, version }) => `${name}@${version}`)
  const licences = readFileSync(join(dist, 'LICENSES.txt'), 'utf8')
  const { dependencies } = json(join(root, 'package.json')) as {
    dependencies: Record<string, string>
  }
  for (const [name, version] of Object.entries(dependencies)) {
    t.ok(listed.includes(`${name}@${version}`), `${name} in the SBOM`)
    t.ok(licences.includes(`${name} ${version}: `), `${name} in the licences`)
  }
  t.notMatch(licences, /^\S+ \S+: (unknown|.*\bA?GPL)/m, 'each has a licence, none is copyleft')
  t.notOk(listed.some((one) => one.startsWith('typescript@')), 'nothing of development')
})

type Sbom = {
  readonly bomFormat: string
  readonly components: readonly { readonly name: string; readonly version: string }[]
}

function json(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'))
}

/** Reads the few instructions that these files use. */
function read(text: string): Image {
  const lines = text.replace(/\\\n/g, ' ').split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  const last = lines.findLastIndex((line) => line.startsWith('FROM '))
  const stage = lines.slice(last + 1)
  const rest = (word: string) =>
    stage.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1))
  const workdir = rest('WORKDIR')[0] ?? '/'
  const copied = rest('COPY').map((line) => {
    const [flag, ...paths] = line.split(/\s+/)
    if (flag !== '--from=build') throw new Error(`COPY ${line}: got no stage, want --from=build`)
    const to = paths.at(-1) ?? ''
    const target = to.startsWith('.') ? join(workdir, to) + (to.endsWith('/') ? '/' : '') : to
    return { from: paths.slice(0, -1), to: target }
  })
  const installed = /apt-get install -y --no-install-recommends ([^&]+)/.exec(rest('RUN').join(' '))?.[1]
  return {
    args: new Map(lines.slice(0, lines.findIndex((line) => line.startsWith('FROM '))).map((line) => {
      const [name = '', value = ''] = line.replace('ARG ', '').split('=')
      return [name, value]
    })),
    base: lines[last]?.split(' ')[1] ?? '',
    copied,
    user: rest('USER')[0],
    entrypoint: JSON.parse(rest('ENTRYPOINT')[0] ?? '[]'),
    packages: installed?.trim().split(/\s+/) ?? [],
  }
}

/** Puts one path of the build stage where the image has it. */
function place(tree: string, path: string, to: string): void {
  const source = path.replace(/^\/build/, root)
  const target = join(tree, to.endsWith('/') ? join(to, path.slice(path.lastIndexOf('/'))) : to)
  mkdirSync(dirname(target), { recursive: true })
  if (path === '/build/node_modules') placePackages(target)
  // Made by `npm run build:cni`; that the file is in the image is all that matters here.
  else if (path.startsWith('/build/dist/sidecar-cni') && !existsSync(source)) return
  else cpSync(source, target, { recursive: true })
}

/** What `npm prune --omit=dev` leaves. */
function placePackages(target: string): void {
  const { packages } = json(join(root, 'package-lock.json')) as {
    packages: Record<string, { dev?: boolean }>
  }
  for (const [path, { dev }] of Object.entries(packages)) {
    if (path === '' || dev === true || path.lastIndexOf('node_modules/') > 0) continue
    if (!existsSync(join(root, path))) continue
    const place = join(target, path.slice('node_modules/'.length))
    mkdirSync(dirname(place), { recursive: true })
    symlinkSync(join(root, path), place)
  }
}
