import fc from 'fast-check'
import t from 'tap'
import { mergePod } from '../../../core/inject/strategic-merge.ts'
import type { Json, JsonObject } from '../../../core/json.ts'
import type { Pod } from '../../../core/k8s.ts'
import { Refusal, type Problem } from '../../../core/problem.ts'

const asPod = (value: JsonObject) => value as unknown as Pod
const inSpec = (before: JsonObject, overlay: JsonObject): unknown =>
  mergePod(asPod({ spec: before }), { spec: overlay }).spec
const named = (...names: string[]) => names.map((name) => ({ name }))

const cases: readonly {
  readonly what: string
  readonly before: JsonObject
  readonly overlay: JsonObject
  readonly want: Json
}[] = [
  {
    what: 'scalars are replaced, what is not named stays',
    before: { nodeName: 'a', hostname: 'h' },
    overlay: { nodeName: 'b' },
    want: { nodeName: 'b', hostname: 'h' },
  },
  {
    what: 'null deletes, also what is not there',
    before: { nodeName: 'a' },
    overlay: { nodeName: null, hostname: null },
    want: {},
  },
  {
    what: 'maps merge by key, null deletes a key, names of prototypes are keys',
    before: { nodeSelector: { a: '1', b: '2' } },
    overlay: { nodeSelector: { a: null, c: '3', constructor: 'x', toString: 'y' } },
    want: { nodeSelector: { b: '2', c: '3', constructor: 'x', toString: 'y' } },
  },
  {
    what: 'a value of another kind is replaced',
    before: { affinity: 'odd' },
    overlay: { affinity: { podAffinity: {} } },
    want: { affinity: { podAffinity: {} } },
  },
  {
    what: 'new items come first',
    before: { containers: named('a', 'b') },
    overlay: { containers: named('n') },
    want: { containers: named('n', 'a', 'b') },
  },
  {
    what: 'an item of the pod stays ahead of an item that it stood ahead of',
    before: { containers: named('u', 't1') },
    overlay: { containers: named('t0', 't1', 't2') },
    want: { containers: named('t0', 'u', 't1', 't2') },
  },
  {
    what: 'the order of the overlay wins for what it names',
    before: { containers: named('a', 'b', 'c') },
    overlay: { containers: named('c', 'a') },
    want: { containers: named('b', 'c', 'a') },
  },
  {
    what: 'items with the same key: the first is merged, both stay together',
    before: { containers: [{ name: 'a', image: '1' }, { name: 'b' }, { name: 'a', image: '2' }] },
    overlay: { containers: [{ name: 'a', tty: true }] },
    want: {
      containers: [{ name: 'a', image: '1', tty: true }, { name: 'a', image: '2' }, { name: 'b' }],
    },
  },
  {
    what: 'an overlay that names a new item twice makes one of it',
    before: { containers: named('a') },
    overlay: {
      containers: [
        { name: 'n', image: '1' },
        { name: 'n', tty: true },
      ],
    },
    want: { containers: [{ name: 'n', image: '1', tty: true }, { name: 'a' }] },
  },
  {
    what: 'an item of the pod without its key stays where it was',
    before: { imagePullSecrets: [{}, { name: 'a' }] },
    overlay: { imagePullSecrets: [{ name: 'n' }] },
    want: { imagePullSecrets: [{ name: 'n' }, {}, { name: 'a' }] },
  },
  {
    what: 'lists without a key are replaced',
    before: { tolerations: [{ key: 'a' }] },
    overlay: { tolerations: [{ key: 'b' }] },
    want: { tolerations: [{ key: 'b' }] },
  },
  {
    what: 'an empty list empties a list without a key, and leaves one with a key',
    before: { tolerations: [{ key: 'a' }], containers: named('a') },
    overlay: { tolerations: [], containers: [] },
    want: { tolerations: [], containers: named('a') },
  },
  {
    what: 'the key of ports is the number alone, of mounts the path, of hosts the address',
    before: {
      containers: [
        {
          name: 'a',
          ports: [{ containerPort: 80, protocol: 'UDP' }],
          volumeMounts: [{ mountPath: '/m', name: 'v' }],
        },
      ],
      hostAliases: [{ ip: '1', hostnames: ['a'] }],
    },
    overlay: {
      containers: [
        {
          name: 'a',
          ports: [{ containerPort: 80, name: 'web' }],
          volumeMounts: [{ mountPath: '/m', name: 'w' }],
        },
      ],
      hostAliases: [{ ip: '1', hostnames: ['b'] }],
    },
    want: {
      containers: [
        {
          name: 'a',
          ports: [{ containerPort: 80, protocol: 'UDP', name: 'web' }],
          volumeMounts: [{ mountPath: '/m', name: 'w' }],
        },
      ],
      hostAliases: [{ ip: '1', hostnames: ['b'] }],
    },
  },
  {
    what: 'null inside something new is left out',
    before: {},
    overlay: { volumes: [{ name: 'v', emptyDir: null }], affinity: { nodeAffinity: null } },
    want: { volumes: [{ name: 'v' }], affinity: {} },
  },
  {
    what: '$patch: replace in an object takes the overlay alone',
    before: { nodeSelector: { a: '1' } },
    overlay: { nodeSelector: { $patch: 'replace', b: '2', c: null } },
    want: { nodeSelector: { b: '2' } },
  },
  {
    what: '$patch: delete empties an object',
    before: { securityContext: { fsGroup: 1 } },
    overlay: { securityContext: { $patch: 'delete' } },
    want: { securityContext: {} },
  },
  {
    what: '$patch: replace in a list takes the overlay alone',
    before: { containers: named('a', 'b') },
    overlay: { containers: [{ $patch: 'replace' }, { name: 'n', env: [{ $patch: 'replace' }] }] },
    want: { containers: [{ name: 'n', env: [] }] },
  },
  {
    what: '$patch: delete takes an item away',
    before: { containers: named('a', 'b') },
    overlay: { containers: [{ $patch: 'delete', name: 'a' }, { name: 'n' }] },
    want: { containers: named('n', 'b') },
  },
  {
    what: '$retainKeys drops the other members',
    before: { volumes: [{ name: 'v', emptyDir: {} }] },
    overlay: {
      volumes: [{ name: 'v', $retainKeys: ['name', 'secret'], secret: { secretName: 's' } }],
    },
    want: { volumes: [{ name: 'v', secret: { secretName: 's' } }] },
  },
  {
    what: '$setElementOrder orders a list, with or without changing it',
    before: { containers: named('a', 'b', 'c'), initContainers: named('x', 'y') },
    overlay: {
      '$setElementOrder/containers': named('c', 'a'),
      containers: [{ name: 'a', tty: true }],
      '$setElementOrder/initContainers': named('y', 'x'),
    },
    want: {
      containers: [{ name: 'b' }, { name: 'c' }, { name: 'a', tty: true }],
      initContainers: named('y', 'x'),
    },
  },
  {
    what: '$deleteFromPrimitiveList takes scalars away',
    before: { dnsConfig: { searches: ['a', 'b'] } },
    overlay: { dnsConfig: { '$deleteFromPrimitiveList/searches': ['a', 'z'] } },
    want: { dnsConfig: { searches: ['b'] } },
  },
  {
    what: 'directives at what is new are not kept, nor what they replace',
    before: {},
    overlay: {
      nodeSelector: { $patch: 'replace', a: '1' },
      '$setElementOrder/containers': named('a', 'b'),
      containers: [{ name: 'b' }, { $patch: 'delete', name: 'a' }],
    },
    want: { containers: named('b') },
  },
]

