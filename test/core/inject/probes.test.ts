import fc from 'fast-check'
import t from 'tap'
import { addProbers, printProbers, readProbers } from '../../../core/inject/probe-dump.ts'
import { proxiedPorts, resolvePort } from '../../../core/inject/probe-ports.ts'
import { isRewriting } from '../../../core/inject/probe-switch.ts'
import { PROBES_1_8, PROBES_CURRENT } from '../../../core/inject/probe-table.ts'
import { findUnansweredProbes, rewriteProbes } from '../../../core/inject/probes.ts'
import {
  byName,
  type Container,
  type ContainerPort,
  type EnvVar,
  type Pod,
} from '../../../core/k8s.ts'
import { formatProblem } from '../../../core/problem.ts'

const facts = { meshStatusPort: 15020, enabled: true }
const PROBERS = 'ISTIO_KUBE_APP_PROBERS'
const STATUS = 'sidecar.istio.io/status'
const STATUS_PORT = 'status.sidecar.istio.io/port'

/** A pod, frozen to the ground, so that a test fails where its input is written to. */
function podOf(
  containers: readonly Container[],
  annotations: Readonly<Record<string, string>> = {},
  initContainers: readonly Container[] = [],
): Pod {
  return freeze({
    metadata: { name: 'p', annotations: { ...annotations } },
    spec: { containers: [...containers], initContainers: [...initContainers] },
  })
}

function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  for (const member of Object.values(value)) freeze(member)
  return Object.freeze(value)
}

const proxy: Container = { name: 'istio-proxy' }

/** What became of a pod: its first container, and the probers. */
function seen(pod: Pod): { app: unknown; probers: unknown } {
  const all = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])]
  const text = byName(byName(all, 'istio-proxy')?.env, PROBERS)?.value
  return { app: all[0], probers: text === undefined ? undefined : JSON.parse(text) }
}

/** The pod as injection leaves it behind. */
function marked(pod: Pod): Pod {
  const annotations = { ...pod.metadata?.annotations, [STATUS]: '{}' }
  return freeze({ ...pod, metadata: { ...pod.metadata, annotations } })
}

