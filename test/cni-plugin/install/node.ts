/** A node for installer tests: directories, an API server that knows the node, and the program itself. */
import { spawn, type ChildProcess } from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { renameSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { bundle } from '../../../scripts/bundle.mjs'

/** What a request of the installer is answered with. */
export type Reply = { readonly status: number; readonly body: unknown }

/** A node in a temporary directory. */
export type TestNode = {
  readonly root: string
  readonly netDir: string
  readonly binDir: string
  readonly runDir: string
  readonly source: string
  /** Environment of an installer on this node. */
  readonly env: Readonly<Record<string, string>>
  /** What the API server says to `METHOD path`; undefined for its usual answer. */
  reply: (request: string, body: unknown) => Reply | undefined
  /** Requests that came, as `METHOD path`. */
  readonly asked: string[]
  readonly close: () => Promise<void>
}

/** A program that answers VERSION, with some kilobytes behind it so that copying takes time. */
export function pluginText(mark: string, kilobytes = 1): string {
  const answer = '{"cniVersion":"1.1.0","supportedVersions":["0.3.1","1.0.0","1.1.0"]}'
  return `#!/bin/sh\n# ${mark}\necho '${answer}'\nexit 0\n${'#'.repeat(1024 * kilobytes)}\n`
}

/** The network of a primary plugin. `mtu` tells its versions apart. */
export function primary(mtu = 1500): Record<string, unknown> {
  return {
    name: 'k8s-pod-network',
    cniVersion: '0.4.0',
    vendor: { later: true },
    plugins: [
      { type: 'bridge', mtu, ipam: { type: 'host-local', subnet: '10.1.0.0/24' } },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  }
}

/** Writes a file as careful programs do: beside it, and renamed. */
export function put(path: string, content: unknown): void {
  const text = typeof content === 'string' ? content : JSON.stringify(content)
  writeFileSync(`${path}.draft`, text, { mode: 0o640 })
  renameSync(`${path}.draft`, path)
}

export async function makeNode(): Promise<TestNode> {
  const root = mkdtempSync(join(tmpdir(), 'cni-'))
  const netDir = join(root, 'etc/cni/net.d')
  const binDir = join(root, 'opt/cni/bin')
  const account = join(root, 'account')
  for (const folder of [netDir, binDir, account]) mkdirSync(folder, { recursive: true })
  for (const name of ['bridge', 'portmap', 'loopback']) {
    writeFileSync(join(binDir, name), '#!/bin/sh\n', { mode: 0o755 })
  }
  const source = join(root, 'source')
  writeFileSync(source, pluginText('one'), { mode: 0o755 })
  writeFileSync(join(account, 'token'), 'mounted-token')
  const asked: string[] = []
  const server = createServer((request, response) => {
    const pieces: Buffer[] = []
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.on('end', () => {
      const asking = `${request.method ?? ''} ${request.url ?? ''}`
      asked.push(asking)
      const text = Buffer.concat(pieces).toString()
      const body: unknown = text === '' ? undefined : JSON.parse(text)
      const answer = node.reply(asking, body) ?? usual(asking)
      response.writeHead(answer.status, { 'content-type': 'application/json' })
      response.end(JSON.stringify(answer.body))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const node: TestNode = {
    root,
    netDir,
    binDir,
    runDir: join(root, 'run'),
    source,
    env: {
      HOST_ROOT: root,
      CNI_BINARY_SOURCE: source,
      CNI_AGENT_RUN_DIR: join(root, 'run'),
      KUBECONFIG_DIR: join(root, 'lib'),
      SERVICE_ACCOUNT_DIR: account,
      HEALTH_PORT: '0',
      MONITORING_PORT: '0',
      NODE_NAME: 'node-1',
      POD_NAMESPACE: 'mesh',
      DAEMONSET_NAME: 'sidecar-cni',
      KUBERNETES_SERVICE_HOST: '127.0.0.1',
      KUBERNETES_SERVICE_PORT: `${port}`,
      KUBERNETES_SERVICE_PROTOCOL: 'http',
    },
    reply: () => undefined,
    asked,
    close: async () => {
      await new Promise((resolve) => {
        server.close(resolve)
        server.closeAllConnections()
      })
      rmSync(root, { recursive: true, force: true })
    },
  }
  return node
}

/** The node and the DaemonSet as a healthy cluster has them. */
function usual(asking: string): Reply {
  if (asking === 'GET /api/v1/nodes/node-1') return { status: 200, body: nodeObject() }
  if (asking === 'GET /apis/apps/v1/namespaces/mesh/daemonsets/sidecar-cni') {
    return { status: 200, body: { metadata: { name: 'sidecar-cni' }, spec: {} } }
  }
  return { status: 404, body: { message: `${asking}: not here` } }
}

/** A Node object. */
export function nodeObject(
  runtime = 'containerd://2.1.0',
  osImage = 'Debian GNU/Linux 12',
): unknown {
  const nodeInfo = { containerRuntimeVersion: runtime, osImage }
  return { metadata: { name: 'node-1', labels: { disk: 'ssd' } }, status: { nodeInfo } }
}

/** What a runtime would load, read by rules of its own: first file by name, all of it right. */
export type Loaded = {
  readonly file: string
  readonly name: unknown
  readonly cniVersion: unknown
  readonly plugins: readonly { readonly type: string; readonly [key: string]: unknown }[]
}

/** Loads the network as libcni does, and looks for the plugins in the directory. Throws where a pod could not start. */
export function load(node: Pick<TestNode, 'netDir' | 'binDir'>): Loaded {
  const names = readdirSync(node.netDir).filter((name) => /\.(conf|conflist|json)$/.test(name))
  const file = names.sort((a, b) => Buffer.from(a).compare(Buffer.from(b)))[0]
  if (file === undefined) throw new Error('no network')
  return loadFile(node, join(node.netDir, file))
}

/** Loads the network of one file. */
export function loadFile(node: Pick<TestNode, 'binDir'>, path: string): Loaded {
  const file = basename(path)
  const json: Omit<Loaded, 'file'> & Loaded['plugins'][number] = JSON.parse(
    readFileSync(path, 'utf8'),
  )
  const plugins = file.endsWith('.conflist') ? json.plugins : [json]
  if (typeof json.name !== 'string' || plugins.length === 0) throw new Error(`${file}: no network`)
  for (const { type } of plugins) {
    const at = statSync(join(node.binDir, type))
    if ((at.mode & 0o111) !== 0o111) throw new Error(`${type}: got no executable`)
  }
  return { file, name: json.name, cniVersion: json.cniVersion, plugins }
}

/** Names of plugins in the order of the list. */
export function types(loaded: Loaded): readonly string[] {
  return loaded.plugins.map(({ type }) => type)
}

/** The program as an image has it: one bundled file. */
export async function buildInstaller(): Promise<{
  readonly path: string
  readonly remove: () => void
}> {
  const folder = mkdtempSync(join(tmpdir(), 'cni-'))
  const path = join(folder, 'install-cni.cjs')
  const root = join(import.meta.dirname, '../../..')
  await bundle(root, 'cni-plugin/install/bin.ts', path, [])
  return {
    path,
    remove: () => {
      rmSync(folder, { recursive: true })
    },
  }
}

/** A started installer. */
export type Started = {
  readonly child: ChildProcess
  readonly log: () => string
  /** Resolves with the exit status, or the signal that ended it. */
  readonly ended: Promise<number | string | null>
  /** Resolves once it says that the node is ready. */
  readonly ready: () => Promise<void>
  /** What `/readyz` answers. */
  readonly asks: (path: string) => Promise<{ status: number; text: string }>
}

export function startInstaller(
  program: string,
  env: Readonly<Record<string, string>>,
  args: readonly string[] = [],
): Started {
  const child = spawn(process.execPath, [program, ...args], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let log = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text
  })
  const ended = new Promise<number | string | null>((resolve) => {
    child.on('close', (code, signal) => {
      resolve(signal ?? code)
    })
  })
  let isOver = false
  void ended.then(() => {
    isOver = true
  })
  const find = async (pattern: RegExp, what: string): Promise<string> => {
    for (let wait = 0; wait < 1500; wait++) {
      const found = pattern.exec(log)?.[1]
      if (found !== undefined) return found
      if (isOver) break
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    throw new Error(`${what}: not seen in the log:\n${log}`)
  }
  return {
    child,
    log: () => log,
    ended,
    ready: async () => {
      await find(/"msg":"(ready)"/, 'readiness')
    },
    asks: async (path) => {
      const key = path === '/metrics' ? 'monitoringPort' : 'healthPort'
      const port = await find(new RegExp(`"${key}":(\\d+)`), 'port')
      const answer = await fetch(`http://127.0.0.1:${port}${path}`)
      return { status: answer.status, text: await answer.text() }
    },
  }
}