t.test('merges as Kubernetes does', async (t) => {
  for (const { what, before, overlay, want } of cases) {
    const frozen = JSON.stringify([before, overlay])
    t.strictSame(inSpec(before, overlay), want, what)
    t.equal(JSON.stringify([before, overlay]), frozen, `${what}: nothing is mutated`)
  }
})

t.test('finalizers are a set', async (t) => {
  const pod = asPod({ metadata: { finalizers: ['a', 'b'] } })
  const merged = mergePod(pod, { metadata: { finalizers: ['c', 'a'] } })
  t.strictSame(merged.metadata?.finalizers, ['c', 'a', 'b'])
})

t.test('__proto__ is a key like any other', async (t) => {
  const pod = JSON.parse('{"metadata":{"labels":{"__proto__":"old","a":"1"}}}') as Pod
  const overlay = JSON.parse('{"metadata":{"labels":{"__proto__":"new","b":"2"}}}') as JsonObject
  const text = JSON.stringify(mergePod(pod, overlay))
  t.equal(text, '{"metadata":{"labels":{"__proto__":"new","a":"1","b":"2"}}}')
  const fresh = JSON.stringify(mergePod({}, overlay))
  t.equal(fresh, '{"metadata":{"labels":{"__proto__":"new","b":"2"}}}')
})

