import t from 'tap'
import { omitNulls } from '../../../core/inject/values-layers.ts'
import { readValues, type IstioVersion, type Values } from '../../../core/inject/values.ts'
import { Refusal } from '../../../core/problem.ts'

function values(text?: string, version: IstioVersion = 'current'): Values {
  const read = readValues(text === undefined ? [] : [{ path: 'values.yaml', text }], version)
  if (read.ok) return read.value
  throw new Refusal(read.problems)
}

t.test('built-in defaults by version', async (t) => {
  const rows = (['current', '1.17', '1.8'] as const).map((version) => {
    const { global } = values(undefined, version)
    const { readinessInitialDelaySeconds: delay, readinessPeriodSeconds: period } = global.proxy
    const { readinessFailureThreshold: failures, startupProbe, tracer } = global.proxy
    return [global.tag, delay, period, failures, startupProbe.enabled, tracer]
  })
  t.strictSame(rows, [
    ['1.30.3', 0, 15, 4, true, 'none'],
    ['1.17.8', 1, 2, 30, false, 'zipkin'],
    ['1.8.1', 1, 2, 30, false, 'zipkin'],
  ])
})

t.test('no text, empty text and null are the defaults', async (t) => {
  t.strictSame(values(''), values())
  t.strictSame(values('null'), values())
  t.strictSame(values('# nothing\n'), values())
})

t.test('a file changes what it says and nothing else', async (t) => {
  const { global } = values()
  const changed = values('global: {proxy: {logLevel: debug}}')
  t.strictSame(changed.global, { ...global, proxy: { ...global.proxy, logLevel: 'debug' } })
})

t.test('maps merge, lists and scalars replace, null unsets', async (t) => {
  const { global, raw } = values(`
global:
  imagePullSecrets: [one]
  hub: null
  proxy:
    resources: {limits: {cpu: null}, requests: {memory: 1Gi}}
mine: {kept: [1, {a: null}]}
`)
  t.strictSame(global.imagePullSecrets, ['one'])
  t.equal(global.hub, '')
  t.strictSame(global.proxy.resources, {
    requests: { cpu: '100m', memory: '1Gi' },
    limits: { memory: '1024Mi' },
  })
  t.strictSame(raw['mine'], { kept: [1, { a: null }] }, 'unknown keys are kept')
  const rawGlobal = raw['global'] as Record<string, unknown>
  t.equal(rawGlobal['hub'], null, 'null stays null in the raw values')
  t.equal(rawGlobal['istioNamespace'], 'istio-system', 'the raw values hold the defaults')
})

const scalars: { what: string; text: string; pick: (values: Values) => unknown; want: unknown }[] =
  [
    {
      what: 'a tag that is a number',
      text: 'global: {tag: 1.12}',
      pick: (v) => v.global.tag,
      want: '1.12',
    },
    {
      what: 'a number loses its zero',
      text: 'global: {tag: 1.10}',
      pick: (v) => v.global.tag,
      want: '1.1',
    },
    {
      what: 'ports as a number',
      text: 'global: {proxy: {excludeInboundPorts: 9090}}',
      pick: (v) => v.global.proxy.excludeInboundPorts,
      want: '9090',
    },
    {
      what: 'the status port 0',
      text: 'global: {proxy: {statusPort: 0}}',
      pick: (v) => v.global.proxy.statusPort,
      want: '0',
    },
    {
      what: 'the status port unset',
      text: 'global: {proxy: {statusPort: null}}',
      pick: (v) => v.global.proxy.statusPort,
      want: '0',
    },
    {
      what: 'seconds in quotes',
      text: 'global: {proxy: {readinessPeriodSeconds: "7"}}',
      pick: (v) => v.global.proxy.readinessPeriodSeconds,
      want: 7,
    },
    {
      what: 'seconds unset',
      text: 'global: {proxy: {readinessPeriodSeconds: null}}',
      pick: (v) => v.global.proxy.readinessPeriodSeconds,
      want: undefined,
    },
    {
      what: 'a switch in quotes',
      text: 'global: {logAsJson: "false", mountMtlsCerts: "true"}',
      pick: (v) => [v.global.logAsJson, v.global.mountMtlsCerts],
      want: [false, true],
    },
    {
      what: 'a whole map unset',
      text: 'global: {proxy: null}',
      pick: (v) => [v.global.proxy.image, v.global.proxy.privileged, v.global.proxy.resources],
      want: ['', false, undefined],
    },
    {
      what: 'an empty map is nothing',
      text: 'global: {proxy: {seccompProfile: {}, lifecycle: {preStop: null}}}',
      pick: (v) => [v.global.proxy.seccompProfile, v.global.proxy.lifecycle],
      want: [undefined, undefined],
    },
    {
      what: 'CNI as older charts spell it',
      text: 'istio_cni: {enabled: true, chained: false}',
      pick: (v) => v.pilot.cni,
      want: { enabled: true, provider: 'multus' },
    },
    {
      what: 'keys with dots',
      text: 'sidecarInjectorWebhook: {injectedAnnotations: {a.b/c: d}, aliases: {x.y: [one, two]}}',
      pick: ({ sidecarInjectorWebhook: w }) => [w.injectedAnnotations, w.aliases],
      want: [{ 'a.b/c': 'd' }, { 'x.y': ['one', 'two'] }],
    },
    {
      what: 'a key that objects inherit is not there',
      text: 'pilot: {env: {}}',
      pick: (v) => v.pilot.crlConfigMapName,
      want: '',
    },
  ]
