/**
 * Wall time of whole runs of the CNI executable: VERSION, ADD with a redirect plan, ADD that asks an API server for
 * the pod (TLS on loopback). Beside them an empty executable of the same kind, and Debian's `bridge` plugin. All are
 * measured in the same rounds, each ADD in a fresh network namespace; medians are reported and nothing is asserted.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { makeThrowaway } from '../../webhook/tls/authority.ts'
import { annotationsWith, confWith, envWith } from '../cni-plugin/plugin.ts'

const ROUNDS = 30
/** Where Debian puts the plugins of containernetworking. */
const BRIDGE = '/usr/lib/cni/bridge'
const LINK = 'cni-bench0'

type Executables = typeof import('../../scripts/executable.mjs')
type Place = { readonly folder: string; readonly plugin: string; readonly empty: string }
type Row = { readonly name: string; readonly measure: (round: number) => Promise<number> }

/** Prints the figures; needs root for its namespaces. */
export async function run(): Promise<void> {
  if (process.getuid?.() !== 0) {
    process.stdout.write('  left out: needs root for network namespaces\n')
    return
  }
  const folder = mkdtempSync(join(tmpdir(), 'cni-bench-'))
  const api = await startApi(folder)
  try {
    const place = await build(folder)
    await measureAll([...ownRows(place, api.kubeconfig), ...bridgeRows(folder)])
  } finally {
    api.close()
    spawnSync('ip', ['link', 'del', LINK])
    rmSync(folder, { recursive: true })
  }
}

async function measureAll(rows: readonly Row[]): Promise<void> {
  const times = rows.map((): number[] => [])
  for (let round = -2; round < ROUNDS; round++) {
    for (const [index, row] of rows.entries()) {
      const time = await row.measure(round)
      // The first two rounds fill caches.
      if (round >= 0) times[index]?.push(time)
    }
  }
  const floor = median(times[0] ?? [])
  for (const [index, { name }] of rows.entries()) {
    const sorted = [...(times[index] ?? [])].sort((a, b) => a - b)
    const [middle, late] = [median(sorted), sorted[Math.floor(sorted.length * 0.9)] ?? NaN]
    const over = index === 0 ? '' : `  over the empty one ${(middle - floor).toFixed(0)} ms`
    process.stdout.write(
      `  ${name.padEnd(24)} ${middle.toFixed(1)} ms  p90 ${late.toFixed(0)} ms${over}\n`,
    )
  }
}

/** Loaded by its path, for it finds its neighbours by its own. */
async function build(folder: string): Promise<Place> {
  const root = process.cwd()
  const path = pathToFileURL(join(root, 'scripts/executable.mjs')).href
  const { makeExecutable, makePlugin } = (await import(path)) as Executables
  const nothing = join(folder, 'empty.ts')
  writeFileSync(nothing, '')
  const [empty, plugin] = [await makeExecutable(root, nothing), await makePlugin(root)]
  return { folder, empty: join(empty, 'sidecar-cni'), plugin: join(plugin, 'sidecar-cni') }
}

function ownRows({ folder, empty, plugin }: Place, kubeconfig: string): readonly Row[] {
  const ip = '10.250.9.7/24'
  const settings = { run_dir: join(folder, 'nobody-collects'), prevResult: previous(ip) }
  const planned = confWith(annotationsWith(), settings)
  const asked = confWith(undefined, { ...settings, pod_source: 'api', kubeconfig })
  const version = { ...envWith(), CNI_COMMAND: 'VERSION' }
  return [
    { name: 'empty executable', measure: () => time(empty, {}, '') },
    { name: 'VERSION', measure: () => time(plugin, version, '{"cniVersion":"1.0.0"}') },
    { name: 'ADD, plan', measure: (round) => inNamespace(`p${round}`, plugin, planned) },
    { name: 'ADD, pod from the API', measure: (round) => inNamespace(`a${round}`, plugin, asked) },
  ]
}

function bridgeRows(folder: string): readonly Row[] {
  if (!existsSync(BRIDGE)) {
    process.stdout.write('  bridge left out: apt-get install containernetworking-plugins\n')
    return []
  }
  const ipam = { type: 'host-local', subnet: '10.250.8.0/24', dataDir: join(folder, 'addresses') }
  const conf = { cniVersion: '1.0.0', name: 'bench', type: 'bridge', bridge: LINK, ipam }
  const version = { ...envWith(), CNI_COMMAND: 'VERSION' }
  return [
    { name: 'bridge VERSION', measure: () => time(BRIDGE, version, '{"cniVersion":"1.0.0"}') },
    {
      name: 'bridge ADD',
      measure: (round) => inNamespace(`b${round}`, BRIDGE, JSON.stringify(conf)),
    },
  ]
}

function previous(address: string): object {
  return {
    cniVersion: '1.0.0',
    interfaces: [{ name: 'eth0', mac: '02:00:00:00:00:01', sandbox: '/x' }],
    ips: [{ address, interface: 0 }],
    dns: {},
  }
}

async function inNamespace(end: string, file: string, stdin: string): Promise<number> {
  const name = `cni-bench-${process.pid}-${end}`
  const ip = (...args: readonly string[]): void => {
    const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' })
    if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`)
  }
  ip('netns', 'add', name)
  try {
    ip('-n', name, 'link', 'set', 'lo', 'up')
    if (file !== BRIDGE) ip('-n', name, 'address', 'add', '10.250.9.7/32', 'dev', 'lo')
    const env = envWith({
      CNI_NETNS: `/run/netns/${name}`,
      CNI_CONTAINERID: name,
      CNI_PATH: '/usr/lib/cni',
    })
    return await time(file, env, stdin)
  } finally {
    spawnSync('ip', ['netns', 'del', name])
  }
}

async function time(
  file: string,
  env: Readonly<Record<string, string>>,
  stdin: string,
): Promise<number> {
  const start = performance.now()
  const child = spawn(file, [], { env: { PATH: process.env['PATH'], ...env } })
  const said: string[] = []
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => said.push(text))
  child.stdin.on('error', () => undefined)
  child.stdin.end(stdin)
  const [code] = (await once(child, 'close')) as [number | null]
  const end = performance.now()
  if (code !== 0) throw new Error(`${file}: got exit ${String(code)}, want 0: ${said.join('')}`)
  return end - start
}

/** An API server that knows one pod, and the kubeconfig for it. */
async function startApi(folder: string) {
  const { pair, ca } = await makeThrowaway(['localhost'], new Date())
  const pod = JSON.stringify({
    kind: 'Pod',
    apiVersion: 'v1',
    metadata: { name: 'web', namespace: 'default', uid: 'u1', annotations: annotationsWith() },
    spec: {
      initContainers: [{ name: 'istio-validation' }],
      containers: [{ name: 'app' }, { name: 'istio-proxy', args: ['proxy', 'sidecar'] }],
    },
  })
  const server = createServer(pair, (_request, response) => {
    response.setHeader('content-type', 'application/json').end(pod)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const kubeconfig = join(folder, 'kubeconfig')
  const cluster = {
    server: `https://localhost:${port}`,
    'certificate-authority-data': Buffer.from(ca).toString('base64'),
  }
  const config = {
    'current-context': 'c',
    contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
    clusters: [{ name: 'k', cluster }],
    users: [{ name: 'u', user: { token: 'none' } }],
  }
  writeFileSync(kubeconfig, JSON.stringify(config), { mode: 0o600 })
  return {
    kubeconfig,
    close: (): void => {
      server.closeAllConnections()
      server.close()
    },
  }
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? NaN
}
