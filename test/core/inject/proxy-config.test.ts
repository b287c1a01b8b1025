import fc from 'fast-check'
import t from 'tap'
import { printDuration, readDuration } from '../../../core/inject/durations.ts'
import {
  effectiveProxyConfig,
  readProxyConfigResource,
  type ProxyConfigResource,
} from '../../../core/inject/proxy-config-layers.ts'
import {
  defaultProxyConfig,
  mergeProxyConfig,
  printProxyConfig,
  readProxyConfig,
  readProxyConfigFields,
  type ProxyConfigLayer,
} from '../../../core/inject/proxy-config.ts'
import type { Json, JsonObject } from '../../../core/json.ts'
import { Refusal, type Read } from '../../../core/problem.ts'

const defaults = defaultProxyConfig('current')

function value<T>(read: Read<T>): T {
  if (read.ok) return read.value
  throw new Refusal(read.problems)
}

function layer(text: string): ProxyConfigLayer {
  return value(readProxyConfig('a', text))
}

/** PROXY_CONFIG of a default mesh with one annotation. */
function printed(text: string): string {
  return printProxyConfig(mergeProxyConfig(defaults, layer(text)), defaults)
}

const prints = [
  { what: 'nothing said', text: '', want: '{}' },
  { what: 'the default said', text: 'statusPort: 15020\ndrainDuration: 45000ms', want: '{}' },
  {
    what: 'the order of the API, not of the text',
    text: 'meshId: m\nconcurrency: 0\nconfigPath: /c',
    want: '{"configPath":"/c","concurrency":0,"meshId":"m"}',
  },
  { what: 'a written zero is not printed', text: 'statNameLength: 0', want: '{}' },
  {
    what: 'a written zero of a field that can be unset is',
    text: 'holdApplicationUntilProxyStarts: false\nstatsCompression: no',
    want: '{"holdApplicationUntilProxyStarts":false,"statsCompression":false}',
  },
  {
    what: 'an empty message is',
    text: 'tracing: {}\nimage: {}',
    want: '{"tracing":{},"image":{}}',
  },
  {
    what: 'empty lists and maps are not',
    text: 'extraStatTags: []\nruntimeValues: {}',
    want: '{}',
  },
  {
    what: 'maps by bytes of their keys',
    text: 'proxyMetadata: {b: x, "10": x, "9": x, "~": x, Z: x}',
    want: '{"proxyMetadata":{"10":"x","9":"x","Z":"x","b":"x","~":"x"}}',
  },
  {
    what: 'HTML is escaped as Go does',
    text: 'proxyMetadata: {A: "<&>\\u2028\\t"}',
    want: '{"proxyMetadata":{"A":"\\u003c\\u0026\\u003e\\u2028\\t"}}',
  },
  {
    what: 'snake case, words by number, numbers in quotes, unknown fields',
    text: 'interception_mode: 1\nconcurrency: "3"\nnew_thing: {a: 1}',
    want: '{"concurrency":3,"interceptionMode":"TPROXY"}',
  },
  {
    what: 'the JSON name before the other one',
    text: 'mesh_id: snake\nmeshId: camel',
    want: '{"meshId":"camel"}',
  },
  {
    what: 'a choice of names takes the place of the default one',
    text: 'tracingServiceName: 0',
    want: '{"tracingServiceName":"APP_LABEL_AND_NAMESPACE"}',
  },
  {
    what: 'of two tracers the last one that the API declares',
    text: 'tracing: {datadog: {address: "d:1"}, zipkin: {address: "z:1"}}',
    want: '{"tracing":{"datadog":{"address":"d:1"}}}',
  },
  {
    what: 'wide numbers are text',
    text: 'tracing: {stackdriver: {maxNumberOfAttributes: 7}}',
    want: '{"tracing":{"stackdriver":{"maxNumberOfAttributes":"7"}}}',
  },
  {
    what: 'null in a list or map is the zero of its type',
    text: 'extraStatTags: [null]\nproxyMetadata: {A: null}\nmeshId: null',
    want: '{"proxyMetadata":{"A":""},"extraStatTags":[""]}',
  },
  {
    what: 'a field of older versions is passed over',
    text: 'parentShutdownDuration: 9s',
    want: '{}',
  },
]
for (const { what, text, want } of prints) {
  t.test(`printed: ${what}`, async (t) => t.equal(printed(text), `${want}\n`))
}

