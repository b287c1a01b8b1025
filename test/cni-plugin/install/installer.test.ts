/** The running installer on a node in a temporary directory, with an API server that says what a row wants. */
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { main } from '../../../cni-plugin/install/main.ts'
import { makeKubeconfigs } from '../../../cni-plugin/install/kubeconfig.ts'
import { openApi } from '../../../cni-plugin/install/cluster.ts'
import { startInstaller, type Running } from '../../../cni-plugin/install/run.ts'
import { readSettings, type Settings } from '../../../cni-plugin/install/settings.ts'
import { visible } from '../../../core/problem.ts'
import { until } from '../../e2e/until.ts'
import { load, makeNode, nodeObject, pluginText, primary, put, types } from './node.ts'
import type { TestNode } from './node.ts'

type Env = Readonly<Record<string, string>>

function settingsOf(node: TestNode, env: Env = {}): Settings {
  const read = readSettings({ argv: [], env: { ...node.env, ...env }, programDir: '/' })
  if (!read.ok) throw new Error(JSON.stringify(read.problems))
  return read.value
}

async function nodeFor(t: Test, network: object | 'none' = primary()): Promise<TestNode> {
  const node = await makeNode()
  t.teardown(node.close)
  if (network !== 'none') put(join(node.netDir, '10-main.conflist'), network)
  return node
}

type Install = Running & {
  readonly lines: string[]
  readonly asks: (path: string) => Promise<Answer>
}
type Answer = { readonly status: number; readonly text: string }

async function install(t: Test, node: TestNode, env: Env = {}): Promise<Install> {
  const lines: string[] = []
  const running = await startInstaller(settingsOf(node, env), {
    log: (level, message, fields) =>
      lines.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`),
    write: (line) => lines.push(line),
    env: {},
    timing: { debounce: 20, throttle: 50, poll: 1000, wait: 100, slow: 300 },
  })
  let isStopped = false
  t.teardown(async () => {
    if (!isStopped) await running.stop('teardown')
  })
  return {
    ...running,
    lines,
    stop: async (signal) => {
      isStopped = true
      return running.stop(signal)
    },
    asks: async (path) => {
      const port = path === '/metrics' ? running.monitoringPort : running.healthPort
      const answer = await fetch(`http://127.0.0.1:${port}${path}`)
      return { status: answer.status, text: await answer.text() }
    },
  }
}

const isReady = (running: Install) => async () => (running.state().isReady ? true : undefined)

t.test('a node gets its plugin and keeps it', async (t) => {
  const node = await nodeFor(t)
  const list = join(node.netDir, '10-main.conflist')
  const running = await install(t, node)
  t.strictSame(types(load(node)), ['bridge', 'portmap', 'sidecar-cni'])
  t.equal(statSync(join(node.binDir, 'sidecar-cni')).mode & 0o777, 0o755)
  t.equal(statSync(list).mode & 0o777, 0o640, 'the primary’s permissions stay')
  t.strictSame(await running.asks('/healthz'), { status: 200, text: 'ok\n' })
  t.strictSame(await running.asks('/readyz'), {
    status: 200,
    text: 'ok: 10-main.conflist has our entry, the executable answers\n',
  })
  t.equal((await running.asks('/nowhere')).status, 404)
  const metrics = await running.asks('/metrics')
  t.match(metrics.text, /sidecar_cni_installs_total\{result="SUCCESS"\} 1/)
  t.match(metrics.text, /sidecar_cni_install_ready 1/)

  put(list, primary(9000))
  await until('our entry', async () => types(load(node)).includes('sidecar-cni') || undefined)
  t.equal(load(node).plugins[0]?.['mtu'], 9000)

  rmSync(join(node.binDir, 'sidecar-cni'))
  await until(
    'the executable',
    async () => readdirSync(node.binDir).includes('sidecar-cni') || undefined,
  )
  writeFileSync(node.source, pluginText('two'), { mode: 0o755 })
  writeFileSync(join(node.binDir, 'sidecar-cni'), 'cut')
  await until('the new executable', async () => {
    return readFileSync(join(node.binDir, 'sidecar-cni'), 'utf8') === pluginText('two') || undefined
  })

  put(join(node.netDir, '05-new.conflist'), { ...primary(), name: 'other' })
  await until('the move', async () => {
    const moved = types(load(node)).includes('sidecar-cni')
    return (moved && !readFileSync(list, 'utf8').includes('sidecar-cni')) || undefined
  })
  t.equal(load(node).file, '05-new.conflist')
  await until('readiness', isReady(running))
  t.equal(await running.stop('SIGTERM'), 0)
  t.ok(types(load(node)).includes('sidecar-cni'), 'an upgrade leaves the entry')
  t.notOk(readdirSync(node.runDir).includes('log.sock'))
})

