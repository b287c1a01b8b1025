import fc from 'fast-check'
import t from 'tap'
import { POD_TYPES } from '../../../core/inject/pod-fields.ts'
import { prepareOverlay } from '../../../core/inject/template-fill.ts'
import { printTyped, readTyped } from '../../../core/inject/typed.ts'
import type { Json, JsonObject } from '../../../core/json.ts'
import { Refusal, type Read } from '../../../core/problem.ts'

/** An overlay as templates read it, with the paths of problems alone. */
function readOverlay(value: unknown): Read<Json | undefined> {
  try {
    return { ok: true, value: prepareOverlay('t', (value ?? {}) as Json, POD_TYPES.Pod)([]) }
  } catch (cause) {
    if (!(cause instanceof Refusal)) throw cause
    const plain = (path: string) => path.replace(/^template t:? ?/, '')
    return { ok: false, problems: cause.problems.map((one) => ({ ...one, path: plain(one.path) })) }
  }
}

const container = (fields: JsonObject) => ({ spec: { containers: [{ name: 'a', ...fields }] } })

const overlays: readonly { readonly what: string; readonly in: unknown; readonly want: unknown }[] =
  [
    { what: 'nothing is an empty overlay', in: null, want: {} },
    {
      what: 'unknown fields are left out',
      in: { bogus: 1, ...container({ alsoBogus: true, image: 'i' }) },
      want: container({ image: 'i' }),
    },
    {
      what: 'quantities are made canonical, numbers too',
      in: container({ resources: { limits: { cpu: '2000m', memory: 1073741824, x: 0.5 } } }),
      want: container({ resources: { limits: { cpu: '2', memory: '1073741824', x: '500m' } } }),
    },
    {
      what: 'nulls stay for the merge',
      in: { metadata: { labels: { a: null }, name: null } },
      want: { metadata: { labels: { a: null }, name: null } },
    },
    {
      what: 'directives stay for the merge',
      in: {
        metadata: { labels: { $patch: 'replace', a: '1' } },
        spec: {
          $retainKeys: ['containers'],
          '$setElementOrder/containers': [{ name: 'a' }],
          containers: [{ $patch: 'replace' }, { name: 'a', $patch: 'delete' }],
        },
      },
      want: {
        metadata: { labels: { $patch: 'replace', a: '1' } },
        spec: {
          $retainKeys: ['containers'],
          '$setElementOrder/containers': [{ name: 'a' }],
          containers: [{ $patch: 'replace' }, { name: 'a', $patch: 'delete' }],
        },
      },
    },
    {
      what: 'a port may be a number or a name',
      in: container({ livenessProbe: { httpGet: { port: 'http' }, tcpSocket: { port: 80 } } }),
      want: container({ livenessProbe: { httpGet: { port: 'http' }, tcpSocket: { port: 80 } } }),
    },
  ]

t.test('overlays are read', async (t) => {
  for (const { what, in: value, want } of overlays) {
    const frozen = JSON.stringify(value)
    t.strictSame(readOverlay(value), { ok: true, value: want }, what)
    t.equal(JSON.stringify(value), frozen, `${what}: nothing is mutated`)
  }
})

const refused = [
  { value: 'x', path: '', got: '"x"', want: 'a map' },
  { value: { metadata: { labels: { a: 1 } } }, path: '/metadata/labels/a', got: '1' },
  { value: container({ image: true }), path: '/spec/containers/0/image', got: 'true' },
  { value: container({ tty: 'yes' }), path: '/spec/containers/0/tty', got: 'yes' },
  { value: container({ args: ['a', 1] }), path: '/spec/containers/0/args/1', got: '1' },
  { value: container({ args: [null] }), path: '/spec/containers/0/args/0', got: 'null' },
  { value: container({ args: 'a' }), path: '/spec/containers/0/args', got: 'a', want: 'a list' },
  {
    value: container({ env: [{ value: '1' }] }),
    path: '/spec/containers/0/env/0',
    got: 'an object',
    want: 'an object with name',
  },
  {
    value: container({ ports: [{ containerPort: 1.5 }] }),
    path: '/spec/containers/0/ports/0/containerPort',
    got: '1.5',
  },
  {
    value: container({ ports: [{ containerPort: 2 ** 31 }] }),
    path: '/spec/containers/0/ports/0/containerPort',
    got: '2147483648',
  },
  {
    value: container({ resources: { limits: { cpu: 'much' } } }),
    path: '/spec/containers/0/resources/limits/cpu',
    got: 'much',
  },
  { value: { spec: { $patch: 'merge' } }, path: '/spec/$patch', got: 'merge' },
  {
    value: { spec: { '$setElementOrder/containers': 'a' } },
    path: '/spec/$setElementOrder~1containers',
    got: 'a',
    want: 'a list',
  },
]

