import fc from 'fast-check'
import t from 'tap'
import { orderContainers } from '../../../core/inject/order.ts'
import type { Pod } from '../../../core/k8s.ts'

const list = (text: string) => text.split(' ').filter(Boolean)
const pod = (containers: string, initContainers: string): Pod => ({
  spec: {
    containers: list(containers).map((name) => ({ name })),
    initContainers: list(initContainers).map((name) => ({ name })),
  },
})
const names = ({ spec }: Pod) => ({
  containers: spec?.containers.map(({ name }) => name).join(' '),
  inits: spec?.initContainers?.map(({ name }) => name).join(' '),
})

const cases = [
  {
    what: 'the proxy starts last',
    containers: 'istio-proxy a b',
    want: { containers: 'a b istio-proxy', inits: '' },
  },
  {
    what: 'the proxy starts first where it holds the application',
    containers: 'a istio-proxy b',
    isFirst: true,
    want: { containers: 'istio-proxy a b', inits: '' },
  },
  {
    what: 'without a native proxy the rules come after the init containers of the user',
    containers: 'a',
    inits: 'enable-core-dump istio-init x istio-validation y',
    want: { containers: 'a', inits: 'istio-validation x y istio-init enable-core-dump' },
  },
  {
    what: 'with a native proxy they come before',
    containers: 'a',
    inits: 'x enable-core-dump istio-proxy istio-validation istio-init y',
    want: {
      containers: 'a',
      inits: 'istio-init istio-validation istio-proxy enable-core-dump x y',
    },
  },
  {
    what: 'of two proxies the last one stays',
    containers: 'istio-proxy a istio-proxy',
    want: { containers: 'a istio-proxy', inits: '' },
  },
  {
    what: 'a pod without reserved names stays as it is',
    containers: 'b a',
    inits: 'd c',
    want: { containers: 'b a', inits: 'd c' },
  },
]

t.test('containers start in order', async (t) => {
  for (const { what, containers, inits = '', isFirst = false, want } of cases) {
    const before = pod(containers, inits)
    const frozen = JSON.stringify(before)
    const after = orderContainers(before, isFirst)
    t.strictSame(names(after), want, what)
    t.equal(JSON.stringify(before), frozen, `${what}: nothing is mutated`)
    const isSame = JSON.stringify(after) === frozen
    t.equal(after === before, isSame, `${what}: an ordered pod comes back itself`)
  }
  const empty: Pod = {}
  t.equal(orderContainers(empty, true), empty, 'a pod without a spec')
})

const anyNames = fc
  .array(fc.constantFrom('a', 'b', 'istio-proxy', 'istio-init', 'istio-validation'))
  .map((all) => all.join(' '))

t.test('law: ordering an ordered pod changes nothing', async () => {
  fc.assert(
    fc.property(anyNames, anyNames, fc.boolean(), (containers, inits, isFirst) => {
      const once = orderContainers(pod(containers, inits), isFirst)
      return orderContainers(once, isFirst) === once
    }),
  )
})