t.test('a network that comes later', async (t) => {
  const node = await nodeFor(t, 'none')
  const running = await install(t, node)
  t.strictSame(readdirSync(node.netDir), [])
  const answer = await running.asks('/readyz')
  t.match(answer, { status: 503, text: /^not ready: waits for a network configuration in/ })
  put(join(node.netDir, '10-main.conflist'), primary())
  await until('readiness', isReady(running))
  t.strictSame(types(load(node)), ['bridge', 'portmap', 'sidecar-cni'])
})

t.test('another writer that never rests', async (t) => {
  const node = await nodeFor(t, 'none')
  const list = join(node.netDir, '05-cilium.conflist')
  put(list, primary())
  const running = await install(t, node)
  const lost = (): boolean => running.lines.some((line) => line.includes('"times":20'))
  for (let mtu = 1; mtu < 400 && !lost(); mtu++) {
    put(list, primary(mtu))
    await new Promise((resolve) => setTimeout(resolve, 60))
  }
  t.ok(lost(), 'it is noticed')
  t.match(running.lines.join('\n'), /"hint":"set cni\.exclusive=false in Cilium"/)
  put(list, primary(9999))
  await until('not ready', async () => (running.state().isReady ? undefined : true))
  await until(
    'our entry, at a slower pace',
    async () => types(load(node)).includes('sidecar-cni') || undefined,
  )
})

t.test('an executable that does not answer', async (t) => {
  const node = await nodeFor(t)
  const before = readFileSync(join(node.netDir, '10-main.conflist'), 'utf8')
  writeFileSync(node.source, '#!/bin/sh\necho "{}"\n', { mode: 0o755 })
  await t.rejects(install(t, node), /does not answer VERSION: the answer is no CNI version answer/)
  t.equal(readFileSync(join(node.netDir, '10-main.conflist'), 'utf8'), before)
  writeFileSync(node.source, 'ELF of another machine', { mode: 0o755 })
  await t.rejects(install(t, node), /does not answer VERSION/)
  t.notOk(readdirSync(node.binDir).some((name) => name.includes('sidecar-cni')))
})

t.test('on the node already', async (t) => {
  const node = await nodeFor(t, 'none')
  const env = { SKIP_INSTALL_BINARIES: 'true', SKIP_INSTALL_CONFIG: 'true' }
  const running = await install(t, node, env)
  t.match(running.state(), { isReady: false, detail: /an entry of type sidecar-cni/ })
  put(join(node.netDir, '10-main.conflist'), {
    ...primary(),
    plugins: [{ type: 'bridge' }, { type: 'sidecar-cni' }],
  })
  await until(
    'the executable missed',
    async () => /VERSION: is missing/.test(running.state().detail) || undefined,
  )
  writeFileSync(join(node.binDir, 'sidecar-cni'), pluginText('one'), { mode: 0o755 })
  await until('readiness', isReady(running))
})

const runtimes = [
  { runtime: 'containerd://1.5.0', source: 'annotations', want: 'annotations' },
  { runtime: 'containerd://2.0.5-k3s1', source: 'annotations', want: 'annotations' },
  { runtime: 'cri-o://1.29.1', source: 'auto', want: 'annotations' },
  { runtime: 'cri-o://1.28.11', source: 'auto', want: 'api' },
  { runtime: 'docker://27.0.0', source: 'auto', want: 'api' },
  { runtime: 'containerd://2.1.0', source: 'api', want: 'api' },
  {
    runtime: 'containerd://1.4.13',
    source: 'annotations',
    want: /containerd 1\.5\.0 or cri-o 1\.29\.0 or newer/,
  },
  { runtime: '', source: 'annotations', want: /container runtime of the node: got ""/ },
  { runtime: 'no answer', source: 'annotations', want: 'annotations' },
] as const

