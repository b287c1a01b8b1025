import t from 'tap'
import { readRuntimeArgs } from '../../cni-plugin/runtime-args.ts'
import { passOn } from '../../cni-plugin/result.ts'
import { VERSIONS, type CniVersion } from '../../cni-plugin/versions.ts'
import type { JsonObject } from '../../core/json.ts'
import { annotationsWith, buildPlugin, call, confWith, envWith, run } from './plugin.ts'

const OWN = '/proc/self/ns/net'
const EXCLUDED = { CNI_ARGS: 'K8S_POD_NAMESPACE=kube-system;K8S_POD_NAME=dns' }
const PREVIOUS = {
  zebra: { kept: ['as', 'it', { is: 1 }] },
  cniVersion: '1.0.0',
  ips: [{ gateway: '10.0.0.1', address: '10.0.0.2/24', interface: 2 }],
  interfaces: [{ name: 'br0', own: true }, { name: 'veth1' }, { name: 'eth0', sandbox: '/x' }],
  dns: {},
}

type Row = {
  readonly name: string
  readonly env: Readonly<Record<string, string>>
  readonly stdin?: string
  readonly exit: number
  readonly code?: number
  readonly says?: RegExp
}

const rows: readonly Row[] = [
  {
    name: 'no container id',
    env: { CNI_CONTAINERID: '' },
    exit: 1,
    code: 4,
    says: /^CNI_CONTAINERID: got ""/,
  },
  {
    name: 'three missing are named together',
    env: { CNI_CONTAINERID: '', CNI_NETNS: '', CNI_IFNAME: '' },
    exit: 1,
    code: 4,
    says: /CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME/,
  },
  {
    name: 'container id with a slash',
    env: { CNI_CONTAINERID: 'a/b' },
    exit: 1,
    code: 4,
    says: /CNI_CONTAINERID: got "a\/b"/,
  },
  { name: 'container id that begins with a dot', env: { CNI_CONTAINERID: '.a' }, exit: 1, code: 4 },
  { name: 'interface of 16 bytes', env: { CNI_IFNAME: 'a'.repeat(16) }, exit: 1, code: 4 },
  { name: 'interface ..', env: { CNI_IFNAME: '..' }, exit: 1, code: 4 },
  { name: 'interface with a colon', env: { CNI_IFNAME: 'eth0:1' }, exit: 1, code: 4 },
  { name: 'interface with a blank', env: { CNI_IFNAME: 'eth 0' }, exit: 1, code: 4 },
  {
    name: 'interface of 8 characters and 16 bytes',
    env: { CNI_IFNAME: 'é'.repeat(8) },
    exit: 1,
    code: 4,
  },
  {
    name: 'unknown command',
    env: { CNI_COMMAND: 'REMOVE' },
    exit: 1,
    code: 4,
    says: /CNI_COMMAND: got "REMOVE", want one of ADD/,
  },
  { name: 'command in small letters', env: { CNI_COMMAND: 'add' }, exit: 1, code: 4 },
  { name: 'command from the prototype', env: { CNI_COMMAND: 'constructor' }, exit: 1, code: 4 },
  { name: 'no JSON', env: {}, stdin: '{', exit: 1, code: 6 },
  { name: 'nothing on standard input', env: {}, stdin: '', exit: 1, code: 6 },
  { name: 'a list', env: {}, stdin: '[]', exit: 1, code: 6 },
  { name: 'no name', env: {}, stdin: '{"cniVersion":"1.0.0"}', exit: 1, code: 7, says: /^name: / },
  { name: 'bad name', env: {}, stdin: '{"cniVersion":"1.0.0","name":"a/b"}', exit: 1, code: 7 },
  {
    name: 'unknown version',
    env: {},
    stdin: '{"cniVersion":"2.0.0","name":"n"}',
    exit: 1,
    code: 1,
    says: /2\.0\.0/,
  },
  {
    name: 'version of a wrong type',
    env: {},
    stdin: '{"cniVersion":1,"name":"n"}',
    exit: 1,
    code: 1,
  },
  {
    name: 'wrong type of a key of ours',
    env: {},
    stdin: confWith({}, { exclude_namespaces: 'x' }),
    exit: 1,
    code: 7,
    says: /exclude_namespaces: got "x", want a list/,
  },
  {
    name: 'unknown word',
    env: {},
    stdin: confWith({}, { on_error: 'ignore' }),
    exit: 1,
    code: 7,
    says: /on_error: got "ignore", want fail or warn/,
  },
  {
    name: 'budget below 1',
    env: {},
    stdin: confWith({}, { pod_lookup_timeout_ms: 0 }),
    exit: 1,
    code: 7,
  },
  {
    name: 'relative folder of tools',
    env: {},
    stdin: confWith({}, { tool_dirs: ['bin'] }),
    exit: 1,
    code: 7,
    says: /tool_dirs\[0\]/,
  },
  {
    name: 'prevResult that is a text',
    env: {},
    stdin: confWith({}, { prevResult: 'x' }),
    exit: 1,
    code: 7,
  },
  {
    name: 'runtimeConfig that is a list',
    env: {},
    stdin: confWith(undefined, { runtimeConfig: [] }),
    exit: 1,
    code: 7,
  },
  { name: 'annotations that are a list', env: {}, stdin: confWith(['x']), exit: 1, code: 7 },
  {
    name: 'annotations with a number',
    env: {},
    stdin: confWith({ a: 1 }),
    exit: 1,
    code: 7,
    says: /pod-annotations\.a: got "1"/,
  },
  { name: 'a namespace that is gone', env: {}, exit: 1, code: 105, says: /is not there/ },
  {
    name: 'a file that is no namespace',
    env: { CNI_NETNS: '/etc/hostname' },
    exit: 1,
    code: 105,
    says: /no network namespace/,
  },
  { name: "the node's own namespace", env: { CNI_NETNS: OWN }, exit: 1, code: 8 },
  {
    name: "the node's own namespace, with the override of others",
    env: { CNI_NETNS: OWN, CNI_NETNS_OVERRIDE: '1' },
    exit: 1,
    code: 8,
  },
  {
    name: "the node's own namespace, excluded pod",
    env: { CNI_NETNS: OWN, ...EXCLUDED },
    exit: 1,
    code: 8,
  },
  {
    name: "CHECK of the node's own namespace",
    env: { CNI_COMMAND: 'CHECK', CNI_NETNS: OWN },
    exit: 1,
    code: 8,
  },
  {
    name: 'CHECK below 0.4.0',
    env: { CNI_COMMAND: 'CHECK' },
    stdin: confWith({}, { cniVersion: '0.3.1' }),
    exit: 1,
    code: 1,
    says: /CHECK needs a network of cniVersion 0\.4\.0/,
  },
  { name: 'STATUS below 1.1.0', env: { CNI_COMMAND: 'STATUS' }, exit: 1, code: 1 },
  { name: 'GC below 1.1.0', env: { CNI_COMMAND: 'GC' }, exit: 1, code: 1 },
  { name: 'GC without CNI_PATH', env: { CNI_COMMAND: 'GC', CNI_PATH: '' }, exit: 1, code: 4 },
  {
    name: 'GC',
    env: { CNI_COMMAND: 'GC', CNI_CONTAINERID: '', CNI_IFNAME: '', CNI_NETNS: '' },
    stdin: confWith(undefined, { cniVersion: '1.1.0', 'cni.dev/valid-attachments': [] }),
    exit: 0,
  },
  { name: 'DEL', env: { CNI_COMMAND: 'DEL' }, exit: 0 },
  {
    name: 'DEL without namespace, id and path',
    env: { CNI_COMMAND: 'DEL', CNI_NETNS: '', CNI_CONTAINERID: '', CNI_PATH: '' },
    exit: 0,
  },
  { name: "DEL of the node's own namespace", env: { CNI_COMMAND: 'DEL', CNI_NETNS: OWN }, exit: 0 },
  { name: 'DEL with what is no JSON', env: { CNI_COMMAND: 'DEL' }, stdin: 'x', exit: 0 },
  {
    name: 'DEL of an unknown version',
    env: { CNI_COMMAND: 'DEL' },
    stdin: '{"cniVersion":"9.0.0"}',
    exit: 0,
  },
  {
    name: 'DEL with a broken prevResult',
    env: { CNI_COMMAND: 'DEL' },
    stdin: confWith(null, { prevResult: [] }),
    exit: 0,
  },
]