t.test('printed: what older versions had', async (t) => {
  const old = defaultProxyConfig('1.8')
  const config = mergeProxyConfig(old, layer('parentShutdownDuration: 9s\nconcurrency: 2'))
  t.equal(printProxyConfig(config, old), '{"parentShutdownDuration":"9s"}\n')
  t.equal(printProxyConfig(old, old), '{}\n', 'its own defaults are left out')
  t.equal(
    printProxyConfig(mergeProxyConfig(old, layer('concurrency: 0')), old),
    '{"concurrency":0}\n',
  )
})

const merges = [
  {
    what: 'messages replace as a whole',
    lower: 'tracing: {zipkin: {address: "z:9411"}}',
    upper: 'tracing: {sampling: 5}',
    want: { tracing: { sampling: 5 } },
  },
  {
    what: 'environment merges by name',
    lower: 'proxyMetadata: {A: low, B: low}',
    upper: 'proxyMetadata: {B: up, C: up}',
    want: { proxyMetadata: { A: 'low', B: 'up', C: 'up' } },
  },
  {
    what: 'runtime values replace, and so do lists',
    lower: 'runtimeValues: {a: x}\nextraStatTags: [a]',
    upper: 'runtimeValues: {b: z}\nextraStatTags: [b]',
    want: { runtimeValues: { b: 'z' }, extraStatTags: ['b'] },
  },
  {
    what: 'five members of headers are kept, the others not',
    lower:
      'proxyHeaders: {server: {value: s}, requestId: {disabled: true}, forwardedClientCert: SANITIZE, preserveHttp1HeaderCase: true}',
    upper: 'proxyHeaders: {requestId: {}, forwardedClientCert: UNDEFINED}',
    want: {
      proxyHeaders: { server: { value: 's' }, requestId: {}, forwardedClientCert: 'SANITIZE' },
    },
  },
  {
    what: 'a name of the service takes the place of a rule for it',
    lower: 'tracingServiceName: CANONICAL_NAME_ONLY',
    upper: 'serviceCluster: mine',
    want: { serviceCluster: 'mine' },
  },
  {
    what: 'a written zero undoes',
    lower: 'interceptionMode: TPROXY\nmeshId: m',
    upper: 'interceptionMode: REDIRECT\nmeshId: ""',
    want: { interceptionMode: 'REDIRECT', meshId: '' },
  },
]
for (const { what, lower, upper, want } of merges) {
  t.test(`merged: ${what}`, async (t) => {
    t.strictSame(mergeProxyConfig(layer(lower), layer(upper)).fields, want)
  })
}

t.test('the fields that injection reads', async (t) => {
  const text = `
interceptionMode: NONE
statusPort: 15030
concurrency: 4
holdApplicationUntilProxyStarts: true
proxyMetadata: {A: b}
image: {imageType: debug}
tracing: {tlsSettings: {caCertificates: /a/b.pem}}
`
  const { fields, ...read } = mergeProxyConfig({ fields: {} }, layer(text))
  t.equal(fields['statusPort'], 15030)
  t.strictSame(read, {
    interceptionMode: 'NONE',
    statusPort: 15030,
    concurrency: 4,
    holdApplicationUntilProxyStarts: true,
    proxyMetadata: { A: 'b' },
    imageType: 'debug',
    tracingCaFile: '/a/b.pem',
  })
  t.equal(defaults.tracingCaFile, undefined)
  t.equal(defaults.concurrency, undefined)
})