const checks: readonly {
  what: string
  app: Container
  annotations?: Readonly<Record<string, string>>
  want: { app: unknown; probers?: unknown }
}[] = [
  {
    what: 'HTTP keeps host, headers and timings; the agent asks what the kubelet would have asked',
    app: {
      name: 'a',
      readinessProbe: {
        httpGet: { path: '/r', port: 80, host: 'h', httpHeaders: [{ name: 'X', value: '1' }] },
        periodSeconds: 7,
        timeoutSeconds: 3,
      },
    },
    want: {
      app: {
        name: 'a',
        readinessProbe: {
          httpGet: {
            path: '/app-health/a/readyz',
            port: 15020,
            host: 'h',
            httpHeaders: [{ name: 'X', value: '1' }],
          },
          periodSeconds: 7,
          timeoutSeconds: 3,
        },
      },
      probers: {
        '/app-health/a/readyz': {
          httpGet: { path: '/r', port: 80, host: 'h', httpHeaders: [{ name: 'X', value: '1' }] },
          timeoutSeconds: 3,
        },
      },
    },
  },
  {
    what: 'HTTPS ends at the agent, which is asked in the clear',
    app: { name: 'a', livenessProbe: { httpGet: { path: '/', port: 8443, scheme: 'HTTPS' } } },
    want: {
      app: {
        name: 'a',
        livenessProbe: { httpGet: { path: '/app-health/a/livez', port: 15020, scheme: 'HTTP' } },
      },
      probers: { '/app-health/a/livez': { httpGet: { path: '/', port: 8443, scheme: 'HTTPS' } } },
    },
  },
  {
    what: 'TCP becomes HTTP',
    app: {
      name: 'a',
      startupProbe: { tcpSocket: { port: 'sql', host: '' } },
      ports: [{ name: 'sql', containerPort: 3306 }],
    },
    want: {
      app: {
        name: 'a',
        startupProbe: { httpGet: { path: '/app-health/a/startupz', port: 15020 } },
        ports: [{ name: 'sql', containerPort: 3306 }],
      },
      probers: { '/app-health/a/startupz': { tcpSocket: { port: 3306 } } },
    },
  },
  {
    what: 'gRPC becomes HTTP; an absent service is null for the agent',
    app: { name: 'a', livenessProbe: { grpc: { port: 15020 }, failureThreshold: 2 } },
    want: {
      app: {
        name: 'a',
        livenessProbe: {
          httpGet: { path: '/app-health/a/livez', port: 15020 },
          failureThreshold: 2,
        },
      },
      probers: { '/app-health/a/livez': { grpc: { port: 15020, service: null } } },
    },
  },
  {
    what: 'hooks by HTTP and TCP are taken over, exec stays',
    app: {
      name: 'a',
      lifecycle: { preStop: { tcpSocket: { port: 9 } }, postStart: { exec: { command: ['x'] } } },
      livenessProbe: { exec: { command: ['y'] } },
    },
    want: {
      app: {
        name: 'a',
        lifecycle: {
          preStop: { httpGet: { path: '/app-lifecycle/a/prestopz', port: 15020 } },
          postStart: { exec: { command: ['x'] } },
        },
        livenessProbe: { exec: { command: ['y'] } },
      },
      probers: { '/app-lifecycle/a/prestopz': { tcpSocket: { port: 9 } } },
    },
  },
  {
    what: "a check of the mesh's status port is turned, and not asked again",
    app: { name: 'a', livenessProbe: { httpGet: { port: 15020 } } },
    want: {
      app: { name: 'a', livenessProbe: { httpGet: { port: 15020, path: '/app-health/a/livez' } } },
    },
  },
  {
    what: "the pod's own status port, blanks around it forgiven",
    app: { name: 'a', livenessProbe: { httpGet: { port: 80 } } },
    annotations: { [STATUS_PORT]: ' 15999 ' },
    want: {
      app: { name: 'a', livenessProbe: { httpGet: { port: 15999, path: '/app-health/a/livez' } } },
      probers: { '/app-health/a/livez': { httpGet: { port: 80 } } },
    },
  },
  {
    what: "a status port that is none is 0, not the mesh's: the pod meant something else",
    app: { name: 'a', livenessProbe: { httpGet: { port: 80 } } },
    annotations: { [STATUS_PORT]: 'abc' },
    want: {
      app: { name: 'a', livenessProbe: { httpGet: { port: 0, path: '/app-health/a/livez' } } },
      probers: { '/app-health/a/livez': { httpGet: { port: 80 } } },
    },
  },
]

for (const c of checks) {
  t.test(c.what, async (t) => {
    const { app, probers } = seen(rewriteProbes(podOf([c.app, proxy], c.annotations), facts))
    t.strictSame(app, c.want.app)
    t.strictSame(probers, c.want.probers)
  })
}

const app: Container = { name: 'a', readinessProbe: { httpGet: { port: 80 } } }
const turned = {
  name: 'a',
  readinessProbe: { httpGet: { port: 15020, path: '/app-health/a/readyz' } },
}

const untouched: readonly { what: string; pod: Pod; enabled?: boolean }[] = [
  { what: 'no proxy', pod: podOf([app]) },
  { what: 'no checks', pod: podOf([{ name: 'a' }, proxy]) },
  { what: 'no spec', pod: freeze({ metadata: { name: 'p' } }) },
  {
    what: "the proxy's own checks",
    pod: podOf([{ name: 'a' }, { ...app, name: 'istio-proxy' }]),
  },
  { what: 'rewriting off by the values', pod: podOf([app, proxy]), enabled: false },
  {
    what: 'rewriting off by the annotation',
    pod: podOf([app, proxy], { 'sidecar.istio.io/rewriteAppHTTPProbers': 'f' }),
  },
  {
    what: 'checks that only the kubelet can make',
    pod: podOf([{ name: 'a', livenessProbe: { exec: {} } }, proxy]),
  },
]