for (const { runtime, source, want } of runtimes) {
  t.test(`${runtime || 'a runtime without a name'}, POD_SOURCE=${source}`, async (t) => {
    const node = await nodeFor(t)
    node.reply = (asking) => {
      if (asking !== 'GET /api/v1/nodes/node-1') return undefined
      return runtime === 'no answer'
        ? { status: 500, body: {} }
        : { status: 200, body: nodeObject(runtime) }
    }
    if (typeof want !== 'string') {
      await t.rejects(install(t, node, { POD_SOURCE: source }), want)
      t.strictSame(types(load(node)), ['bridge', 'portmap'])
      return
    }
    await install(t, node, { POD_SOURCE: source })
    const entry = load(node).plugins.at(-1)
    t.equal(entry?.['pod_source'], want)
    const lib = join(node.root, 'lib')
    t.equal(entry?.['kubeconfig'], want === 'api' ? join(lib, 'kubeconfig') : undefined)
    const isThere = readdirSync(node.root).includes('lib')
    t.equal(isThere, want === 'api', 'no credentials on a node that needs none')
    if (isThere) t.equal(statSync(join(lib, 'kubeconfig')).mode & 0o777, 0o600)
  })
}

t.test('a host with musl is refused', async (t) => {
  const node = await nodeFor(t)
  node.reply = (asking) => {
    const body = nodeObject('containerd://2.1.0', 'Alpine Linux v3.22')
    return asking.includes('/nodes/') ? { status: 200, body } : undefined
  }
  await t.rejects(install(t, node), /host: got "Alpine Linux v3\.22", want a host with glibc/)
  node.reply = () => undefined
  mkdirSync(join(node.root, 'lib'))
  writeFileSync(join(node.root, 'lib/ld-musl-x86_64.so.1'), '')
  await t.rejects(install(t, node), /want a host with glibc/)
})

t.test('the token of the plugin', async (t) => {
  const node = await nodeFor(t)
  const asking = 'POST /api/v1/namespaces/mesh/serviceaccounts/sidecar-cni-plugin/token'
  let status = 201
  let count = 0
  let now = Date.parse('2026-01-01T00:00:00Z')
  const bodies: unknown[] = []
  node.reply = (asked, body) => {
    if (asked !== asking) return undefined
    bodies.push(body)
    count += 1
    const expirationTimestamp = new Date(now + 3_600_000).toISOString()
    return { status, body: { status: { token: `token-${count}`, expirationTimestamp } } }
  }
  const settings = settingsOf(node, { POD_SOURCE: 'api' })
  const api = await openApi(settings)
  t.teardown(() => api?.close())
  const kubeconfigs = makeKubeconfigs(
    settings,
    api,
    () => undefined,
    () => now,
  )
  const token = async (): Promise<unknown> =>
    JSON.parse(await kubeconfigs.text()).users[0].user.token
  const minutes = (count: number): void => {
    now += count * 60_000
  }
  t.equal(await token(), 'token-1')
  t.match(bodies, [{ kind: 'TokenRequest', spec: { expirationSeconds: 86_400 } }])
  minutes(29)
  t.equal(await token(), 'token-1', 'before half of the life that was granted')
  minutes(2)
  t.equal(await token(), 'token-2', 'after half of it')
  minutes(31)
  status = 403
  t.equal(await token(), 'mounted-token', 'refused: the token of this pod')
  writeFileSync(join(settings.serviceAccountDir, 'token'), 'rotated')
  minutes(2)
  t.equal(await token(), 'rotated', 'compared each minute')
  status = 201
  minutes(2)
  t.equal(await token(), `token-${count}`)
})