t.test('what does not fit is told with its path', async (t) => {
  for (const { value, ...problem } of refused) {
    const read = readOverlay(value)
    t.match(read, { ok: false, problems: [problem] }, problem.path)
    if (!read.ok) t.strictSame(read.problems.length, 1, `${problem.path}: one problem`)
  }
})

t.test('user JSON', async (t) => {
  t.strictSame(
    readTyped('VolumeSource', 'userVolume: /v', { secret: { secretName: 's', bogus: 1 }, x: 1 }),
    { ok: true, value: { secret: { secretName: 's' } } },
    'unknown fields are left out',
  )
  t.strictSame(
    readTyped('VolumeMount', 'userVolumeMount: /v', {
      mountPath: '/m',
      readOnly: null,
      $patch: 'x',
    }),
    { ok: true, value: { mountPath: '/m' } },
    'nulls and directives are left out',
  )
  const read = readTyped('VolumeMount', 'userVolumeMount: /v', { mountPath: 1, readOnly: 'yes' })
  t.strictSame(
    read,
    {
      ok: false,
      problems: [
        { path: 'userVolumeMount: /v/mountPath', got: '1', want: 'a text' },
        { path: 'userVolumeMount: /v/readOnly', got: 'yes', want: 'true or false' },
      ],
    },
    'every problem is told',
  )
  const hostile = JSON.parse('{"__proto__": {"secret": {}}, "constructor": 1}') as JsonObject
  t.strictSame(readTyped('VolumeSource', 'v', hostile), { ok: true, value: {} })
  t.equal(({} as JsonObject)['secret'], undefined)
})

const printed = [
  {
    type: 'ContainerPort',
    value: { protocol: 'TCP', containerPort: 80, name: 'http', hostIP: '', hostPort: 0 },
    want: '{"name":"http","containerPort":80,"protocol":"TCP"}',
  },
  { type: 'ContainerPort', value: {}, want: '{"containerPort":0}' },
  {
    type: 'ContainerPort',
    value: { name: '<&>', containerPort: 1 },
    want: '{"name":"\\u003c\\u0026\\u003e","containerPort":1}',
  },
  { type: 'Container', value: { name: 'a' }, want: '{"name":"a","resources":{}}' },
  {
    type: 'Container',
    value: {
      tty: false,
      env: [{ value: '', name: 'E', valueFrom: { fieldRef: { fieldPath: 'x' } } }],
      args: [],
      resources: { requests: { memory: '1024Mi', cpu: '0.1' }, limits: {} },
      name: 'a',
      securityContext: { privileged: false, runAsUser: 0 },
      livenessProbe: { periodSeconds: 0, httpGet: { port: 0, path: '/' } },
      fromTheFuture: { b: 1 },
    },
    want:
      '{"name":"a","env":[{"name":"E","valueFrom":{"fieldRef":{"fieldPath":"x"}}}],' +
      '"resources":{"requests":{"cpu":"100m","memory":"1Gi"}},' +
      '"livenessProbe":{"httpGet":{"path":"/","port":0}},' +
      '"securityContext":{"privileged":false,"runAsUser":0},"fromTheFuture":{"b":1}}',
  },
  {
    type: 'Pod',
    value: { spec: {} },
    want: '{"metadata":{},"spec":{"containers":null},"status":{}}',
  },
] as const

t.test('prints as Go does', async (t) => {
  for (const { type, value, want } of printed) t.equal(printTyped(type, value), want)
})

t.test('law: reading what was printed gives what was read', async () => {
  const text = fc.string()
  const value = fc.record(
    {
      name: text,
      args: fc.array(text, { minLength: 1 }),
      tty: fc.constant(true),
      env: fc.array(fc.record({ name: text, value: fc.string({ minLength: 1 }) }), {
        minLength: 1,
      }),
      securityContext: fc.record({ runAsUser: fc.integer({ min: 0 }), privileged: fc.boolean() }),
    },
    { requiredKeys: ['name'] },
  )
  fc.assert(
    fc.property(value, (each) => {
      const again = readTyped('Container', 'c', JSON.parse(printTyped('Container', each)))
      const want = readTyped('Container', 'c', { resources: {}, ...each })
      return (
        again.ok &&
        want.ok &&
        printTyped('Container', again.value) === printTyped('Container', want.value)
      )
    }),
  )
})

t.test('law: any JSON gives an overlay or problems', async () => {
  fc.assert(
    fc.property(fc.jsonValue(), (spec) => {
      const read = readOverlay({ spec })
      return (
        read.ok || read.problems.every(({ path, want }) => path.startsWith('/spec') && want !== '')
      )
    }),
  )
})