for (const { what, pod, enabled = true } of untouched) {
  t.test(`the same pod comes back: ${what}`, async (t) => {
    t.equal(rewriteProbes(pod, { ...facts, enabled }), pod)
  })
}

t.test('a native proxy is a proxy, and init containers are asked too', async (t) => {
  const pod = podOf([{ name: 'b' }], {}, [app, proxy])
  const { spec } = rewriteProbes(pod, facts)
  t.strictSame(spec?.initContainers, [
    turned,
    {
      name: 'istio-proxy',
      env: [{ name: PROBERS, value: '{"/app-health/a/readyz":{"httpGet":{"port":80}}}' }],
    },
  ])
  t.equal(spec?.containers, pod.spec?.containers)
})

t.test('what is not about checks is shared with the pod that came in', async (t) => {
  const other: Container = { name: 'b', env: [{ name: 'X', value: '1' }] }
  const ports = [{ containerPort: 80 }]
  const pod = podOf([{ ...app, ports }, other, proxy])
  const after = rewriteProbes(pod, facts)
  t.equal(after.metadata, pod.metadata)
  t.equal(after.spec?.containers[1], pod.spec?.containers[1])
  t.equal(after.spec?.containers[0]?.ports, pod.spec?.containers[0]?.ports)
})

t.test('as Istio 1.8: HTTP probes of regular containers only', async (t) => {
  const busy: Container = {
    ...app,
    livenessProbe: { tcpSocket: { port: 81 } },
    lifecycle: { preStop: { httpGet: { port: 82 } } },
  }
  const pod = podOf([busy, proxy], {}, [{ ...app, name: 'i' }])
  const after = rewriteProbes(pod, { ...facts, dialect: PROBES_1_8 })
  t.strictSame(after.spec?.containers[0], { ...busy, ...turned })
  t.equal(after.spec?.initContainers, pod.spec?.initContainers)
  t.strictSame(seen(after).probers, { '/app-health/a/readyz': { httpGet: { port: 80 } } })
})

const before =
  '{"/app-health/a/readyz":{"httpGet":{"port":80}},"/app-health/z/livez":{"tcpSocket":{"port":5}}}'

const environments: readonly {
  what: string
  env: readonly EnvVar[]
  wasInjected: boolean
  want: readonly EnvVar[]
}[] = [
  {
    what: 'at the end of a fresh proxy',
    env: [{ name: 'X', value: '1' }],
    wasInjected: false,
    want: [
      { name: 'X', value: '1' },
      { name: PROBERS, value: '{"/a":{"grpc":{"port":1,"service":null}}}' },
    ],
  },
  {
    what: "instead of a variable of the pod's author",
    env: [
      { name: PROBERS, value: before },
      { name: 'X', value: '1' },
    ],
    wasInjected: false,
    want: [
      { name: 'X', value: '1' },
      { name: PROBERS, value: '{"/a":{"grpc":{"port":1,"service":null}}}' },
    ],
  },
  {
    what: 'together with those of an earlier injection, in place, sorted',
    env: [
      { name: PROBERS, value: before },
      { name: 'X', value: '1' },
    ],
    wasInjected: true,
    want: [
      {
        name: PROBERS,
        value: `{"/a":{"grpc":{"port":1,"service":null}},${before.slice(1)}`,
      },
      { name: 'X', value: '1' },
    ],
  },
  {
    what: 'instead of what an earlier injection cannot have written',
    env: [{ name: PROBERS, value: '{"/b":{"httpGet":7},"/c":[]' }],
    wasInjected: true,
    want: [{ name: PROBERS, value: '{"/a":{"grpc":{"port":1,"service":null}}}' }],
  },
]

for (const c of environments) {
  t.test(`probers stand ${c.what}`, async (t) => {
    const probers = new Map([['/a', { grpc: { port: 1, service: null } }]])
    t.strictSame(addProbers(freeze(c.env), probers, c.wasInjected), c.want)
  })
}

