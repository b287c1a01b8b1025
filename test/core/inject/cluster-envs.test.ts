import fc from 'fast-check'
import t from 'tap'
import { findProxy, readLocation, setClusterEnvs } from '../../../core/inject/cluster-envs.ts'
import type { Container, EnvVar, Pod } from '../../../core/k8s.ts'

const CLUSTER = 'ISTIO_META_CLUSTER_ID'
const NETWORK = 'ISTIO_META_NETWORK'
const LABEL = 'topology.istio.io/network'

const nowhere = { pathEnvs: {}, clusterName: '', network: '' }

const places = [
  {
    what: 'nobody said',
    labels: {},
    facts: nowhere,
    want: { cluster: '', network: '', envs: {} },
  },
  {
    what: 'the values say',
    labels: {},
    facts: { pathEnvs: {}, clusterName: 'c', network: 'n' },
    want: { cluster: 'c', network: 'n', envs: { [CLUSTER]: 'c', [NETWORK]: 'n' } },
  },
  {
    what: 'the path before the values, and whatever else it says stays',
    labels: {},
    facts: {
      pathEnvs: { [CLUSTER]: 'pc', [NETWORK]: 'pn', FOO: 'bar' },
      clusterName: 'c',
      network: 'n',
    },
    want: { cluster: 'pc', network: 'pn', envs: { [CLUSTER]: 'pc', [NETWORK]: 'pn', FOO: 'bar' } },
  },
  {
    what: "the pod's label before path and values",
    labels: { [LABEL]: 'ln' },
    facts: { pathEnvs: { [NETWORK]: 'pn' }, clusterName: '', network: 'n' },
    want: { cluster: '', network: 'ln', envs: { [NETWORK]: 'ln' } },
  },
  {
    what: 'an empty text says nothing',
    labels: { [LABEL]: '' },
    facts: { pathEnvs: { [CLUSTER]: '', [NETWORK]: '' }, clusterName: 'c', network: 'n' },
    want: { cluster: 'c', network: 'n', envs: { [CLUSTER]: 'c', [NETWORK]: 'n' } },
  },
] as const

for (const { what, labels, facts, want } of places) {
  t.test(`where the pod is: ${what}`, async (t) => {
    t.strictSame(readLocation(labels, facts), want)
  })
}

function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  for (const member of Object.values(value)) freeze(member)
  return Object.freeze(value)
}

const app: Container = { name: 'app', env: [{ name: 'FOO', value: 'mine' }] }
const field: EnvVar = { name: 'B', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }
const env: readonly EnvVar[] = [
  { name: 'A', value: '1' },
  field,
  { name: CLUSTER, value: 'Kubernetes' },
]
const pod: Pod = freeze({
  metadata: { labels: { a: 'b' } },
  spec: { containers: [app, { name: 'istio-proxy', env: [...env] }] },
})

t.test('variables move to the end of the proxy, sorted, as plain values', async (t) => {
  const after = setClusterEnvs(pod, { [CLUSTER]: 'c', A: '2' })
  t.strictSame(after.spec?.containers[1]?.env, [
    field,
    { name: 'A', value: '2' },
    { name: CLUSTER, value: 'c' },
  ])
  t.equal(after.spec?.containers[0], app)
  t.equal(after.metadata, pod.metadata)
})

t.test('a native proxy takes them too', async (t) => {
  const native: Pod = freeze({
    spec: { containers: [app], initContainers: [{ name: 'istio-proxy' }] },
  })
  const after = setClusterEnvs(native, { X: '1' })
  t.strictSame(after.spec?.initContainers, [
    { name: 'istio-proxy', env: [{ name: 'X', value: '1' }] },
  ])
  t.equal(after.spec?.containers, native.spec?.containers)
})

t.test('the network becomes a label, over an old one, with or without a proxy', async (t) => {
  const labels = { a: 'b', [LABEL]: 'old' }
  const before: Pod = freeze({ metadata: { labels }, spec: { containers: [app] } })
  const after = setClusterEnvs(before, { [NETWORK]: 'n' })
  t.strictSame(after.metadata?.labels, { a: 'b', [LABEL]: 'n' })
  t.equal(after.spec, before.spec)
})

t.test('an empty network makes no label', async (t) => {
  t.equal(setClusterEnvs(pod, { [NETWORK]: '' }).metadata, pod.metadata)
})

t.test('nothing to say: the same pod', async (t) => t.equal(setClusterEnvs(pod, {}), pod))

t.test('a regular proxy is found before an init container of that name', async (t) => {
  const regular: Container = { name: 'istio-proxy' }
  const init: Container = { name: 'istio-proxy' }
  t.equal(findProxy({ spec: { containers: [regular], initContainers: [init] } }), regular)
  t.equal(findProxy({ spec: { containers: [app], initContainers: [init] } }), init)
  t.equal(findProxy({}), undefined)
})

t.test('saying it twice is saying it once; nobody else moves', async (t) => {
  const names = fc.constantFrom('A', 'B', 'C', NETWORK)
  const anyEnv = fc.uniqueArray(fc.record({ name: names, value: fc.string() }), {
    selector: ({ name }) => name,
  })
  fc.assert(
    fc.property(
      anyEnv,
      fc.dictionary(names, fc.string(), { noNullPrototype: true }),
      (own, envs) => {
        const before = freeze({ spec: { containers: [{ name: 'istio-proxy', env: own }] } })
        const once = freeze(setClusterEnvs(before, envs))
        const after = once.spec?.containers[0]?.env ?? []
        const others = own.filter(({ name }) => !(name in envs))
        t.strictSame(after.slice(0, others.length), others)
        t.strictSame(
          Object.fromEntries(after.slice(others.length).map((e) => [e.name, e.value])),
          envs,
        )
        t.equal(setClusterEnvs(once, envs), once)
      },
    ),
  )
})
