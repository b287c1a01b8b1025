/** Where each field comes from, on pods that a user would recognise. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { InjectConfig } from '../../../core/inject/config.ts'
import { injectPod } from '../../../core/inject/inject.ts'
import { isObject, type Json, type JsonObject } from '../../../core/json.ts'
import { describeBecause, type Origin } from '../../../core/origins/origin.ts'
import { explainPod } from '../../../core/origins/origins.ts'
import { readYaml } from '../../../core/yaml.ts'
import { configOf, frozen, requestFor } from '../../support/config.ts'
import { originFaults } from '../../support/origin-checks.ts'
import { replay } from '../../support/replay.ts'

const fixtures = join(import.meta.dirname, '../../fixtures/pods')

const files = readdirSync(fixtures).filter((each) => each.endsWith('.yaml'))

function podOf(file: string): Json {
  const read = readYaml(file, readFileSync(join(fixtures, file), 'utf8'))
  let at: Json = read.ok ? read.value : null
  if (!isObject(at)) throw new Error(`${file}: no document`)
  const isCronJob = at['kind'] === 'CronJob'
  const steps = isCronJob ? ['spec', 'jobTemplate', 'spec', 'template'] : ['spec', 'template']
  for (const step of at['kind'] === 'Pod' ? [] : steps)
    at = isObject(at) ? (at[step] ?? null) : null
  return at
}

const configs: Readonly<Record<string, InjectConfig>> = {
  plain: configOf({}),
  cni: configOf({
    values: '{pilot: {cni: {enabled: true}}, sidecarInjector: {cniAnnotation: true}}',
    mesh: 'defaultConfig: {holdApplicationUntilProxyStarts: true}',
    injectConfig: 'injectedAnnotations: {team: mesh}',
  }),
  '1.17': configOf({ istioVersion: '1.17' }),
  '1.8': configOf({ istioVersion: '1.8' }),
}

for (const [number, [name, config]] of Object.entries(configs).entries()) {
  t.test(`fixtures, ${name}: each field has an origin, and they rebuild the pod`, async (t) => {
    let fields = 0
    for (const file of number === 0 ? files : files.filter((_, at) => at % 3 === number - 1)) {
      const request = requestFor(frozen(podOf(file)), { nativeSidecars: name === 'cni' })
      const explained = explainPod(request, config)
      t.strictSame(originFaults(explained), [], file)
      t.strictSame(
        explained.decision,
        injectPod(request, config),
        `${file}: watching changes nothing`,
      )
      fields += explained.origins.length
      t.strictSame(
        explained.origins.flatMap((origin) => misplaced(origin, config)),
        [],
        `${file}: the named lines of the templates say it`,
      )
      if (explained.decision.kind !== 'inject' || number > 0) continue
      const again = JSON.parse(JSON.stringify(explained.decision.pod)) as Json
      const second = explainPod({ ...request, pod: again }, config)
      t.strictSame(originFaults(second), [], `${file}: a second time`)
    }
    t.ok(fields > 1000, `${fields} fields`)
  })
}

/** An origin whose line of the template does not hold what it is said to hold. */
function misplaced({ template, path, ...origin }: Origin, config: InjectConfig): readonly string[] {
  if (template === undefined || !('value' in origin)) return []
  const text = config.templates.get(template.name)?.source.split('\n')[template.line - 1] ?? ''
  const member = (path.split('/').at(-1) ?? '').replaceAll('~1', '/')
  const { value } = origin
  const isScalar = typeof value !== 'object'
  const wanted =
    template.prints.length > 0
      ? ['{{json', '{{indentYaml']
      : isScalar && !String(value).includes('\n')
        ? [String(value)]
        : [member, '-']
  return wanted.some((word) => text.includes(word))
    ? []
    : [`${path}: ${template.name}:${template.line}: ${text}`]
}