t.test('a check that was changed after injection is asked as it is now', async (t) => {
  const once = marked(rewriteProbes(podOf([app, proxy]), facts))
  const containers = [
    { ...app, readinessProbe: { httpGet: { port: 81 } } },
    ...(once.spec?.containers.slice(1) ?? []),
  ]
  const { probers } = seen(rewriteProbes({ ...once, spec: { ...once.spec, containers } }, facts))
  t.strictSame(probers, { '/app-health/a/readyz': { httpGet: { port: 81 } } })
})

t.test('probers are printed as Go prints them', async (t) => {
  const read = readProbers(
    '{"/z":{"httpGet":{"port":1,"path":"/?a=1&b=<c>","x":1}},"/y":{"exec":{}},"/a":{"tcpSocket":{"port":2}}}',
  )
  t.equal(
    printProbers(read),
    '{"/a":{"tcpSocket":{"port":2}},"/z":{"httpGet":{"path":"/?a=1\\u0026b=\\u003cc\\u003e","port":1}}}',
  )
})

const unanswered: readonly {
  what: string
  pod: Pod
  enabled?: boolean
  want: readonly string[]
}[] = [
  { what: 'checks of numbers', pod: podOf([app, proxy]), want: [] },
  {
    what: 'a name that the container does not have, though another has it',
    pod: podOf([
      { name: 'a', livenessProbe: { tcpSocket: { port: 'web' } } },
      { name: 'b', ports: [{ name: 'web', containerPort: 80 }] },
      proxy,
    ]),
    want: [
      '/spec/containers/0/livenessProbe/tcpSocket/port: got "web", want a number, or the name of a port of container "a"',
    ],
  },
  {
    what: 'a number in quotes, in a hook of an init container',
    pod: podOf([proxy], {}, [{ name: 'a', lifecycle: { preStop: { httpGet: { port: '80' } } } }]),
    want: [
      '/spec/initContainers/0/lifecycle/preStop/httpGet/port: got "80", want a number, or the name of a port of container "a"',
    ],
  },
  {
    what: 'no port for the agent to answer on',
    pod: podOf([app, proxy], { [STATUS_PORT]: '0' }),
    want: [
      `/spec/containers/0/readinessProbe: got "httpGet", want a port of the agent's status server in ${STATUS_PORT}, not 0`,
    ],
  },
  {
    what: 'nothing is said where nothing is rewritten',
    pod: podOf([app, proxy], { [STATUS_PORT]: '0' }),
    enabled: false,
    want: [],
  },
]

for (const { what, pod, enabled = true, want } of unanswered) {
  t.test(`checks that nobody will answer: ${what}`, async (t) => {
    t.strictSame(findUnansweredProbes(pod, { ...facts, enabled }).map(formatProblem), want)
  })
}

t.test('ports of a container', async (t) => {
  const container: Container = {
    name: 'a',
    ports: [
      { name: 'x', containerPort: 1 },
      { name: 'x', containerPort: 2, protocol: 'TCP' },
      { name: '', containerPort: 3, protocol: 'UDP' },
      { containerPort: 4, protocol: 'SCTP' },
    ],
  }
  t.strictSame(
    [7, 'x', '', '4', 'toString'].map((port) => resolvePort(container, port)),
    [7, 2, undefined, undefined, undefined],
  )
  t.strictSame(proxiedPorts(container), ['1', '2'])
  t.strictSame(proxiedPorts({ name: 'b' }), [])
})

t.test('an annotation that is no boolean leaves it to the values', async (t) => {
  const answers = ['1', 'T', 'TRUE', '0', 'F', 'False', 'yes', '', ' true'].map((text) => {
    const annotations = { 'sidecar.istio.io/rewriteAppHTTPProbers': text }
    return [isRewriting(annotations, true), isRewriting(annotations, false)]
  })
  const [yes, no, open] = [
    [true, true],
    [false, false],
    [true, false],
  ]
  t.strictSame(answers, [yes, yes, yes, no, no, no, open, open, open])
})