const wrong: { text: string; at: string }[] = [
  { text: '[]', at: '' },
  { text: 'concurrency: 1.5', at: 'concurrency' },
  { text: 'concurrency: "1e1"', at: 'concurrency' },
  { text: 'concurrency: 2147483648', at: 'concurrency' },
  { text: 'gatewayTopology: {numTrustedProxies: -1}', at: 'gatewayTopology.numTrustedProxies' },
  { text: 'holdApplicationUntilProxyStarts: "true"', at: 'holdApplicationUntilProxyStarts' },
  { text: 'proxyMetadata: {A: 1}', at: 'proxyMetadata.A' },
  { text: 'proxyMetadata: {"A=B": x}', at: 'proxyMetadata' },
  { text: 'proxyMetadata: [x]', at: 'proxyMetadata' },
  { text: 'extraStatTags: x', at: 'extraStatTags' },
  { text: 'extraStatTags: [a, 1]', at: 'extraStatTags.1' },
  { text: 'image: debug', at: 'image' },
  { text: 'interceptionMode: redirect', at: 'interceptionMode' },
  { text: 'interceptionMode: 3', at: 'interceptionMode' },
  { text: 'drainDuration: 1500ms', at: 'drainDuration' },
  { text: 'drainDuration: -1s', at: 'drainDuration' },
  { text: 'drainDuration: 1d', at: 'drainDuration' },
  { text: 'configPath: ""', at: 'configPath' },
  { text: 'controlPlaneAuthPolicy: INHERIT', at: 'controlPlaneAuthPolicy' },
  { text: 'discoveryAddress: "[::1]"', at: 'discoveryAddress' },
  { text: 'discoveryAddress: "::1:80"', at: 'discoveryAddress' },
  { text: 'discoveryAddress: "a_b:80"', at: 'discoveryAddress' },
  { text: 'discoveryAddress: "1.2.3:80"', at: 'discoveryAddress' },
  { text: 'discoveryAddress: ":80"', at: 'discoveryAddress' },
  { text: 'statsdUdpAddress: nowhere', at: 'statsdUdpAddress' },
  { text: 'tracing: {lightstep: {address: "l:1"}}', at: 'tracing.lightstep.accessToken' },
  { text: 'tracing: {datadog: {}}', at: 'tracing.datadog.address' },
  { text: 'tracing: {sampling: lots}', at: 'tracing.sampling' },
  {
    text: 'tracing: {tlsSettings: {mode: MUTUAL, clientCertificate: /c}}',
    at: 'tracing.tlsSettings.privateKey',
  },
  {
    text: 'tracing: {tlsSettings: {mode: SIMPLE, credentialName: c, caCertificates: /c}}',
    at: 'tracing.tlsSettings.caCertificates',
  },
  { text: 'privateKeyProvider: {}', at: 'privateKeyProvider' },
  { text: 'privateKeyProvider: {qat: {}}', at: 'privateKeyProvider.qat.pollDelay' },
  {
    text: 'privateKeyProvider: {cryptomb: {pollDelay: 0s}}',
    at: 'privateKeyProvider.cryptomb.pollDelay',
  },
]
for (const { text, at } of wrong) {
  t.test(`refused: ${text}`, async (t) => {
    const read = readProxyConfig('key', text)
    const paths = read.ok ? [] : read.problems.map(({ path }) => path)
    t.strictSame(paths, [at === '' ? 'key' : `key: ${at}`])
  })
}

t.test('all problems together', async (t) => {
  t.strictSame(readProxyConfig('key', 'statusPort: 0\nproxyAdminPort: 99999'), {
    ok: false,
    problems: [
      { path: 'key: proxyAdminPort', got: '99999', want: 'a port from 1 to 65535' },
      { path: 'key: statusPort', got: '0', want: 'a port from 1 to 65535' },
    ],
  })
})