for (const { what, text, pick, want } of scalars) {
  t.test(what, async (t) => t.strictSame(pick(values(text)), want))
}

t.test('1.8 has its CNI chained by default', async (t) => {
  t.strictSame(values('istio_cni: {enabled: true}', '1.8').pilot.cni, {
    enabled: true,
    provider: 'default',
  })
})

t.test('every wrong type is told', async (t) => {
  const text = `
global:
  hub: [a]
  logAsJson: maybe
  imagePullSecrets: one
  proxy: {readinessPeriodSeconds: -1, resources: [1], readinessFailureThreshold: 1.5, statusPort: 70000}
sidecarInjectorWebhook: {neverInjectSelector: [x], templates: {a: {}}, aliases: {b: c}, injectedAnnotations: 1}
`
  const count = 'a whole number from 0 to 2147483647'
  t.strictSame(readValues([{ path: 'v', text: text }], 'current'), {
    ok: false,
    problems: [
      { path: 'v: global.hub', got: '["a"]', want: 'text' },
      { path: 'v: global.imagePullSecrets', got: '"one"', want: 'a list of text' },
      { path: 'v: global.logAsJson', got: '"maybe"', want: 'true or false' },
      { path: 'v: global.proxy.readinessFailureThreshold', got: '1.5', want: count },
      { path: 'v: global.proxy.readinessPeriodSeconds', got: '-1', want: count },
      { path: 'v: global.proxy.resources', got: '[1]', want: 'a map' },
      { path: 'v: global.proxy.statusPort', got: '70000', want: 'a port from 0 to 65535' },
      { path: 'v: sidecarInjectorWebhook.templates.a', got: '{}', want: 'text' },
      { path: 'v: sidecarInjectorWebhook.aliases.b', got: '"c"', want: 'a list of text' },
      {
        path: 'v: sidecarInjectorWebhook.neverInjectSelector',
        got: '["x"]',
        want: 'a list of maps',
      },
      { path: 'v: sidecarInjectorWebhook.injectedAnnotations', got: '1', want: 'a map' },
    ],
  })
})

t.test('something else where a map belongs is told once', async (t) => {
  t.strictSame(
    readValues([{ path: 'v', text: 'global: 7\nsidecarInjectorWebhook: []\n' }], 'current'),
    {
      ok: false,
      problems: [
        { path: 'v: global', got: '7', want: 'a map' },
        { path: 'v: sidecarInjectorWebhook', got: '[]', want: 'a map' },
      ],
    },
  )
  const inside = readValues([{ path: 'v', text: 'global: {proxy: x}\n' }], 'current')
  t.strictSame(!inside.ok && inside.problems, [
    { path: 'v: global.proxy', got: '"x"', want: 'a map' },
  ])
})

t.test('a document that is no map, and one that is no YAML', async (t) => {
  t.strictSame(readValues([{ path: 'v', text: '[1]' }], 'current'), {
    ok: false,
    problems: [{ path: 'v', got: '[1]', want: 'a map of Helm values' }],
  })
  t.equal(readValues([{ path: 'v', text: 'a: [' }], 'current').ok, false)
})

t.test('a key named __proto__ is a key', async (t) => {
  const { raw } = values('{"global": {"__proto__": {"hub": "x"}}}')
  t.equal(values('{"global": {"__proto__": {"hub": "x"}}}').global.hub, 'docker.io/istio')
  t.ok(JSON.stringify(raw).includes('"__proto__":{"hub":"x"}'))
})

t.test('nulls taken out', async (t) => {
  t.strictSame(omitNulls({ a: {}, b: null }), { a: {} }, 'what was empty before stays')
  t.strictSame(omitNulls({ a: { b: [null] } }), undefined, 'what becomes empty goes')
  t.strictSame(omitNulls([0, '', false, null]), [0, '', false])
})

t.test('one layer lies over the other', async (t) => {
  const lower = 'global: {hub: a.example, tag: "1", proxy: {logLevel: info}}\nx: 1\n'
  const upper =
    'global: {tag: "2", proxy: {logLevel: null}, proxy_init: {image: b.example/init:1}}\n'
  const read = readValues(
    [
      { path: 'lower', text: lower },
      { path: 'upper', text: upper },
    ],
    'current',
  )
  if (!read.ok) throw new Refusal(read.problems)
  const { hub, tag, proxy, proxy_init: init } = read.value.global
  t.strictSame(
    { hub, tag, level: proxy.logLevel, image: init.image, x: read.value.raw['x'] },
    { hub: 'a.example', tag: '2', level: '', image: 'b.example/init:1', x: 1 },
  )
  const wrong = readValues(
    [
      { path: 'lower', text: lower },
      { path: 'upper', text: 'global: {hub: [' },
    ],
    'current',
  )
  t.match(wrong.ok ? '' : wrong.problems[0]?.path, /^upper:1:/)
})
