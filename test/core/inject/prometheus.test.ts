import fc from 'fast-check'
import t from 'tap'
import {
  isMergeEnabled,
  PROMETHEUS_1_8,
  prometheusMerge,
  type PrometheusFacts,
} from '../../../core/inject/prometheus.ts'
import type { Container, EnvVar, Pod } from '../../../core/k8s.ts'
import { formatProblem } from '../../../core/problem.ts'

const facts: PrometheusFacts = { meshStatusPort: 15020, enabled: true }
const TOLD = 'ISTIO_PROMETHEUS_ANNOTATIONS'
const TARGETS = 'prometheus.istio.io/scrape-targets'

type Texts = Readonly<Record<string, string>>

/** The annotations of a merged pod. */
const AGENT = {
  'prometheus.io/path': '/stats/prometheus',
  'prometheus.io/port': '15020',
  'prometheus.io/scrape': 'true',
}

/** A pod, frozen to the ground, so that a test fails where its input is written to. */
function podOf(annotations: Texts, env: readonly EnvVar[] = [], name = 'istio-proxy'): Pod {
  const container: Container = { name, env: [...env] }
  return freeze({
    metadata: { annotations: { ...annotations } },
    spec: { containers: [container] },
  })
}

function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  for (const member of Object.values(value)) freeze(member)
  return Object.freeze(value)
}

/** What became of a pod's annotations and of its first container's environment; or what is wrong. */
function seen(pod: Pod, given: PrometheusFacts = facts) {
  const merge = prometheusMerge(pod, given)
  if (!merge.ok) return { problems: merge.problems.map(formatProblem) }
  return {
    annotations: { ...merge.value.metadata?.annotations },
    env: merge.value.spec?.containers[0]?.env ?? [],
    warnings: merge.warnings.map(formatProblem),
  }
}

const told = (value: string): EnvVar => ({ name: TOLD, value })

const merges: readonly {
  what: string
  annotations: Texts
  env?: readonly EnvVar[]
  want: { annotations: Texts; env?: readonly EnvVar[]; warnings?: readonly string[] }
}[] = [
  {
    what: 'a pod that says nothing is scraped at the agent',
    annotations: { x: 'y' },
    want: { annotations: { x: 'y', ...AGENT } },
  },
  {
    what: 'what the pod says moves to the agent',
    annotations: { 'prometheus.io/scrape': 'true', 'prometheus.io/port': '80' },
    env: [{ name: 'X', value: '1' }],
    want: {
      annotations: AGENT,
      env: [{ name: 'X', value: '1' }, told('{"scrape":"true","path":"","port":"80"}')],
    },
  },
  {
    what: 'any punctuation spells the same key, and the documented one is believed',
    annotations: {
      'prometheus-io-port': '1',
      'prometheus.io.port': '2',
      'prometheus.io/port': '3',
      prometheus_io_path: '/p',
      'prometheus.io/ports': '4',
    },
    want: {
      annotations: { ...AGENT, 'prometheus.io/ports': '4' },
      env: [told('{"scrape":"","path":"/p","port":"3"}')],
    },
  },
  {
    what: 'targets stand before the single port, which is not looked at then',
    annotations: { [TARGETS]: ' 81:/a , 82 ,', 'prometheus.io/port': 'metrics' },
    want: {
      annotations: AGENT,
      env: [
        told(
          '{"scrape":"","path":"/a","port":"81","targets":[{"port":"81","path":"/a"},{"port":"82","path":"/metrics"}]}',
        ),
      ],
    },
  },
  {
    what: 'a target without a port makes the whole list void, with a warning',
    annotations: { [TARGETS]: '81,:/a' },
    want: {
      annotations: AGENT,
      warnings: [
        `${TARGETS}: got ":/a", want a list of "port" or "port:path", separated by commas; none of it is scraped`,
      ],
    },
  },
  {
    what: "a variable of the pod's author makes way",
    annotations: { 'prometheus.io/path': '/p' },
    env: [told('mine')],
    want: { annotations: AGENT, env: [told('{"scrape":"","path":"/p","port":""}')] },
  },
  {
    what: 'scrape says no: everything stays',
    annotations: { 'prometheus.io.scrape': 'F', 'prometheus.io/port': 'x' },
    want: { annotations: { 'prometheus.io.scrape': 'F', 'prometheus.io/port': 'x' } },
  },
  {
    what: 'the pod points at the agent already: everything stays',
    annotations: { 'prometheus.io.port': '15020', 'prometheus.io/path': '/p' },
    want: { annotations: { 'prometheus.io.port': '15020', 'prometheus.io/path': '/p' } },
  },
  {
    what: 'the pod wants no merge: everything stays',
    annotations: { 'prometheus.istio.io/merge-metrics': '0', 'prometheus.io/port': '80' },
    want: { annotations: { 'prometheus.istio.io/merge-metrics': '0', 'prometheus.io/port': '80' } },
  },
  {
    what: 'the secure port is announced, merge or no merge',
    annotations: { 'prometheus.io/scrape': 'false' },
    env: [
      { name: 'ENVOY_SECURE_MERGED_METRICS_PORT', value: '0' },
      { name: 'ENVOY_SECURE_MERGED_METRICS_PORT', value: '15091' },
    ],
    want: {
      annotations: {
        'prometheus.io/scrape': 'false',
        'prometheus.istio.io/secure-port': '15091',
      },
      env: [
        { name: 'ENVOY_SECURE_MERGED_METRICS_PORT', value: '0' },
        { name: 'ENVOY_SECURE_MERGED_METRICS_PORT', value: '15091' },
      ],
    },
  },
  {
    what: 'a secure port that the pod announces itself stays, in any spelling',
    annotations: { 'prometheus.istio.io.secure-port': '1' },
    env: [{ name: 'ENVOY_SECURE_MERGED_METRICS_PORT', value: '15091' }],
    want: {
      annotations: { 'prometheus.istio.io.secure-port': '1', ...AGENT },
      env: [{ name: 'ENVOY_SECURE_MERGED_METRICS_PORT', value: '15091' }],
    },
  },
]