const right = [
  'discoveryAddress: "[fd00::1]:15012"',
  'discoveryAddress: istiod.example.:15012',
  'discoveryAddress: 10.0.0.1:15012',
  'tracing: {zipkin: {address: "$(HOST_IP):9411"}}',
  'tracing: {tlsSettings: {mode: MUTUAL, credentialName: c}}',
  'privateKeyProvider: {cryptomb: {pollDelay: 1ms}}',
  'envoyMetricsService: {}',
  'connectionSettings: {httpIdleTimeout: 1h, profile: EDGE}',
  'drainDuration: 292h',
]
for (const text of right)
  t.test(`accepted: ${text}`, async (t) => t.ok(readProxyConfig('k', text).ok))

const durations: [string, string | undefined][] = [
  ['1h30m', '5400s'],
  ['1.5s', '1.500s'],
  ['1.s', '1s'],
  ['.25ms', '0.000250s'],
  ['-1m0.5s', '-60.500s'],
  ['1ns', '0.000000001s'],
  ['0.9ns', '0s'],
  ['+2µs', '0.000002s'],
  ['0', '0s'],
  ['2562047h', '9223369200s'],
  ['2562048h', undefined],
  ['', undefined],
  ['s', undefined],
  ['.s', undefined],
  ['5', undefined],
  ['1s ', undefined],
  ['1d', undefined],
  ['1 s', undefined],
]
for (const [text, want] of durations) {
  t.test(`the duration ${JSON.stringify(text)}`, async (t) => {
    const read = readDuration('p', text)
    t.equal(read.ok ? printDuration(read.value) : undefined, want)
  })
}

t.test('a printed duration reads back', async () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n - 1n), max: 2n ** 63n - 1n }), (duration) => {
      const read = readDuration('p', printDuration(duration))
      return read.ok && read.value === duration
    }),
  )
})

t.test('what is printed reads back to the same configuration', async () => {
  const some = fc.record(
    {
      concurrency: fc.integer({ min: -5, max: 5 }),
      statusPort: fc.constantFrom(15020, 15030),
      interceptionMode: fc.constantFrom('REDIRECT', 'TPROXY', 'NONE'),
      proxyMetadata: fc.dictionary(fc.string(), fc.string()),
      tracing: fc.record({ sampling: fc.double({ noNaN: true, noDefaultInfinity: true }) }),
      extraStatTags: fc.array(fc.string()),
      meshId: fc.string(),
    },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(some, (said) => {
      const config = mergeProxyConfig(
        defaults,
        value(readProxyConfigFields('', JSON.parse(JSON.stringify(said)) as JsonObject)),
      )
      const text = printProxyConfig(config, defaults)
      const back = mergeProxyConfig(
        defaults,
        value(readProxyConfigFields('', JSON.parse(text) as JsonObject)),
      )
      return printProxyConfig(back, defaults) === text
    }),
  )
})

t.test('no text makes the reader throw', async () => {
  fc.assert(fc.property(fc.string(), (text) => typeof readProxyConfig('p', text).ok === 'boolean'))
  const shaped = fc.tuple(fc.constantFrom('tracing', 'statusPort', 'image', 'a'), fc.json())
  fc.assert(
    fc.property(shaped, ([name, json]) => {
      return typeof readProxyConfig('p', `{"${name}": ${json}}`).ok === 'boolean'
    }),
  )
})

const resource = (name: string, more: Partial<ProxyConfigResource> = {}): ProxyConfigResource => ({
  name,
  namespace: 'shop',
  created: '2026-01-02T00:00:00Z',
  matchLabels: undefined,
  layer: { fields: { proxyMetadata: { FROM: name } } },
  ...more,
})