const refused: readonly {
  readonly what: string
  readonly overlay: JsonObject
  readonly problem: Problem
}[] = [
  {
    what: 'an item without its key',
    overlay: { spec: { containers: [{ name: 'a', env: [{ value: '1' }] }] } },
    problem: { path: '/spec/containers/0/env/0', got: 'an object', want: 'an object with name' },
  },
  {
    what: 'an item that is no object',
    overlay: { spec: { containers: ['a'] } },
    problem: { path: '/spec/containers/0', got: 'a', want: 'an object' },
  },
  {
    what: 'a directive that does not exist',
    overlay: { spec: { $patch: 'merge' } },
    problem: { path: '/spec/$patch', got: 'merge', want: 'replace or delete' },
  },
  {
    what: 'a directive that does not exist, in a list',
    overlay: { spec: { containers: [{ name: 'a', $patch: 'gone' }] } },
    problem: { path: '/spec/containers/0/$patch', got: 'gone', want: 'replace or delete' },
  },
  {
    what: '$retainKeys that forgets a member',
    overlay: { spec: { $retainKeys: ['containers'], nodeName: 'n' } },
    problem: {
      path: '/spec/$retainKeys',
      got: 'nodeName',
      want: 'every member that stands beside it',
    },
  },
  {
    what: 'an order that does not fit the list',
    overlay: {
      spec: { '$setElementOrder/containers': named('a', 'b'), containers: named('b', 'a') },
    },
    problem: {
      path: '/spec/$setElementOrder~1containers',
      got: 'a',
      want: 'the items of the list in its own order',
    },
  },
]

t.test('refuses with a path in the overlay', async (t) => {
  const pod = asPod({ spec: { containers: [{ name: 'a', env: [{ name: 'E' }] }] } })
  for (const { what, overlay, problem } of refused) {
    try {
      mergePod(pod, overlay)
      t.fail(`${what}: merged`)
    } catch (error) {
      t.ok(error instanceof Refusal, what)
      t.strictSame((error as Refusal).problems, [problem], what)
    }
  }
})

t.test('what the overlay leaves alone is the very same', async (t) => {
  const app = { name: 'app', env: [{ name: 'A', value: '1' }] }
  const labels = { a: '1' }
  const pod = asPod({ metadata: { labels }, spec: { containers: [app], volumes: named('v') } })
  const merged = mergePod(pod, { spec: { containers: named('istio-proxy'), nodeName: 'n' } })
  t.equal(merged.metadata, pod.metadata)
  t.equal(merged.spec?.volumes, pod.spec?.volumes)
  t.equal(merged.spec?.containers[1], app)
  for (const overlay of [
    {},
    { spec: {} },
    { metadata: { labels: { a: '1' } } },
    { spec: { containers: [{ name: 'app', env: [{ name: 'A', value: '1' }] }], nodeName: null } },
    { spec: { containers: [], volumes: named('v') } },
  ]) {
    t.equal(mergePod(pod, overlay), pod, JSON.stringify(overlay))
  }
})

const name = fc.constantFrom('a', 'b', 'c', 'd', 'e')
const items = fc.uniqueArray(
  fc.record({ name, image: fc.constantFrom('1', '2') }, { requiredKeys: ['name'] }),
  { selector: (item) => item.name },
)
const map = fc.dictionary(name, fc.constantFrom('1', '2'))
const spec = fc.record(
  { containers: items, nodeSelector: map, args: fc.array(name) },
  { requiredKeys: [] },
)

t.test('laws', async (t) => {
  t.test('merging twice is merging once', async () => {
    fc.assert(
      fc.property(spec, spec, (before, overlay) => {
        const once = mergePod(asPod({ spec: before }), { spec: overlay })
        return mergePod(once, { spec: overlay }) === once
      }),
    )
  })
  t.test('everything of both is there, the overlay in its own order', async () => {
    fc.assert(
      fc.property(items, items, (before, overlay) => {
        const merged = inSpec({ containers: before }, { containers: overlay }) as {
          containers: readonly { readonly name: string }[]
        }
        const all = merged.containers.map((item) => item.name)
        const ours: readonly string[] = overlay.map((item) => item.name)
        const expected = new Set<string>([...before.map((item) => item.name), ...ours])
        return (
          all.length === expected.size &&
          all.every((each) => expected.has(each)) &&
          all.filter((each) => ours.includes(each)).join() === ours.join()
        )
      }),
    )
  })
})