for (const { what, annotations, env, want } of merges) {
  t.test(what, async (t) => {
    t.strictSame(seen(podOf(annotations, env)), { env: [], warnings: [], ...want })
  })
}

const RANGE = 'want a port number from 1 to 65535'
const RESERVED = 'want a port of the application: this one is reserved for Istio'

const refused: readonly { what: string; annotations: Texts; want: readonly string[] }[] = [
  {
    what: 'the name of a port',
    annotations: { 'prometheus.io/port': 'metrics' },
    want: [`prometheus.io/port: got "metrics", ${RANGE}`],
  },
  {
    what: 'a port with a sign, and one with a blank',
    annotations: { [TARGETS]: '+80,8 0' },
    want: [`${TARGETS}: got "+80", ${RANGE}`, `${TARGETS}: got "8 0", ${RANGE}`],
  },
  {
    what: "the sidecar's ports, all of them at once, by the key as the pod spells it",
    annotations: { 'prometheus.istio.io.scrape-targets': '15090:/m,80,0,15021' },
    want: [
      `prometheus.istio.io.scrape-targets: got "15090", ${RESERVED} (Envoy Prometheus, merged already)`,
      `prometheus.istio.io.scrape-targets: got "0", ${RANGE}`,
      `prometheus.istio.io.scrape-targets: got "15021", ${RESERVED} (Envoy health)`,
    ],
  },
  {
    what: "the agent's port in other digits",
    annotations: { 'prometheus.io/port': '015020' },
    want: [
      `prometheus.io/port: got "015020", want a port of the application: this one conflicts with the agent's`,
    ],
  },
]

for (const { what, annotations, want } of refused) {
  t.test(`refused: ${what}`, async (t) => {
    t.strictSame(seen(podOf(annotations)), { problems: want })
  })
}

t.test('without a proxy the annotations point at the agent all the same', async (t) => {
  const pod = podOf({ 'prometheus.io/port': '80' }, [], 'app')
  t.strictSame(seen(pod), { annotations: AGENT, env: [], warnings: [] })
})

t.test('a pod without metadata gets them', async (t) => {
  t.strictSame(seen(freeze({})), { annotations: AGENT, env: [], warnings: [] })
})

t.test('as Istio 1.8: keys as documented, nothing checked, scrape no obstacle', async (t) => {
  const env = [{ name: 'ENVOY_SECURE_MERGED_METRICS_PORT', value: '15091' }]
  const annotations = {
    'prometheus.io.port': '1',
    'prometheus.io/port': 'metrics',
    'prometheus.io/scrape': 'false',
    [TARGETS]: '15090',
  }
  t.strictSame(seen(podOf(annotations, env), { ...facts, dialect: PROMETHEUS_1_8 }), {
    annotations: { 'prometheus.io.port': '1', [TARGETS]: '15090', ...AGENT },
    env: [...env, told('{"scrape":"false","path":"","port":"metrics"}')],
    warnings: [],
  })
})

t.test('an annotation that is no boolean leaves it to the mesh', async (t) => {
  const annotations = { 'prometheus.istio.io/merge-metrics': 'yes' }
  t.strictSame(
    [true, false].map((mesh) => isMergeEnabled(annotations, mesh)),
    [true, false],
  )
})

const keys = [
  ...Object.keys(AGENT),
  'prometheus.io.port',
  TARGETS,
  'prometheus.istio.io/merge-metrics',
]
const words = ['', 'true', 'false', '80', '15020', '15090', 'x', '80:/a,81', ':', '/p?<&>']
const anyAnnotations = fc.dictionary(
  fc.constantFrom(...keys),
  fc.oneof(fc.constantFrom(...words), fc.string()),
)

t.test('merging twice is merging once, whatever the annotations say', async (t) => {
  fc.assert(
    fc.property(anyAnnotations, fc.boolean(), (annotations, enabled) => {
      const once = prometheusMerge(podOf(annotations), { ...facts, enabled })
      if (!once.ok) {
        t.ok(once.problems.every(({ path }) => path in annotations))
        return
      }
      const twice = prometheusMerge(freeze(once.value), { ...facts, enabled })
      t.strictSame(twice, { ok: true, value: once.value, warnings: [] })
      t.equal(twice.ok && twice.value, once.value)
    }),
  )
})