const levels = [
  { what: 'none', resources: [], want: 'annotation' },
  { what: 'the annotation beats its namespace', resources: [resource('ns')], want: 'annotation' },
  {
    what: 'one that selects the pod beats the annotation',
    resources: [resource('mine', { matchLabels: { app: 'web' } })],
    want: 'mine',
  },
  {
    what: 'all labels must match',
    resources: [resource('other', { matchLabels: { app: 'web', tier: 'x' } })],
    want: 'annotation',
  },
  {
    what: 'an empty selector selects nothing',
    resources: [resource('empty', { matchLabels: {} })],
    want: 'annotation',
  },
  {
    what: 'one of another namespace does not count',
    resources: [resource('far', { namespace: 'else', matchLabels: { app: 'web' } })],
    want: 'annotation',
  },
  {
    what: 'the oldest counts, then the first name',
    resources: [
      resource('b', { matchLabels: { app: 'web' } }),
      resource('a', { matchLabels: { app: 'web' } }),
      resource('young', { matchLabels: { app: 'web' }, created: '2026-01-03T00:00:00Z' }),
    ],
    want: 'a',
  },
]
for (const { what, resources, want } of levels) {
  t.test(`layers: ${what}`, async (t) => {
    const { mesh, annotated, effective } = effectiveProxyConfig({
      mesh: mergeProxyConfig(defaults, layer('proxyMetadata: {FROM: mesh}')),
      annotation: layer('proxyMetadata: {FROM: annotation}\nstatusPort: 15030'),
      resources,
      rootNamespace: 'root',
      namespace: 'shop',
      labels: { app: 'web', version: 'v1' },
    })
    t.equal(effective.proxyMetadata['FROM'], want)
    t.equal(annotated.proxyMetadata['FROM'], 'annotation')
    t.equal(mesh.proxyMetadata['FROM'], 'mesh')
    t.strictSame(
      [mesh.statusPort, annotated.statusPort, effective.statusPort],
      [15020, 15030, 15030],
    )
  })
}

t.test('layers: namespace over root namespace over mesh', async (t) => {
  const sources = {
    mesh: mergeProxyConfig(
      defaults,
      layer('proxyMetadata: {FROM_MESH: mesh, FROM_ROOT: mesh, FROM_NS: mesh}'),
    ),
    annotation: undefined,
    resources: [
      resource('n', { layer: { fields: { proxyMetadata: { FROM_NS: 'namespace' } } } }),
      resource('r', {
        namespace: 'root',
        layer: { fields: { proxyMetadata: { FROM_ROOT: 'root', FROM_NS: 'root' } } },
      }),
    ],
    rootNamespace: 'root',
    namespace: 'shop',
    labels: {},
  }
  t.strictSame(effectiveProxyConfig(sources).effective.proxyMetadata, {
    FROM_MESH: 'mesh',
    FROM_ROOT: 'root',
    FROM_NS: 'namespace',
  })
  t.equal(effectiveProxyConfig(sources).annotated, sources.mesh)
})

const api: Json = {
  apiVersion: 'networking.istio.io/v1beta1',
  metadata: { name: 'p', namespace: 'shop', creationTimestamp: '2026-01-02T00:00:00Z', uid: 'u' },
  spec: {
    selector: { matchLabels: { app: 'web' } },
    concurrency: 0,
    environmentVariables: { A: 'b' },
    image: { imageType: 'debug' },
  },
}

t.test('a resource as the API returns it', async (t) => {
  t.strictSame(readProxyConfigResource('r', api), {
    ok: true,
    value: {
      name: 'p',
      namespace: 'shop',
      created: '2026-01-02T00:00:00Z',
      matchLabels: { app: 'web' },
      layer: {
        fields: { concurrency: 0, proxyMetadata: { A: 'b' }, image: { imageType: 'debug' } },
      },
    },
  })
  const bare = value(readProxyConfigResource('r', { metadata: { name: 'p' }, spec: {} }))
  t.strictSame([bare.matchLabels, bare.layer.fields], [undefined, {}])
  const empty = value(readProxyConfigResource('r', { spec: { selector: {} } }))
  t.strictSame(empty.matchLabels, {})
})

t.test('a resource that says nonsense', async (t) => {
  const read = readProxyConfigResource('r', { spec: { concurrency: 'x', image: 1 } })
  t.strictSame(read.ok ? [] : read.problems.map(({ path }) => path), [
    'r: spec.concurrency',
    'r: spec.image',
  ])
  t.equal(readProxyConfigResource('r', []).ok, false)
})