const pod = {
  metadata: {
    name: 'web',
    namespace: 'shop',
    labels: { app: 'web', 'topology.istio.io/network': 'n1' },
    annotations: {
      'sidecar.istio.io/logLevel': 'debug',
      'traffic.sidecar.istio.io/excludeOutboundPorts': '5432',
      'proxy.istio.io/config': 'proxyMetadata: {FOO: bar}',
      'prometheus.io/port': '9090',
    },
  },
  spec: {
    containers: [
      {
        name: 'app',
        image: 'example/web:1',
        readinessProbe: { httpGet: { port: 80, path: '/up' } },
      },
      { name: 'istio-proxy', image: 'auto', resources: { limits: { cpu: '3' } } },
    ],
    volumes: [{ name: 'data', emptyDir: {} }],
  },
}
const config = configOf({ values: 'global: {proxy: {clusterDomain: example.org}}' })
const { origins } = explainPod(requestFor(pod), config)

/** Where a field of the pod above comes from: part of a path, and what its sentence must say. */
const rows: readonly { readonly what: string; readonly find: RegExp; readonly says: RegExp }[] = [
  {
    what: 'an annotation behind an argument',
    find: /^\/spec\/containers\/1\/args\/4$/,
    says: /^template sidecar, line \d+: proxy\.logLevel from annotation sidecar\.istio\.io\/logLevel "debug"$/,
  },
  {
    what: 'a value of the operator, which is not called built-in',
    find: /^\/spec\/containers\/1\/args\/3$/,
    says: /: proxy\.domain from values global\.proxy\.clusterDomain "example\.org"$/,
  },
  {
    what: 'a built-in value',
    find: /^\/spec\/containers\/1\/args\/5$/,
    says: /from values global\.proxy\.componentLogLevel "misc:error" \(built-in\)$/,
  },
  {
    what: 'an argument of the init container by its flag',
    find: /^\/spec\/initContainers\/0\/args\/18$/,
    says: /from annotation traffic\.sidecar\.istio\.io\/excludeOutboundPorts "5432"$/,
  },
  {
    what: 'the word of that flag',
    find: /^\/spec\/initContainers\/0\/args\/17$/,
    says: /from annotation traffic\.sidecar\.istio\.io\/excludeOutboundPorts "5432"$/,
  },
  {
    what: 'a key of the ProxyConfig annotation',
    find: /^\/spec\/initContainers\/0\/env\/0\/value$/,
    says: /annotation proxy\.istio\.io\/config, field proxyMetadata\.FOO "bar"$/,
  },
  { what: 'fixed text', find: /^\/spec\/containers\/1\/args\/1$/, says: /: fixed text$/ },
  {
    what: 'the network, from the label',
    find: /^\/spec\/containers\/1\/env\/\d+\/value$/,
    says: /^cluster and network .* label topology\.istio\.io\/network "n1"$/,
  },
  {
    what: 'metrics',
    find: /^\/metadata\/annotations\/prometheus\.io~1path$/,
    says: /^metrics of the application .* annotation prometheus\.io\/port "9090", mesh config enablePrometheusMerge "true" \(built-in\)/,
  },
  {
    what: 'a probe',
    find: /^\/spec\/containers\/0\/readinessProbe\/httpGet\/port$/,
    says: /^checks of the kubelet .* pod \/spec\/containers\/0\/readinessProbe/,
  },
  {
    what: "what is remembered of the pod's own container",
    find: /^\/metadata\/annotations\/proxy\.istio\.io~1overrides$/,
    says: /remembered .* pod \/spec\/containers\/1$/,
  },
  {
    what: 'the status',
    find: /^\/metadata\/annotations\/sidecar\.istio\.io~1status$/,
    says: /^what was injected is written down, from the injector revision "default"/,
  },
  {
    what: "the pod's own volume, which stands behind those of the template",
    find: /^\/spec\/volumes\/\d+$/,
    says: /./,
  },
]

