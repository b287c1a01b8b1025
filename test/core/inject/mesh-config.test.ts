import t from 'tap'
import { defaultMeshConfig, readMeshConfig } from '../../../core/inject/mesh-config.ts'
import { Refusal } from '../../../core/problem.ts'

const defaults = defaultMeshConfig('current')

function mesh(text: string) {
  const read = readMeshConfig('mesh', text, defaults)
  if (read.ok) return read.value
  throw new Refusal(read.problems)
}

t.test('what every mesh starts from', async (t) => {
  const { defaultConfig, raw, ...rest } = defaults
  t.strictSame(rest, {
    trustDomain: 'cluster.local',
    rootNamespace: 'istio-system',
    proxyListenPort: 15001,
    proxyInboundListenPort: 15006,
    enablePrometheusMerge: true,
    inboundTrafficPolicyMode: 'PASSTHROUGH',
    hasOtelConventions: false,
  })
  t.equal(defaultConfig.statusPort, 15020)
  t.equal(raw['defaultConfig'], defaultConfig.fields)
})

t.test('the proxy of a mesh by version', async (t) => {
  t.equal(defaultMeshConfig('current').defaultConfig.concurrency, undefined)
  t.equal(defaultMeshConfig('1.17').defaultConfig.concurrency, 2)
  t.strictSame(defaultMeshConfig('1.8').defaultConfig.proxyMetadata, { DNS_AGENT: '' })
})

t.test('nothing said is the defaults', async (t) => {
  t.equal(mesh(''), defaults)
  t.equal(mesh('null'), defaults)
  t.strictSame(readMeshConfig('mesh', undefined, defaults), { ok: true, value: defaults })
})

t.test('defaultConfig merges, other fields replace, null says nothing', async (t) => {
  const read = mesh(`
trustDomain: mine
rootNamespace: null
enablePrometheusMerge: false
inbound_traffic_policy: {mode: LOCALHOST}
proxyListenPort: "16001"
defaultConfig: {interception_mode: TPROXY, proxyMetadata: {A: b}}
somethingNew: {kept: true}
toString: mine
`)
  t.equal(read.trustDomain, 'mine')
  t.equal(read.rootNamespace, 'istio-system')
  t.equal(read.enablePrometheusMerge, false)
  t.equal(read.inboundTrafficPolicyMode, 'LOCALHOST')
  t.equal(read.proxyListenPort, 16001)
  t.equal(read.proxyInboundListenPort, 15006)
  t.equal(read.defaultConfig.interceptionMode, 'TPROXY')
  t.equal(read.defaultConfig.statusPort, 15020)
  t.strictSame(read.raw['somethingNew'], { kept: true })
  const inherited = Object.entries(read.raw).filter(([name]) => name === 'toString')
  t.strictSame(inherited, [['toString', 'mine']], 'a name that objects inherit')
  t.strictSame(defaults, defaultMeshConfig('current'), 'the defaults stay')
})

const otel = '{service: c, port: 1, serviceAttributeEnrichment: OTEL_SEMANTIC_CONVENTIONS}'

const providers = [
  { what: 'added', text: `[{name: o, opentelemetry: ${otel}}]`, want: true, count: 4 },
  {
    what: 'in the place of one with its name',
    text: `[{name: envoy, opentelemetry: ${otel}}]`,
    want: true,
    count: 3,
  },
  {
    what: 'in snake case and by number',
    text: '[{name: o, opentelemetry: {service_attribute_enrichment: 1}}]',
    want: true,
    count: 4,
  },
  {
    what: 'that does not ask',
    text: '[{name: o, opentelemetry: {port: 1}}]',
    want: false,
    count: 4,
  },
]
for (const { what, text, want, count } of providers) {
  t.test(`a provider ${what}`, async (t) => {
    const read = mesh(`extensionProviders: ${text}`)
    t.equal(read.hasOtelConventions, want)
    t.equal((read.raw['extensionProviders'] as unknown[]).length, count)
  })
}

t.test('providers by purpose merge, aliases gather', async (t) => {
  const first = mesh('{defaultProviders: {metrics: [a]}, trustDomainAliases: [x, v]}')
  const read = readMeshConfig(
    'mesh',
    '{defaultProviders: {tracing: [b]}, trustDomainAliases: [v, z]}',
    first,
  )
  t.ok(read.ok)
  if (!read.ok) return
  t.strictSame(read.value.raw['defaultProviders'], { metrics: ['a'], tracing: ['b'] })
  t.strictSame(read.value.raw['trustDomainAliases'], ['x', 'v', 'z'])
})

t.test('every problem of a document is told', async (t) => {
  const text = `
proxyListenPort: 0
trustDomain: 7
defaultConfig: {statusPort: many, drainDuration: 5}
`
  t.strictSame(readMeshConfig('m', text, defaults), {
    ok: false,
    problems: [
      {
        path: 'm: trustDomain',
        got: '7',
        want: 'text (put numbers, true and false in quotes)',
      },
      { path: 'm: proxyListenPort', got: '0', want: 'a port from 1 to 65535' },
      {
        path: 'm: defaultConfig.drainDuration',
        got: '5',
        want: 'a duration in quotes or with its unit, such as 45s or 1m30s',
      },
      {
        path: 'm: defaultConfig.statusPort',
        got: 'many',
        want: 'a whole number from -2147483648 to 2147483647',
      },
    ],
  })
})

const refused = [
  { what: 'a list', text: '[1]', path: 'm' },
  { what: 'a proxy that is no map', text: 'defaultConfig: x', path: 'm: defaultConfig' },
  {
    what: 'a port out of range',
    text: 'defaultConfig: {statusPort: 0}',
    path: 'm: defaultConfig.statusPort',
  },
  { what: 'no YAML', text: '{', path: 'm:1:2' },
]
for (const { what, text, path } of refused) {
  t.test(`${what} is refused`, async (t) => {
    const read = readMeshConfig('m', text, defaults)
    t.strictSame(read.ok ? [] : read.problems.map((problem) => problem.path), [path])
  })
}
