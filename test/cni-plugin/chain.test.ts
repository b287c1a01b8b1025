/**
 * The plugin behind a real main plugin, called by a real libcni: bridge and host-local of Debian for versions
 * up to 1.0.0, built from their Go module for 1.1.0, and cnitool in front.
 */
import { spawnSync } from 'node:child_process'
import { accessSync, constants, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { makeThrowaway } from '../../webhook/tls/authority.ts'
import { makePlaces } from '../iptables-init/lab.ts'
import { callAs, listen } from '../iptables-init/traffic.ts'
import { need } from '../require.ts'
import {
  annotationsWith,
  buildPlugin,
  CAPABILITY,
  confWith,
  envWith,
  netnsUnavailable,
  run,
  type Program,
} from './plugin.ts'

const ASSETS = process.env['KUBEBUILDER_ASSETS'] ?? ''
const DEBIAN = '/usr/lib/cni'
const VERSIONS = ['0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const
const MAIN = ['bridge', 'host-local']

/** Why no chain can be run here; undefined when one can. */
function chainUnavailable(): string | undefined {
  if (!has(ASSETS, ['cnitool', ...MAIN])) {
    return 'needs cnitool, bridge and host-local in KUBEBUILDER_ASSETS: node scripts/test-tools.mjs'
  }
  if (!has(DEBIAN, MAIN)) return `needs ${DEBIAN}: apt-get install containernetworking-plugins`
  return netnsUnavailable()
}

function has(folder: string, names: readonly string[]): boolean {
  try {
    for (const name of names) accessSync(join(folder, name), constants.X_OK)
    return true
  } catch {
    return false
  }
}

type Chain = {
  readonly pod: string
  readonly host: string
  readonly tool: (command: string, more?: ToolMore) => Told
}
type ToolMore = { readonly annotations?: Readonly<Record<string, string>>; readonly args?: string }
type Told = { readonly code: number | null; readonly stdout: string; readonly stderr: string }

let chains = 0

/** A network of one version, in a host of its own, with a pod that nothing was done for yet. */
function makeChain(t: Test, program: Program, version: string, more: object = {}): Chain {
  const id = `${process.pid}-${chains++}`
  const [pod, host, name] = [`cni-p-${id}`, `cni-h-${id}`, `chain-${id}`]
  const folder = join(program.folder, name)
  mkdirSync(folder)
  const ipam = { type: 'host-local', subnet: '10.88.0.0/24', dataDir: join(folder, 'ipam') }
  const own = {
    type: 'sidecar-cni',
    run_dir: join(folder, 'run'),
    capabilities: { [CAPABILITY]: true },
    ambient_enabled: false,
    ...more,
  }
  const plugins = [{ type: 'bridge', bridge: 'cni0', isGateway: true, ipam }, own]
  writeFileSync(
    join(folder, '10-chain.conflist'),
    JSON.stringify({ cniVersion: version, name, plugins }),
  )
  for (const one of [pod, host]) spawnSync('ip', ['netns', 'add', one])
  spawnSync('ip', ['-n', pod, 'link', 'set', 'lo', 'up'])
  spawnSync('ip', ['-n', host, 'link', 'set', 'lo', 'up'])
  t.teardown(() => {
    for (const one of [pod, host]) spawnSync('ip', ['netns', 'del', one])
    const results = '/var/lib/cni/results'
    const left = has('/var/lib/cni', ['results']) ? readdirSync(results) : []
    for (const file of left.filter((one) => one.startsWith(`${name}-`))) rmSync(join(results, file))
  })
  const folders = [version === '1.1.0' ? ASSETS : DEBIAN, program.folder]
  return {
    pod,
    host,
    tool: (command, { annotations = annotationsWith(), args } = {}) => {
      const words = [
        'netns',
        'exec',
        host,
        join(ASSETS, 'cnitool'),
        command,
        name,
        `/run/netns/${pod}`,
      ]
      const { status, stdout, stderr } = spawnSync('ip', words, {
        encoding: 'utf8',
        env: {
          PATH: process.env['PATH'],
          NETCONFPATH: folder,
          CNI_PATH: folders.join(':'),
          CNI_ARGS: args ?? 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web',
          CAP_ARGS: JSON.stringify({ [CAPABILITY]: annotations }),
        },
      })
      return { code: status, stdout, stderr }
    },
  }
}

t.test('in a chain', need(chainUnavailable()), async (t) => {
  const program = await buildPlugin()
  t.teardown(program.remove)
  const inside = (namespace: string, ...words: readonly string[]): string => {
    const [tool = '', ...args] = words
    return spawnSync('ip', ['netns', 'exec', namespace, tool, ...args], { encoding: 'utf8' }).stdout
  }

  for (const version of VERSIONS) {
    await t.test(`a network of ${version}`, async (t) => {
      const { pod, host, tool } = makeChain(t, program, version)
      const added = tool('add')
      t.equal(added.code, 0, added.stdout + added.stderr)
      const result = JSON.parse(added.stdout) as {
        cniVersion: string
        ips: { address: string }[]
        interfaces: { name: string }[]
      }
      t.match(result, { cniVersion: version, ips: [{ address: '10.88.0.2/24' }] })
      t.ok(result.interfaces.length === 3, "bridge's interfaces are passed on")
      const rules = inside(pod, 'iptables-nft-save')
      t.match(rules, /-A ISTIO-REDIRECT -p tcp -j REDIRECT --to-ports 15001/)
      t.notMatch(inside(host, 'iptables-nft-save'), /ISTIO/, "nothing in the host's namespace")
      if (version !== '0.3.1') {
        const checked = tool('check')
        t.equal(checked.code, 0, checked.stdout + checked.stderr)
        inside(pod, 'iptables-nft', '-t', 'nat', '-F')
        const flushed = tool('check')
        t.equal(flushed.code, 1)
        t.match(flushed.stdout + flushed.stderr, /rules differ.*- nat OUTPUT: -j ISTIO-OUTPUT/s)
      }
      if (version === '1.1.0') {
        t.equal(tool('status').code, 0)
        t.equal(tool('gc').code, 0)
      }
      t.equal(tool('del').code, 0)
      t.equal(tool('del').code, 0, 'a second DEL')
    })
  }

  await t.test('traffic is captured, the traffic of the proxy is not', async (t) => {
    const { pod, host, tool } = makeChain(t, program, '1.0.0')
    t.equal(tool('add').code, 0)
    const places = makePlaces(pod, host, join(program.folder, 'lock'))
    t.teardown(places.stop)
    await listen(places, 'pod', [15001, 15006, 15020, 8080])
    await listen(places, 'world', [8080])
    const [gateway, address] = ['10.88.0.1', '10.88.0.2']
    const app = { uid: 1000, gid: 1000 }
    const proxy = { uid: 1337, gid: 1337 }
    const portOf = (answers: readonly object[]): readonly unknown[] =>
      answers.map((answer) => ('port' in answer ? answer.port : answer))
    t.strictSame(
      portOf(callAs(places, 'pod', app, [{ to: gateway, port: 8080 }])),
      [15001],
      'the application is captured',
    )
    t.strictSame(
      portOf(callAs(places, 'pod', proxy, [{ to: gateway, port: 8080 }])),
      [8080],
      'the proxy reaches the world',
    )
    t.strictSame(
      portOf(callAs(places, 'pod', { uid: 1000, gid: 1337 }, [{ to: gateway, port: 8080 }])),
      [8080],
      'so does its group',
    )
    t.strictSame(
      portOf(
        callAs(places, 'world', app, [
          { to: address, port: 8080 },
          { to: address, port: 15020 },
        ]),
      ),
      [15006, 15020],
      'inbound goes to the proxy, its own ports are left alone',
    )
  })

  await t.test('pods that are not ours pass, and the others fail closed', async (t) => {
    const { pod, tool } = makeChain(t, program, '1.0.0')
    const cases = [
      {
        name: 'an excluded namespace',
        args: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=kube-system;K8S_POD_NAME=x',
        code: 0,
      },
      { name: 'no Kubernetes', args: 'IgnoreUnknown=1', code: 0 },
      { name: 'not injected', annotations: { 'kubernetes.io/config.source': 'api' }, code: 0 },
      {
        name: 'a forged plan',
        annotations: {
          ...annotationsWith(),
          'sidecar-injector.io/redirect-plan': '{"v":1,"apply":"none","rev":"","x":1}',
        },
        code: 1,
      },
    ]
    for (const { name, code, ...more } of cases) {
      const added = tool('add', more)
      t.equal(added.code, code, `${name}: ${added.stdout}${added.stderr}`)
      t.notMatch(inside(pod, 'iptables-nft-save'), /ISTIO/, name)
      t.equal(tool('del', more).code, 0)
    }
  })

  await t.test(
    'an API server that is slow or gone does not hold a pod that has a plan, nor for ever one that has none',
    async (t) => {
      const { pair, ca } = await makeThrowaway(['localhost'], new Date())
      const server = createServer(pair, (_request, response) => {
        setTimeout(() => response.end('{}'), 10_000).unref()
      })
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      t.teardown(() => {
        server.closeAllConnections()
        server.close()
      })
      const kubeconfig = join(program.folder, 'kubeconfig')
      const { port } = server.address() as AddressInfo
      const cluster = {
        server: `https://localhost:${port}`,
        'certificate-authority-data': Buffer.from(ca).toString('base64'),
      }
      writeFileSync(
        kubeconfig,
        JSON.stringify({
          'current-context': 'c',
          contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
          clusters: [{ name: 'k', cluster }],
          users: [{ name: 'u', user: { token: 'hidden' } }],
        }),
      )
      const { pod } = makeChain(t, program, '1.0.0')
      const conf = {
        pod_source: 'api',
        kubeconfig,
        pod_lookup_timeout_ms: 1_500,
        pod_lookup_attempt_ms: 1_000,
      }
      const env = envWith({ CNI_NETNS: `/run/netns/${pod}` })
      const planned = await run(program, env, confWith(annotationsWith(), conf))
      t.strictSame([planned.code, planned.stdout], [0, '{"cniVersion":"1.0.0"}'], planned.stderr)
      const started = performance.now()
      const unplanned = await run(program, env, confWith(undefined, conf))
      t.match(JSON.parse(unplanned.stdout), { code: 11 })
      t.ok(performance.now() - started < 8_000, 'within its budget')
      t.notMatch(unplanned.stdout + unplanned.stderr, /hidden/)
    },
  )
})