for (const { what, find, says } of rows) {
  t.test(what, async (t) => {
    const found = origins.filter(({ path }) => find.test(path)).map(({ text }) => text)
    t.ok(
      found.some((text) => says.test(text)),
      JSON.stringify(found),
    )
  })
}

t.test('what the pod itself said and nobody changed has no origin', async (t) => {
  const paths = origins.map(({ path }) => path)
  t.notOk(paths.includes('/spec/containers/1/resources/limits/cpu'))
  t.notOk(paths.includes('/metadata/labels/app'))
  t.ok(paths.includes('/spec/containers/1/resources/limits/memory'))
  const moved = origins.flatMap((one) => (one.change === 'moved' ? [[one.was, one.path]] : []))
  t.ok(
    moved.some(([was, path]) => was === '/spec/volumes/0' && path !== was),
    'the volume moved',
  )
})

t.test('a block of the template tells why it was taken', async (t) => {
  const mount = origins.find(({ path }) => /volumeMounts\/\d+\/name$/.test(path) && path !== '')
  const because = origins.flatMap(({ template }) => template?.because ?? []).map(describeBecause)
  t.ok(mount)
  t.ok(
    because.some((text) =>
      /^line \d+, \{\{#if volumes\.isIstiodCa\}\} taken: values global\.pilotCertProvider "istiod" \(built-in\)$/.test(
        text,
      ),
    ),
    because.slice(0, 5).join('\n'),
  )
  t.ok(because.some((text) => /\{\{#if volumes\.isGke\}\} not taken/.test(text)))
})

t.test('templates of users are told by their helpers too', async (t) => {
  const template = [
    'metadata:',
    '  labels:',
    '    team: {{json (label "team" "none")}}',
    '    tier: {{json (value "global.tier")}}',
    '    mail: {{json (annotation "example.com/mail" "nobody")}}',
  ].join('\n')
  const own = configOf({
    values: 'global: {tier: back}',
    injectConfig: JSON.stringify({ templates: { own: template }, defaultTemplates: ['own'] }),
  })
  const asked = { metadata: { labels: { team: 'x' }, annotations: { 'example.com/mail': 'a' } } }
  const told = explainPod(requestFor({ ...asked, spec: { containers: [] } }), own)
  const texts = Object.fromEntries(told.origins.map(({ path, text }) => [path, text]))
  t.match(texts, {
    '/metadata/labels/tier': 'template own, line 4: global.tier from values global.tier "back"',
    '/metadata/labels/mail':
      'template own, line 5: example.com/mail from annotation example.com/mail "a"',
  })
})

t.test('the check of the origins finds what is wrong with them', async (t) => {
  const explained = explainPod(requestFor(pod), config)
  const faultsOf = (changed: readonly Origin[]) => originFaults({ ...explained, origins: changed })
  const [first, ...others] = explained.origins
  t.not(faultsOf(others).length, 0, 'one is missing')
  const wrong = { ...(first as JsonObject), value: 'other' } as unknown as Origin
  t.not(faultsOf([wrong, ...others]).length, 0, 'one has another value')
  const unmoved = explained.origins.filter(({ change }) => change !== 'moved')
  t.not(faultsOf(unmoved).length, 0, 'a move is missing')
  t.strictSame(faultsOf(explained.origins), [])
  t.throws(() => replay({ a: [1, 2] }, [{ change: 'removed', path: '/a/0' }]), 'a list with holes')
})

t.test(
  'a pod that is skipped keeps its fields, but for a redirect plan that it brought',
  async (t) => {
    const annotations = {
      'sidecar.istio.io/inject': 'false',
      'sidecar-injector.io/redirect-plan': '{}',
    }
    const skipped = explainPod(
      requestFor({ metadata: { annotations }, spec: { containers: [] } }),
      config,
    )
    t.equal(skipped.decision.kind, 'skip')
    t.match(skipped.origins, [
      { change: 'removed', path: '/metadata/annotations/sidecar-injector.io~1redirect-plan' },
    ])
  },
)
