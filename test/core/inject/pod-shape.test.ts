import fc from 'fast-check'
import t from 'tap'
import { readPod } from '../../../core/inject/pod-shape.ts'

const valueOf = (pod: unknown): unknown => {
  const read = readPod('', pod)
  return read.ok ? read.value : read.problems
}

const wrong = [
  { pod: null, path: '', got: 'null', want: 'an object' },
  { pod: [], path: '', got: '[]', want: 'an object' },
  { pod: 'pod', path: '', got: 'pod', want: 'an object' },
  { pod: { spec: 'x' }, path: '/spec', got: 'x', want: 'an object' },
  { pod: { spec: { containers: 'x' } }, path: '/spec/containers', got: 'x', want: 'a list' },
  { pod: { spec: { containers: {} } }, path: '/spec/containers', got: '{}', want: 'a list' },
  {
    pod: { spec: { containers: [null] } },
    path: '/spec/containers/0',
    got: 'null',
    want: 'an object',
  },
  {
    pod: { spec: { containers: [{ name: 'a', env: ['A=1'] }] } },
    path: '/spec/containers/0/env/0',
    got: 'A=1',
    want: 'an object',
  },
  {
    pod: { metadata: { labels: { 'a/b~c': [1] } } },
    path: '/metadata/labels/a~1b~0c',
    got: 'a list',
    want: 'a text',
  },
  {
    pod: { spec: { hostNetwork: {} } },
    path: '/spec/hostNetwork',
    got: '{}',
    want: 'true or false',
  },
  { pod: { metadata: { labels: 'x' } }, path: '/metadata/labels', got: 'x', want: 'an object' },
]

t.test('wrong structure is told with its path', async (t) => {
  for (const { pod, ...problem } of wrong) {
    t.strictSame(readPod('', pod), { ok: false, problems: [problem] }, problem.path)
    const below = [{ ...problem, path: `/items/0${problem.path}` }]
    t.strictSame(readPod('/items/0', pod), { ok: false, problems: below }, 'below a path')
  }
})

t.test('all problems come together', async (t) => {
  const pod = { metadata: 1, spec: { containers: [{ name: [], image: {} }], volumes: 'v' } }
  const read = readPod('', pod)
  t.strictSame(read.ok ? [] : read.problems.map(({ path }) => path), [
    '/metadata',
    '/spec/containers/0/name',
    '/spec/containers/0/image',
    '/spec/volumes',
  ])
})

const coerced = [
  {
    what: 'numbers and booleans in text fields are their texts',
    pod: { metadata: { labels: { v: 1.1, b: true, n: -7 }, name: 12 } },
    want: { metadata: { labels: { v: '1.1', b: 'true', n: '-7' }, name: '12' } },
  },
  {
    what: 'large and small numbers as kubectl writes them',
    pod: { metadata: { labels: { a: 1234567.5, b: 0.00001, c: 123456.5, d: 1e20, e: 1e21 } } },
    want: {
      metadata: {
        labels: {
          a: '1.2345675e+06',
          b: '1e-05',
          c: '123456.5',
          d: '100000000000000000000',
          e: '1e+21',
        },
      },
    },
  },
  {
    what: 'items of text lists too',
    pod: { spec: { containers: [{ name: 'a', args: ['-p', 80, null] }] } },
    want: { spec: { containers: [{ name: 'a', args: ['-p', '80', ''] }] } },
  },
  {
    what: 'null is absent in known fields',
    pod: { metadata: { creationTimestamp: null, labels: null, name: 'p' }, status: null },
    want: { metadata: { name: 'p' } },
  },
  {
    what: 'null in maps is what Go reads there',
    pod: {
      metadata: { labels: { a: null } },
      spec: { containers: [{ name: 'c', resources: { limits: { cpu: null } } }] },
    },
    want: {
      metadata: { labels: { a: '' } },
      spec: { containers: [{ name: 'c', resources: { limits: { cpu: '0' } } }] },
    },
  },
]

t.test('what unquoted YAML does is undone', async (t) => {
  for (const { what, pod, want } of coerced) {
    const frozen = JSON.stringify(pod)
    t.strictSame(valueOf(pod), want, what)
    t.equal(JSON.stringify(pod), frozen, `${what}: nothing is mutated`)
  }
})

t.test('unknown fields and scalars of another type stand as they came', async (t) => {
  const pod = {
    spec: { containers: [{ name: 'a', ports: [{ containerPort: '80' }], newField: null }], x: [1] },
    more: { deep: null },
  }
  t.equal(valueOf(pod), pod)
})

t.test('what had to change is copied, the rest is the very same', async (t) => {
  const app = { name: 'app' }
  const volumes = [{ name: 'v' }]
  const read = valueOf({ metadata: { name: 1 }, spec: { containers: [app], volumes } }) as {
    spec: { containers: unknown[]; volumes: unknown }
  }
  t.equal(read.spec.containers[0], app)
  t.equal(read.spec.volumes, volumes)
})

t.test('names of prototypes are data', async (t) => {
  const text =
    '{"metadata":{"labels":{"__proto__":1,"constructor":2,"toString":"x"}},"__proto__":{"spec":3}}'
  const want = text.replace('1', '"1"').replace('2', '"2"')
  t.equal(JSON.stringify(valueOf(JSON.parse(text))), want)
})

t.test('laws', async (t) => {
  t.test('any JSON gives a pod or problems, and is not mutated', async () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (metadata, containers) => {
        const pod = { metadata, spec: { containers } }
        const frozen = JSON.stringify(pod)
        const read = readPod('', pod)
        return (read.ok || read.problems.length > 0) && JSON.stringify(pod) === frozen
      }),
    )
  })
  t.test('reading what was read gives it back', async () => {
    const scalar = fc.oneof(fc.string(), fc.double(), fc.boolean(), fc.constant(null))
    fc.assert(
      fc.property(fc.dictionary(fc.string(), scalar), fc.array(scalar), (labels, args) => {
        const once = readPod('', { metadata: { labels }, spec: { containers: [{ args }] } })
        if (!once.ok) return false
        const twice = readPod('', once.value)
        return twice.ok && twice.value === once.value
      }),
    )
  })
})