t.test('what is refused, with which code, and what is not', async (t) => {
  for (const row of rows) {
    const { name, env, stdin = confWith(annotationsWith()), exit, code, says } = row
    const called = await call(envWith(env), stdin)
    t.equal(called.exit, exit, name)
    if (code === undefined) t.equal(called.stdout, '', `${name}: nothing to say`)
    else {
      t.equal(called.json['code'], code, `${name}: ${called.stdout}`)
      t.equal(called.json['cniVersion'], '1.1.0', `${name}: the error has a version`)
      const msg = String(called.json['msg'])
      t.ok(msg.length <= 200 && !msg.includes('    at '), `${name}: a message for people`)
      if (says !== undefined) t.match(msg, says, name)
    }
  }
})

t.test('STATUS fails where tools are missing, and names them and the folders', async (t) => {
  const env = envWith({ CNI_COMMAND: 'STATUS', PATH: '/nowhere' })
  const stdin = confWith(undefined, {
    cniVersion: '1.1.0',
    iptables_mode: 'native',
    tool_dirs: ['/also-nowhere'],
  })
  const { json, exit } = await call(env, stdin)
  if (exit === 1) {
    t.equal(json['code'], 50)
    t.match(json['details'], /searched: \/also-nowhere:\/nowhere:/)
  } else t.pass('this machine has all of them where they are always looked for')
})

