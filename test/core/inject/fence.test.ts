/** The fence: what templates may bring, who may widen it, and how a difference is told. */
import t from 'tap'
import { TEMPLATE_DECLARATIONS, TEMPLATE_TEXTS } from '../../../core/generated/templates.ts'
import { readInjectConfig, type InjectConfig } from '../../../core/inject/config.ts'
import { readDeclaration, together } from '../../../core/inject/fence-declaration.ts'
import { rehearsed, unfenced } from '../../../core/inject/fence-usual.ts'
import { injectPod } from '../../../core/inject/inject.ts'
import type { IstioVersion } from '../../../core/inject/values.ts'
import type { Json, JsonObject } from '../../../core/json.ts'
import { formatProblem } from '../../../core/problem.ts'
import { configOf, digest, requestFor } from '../../support/config.ts'

const VERSIONS: readonly IstioVersion[] = ['current', '1.17', '1.8']

function pod(annotations: JsonObject = {}, spec: JsonObject = {}): JsonObject {
  return {
    metadata: { name: 'p', namespace: 'shop', annotations },
    spec: { containers: [{ name: 'app', image: 'app' }], ...spec },
  }
}

/** Paths of the problems; empty where the pod is injected. */
function outcome(object: Json, config: InjectConfig, native = false): readonly string[] {
  const decision = injectPod(requestFor(object, { nativeSidecars: native }), config)
  if (decision.kind === 'skip') throw new Error('skipped')
  return decision.kind === 'reject' ? decision.problems.map(({ path }) => path) : []
}

function withTemplate(template: string, declarations?: JsonObject): InjectConfig {
  return configOf({
    injectConfig: JSON.stringify({
      templates: { team: template },
      defaultTemplates: ['sidecar', 'team'],
      ...(declarations === undefined ? {} : { declarations }),
    }),
  })
}

/** Every problem of a configuration, one a line. */
function refused(config: JsonObject): string {
  const text = JSON.stringify(config)
  const read = readInjectConfig({
    injectConfig: { path: 'config', text },
    istioVersion: 'current',
    revision: '',
    digest,
  })
  return read.ok ? '' : read.problems.map(formatProblem).join('\n')
}

t.test('our own templates bring what they declare, by themselves and when asked', async (t) => {
  for (const version of VERSIONS) {
    const config = configOf({ istioVersion: version })
    const names = Object.keys(TEMPLATE_TEXTS[version] ?? {})
    t.strictSame(
      Object.keys(TEMPLATE_DECLARATIONS[version] ?? {}),
      names,
      `${version}: all declare`,
    )
    for (const name of names) {
      const declared = config.declarations.get(name)
      if (declared === undefined) throw new Error(name)
      const templates = { names: [name], declaration: declared.read(), isForeign: false }
      const strange = rehearsed(templates, (request) => injectPod(request, unfenced(config)))
      t.strictSame(
        strange.flatMap(({ ids }) => ids),
        [],
        `${version}: ${name}`,
      )
      t.ok(declared.read().volumes.size > 0, `${version}: ${name} declares volumes`)
    }
  }
})

t.test('what they declare is no more than they may bring', async (t) => {
  for (const version of VERSIONS) {
    for (const [name, text] of Object.entries(TEMPLATE_TEXTS[version] ?? {})) {
      const read = readDeclaration(name, TEMPLATE_DECLARATIONS[version]?.[name] ?? null)
      if (!read.ok) throw new Error(read.problems.map(formatProblem).join('\n'))
      for (const volume of read.value.volumes) {
        t.ok(text.includes(`- name: ${volume}\n`), `${version}: ${name}: ${volume}`)
      }
      t.equal(read.value.hostPaths.size, 0, 'no path of the node')
      const all = [...read.value.containers.values(), ...read.value.initContainers.values()]
      t.notOk(
        all.some(({ privileged, hostPorts }) => privileged || hostPorts),
        'no privileges',
      )
    }
  }
})

t.test('what the operator gives widens a built-in declaration', async (t) => {
  const rows = [
    { who: 'privileges', values: 'global: {proxy: {privileged: true}}' },
    { who: 'pull secrets', values: 'global: {imagePullSecrets: [pull]}' },
    {
      who: 'tracing of rules',
      mesh: 'defaultConfig: {proxyMetadata: {IPTABLES_TRACE_LOGGING: "true"}}',
    },
    { who: 'an authority', mesh: 'defaultConfig: {proxyMetadata: {CA_ADDR: "ca.example:1"}}' },
    { who: 'security of gateways', values: 'gateways: {securityContext: {fsGroup: 1}}' },
  ]
  for (const { who, ...texts } of rows) {
    t.strictSame(outcome(pod(), configOf(texts)), [], who)
    t.strictSame(outcome(pod(), configOf(texts), true), [], `${who}, native`)
  }
})

const PROXY = 'injected pod: /spec/containers/istio-proxy'
const CONFIG = 'proxy.istio.io/config'