const port = fc.oneof(
  fc.integer({ min: 1, max: 65535 }),
  fc.constantFrom(15020, 15999, 'web', 'none', '80'),
)
const number = fc.integer({ min: 1, max: 65535 })
const text = fc.constantFrom('', '/', '/x', '/app-health/a/livez')
const handler = fc.oneof(
  fc.record({
    httpGet: fc.record(
      { port, path: text, scheme: fc.constantFrom('HTTP', 'HTTPS') },
      { requiredKeys: ['port'] },
    ),
  }),
  fc.record({ tcpSocket: fc.record({ port }) }),
  fc.record({ exec: fc.constant<{ command: string[] }>({ command: ['x'] }) }),
)
const grpc = fc.record({
  grpc: fc.record({ port: number, service: fc.string() }, { requiredKeys: ['port'] }),
})
const probe = fc
  .tuple(fc.oneof(handler, grpc), fc.integer({ min: 0, max: 9 }))
  .map(([how, timeoutSeconds]) => ({ ...how, timeoutSeconds }))
const container = (name: string) =>
  fc.record(
    {
      name: fc.constant(name),
      ports: fc.constant<ContainerPort[]>([{ name: 'web', containerPort: 8080 }]),
      readinessProbe: probe,
      livenessProbe: probe,
      startupProbe: probe,
      lifecycle: fc.record({ preStop: handler, postStart: handler }, { requiredKeys: [] }),
    },
    { requiredKeys: ['name'] },
  )
const proxyEnv = fc.constantFrom<readonly EnvVar[]>(
  [],
  [{ name: PROBERS, value: before }],
  [{ name: PROBERS, value: '{' }],
)
const anyPod = fc
  .record({
    a: container('a'),
    b: container('b'),
    init: container('c'),
    env: proxyEnv,
    annotations: fc.constantFrom(
      {},
      { [STATUS_PORT]: '15999' },
      { [STATUS_PORT]: '0' },
      { [STATUS]: '' },
    ),
  })
  .map(({ a, b, init, env, annotations }) => {
    return podOf([a, { ...proxy, env: [...env] }, b], annotations, [init])
  })

for (const [name, dialect] of [
  ['current', PROBES_CURRENT],
  ['1.8', PROBES_1_8],
] as const) {
  t.test(`rewriting twice is rewriting once (${name})`, async (t) => {
    fc.assert(
      fc.property(anyPod, (pod) => {
        const once = marked(rewriteProbes(pod, { ...facts, dialect }))
        t.equal(rewriteProbes(once, { ...facts, dialect }), once)
      }),
    )
  })
}

t.test(
  'no check is lost: the agent asks what the kubelet asked, or the problem is told',
  async (t) => {
    fc.assert(
      fc.property(anyPod, (pod) => {
        const after = rewriteProbes(pod, facts)
        const told = findUnansweredProbes(pod, facts)
        const { probers } = seen({ spec: { containers: [proxyOf(after)] } })
        for (const { path, probe: asked, field } of checksOf(pod)) {
          const handler = asked.httpGet ?? asked.tcpSocket ?? asked.grpc
          if (handler === undefined || told.some((problem) => problem.path.includes(field)))
            continue
          const isAgents = asked.grpc === undefined && handler.port === 15020
          const isOurs = asked.httpGet?.path === path
          if (isAgents || isOurs) continue
          const wanted = handler.port === 'web' ? 8080 : handler.port
          t.match(probers, { [path]: {} }, field)
          t.match(JSON.stringify(probers), `"port":${String(wanted)}`)
        }
      }),
    )
  },
)

function proxyOf(pod: Pod): Container {
  const found = byName(pod.spec?.containers, 'istio-proxy')
  if (found === undefined) throw new Error('the proxy is gone')
  return found
}

function checksOf({ spec }: Pod) {
  const lists = { containers: spec?.containers ?? [], initContainers: spec?.initContainers ?? [] }
  return Object.entries(lists).flatMap(([list, containers]) =>
    containers.flatMap((container, index) =>
      container.name === 'istio-proxy'
        ? []
        : PROBES_CURRENT.places.flatMap(({ find, path, field }) => {
            const probe = find(container)
            const at = `/spec/${list}/${index}/${field}`
            return probe === undefined ? [] : [{ probe, path: path(container.name), field: at }]
          }),
    ),
  )
}