t.test('STATUS tells of credentials only where they must be there', async (t) => {
  const env = envWith({ CNI_COMMAND: 'STATUS' })
  const conf = { cniVersion: '1.1.0', pod_source: 'api', kubeconfig: '/nowhere/kubeconfig' }
  const lenient = await call(env, confWith(undefined, conf))
  const strict = await call(env, confWith(undefined, { ...conf, status_strict: true }))
  if (lenient.exit === 1) t.match(lenient.json['msg'], /not found on this node/, 'no tools here')
  else {
    t.match(lenient.log, [{ level: 'warn', cause: /\/nowhere\/kubeconfig/ }])
    t.match(strict.json, { code: 50, msg: /\/nowhere\/kubeconfig: cannot be read/ })
  }
})

t.test('the arguments of the runtime', async (t) => {
  const cases = [
    ['', { namespace: '', name: '' }],
    ['IgnoreUnknown=1', { namespace: '', name: '' }],
    ['K8S_POD_NAME=a;K8S_POD_NAMESPACE=b;K8S_POD_UID=u', { namespace: 'b', name: 'a', uid: 'u' }],
    ['K8S_POD_NAME=a=b;K8S_POD_NAMESPACE=n;;x;=y', { namespace: 'n', name: 'a=b' }],
    ['K8S_POD_NAME=a;K8S_POD_NAME=z;K8S_POD_NAMESPACE=n', { namespace: 'n', name: 'z' }],
  ] as const
  for (const [text, want] of cases) t.strictSame(readRuntimeArgs(text), want, text)
})

t.test('prevResult goes through as it came, in every version', async (t) => {
  for (const version of VERSIONS.filter((one) => one >= '0.3.0')) {
    const previous =
      version >= '1.0.0' ? PREVIOUS : { ...PREVIOUS, ips: [{ version: '4', ...PREVIOUS.ips[0] }] }
    const same = { ...previous, cniVersion: version }
    const read = passOn(same, version)
    t.equal(read.ok && JSON.stringify(read.value), JSON.stringify(same), version)
  }
  const hostile = JSON.parse('{"__proto__":{"x":1},"constructor":2,"ips":[]}') as JsonObject
  const read = passOn(hostile, '1.0.0')
  t.equal(
    read.ok && JSON.stringify(read.value),
    '{"cniVersion":"1.0.0","__proto__":{"x":1},"constructor":2,"ips":[]}',
    'strange keys are kept, the version is added where it is missing',
  )
})