t.test("what a pod's text may not", async (t) => {
  const config = configOf({})
  const proxy = (more: JsonObject) => ({ containers: [{ name: 'istio-proxy', ...more }] })
  const rows: readonly (readonly [string, JsonObject, readonly string[]])[] = [
    [
      'privileges by a variable',
      { [CONFIG]: 'proxyMetadata: {IPTABLES_TRACE_LOGGING: "true"}' },
      [`${PROXY}/privileged`],
    ],
    [
      'privileges by the memory of an own proxy',
      {
        'proxy.istio.io/overrides': JSON.stringify(
          proxy({ securityContext: { privileged: true } }),
        ),
      },
      [`${PROXY}/privileged`],
    ],
    [
      'a path of the node',
      {
        'sidecar.istio.io/userVolume': '{"v":{"hostPath":{"path":"/"}}}',
        'sidecar.istio.io/userVolumeMount': '{"v":{"mountPath":"/v"}}',
      },
      ['injected pod: /spec/volumes/v/hostPath'],
    ],
    [
      'an authority',
      { [CONFIG]: 'proxyMetadata: {CA_ADDR: x, B: c}' },
      [`${CONFIG}: proxyMetadata.CA_ADDR`],
    ],
  ]
  for (const [who, annotations, paths] of rows) {
    t.strictSame(outcome(pod(annotations), config), paths, who)
    t.strictSame(
      outcome(pod(annotations), configOf({ values: 'sidecarInjector: {fence: false}' })),
      [],
      `${who}: without the fence`,
    )
  }
})

t.test('variables of trust from other places', async (t) => {
  const datadog = configOf({ values: 'global: {proxy: {tracer: datadog}}' })
  const key = 'apm.datadoghq.com/env'
  t.strictSame(outcome(pod({ [key]: '{"CA_ADDR":"x"}' }), datadog), [`${key}: /CA_ADDR`])
  t.strictSame(outcome(pod({ [key]: '{"DD_ENV":"x"}' }), datadog), [])
  const of = (namespace: string): InjectConfig => ({
    ...configOf({}),
    proxyConfigs: [
      {
        name: 'r',
        namespace,
        created: '2026-01-01T00:00:00Z',
        matchLabels: undefined,
        layer: { fields: { proxyMetadata: { XDS_ROOT_CA: '/x' } } },
      },
    ],
  })
  t.strictSame(
    outcome(pod(), of('shop')),
    ['ProxyConfig of the namespace: environmentVariables.XDS_ROOT_CA'],
    'a resource of the namespace',
  )
  t.strictSame(
    outcome(pod(), of('istio-system')),
    [],
    'one of the root namespace is the operator’s',
  )
})

t.test('the annotations that are there for it', async (t) => {
  const rows: readonly JsonObject[] = [
    {
      'sidecar.istio.io/userVolume': '{"v":{"persistentVolumeClaim":{"claimName":"c"}}}',
      'sidecar.istio.io/userVolumeMount': '{"v":{"mountPath":"/v"}}',
    },
    { 'sidecar.istio.io/interceptionMode': 'TPROXY' },
    { 'sidecar.istio.io/capNetBindService': 'true' },
    { 'sidecar.istio.io/bootstrapOverride': 'boot' },
    { [CONFIG]: 'discoveryAddress: istiod.other:15012\ncaCertificatesPem: [x]' },
  ]
  for (const annotations of rows) {
    for (const native of [false, true]) {
      t.strictSame(outcome(pod(annotations), configOf({}), native), [], JSON.stringify(annotations))
    }
  }
})

t.test('the own containers of a pod are not judged', async (t) => {
  const spec = {
    hostPID: true,
    containers: [
      {
        name: 'app',
        image: 'app',
        securityContext: { privileged: true },
        ports: [{ containerPort: 1, hostPort: 1 }],
      },
      {
        name: 'istio-proxy',
        image: 'auto',
        securityContext: { privileged: true, capabilities: { add: ['SYS_ADMIN'] } },
        volumeMounts: [{ name: 'host', mountPath: '/host' }],
        env: [{ name: 'CA_ADDR', value: 'mine:1' }],
        ports: [{ containerPort: 2, hostPort: 2 }],
      },
    ],
    volumes: [{ name: 'host', hostPath: { path: '/' } }],
  }
  for (const native of [false, true]) t.strictSame(outcome(pod({}, spec), configOf({}), native), [])
})

const DEBUG = `{{#if (label "debug" "")}}
spec:
  containers:
  - name: debug
    image: debug
    securityContext:
      capabilities:
        add: [SYS_PTRACE]
{{/if}}
`

