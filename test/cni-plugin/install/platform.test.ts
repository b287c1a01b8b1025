/** A root directory as each kind of node has it: found, installed into, nothing else touched. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t from 'tap'
import { detect } from '../../../cni-plugin/install/detect.ts'
import { main } from '../../../cni-plugin/install/main.ts'
import { PLATFORM_NAMES } from '../../../cni-plugin/install/platform.ts'
import { startInstaller } from '../../../cni-plugin/install/run.ts'
import { readSettings } from '../../../cni-plugin/install/settings.ts'
import { readToml } from '../../../cni-plugin/install/toml.ts'
import { load, makeNode, nodeObject, pluginText, primary, types } from './node.ts'

const CRI_2 = `version = 2
[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    sandbox_image = "registry.k8s.io/pause:3.9" # a comment
    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "BIN"
      conf_dir = "NET"
`
const CRI_3 = `version = 3
imports = ['/etc/containerd/conf.d/*.toml']
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = [
    'BIN', # first
    '/opt/other',
  ]
  conf_dir = 'NET'
`
const CRIO = `[crio.network]
network_dir = "NET"
plugin_dirs = [
  "BIN",
  "/usr/libexec/cni",
]
`
const filled = (text: string, bin: string, net: string): string =>
  text.replace('BIN', bin).replace('NET', net)

type Row = {
  readonly who: string
  readonly files: Readonly<Record<string, string>>
  readonly platform: string
  readonly binDir: string
  readonly netDir: string
  readonly env?: Readonly<Record<string, string>>
  readonly network?: string
}

const K3S = '/var/lib/rancher/k3s'
const SNAP = '/var/snap/microk8s/current'
const rows: readonly Row[] = [
  {
    who: 'kind, EKS, AKS: nothing but the directories',
    files: {},
    platform: 'default',
    binDir: '/opt/cni/bin',
    netDir: '/etc/cni/net.d',
  },
  {
    who: 'EKS with its containerd configuration',
    files: { '/etc/containerd/config.toml': filled(CRI_2, '/opt/cni/bin', '/etc/cni/net.d') },
    platform: 'default',
    binDir: '/opt/cni/bin',
    netDir: '/etc/cni/net.d',
  },
  {
    who: 'containerd 2 with an import that wins',
    files: {
      '/etc/containerd/config.toml': filled(CRI_3, '/opt/cni/bin', '/etc/cni/net.d'),
      '/etc/containerd/conf.d/50-cni.toml':
        '[plugins."io.containerd.cri.v1.runtime"]\ncni = { bin_dir = "/srv/cni/bin/" }\n',
    },
    platform: 'default',
    binDir: '/srv/cni/bin',
    netDir: '/etc/cni/net.d',
  },
  {
    who: 'GKE',
    files: {
      '/home/kubernetes/bin/loopback': '',
      '/etc/containerd/config.toml': filled(CRI_2, '/home/kubernetes/bin', '/etc/cni/net.d'),
    },
    platform: 'gke',
    binDir: '/home/kubernetes/bin',
    netDir: '/etc/cni/net.d',
  },
  {
    who: 'k3s',
    files: {
      [`${K3S}/data/cni/loopback`]: '',
      [`${K3S}/agent/etc/containerd/config.toml`]: filled(
        CRI_3,
        `${K3S}/data/cni`,
        `${K3S}/agent/etc/cni/net.d`,
      ),
    },
    platform: 'k3s',
    binDir: `${K3S}/data/cni`,
    netDir: `${K3S}/agent/etc/cni/net.d`,
  },
  {
    who: 'k3s of before, whose plugins lie elsewhere',
    files: {
      [`${K3S}/agent/etc/cni/net.d/10-flannel.conflist`]: '',
      [`${K3S}/agent/etc/containerd/config.toml`]: filled(
        CRI_2,
        `${K3S}/data/0123abcd/bin`,
        `${K3S}/agent/etc/cni/net.d`,
      ),
    },
    platform: 'k3d',
    binDir: `${K3S}/data/0123abcd/bin`,
    netDir: `${K3S}/agent/etc/cni/net.d`,
    network: '10-flannel.conflist',
  },
  {
    who: 'k3d',
    files: { [`${K3S}/agent/etc/cni/net.d/10-flannel.conflist`]: '' },
    platform: 'k3d',
    binDir: '/bin',
    netDir: `${K3S}/agent/etc/cni/net.d`,
    network: '10-flannel.conflist',
  },
  {
    who: 'microk8s',
    files: {
      [`${SNAP}/args/cni-network/cni.yaml`]: '',
      [`${SNAP}/args/containerd.toml`]: filled(
        CRI_2,
        `\${SNAP_DATA}/opt/cni/bin`,
        `\${SNAP_DATA}/args/cni-network`,
      ),
    },
    platform: 'microk8s',
    binDir: `${SNAP}/opt/cni/bin`,
    netDir: `${SNAP}/args/cni-network`,
  },
  {
    who: 'CRI-O, with an addition that wins',
    files: {
      '/etc/crio/crio.conf': filled(CRIO, '/opt/cni/bin', '/etc/cni/net.d/'),
      '/etc/crio/crio.conf.d/10-crio.conf': filled(CRIO, '/usr/lib/cni', '/etc/cni/net.d/'),
    },
    platform: 'default',
    binDir: '/usr/lib/cni',
    netDir: '/etc/cni/net.d',
  },
  {
    who: 'OpenShift with Multus',
    files: {
      '/etc/cni/multus/net.d/whereabouts.d/x': '',
      '/etc/crio/crio.conf.d/00-default': filled(
        CRIO,
        '/var/lib/cni/bin',
        '/etc/kubernetes/cni/net.d/',
      ),
    },
    platform: 'openshift',
    binDir: '/var/lib/cni/bin',
    netDir: '/etc/cni/multus/net.d',
    env: {
      POD_SOURCE: 'auto',
      NETWORK_ATTACHMENT: 'default/sidecar-cni',
      CHAINED_CNI_PLUGIN: 'false',
    },
  },
  {
    who: 'minikube, by its name',
    files: {},
    platform: 'default',
    binDir: '/opt/cni/bin',
    netDir: '/etc/cni/net.d',
    env: { CNI_PLATFORM: 'minikube' },
  },
]

for (const { who, files, platform, binDir, netDir, env, network } of rows) {
  t.test(who, async (t) => {
    const node = await makeNode()
    t.teardown(node.close)
    for (const folder of ['etc', 'opt']) rmSync(join(node.root, folder), { recursive: true })
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(node.root, path)), { recursive: true })
      writeFileSync(join(node.root, path), text)
    }
    t.match(await detect(node.root), { platform, binDir, netDir })

    const here = { binDir: join(node.root, binDir), netDir: join(node.root, netDir) }
    for (const folder of Object.values(here)) mkdirSync(folder, { recursive: true })
    for (const name of ['bridge', 'portmap'])
      writeFileSync(join(here.binDir, name), '', { mode: 0o755 })
    const file = join(here.netDir, network ?? '10-main.conflist')
    if (platform !== 'openshift') writeFileSync(file, JSON.stringify(primary()))
    const read = readSettings({ argv: [], env: { ...node.env, ...env }, programDir: '/' })
    if (!read.ok) throw new Error(JSON.stringify(read.problems))
    const attachments =
      'POST /apis/k8s.cni.cncf.io/v1/namespaces/default/network-attachment-definitions'
    node.reply = (asking) => {
      if (asking === attachments) return { status: 201, body: {} }
      return asking.includes('/nodes/')
        ? { status: 200, body: nodeObject('cri-o://1.30.0') }
        : undefined
    }
    const quiet = { log: () => undefined, write: () => undefined, env: {} }
    const running = await startInstaller(read.value, quiet)
    t.match(running.state(), { isReady: true })
    await running.stop('SIGTERM')
    t.equal(readFileSync(join(here.binDir, 'sidecar-cni'), 'utf8'), pluginText('one'))
    if (platform !== 'openshift') {
      t.strictSame(types(load(here)), ['bridge', 'portmap', 'sidecar-cni'])
      return
    }
    const conf = JSON.parse(readFileSync(join(here.netDir, 'sidecar-cni.conf'), 'utf8'))
    t.match(conf, {
      cniVersion: '0.3.1',
      name: 'sidecar-cni',
      type: 'sidecar-cni',
      pod_source: 'api',
    })
    t.ok(node.asked.includes(attachments), 'the object that pods name')
  })
}

t.test('every platform that can be named has a root of its kind above', async (t) => {
  const seen = new Set(rows.map(({ platform, env }) => env?.['CNI_PLATFORM'] ?? platform))
  t.strictSame([...seen].sort(), [...PLATFORM_NAMES].sort())
})

t.test('detect prints what it found', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'cni-root-'))
  t.teardown(() => {
    rmSync(root, { recursive: true })
  })
  let out = ''
  const world = { out: (text: string) => (out += text), logLine: () => undefined }
  const given = { argv: ['detect', '--host-root', root], env: {}, programDir: '/' }
  t.equal(await main(given, { ...world, ended: new Promise(() => undefined) }), 0)
  t.match(JSON.parse(out), { platform: 'default', binDir: '/opt/cni/bin', isChained: true })
})

const toml = [
  { who: 'dotted keys', text: 'a.b."c d".e = "x"', keys: ['a', 'b', 'c d', 'e'], want: ['x'] },
  { who: 'tables', text: '[a]\n[a.b]\nc="x"', keys: ['a', 'b', 'c'], want: ['x'] },
  { who: 'escapes', text: String.raw`a = "x\t\"\u00e9\\"`, keys: ['a'], want: ['x\t"é\\'] },
  {
    who: 'no escapes in literals',
    text: String.raw`a = 'C:\x'`,
    keys: ['a'],
    want: [String.raw`C:\x`],
  },
  {
    who: 'long texts hide what is in them',
    text: 'a = """\n[b]\nc = "no"\n"""\nc = "yes"',
    keys: ['c'],
    want: ['yes'],
  },
  { who: 'a comment sign in a text', text: 'a = "x#y" # z', keys: ['a'], want: ['x#y'] },
  {
    who: 'other values',
    text: 'a = 1\nb = true\nc = 1979-05-27T07:32:00Z\nd = [1, ["x"]]\ne = "x"',
    keys: ['e'],
    want: ['x'],
  },
  { who: 'lists of tables', text: '[[a]]\nb = "x"\n[[a]]\nb = "y"', keys: ['a', 'b'], want: [] },
  {
    who: 'inline tables',
    text: 'a = { b = { c = ["x", "y"] }, d = 1 }',
    keys: ['a', 'b', 'c'],
    want: ['x', 'y'],
  },
  { who: 'what is no text', text: 'a = 5', keys: ['a'], want: [] },
  { who: 'a name of every object', text: 'a = "x"', keys: ['constructor'], want: [] },
  { who: 'a prototype', text: '[__proto__]\na = "x"', keys: ['a'], want: [] },
] as const

for (const { who, text, keys, want } of toml) {
  t.test(`TOML: ${who}`, async (t) => {
    t.strictSame(readToml(text)?.texts(...keys), want)
  })
}

t.test('no TOML at all', async (t) => {
  for (const text of ['a', '= 1', '[a', 'a = "x', 'a = [1', '{"a": 1}'])
    t.equal(readToml(text), undefined)
})