const RICH = {
  cniVersion: '1.1.0',
  interfaces: [{ name: 'eth0', mtu: 1500, socketPath: '/s', pciID: 'p', mine: 1 }],
  ips: [
    { address: '10.0.0.2/24', gateway: '10.0.0.1', interface: 0 },
    { address: 'fd00::2/64', interface: 0 },
  ],
  routes: [
    { dst: '0.0.0.0/0', gw: '10.0.0.1', mtu: 1, advmss: 2, priority: 3, table: 4, scope: 5 },
    { dst: '::/0' },
  ],
}
const PLAIN = {
  cniVersion: '1.0.0',
  interfaces: [{ name: 'eth0', mine: 1 }],
  ips: RICH.ips,
  routes: [{ dst: '0.0.0.0/0', gw: '10.0.0.1' }, { dst: '::/0' }],
}
const VERSIONED = {
  ...PLAIN,
  cniVersion: '0.4.0',
  ips: [
    { version: '4', address: '10.0.0.2/24', gateway: '10.0.0.1', interface: 0 },
    { version: '6', address: 'fd00::2/64', interface: 0 },
  ],
}
const FAMILIES = {
  cniVersion: '0.2.0',
  ip4: { ip: '10.0.0.2/24', gateway: '10.0.0.1', routes: [{ dst: '0.0.0.0/0', gw: '10.0.0.1' }] },
  ip6: { ip: 'fd00::2/64', routes: [{ dst: '::/0' }] },
  dns: {},
}

t.test('prevResult of another version is converted', async (t) => {
  const cases: readonly (readonly [JsonObject, CniVersion, JsonObject])[] = [
    [RICH, '1.0.0', PLAIN],
    [RICH, '0.4.0', VERSIONED],
    [RICH, '0.3.1', { ...VERSIONED, cniVersion: '0.3.1' }],
    [RICH, '0.2.0', FAMILIES],
    [PLAIN, '1.1.0', { ...PLAIN, cniVersion: '1.1.0' }],
    [PLAIN, '0.4.0', VERSIONED],
    [VERSIONED, '1.0.0', PLAIN],
    [VERSIONED, '0.3.0', { ...VERSIONED, cniVersion: '0.3.0' }],
    [VERSIONED, '0.1.0', { ...FAMILIES, cniVersion: '0.1.0' }],
    [
      FAMILIES,
      '1.0.0',
      {
        cniVersion: '1.0.0',
        dns: {},
        ips: [{ address: '10.0.0.2/24', gateway: '10.0.0.1' }, { address: 'fd00::2/64' }],
        routes: PLAIN.routes,
      },
    ],
  ]
  for (const [previous, version, want] of cases) {
    const read = passOn(previous, version)
    t.strictSame(
      read.ok && read.value,
      want,
      `${JSON.stringify(previous['cniVersion'])} to ${version}`,
    )
  }
  for (const [previous, version] of [
    [{ cniVersion: '1.0.0', ips: [] }, '0.2.0'],
    [{ cniVersion: '7.0.0' }, '1.0.0'],
    [{ cniVersion: 7 }, '1.0.0'],
  ] as const) {
    t.equal(passOn(previous, version).ok, false, JSON.stringify(previous))
  }
  t.strictSame(passOn(undefined, '0.4.0'), { ok: true, value: { cniVersion: '0.4.0', dns: {} } })
  t.strictSame(passOn(undefined, '1.0.0'), { ok: true, value: { cniVersion: '1.0.0' } })
})

t.test('the process: one JSON document or nothing on standard output', async (t) => {
  const program = await buildPlugin()
  t.teardown(program.remove)
  const versions = await run(
    program,
    { CNI_COMMAND: 'VERSION', CNI_NETNS: 'dummy' },
    'no JSON at all',
  )
  t.strictSame(JSON.parse(versions.stdout), {
    cniVersion: '1.1.0',
    supportedVersions: [...VERSIONS],
  })
  t.strictSame([versions.code, versions.stderr], [0, ''])

  const about = await run(program, {}, '')
  t.strictSame([about.code, about.stdout], [0, ''])
  t.match(about.stderr, /CNI protocol versions supported: 0\.1\.0, .*1\.1\.0/)

  const refused = await run(program, envWith(), '{"name":"n","secret":"s3cr3t')
  t.match(JSON.parse(refused.stdout), { code: 6 })
  t.equal(refused.code, 1)
  t.notMatch(refused.stdout + refused.stderr, /s3cr3t/, 'what came in is never shown')

  const broken = { NODE_TLS_REJECT_UNAUTHORIZED: '0', SSL_CERT_FILE: '/nowhere', HTTPS_PROXY: 'x' }
  const removed = await run(program, envWith({ CNI_COMMAND: 'DEL', ...broken }), '')
  t.strictSame([removed.code, removed.stdout], [0, ''])
})