t.test('the mounted token is followed when it is swapped', async (t) => {
  const node = await nodeFor(t)
  const account = join(node.root, 'account')
  const running = await install(t, node, { POD_SOURCE: 'api' })
  const path = join(node.root, 'lib/kubeconfig')
  t.match(JSON.parse(readFileSync(path, 'utf8')), { users: [{ user: { token: 'mounted-token' } }] })
  t.ok(running.lines.some((line) => line.includes('no token for the account of the plugin')))
  rmSync(path)
  writeFileSync(join(account, 'token.draft'), 'mounted-token')
  renameSync(join(account, 'token.draft'), join(account, 'token'))
  await until(
    'the kubeconfig',
    async () => readdirSync(join(node.root, 'lib')).includes('kubeconfig') || undefined,
  )
  t.notOk(
    running.lines.some((line) => line.includes('mounted-token')),
    'no secret is logged',
  )
})

const daemonSet = (more: object): object => ({
  metadata: { name: 'sidecar-cni' },
  spec: {},
  ...more,
})
const affinity = (key: string, operator: string, ...values: string[]): object => ({
  nodeAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: [{ matchExpressions: [{ key, operator, values }] }],
    },
  },
})
const placed = (pod: object): object => daemonSet({ spec: { template: { spec: pod } } })
const farewells = [
  { who: 'an upgrade', status: 200, body: daemonSet({}), isKept: true },
  {
    who: 'a DaemonSet that is being deleted',
    status: 200,
    body: daemonSet({ metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } }),
    isKept: false,
  },
  { who: 'no DaemonSet', status: 404, body: {}, isKept: false },
  { who: 'rights that were taken away', status: 403, body: {}, isKept: false },
  { who: 'an account that was taken away', status: 401, body: {}, isKept: false },
  { who: 'an API server in trouble', status: 503, body: {}, isKept: true },
  { who: 'garbage', status: 200, body: 'what?', isKept: true },
  {
    who: 'a node it wants',
    status: 200,
    body: placed({ nodeSelector: { disk: 'ssd' } }),
    isKept: true,
  },
  {
    who: 'a node it does not want',
    status: 200,
    body: placed({ nodeSelector: { disk: 'hdd' } }),
    isKept: false,
  },
  {
    who: 'affinity In',
    status: 200,
    body: placed({ affinity: affinity('disk', 'In', 'ssd') }),
    isKept: true,
  },
  {
    who: 'affinity NotIn',
    status: 200,
    body: placed({ affinity: affinity('disk', 'NotIn', 'ssd') }),
    isKept: false,
  },
  {
    who: 'affinity Exists',
    status: 200,
    body: placed({ affinity: affinity('gpu', 'Exists') }),
    isKept: false,
  },
  {
    who: 'affinity DoesNotExist',
    status: 200,
    body: placed({ affinity: affinity('gpu', 'DoesNotExist') }),
    isKept: true,
  },
  {
    who: 'affinity Gt',
    status: 200,
    body: placed({ affinity: affinity('disk', 'Gt', '3') }),
    isKept: false,
  },
] as const

for (const { who, status, body, isKept } of farewells) {
  t.test(`the end: ${who}`, async (t) => {
    const node = await nodeFor(t)
    const running = await install(t, node)
    node.reply = (asking) => (asking.includes('/daemonsets/') ? { status, body } : undefined)
    t.equal(await running.stop('SIGTERM'), 0)
    const want = isKept ? ['bridge', 'portmap', 'sidecar-cni'] : ['bridge', 'portmap']
    t.strictSame(types(load(node)), want)
    t.ok(readdirSync(node.binDir).includes('sidecar-cni'), 'the executable stays')
  })
}