t.test('templates of an operator', async (t) => {
  const labelled: JsonObject = {
    ...pod(),
    metadata: { name: 'p', namespace: 'shop', labels: { debug: 'yes' } },
  }
  const added = 'injected pod: /spec/containers/debug'
  t.strictSame(outcome(pod(), withTemplate(DEBUG)), [], 'a plain pod')
  t.strictSame(
    outcome(labelled, withTemplate(DEBUG)),
    [added, `${added}/capability SYS_PTRACE`],
    'undeclared',
  )
  const half = { team: { containers: { debug: {} } } }
  t.strictSame(
    outcome(labelled, withTemplate(DEBUG, half)),
    [`${added}/capability SYS_PTRACE`],
    'half of it',
  )
  const whole = { team: { containers: { debug: { capabilities: ['SYS_PTRACE'] } } } }
  t.strictSame(outcome(labelled, withTemplate(DEBUG, whole)), [], 'declared')
  const inValues = JSON.stringify({
    sidecarInjectorWebhook: {
      templates: { team: DEBUG },
      declarations: whole,
      defaultTemplates: ['sidecar', 'team'],
    },
  })
  t.strictSame(outcome(labelled, configOf({ values: inValues })), [], 'declared in the values')
  const host = 'spec:\n  hostPID: true\n  volumes: [{name: node, hostPath: {path: /run}}]\n'
  t.strictSame(
    outcome(pod(), withTemplate(host)),
    [],
    'what a template does of itself is its operator’s',
  )
  const jobs =
    '{{#if (eq workload.kind "Job")}}\nspec:\n  containers: [{name: stop, image: stop}]\n{{/if}}\n'
  const owner = { name: 'j', kind: 'Job', apiVersion: 'batch/v1', namespace: 'shop' }
  const decision = injectPod(requestFor(pod(), { owner }), withTemplate(jobs))
  t.equal(decision.kind, 'inject', 'so is what it does for a kind of workload')
  const copy = configOf({
    injectConfig: JSON.stringify({
      templates: { sidecar: `${TEMPLATE_TEXTS['current']?.['sidecar'] ?? ''}\n` },
    }),
  })
  for (const annotations of [
    { 'sidecar.istio.io/interceptionMode': 'TPROXY' },
    { 'sidecar.istio.io/bootstrapOverride': 'b' },
  ]) {
    t.strictSame(
      outcome(pod(annotations), copy),
      [],
      `a copy of ours: ${JSON.stringify(annotations)}`,
    )
  }
})

t.test('a declaration that its template breaks is refused when it is read', async (t) => {
  const templates = {
    team: 'spec:\n  hostPID: true\n  volumes: [{name: node, hostPath: {path: /run}}]\n',
  }
  t.equal(
    refused({ templates, declarations: { team: { volumes: ['node'] } } }),
    'template team: injected pod: /spec/hostPID: got "true", want nothing: no template declares it\n' +
      'template team: injected pod: /spec/volumes/node/hostPath: got "{\\"path\\":\\"/run\\"}", want no path of the node, unless it stands in spec.volumes of the pod itself',
  )
  const right = { team: { volumes: ['node'], hostPaths: ['node'], podFields: ['hostPID'] } }
  t.equal(refused({ templates, declarations: right }), '')
})

t.test('declarations that say nothing clear', async (t) => {
  const rows: readonly (readonly [JsonObject, string])[] = [
    [
      { team: { volume: ['a'] } },
      'declarations.team.volume: got "[\\"a\\"]", want one of containers, ',
    ],
    [{ team: { volumes: 'a' } }, 'declarations.team.volumes: got "\\"a\\"", want a list of names'],
    [
      { team: { containers: { a: { privileged: 'yes' } } } },
      'declarations.team.containers.a.privileged: got',
    ],
    [
      { team: { containers: { a: { mount: [] } } } },
      'declarations.team.containers.a.mount: got "[]", want one of',
    ],
    [{ other: {} }, 'declarations: got "other", want the name of a template: gateway, '],
    [{ team: 1 }, 'config: declarations.team: got "1", want a map of declarations'],
  ]
  for (const [declarations, message] of rows) {
    const got = refused({ templates: { team: 'spec: {}' }, declarations })
    t.ok(got.startsWith(message), got)
  }
})

t.test('declarations of several templates count together', async (t) => {
  const one = (value: Json) => {
    const read = readDeclaration('x', value)
    if (!read.ok) throw new Error(read.problems.map(formatProblem).join('\n'))
    return read.value
  }
  const both = together([
    one({ containers: { a: { mounts: ['m'] } }, volumes: ['m'], podContainers: { env: ['A'] } }),
    one({
      containers: { a: { capabilities: ['C'], privileged: true }, b: {} },
      podFields: ['dnsConfig'],
    }),
  ])
  t.strictSame([...both.containers.keys()], ['a', 'b'])
  t.match(both.containers.get('a'), { privileged: true, hostPorts: false })
  t.strictSame([...(both.containers.get('a')?.mounts ?? [])], ['m'])
  t.strictSame(
    [...both.podContainers.env, ...both.volumes, ...both.podFields],
    ['A', 'm', 'dnsConfig'],
  )
})

t.test('a pod that was injected before is not refused for what it has', async (t) => {
  const config = configOf({ values: 'pilot: {cni: {enabled: true}}' })
  const plain = configOf({})
  for (const native of [false, true]) {
    const once = injectPod(requestFor(pod(), { nativeSidecars: native }), plain)
    if (once.kind !== 'inject') throw new Error(once.kind)
    const injected = JSON.parse(JSON.stringify(once.pod)) as Json
    for (const next of [native, !native]) {
      t.strictSame(outcome(injected, plain, next), [], 'again')
      t.strictSame(outcome(injected, config, next), [], 'into CNI mode')
    }
  }
})