t.test('commands that end by themselves', async (t) => {
  const node = await nodeFor(t)
  const run = async (
    argv: readonly string[],
  ): Promise<{ code: number; out: string; log: string }> => {
    let out = ''
    let log = ''
    const code = await main(
      { argv, env: node.env, programDir: '/' },
      {
        out: (text) => (out += text),
        logLine: (line) => (log += line),
        ended: new Promise(() => undefined),
      },
    )
    return { code, out, log }
  }
  const before = readFileSync(join(node.netDir, '10-main.conflist'), 'utf8')
  const dry = await run(['--dry-run'])
  t.equal(dry.code, 0)
  t.match(
    dry.out,
    /copy the executable to .*: is missing\nwrite .*10-main\.conflist: our entry belongs in it\n\{/,
  )
  t.equal(readFileSync(join(node.netDir, '10-main.conflist'), 'utf8'), before)
  t.notOk(readdirSync(node.binDir).includes('sidecar-cni'))

  const running = await install(t, node, { POD_SOURCE: 'api' })
  await running.stop('SIGTERM')
  t.match(await run(['--dry-run', '--pod-source', 'api']), { code: 0, out: /kubeconfig/ })
  const secret = await run(['--dry-run', '--pod-source', 'api'])
  t.notMatch(secret.out, 'mounted-token')
  t.match(await run(['uninstall', '--dry-run']), {
    code: 0,
    out: /our entry does not belong in it/,
  })
  t.ok(types(load(node)).includes('sidecar-cni'))
  t.match(await run(['uninstall', '--purge']), { code: 0 })
  t.strictSame(types(load(node)), ['bridge', 'portmap'])
  t.strictSame(JSON.parse(readFileSync(join(node.netDir, '10-main.conflist'), 'utf8')), primary())
  t.notOk(readdirSync(node.binDir).includes('sidecar-cni'))
  t.strictSame(readdirSync(join(node.root, 'lib')), [])
  t.match(await run(['--no-such-flag']), { code: 2, log: /unknown flag/ })
  t.match(await run(['--help']), { code: 0, out: /Usage: install-cni/ })
})

t.test('the log of the plugin', async (t) => {
  const node = await nodeFor(t)
  mkdirSync(node.runDir)
  writeFileSync(join(node.runDir, 'log.sock'), 'stale')
  const running = await install(t, node)
  const socketPath = join(node.runDir, 'log.sock')
  t.equal(statSync(socketPath).mode & 0o777, 0o666)
  const post = async (body: string, path = '/log'): Promise<number> =>
    new Promise((resolve, reject) => {
      const call = request({ socketPath, path, method: 'POST' }, (response) => {
        void text(response).then(() => {
          resolve(response.statusCode ?? 0)
        })
      })
      call.on('error', reject)
      call.end(body)
    })
  const line = {
    level: 'info',
    time: 'T',
    msg: 'a\n\u001b[31m\u009b',
    command: 'ADD',
    decision: 'apply',
  }
  t.equal(await post(JSON.stringify([JSON.stringify(line), 'no JSON\n'])), 200)
  const got = running.lines.find((text) => text.includes('cni-plugin')) ?? ''
  const shown = got.replaceAll('\n', '')
  t.equal(shown, visible(shown), 'nothing reaches a terminal raw')
  t.equal(got.split('\n').length, 3, 'two lines')
  t.strictSame(JSON.parse(got.split('\n')[0] ?? ''), {
    level: 'info',
    time: 'T',
    scope: 'cni-plugin',
    msg: line.msg,
    command: 'ADD',
    decision: 'apply',
  })
  const failure = JSON.stringify({ command: 'ADD', failed: 'tools', decision: 'x' })
  t.equal(await post(JSON.stringify([failure, '{"command":"RM","failed":"x"}'])), 200)
  t.equal(await post('{}'), 400)
  t.equal(await post('[]', '/other'), 404)
  t.equal(await post(JSON.stringify(new Array(1001).fill('x'))), 400)
  t.equal(await post(JSON.stringify(['x'.repeat(2 << 20)])).catch(() => 413), 413)
  const { text: metrics } = await running.asks('/metrics')
  t.match(metrics, /sidecar_cni_plugin_requests_total\{command="ADD",result="applied"\} 1/)
  t.match(metrics, /sidecar_cni_plugin_requests_total\{command="ADD",result="failed"\} 1/)
  t.notMatch(metrics, /command="RM"/)
  rmSync(socketPath)
  await until(
    'a new socket',
    async () => readdirSync(node.runDir).includes('log.sock') || undefined,
  )
})
