import fc from 'fast-check'
import t from 'tap'
import { orderContainers } from '../../../core/inject/order.ts'
import { overlaid, readOverrides, stripped } from '../../../core/inject/overrides.ts'
import { writeStatus } from '../../../core/inject/status.ts'
import { isSame, type JsonObject } from '../../../core/json.ts'
import { byName, type Container, type Pod } from '../../../core/k8s.ts'

const OVERRIDES = 'proxy.istio.io/overrides'
const STATUS = 'sidecar.istio.io/status'

const proxy = {
  name: 'istio-proxy',
  image: 'proxy:1',
  args: ['proxy', 'sidecar'],
  env: [
    { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
    { name: 'MODE', value: 'REDIRECT' },
    { name: 'DOMAIN', value: 'd' },
  ],
  ports: [{ containerPort: 15090, name: 'http-envoy-prom' }],
  resources: { limits: { cpu: '2', memory: '1Gi' }, requests: { cpu: '100m' } },
  readinessProbe: { httpGet: { path: '/healthz/ready', port: 15021 }, periodSeconds: 15 },
  securityContext: { runAsUser: 1337, runAsGroup: 1337, runAsNonRoot: true },
  volumeMounts: [{ name: 'istio-envoy', mountPath: '/etc/istio/proxy' }],
}
const init = {
  name: 'istio-init',
  image: 'init:1',
  args: ['istio-iptables', '-p', '15001', '-u', '1337', '-m', 'REDIRECT'],
  securityContext: { runAsUser: 0 },
}
const validation = { ...init, name: 'istio-validation', securityContext: { runAsUser: 1337 } }
const volumes = [{ name: 'istio-envoy', emptyDir: { medium: 'Memory' } }]
const sidecar = { ...proxy, restartPolicy: 'Always' }
const templates = {
  plain: [{ spec: { containers: [proxy], initContainers: [init], volumes } }],
  native: [{ spec: { initContainers: [init, sidecar], volumes } }],
  cni: [{ spec: { initContainers: [validation, sidecar], volumes } }],
  none: [{ spec: { initContainers: [], volumes } }],
  mixed: [
    { spec: { containers: [{ name: 'istio-proxy', env: [{ name: 'X', value: 'x' }] }] } },
    { spec: { initContainers: [init, sidecar], volumes } },
  ],
  apps: [{ spec: { containers: [{ name: 'app', env: [{ name: 'T', value: 'template' }] }] } }],
} satisfies Readonly<Record<string, readonly JsonObject[]>>
type Kind = keyof typeof templates

/** One injection as far as this is about: merge, status, order. */
function inject(pod: Pod, kind: Kind, isTproxy = false): Pod {
  const read = overlaid(pod, templates[kind], { isTproxy })
  if (!read.ok) throw new Error(JSON.stringify(read.problems))
  const { merged, template } = read.value
  return orderContainers(writeStatus(merged, template, { revision: '' }), false)
}

const app = { name: 'app', image: 'a' }
const podOf = (containers: readonly JsonObject[], more: JsonObject = {}): Pod =>
  ({ metadata: { name: 'p' }, spec: { containers, ...more } }) as unknown as Pod
const places = ({ spec }: Pod) => ({
  containers: spec?.containers.map(({ name }) => name),
  initContainers: (spec?.initContainers ?? []).map(({ name }) => name),
})
const all = ({ spec }: Pod) => [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])]
const proxyOf = (pod: Pod) => byName(all(pod), 'istio-proxy')
const uidOf = (pod: Pod) => {
  const args = all(pod).find(
    ({ name }) => name.startsWith('istio-') && name !== 'istio-proxy',
  )?.args
  return args?.[args.indexOf('-u') + 1]
}

/** A field of the user's istio-proxy, and the proxy's field after injection. */
const wins: readonly { readonly what: string; readonly user: JsonObject; readonly want: object }[] =
  [
    {
      what: 'the image auto is the template’s',
      user: { image: 'auto' },
      want: { image: 'proxy:1' },
    },
    { what: 'another image is kept', user: { image: 'mine' }, want: { image: 'mine' } },
    { what: 'args are replaced', user: { args: ['x'] }, want: { args: ['x'] } },
    {
      what: 'resources are merged, canonical',
      user: { resources: { limits: { cpu: '3000m' } } },
      want: { resources: { limits: { cpu: '3', memory: '1Gi' }, requests: { cpu: '100m' } } },
    },
    {
      what: 'security is merged',
      user: { securityContext: { runAsUser: 1234 } },
      want: { securityContext: { runAsUser: 1234, runAsGroup: 1337, runAsNonRoot: true } },
    },
    {
      what: 'variables win in place, own ones follow',
      user: {
        env: [
          { name: 'MODE', value: 'mine' },
          { name: 'OWN', value: '1' },
        ],
      },
      want: {
        env: [
          proxy.env[0],
          { name: 'MODE', value: 'mine' },
          proxy.env[2],
          { name: 'OWN', value: '1' },
        ],
      },
    },
    {
      what: 'a plain value takes the place of a reference',
      user: { env: [{ name: 'POD_NAME', value: 'mine' }] },
      want: { env: [{ name: 'POD_NAME', value: 'mine' }, proxy.env[1], proxy.env[2]] },
    },
    {
      what: 'another handler takes the place of the probe’s',
      user: { readinessProbe: { exec: { command: ['true'] } } },
      want: { readinessProbe: { exec: { command: ['true'] }, periodSeconds: 15 } },
    },
    {
      what: 'ports are merged by number, mounts by path',
      user: {
        ports: [{ containerPort: 15090, name: 'mine' }],
        volumeMounts: [{ name: 'mine', mountPath: '/m' }],
      },
      want: {
        ports: [{ containerPort: 15090, name: 'mine' }],
        volumeMounts: [proxy.volumeMounts[0], { name: 'mine', mountPath: '/m' }],
      },
    },
    {
      what: 'a field that this program does not know survives',
      user: { fromTheFuture: { a: 1 } },
      want: { fromTheFuture: { a: 1 } },
    },
  ]

t.test('the user’s proxy wins, once and for all', async (t) => {
  for (const { what, user, want } of wins) {
    for (const kind of ['plain', 'native', 'cni'] as const) {
      const pod = podOf([{ name: 'istio-proxy', ...user }, app])
      const frozen = JSON.stringify(pod)
      const once = inject(pod, kind)
      t.match(proxyOf(once), want, `${what}, ${kind}`)
      t.strictSame(inject(once, kind), once, `${what}, ${kind}: twice is once`)
      t.equal(JSON.stringify(pod), frozen, `${what}, ${kind}: nothing is mutated`)
    }
  }
})

t.test('what the user set is remembered as Istio writes it', async (t) => {
  const user = {
    name: 'istio-proxy',
    image: 'auto',
    args: ['x'],
    resources: { limits: { cpu: '3000m' } },
  }
  const mine = '{"name":"istio-proxy","args":["x"],"resources":{"limits":{"cpu":"3"}}}'
  const annotation = (pod: Pod) => pod.metadata?.annotations?.[OVERRIDES]
  t.equal(annotation(inject(podOf([app, user]), 'plain')), `{"containers":[${mine}]}`)
  const native = inject(podOf([app, user]), 'native')
  t.equal(annotation(native), `{"initContainers":[${mine}]}`, 'in the list of the template')
  t.equal(annotation(inject(native, 'plain')), `{"containers":[${mine}]}`, 'and of the next one')
  t.equal(annotation(inject(podOf([app]), 'native')), undefined, 'nothing set, nothing remembered')
  const twice = inject(inject(podOf([app]), 'apps'), 'apps')
  t.match(annotation(twice), /"name":"app","image":"a"/, 'any container that a template takes over')
})

t.test('an injected pod has one proxy and one init container, whatever is switched', async (t) => {
  const users = { nobody: [app], proxy: [{ name: 'istio-proxy', image: 'auto', tty: true }, app] }
  const want = {
    plain: { containers: ['app', 'istio-proxy'], initContainers: ['istio-init'] },
    native: { containers: ['app'], initContainers: ['istio-init', 'istio-proxy'] },
    cni: { containers: ['app'], initContainers: ['istio-validation', 'istio-proxy'] },
  }
  const kinds = ['plain', 'native', 'cni'] as const
  for (const [who, containers] of Object.entries(users)) {
    for (const before of kinds) {
      for (const after of kinds) {
        const what = `${who}'s, from ${before} to ${after}`
        const pod = inject(inject(podOf(containers), before), after)
        t.strictSame(places(pod), want[after], what)
        const restart = after === 'plain' ? undefined : 'Always'
        t.equal((proxyOf(pod) as { restartPolicy?: string }).restartPolicy, restart, what)
        t.equal(proxyOf(pod)?.tty, who === 'proxy' ? true : undefined, what)
        if (who === 'proxy') t.strictSame(pod, inject(pod, after), `${what}: twice is once`)
      }
    }
  }
})

t.test(
  'templates that disagree about the user’s proxy mean one proxy, the native one',
  async (t) => {
    const once = inject(podOf([{ name: 'istio-proxy', image: 'auto', tty: true }, app]), 'mixed')
    t.strictSame(places(once), {
      containers: ['app'],
      initContainers: ['istio-init', 'istio-proxy'],
    })
    t.match(proxyOf(once), { image: 'proxy:1', tty: true, restartPolicy: 'Always' })
    t.ok(
      proxyOf(once)?.env?.some(({ name }) => name === 'X'),
      'with what both bring',
    )
    t.strictSame(inject(once, 'mixed'), once, 'twice is once')
  },
)

t.test('a proxy that became native keeps what it was, as Istio has it', async (t) => {
  const old = inject(podOf([app]), 'plain')
  const changed = { ...byName(old.spec?.containers, 'istio-proxy'), args: ['old'] } as Container
  const pod = { ...old, spec: { ...old.spec, containers: [app, changed] } } as Pod
  t.strictSame(proxyOf(inject(pod, 'native'))?.args, ['old'])
  t.strictSame(proxyOf(inject(pod, 'plain'))?.args, ['proxy', 'sidecar'])
})

t.test('what the templates no longer bring is gone, or is the user’s again', async (t) => {
  const gone = inject(inject(podOf([app]), 'native'), 'none')
  t.strictSame(places(gone), { containers: ['app'], initContainers: [] })
  const mine = { name: 'istio-init', image: 'mine' }
  const back = inject(inject(podOf([app], { initContainers: [mine] }), 'plain'), 'cni')
  t.match(byName(all(back), 'istio-init'), mine)
  t.equal(byName(all(back), 'istio-init')?.args, undefined)
})

t.test('the ids agree', async (t) => {
  const rows = [
    { ids: { runAsUser: 1234, runAsGroup: 4321 }, kind: 'native', uid: '1234', user: 1234 },
    { ids: { runAsGroup: 4321 }, kind: 'native', uid: '1337', user: 1337 },
    { ids: { runAsUser: 0 }, kind: 'native', uid: '1337', user: 0 },
    { ids: { runAsUser: 1234 }, kind: 'native', isTproxy: true, uid: '1234', user: 0 },
    { ids: { runAsUser: 1234 }, kind: 'plain', uid: '1234', user: 1234 },
    { ids: {}, kind: 'native', uid: '1337', user: 1337 },
    {
      ids: { runAsUser: 1234, runAsGroup: 4321 },
      kind: 'cni',
      uid: '1234',
      user: 1234,
      check: 1234,
    },
    { ids: { runAsUser: 1234 }, kind: 'cni', isTproxy: true, uid: '1234', user: 0, check: 1337 },
  ] as const
  for (const { ids, kind, uid, user, ...more } of rows) {
    const { isTproxy = false, check } = { isTproxy: undefined, check: undefined, ...more }
    const what = `${JSON.stringify(ids)} ${kind} ${isTproxy ? 'TPROXY' : ''}`
    const pod = inject(podOf([app, { name: 'istio-proxy', securityContext: ids }]), kind, isTproxy)
    t.equal(uidOf(pod), uid, `${what}: -u`)
    t.equal(proxyOf(pod)?.securityContext?.runAsUser, user, `${what}: proxy`)
    const checked = byName(all(pod), 'istio-validation')?.securityContext?.runAsUser
    t.equal(checked, check, `${what}: validation`)
    t.strictSame(inject(pod, kind, isTproxy), pod, `${what}: twice is once`)
  }
  const annotated = {
    ...podOf([app, { name: 'istio-proxy', securityContext: { runAsUser: 1234 } }]),
    metadata: { annotations: { 'sidecar.istio.io/interceptionMode': 'TPROXY' } },
  }
  t.equal(proxyOf(inject(annotated, 'native'))?.securityContext?.runAsUser, 0, 'the annotation')
})

t.test('a volume has one source: that of the pod', async (t) => {
  const mine = { name: 'istio-envoy', hostPath: { path: '/mine' } }
  const once = inject(podOf([app], { volumes: [mine] }), 'native')
  t.strictSame(once.spec?.volumes, [mine])
  t.strictSame(inject(once, 'native'), once, 'twice is once')
})

t.test('templates see the pod as it was', async (t) => {
  const own = { name: 'istio-proxy', image: 'auto', ports: [{ containerPort: 1 }] }
  const pods = {
    'nothing of ours': podOf([app]),
    'a proxy of the user’s': podOf([own, app]),
    'a proxy and an init container': podOf([app, own], {
      initContainers: [{ name: 'istio-init', args: ['x'] }, { name: 'setup' }],
    }),
    'a native proxy of the user’s': podOf([app], {
      initContainers: [{ ...own, restartPolicy: 'Always' }],
    }),
  }
  const seen = (pod: Pod) =>
    (['containers', 'initContainers'] as const).map((list) =>
      (stripped(pod).spec?.[list] ?? []).map(({ name, ports, args }) => ({ name, ports, args })),
    )
  for (const [what, pod] of Object.entries(pods)) {
    for (const kind of ['plain', 'native'] as const) {
      t.strictSame(seen(inject(pod, kind)), seen(pod), `${what}, ${kind}`)
    }
  }
  const plain = podOf([app])
  t.equal(stripped(plain), plain, 'nothing to strip')
  const others = { 'prometheus.io/port': '15020', 'prometheus.io.path': '/m', a: '1' }
  const annotations = { [STATUS]: '{}', ...others }
  const marked: Pod = { metadata: { annotations }, spec: { containers: [app] } }
  t.strictSame(stripped(marked, 15020).metadata?.annotations, { a: '1' })
  t.strictSame(stripped(marked, 15099).metadata?.annotations, others, 'the user’s own metrics')
})

t.test('problems are told with their place', async (t) => {
  const annotation = (text: string) => readOverrides({ [OVERRIDES]: text })
  const path = OVERRIDES
  const rows = [
    { text: '{', problem: { path, got: '{', want: 'a JSON object' } },
    { text: '[]', problem: { path, got: '[]', want: 'a JSON object' } },
    { text: '{"containers":1}', problem: { path: `${path}: /containers`, want: 'a list' } },
    {
      text: '{"containers":[{"name":"a","tty":"x"}]}',
      problem: { path: `${path}: /containers/0/tty`, got: 'x', want: 'true or false' },
    },
    {
      text: '{"initContainers":[{}]}',
      problem: { path: `${path}: /initContainers/0`, want: 'a container with a name' },
    },
  ]
  for (const { text, problem } of rows) {
    t.match(annotation(text), { ok: false, problems: [problem] }, text)
    const pod: Pod = { metadata: { annotations: { [OVERRIDES]: text } } }
    t.match(overlaid(pod, templates.plain, { isTproxy: false }), { ok: false }, text)
    t.doesNotThrow(() => stripped(pod), text)
  }
  const pod = podOf([app, { name: 'istio-proxy', env: [{ value: '1' }] }])
  t.match(overlaid(pod, templates.plain, { isTproxy: false }), {
    ok: false,
    problems: [{ path: '/spec/containers/1/env/0', want: 'an object with name' }],
  })
})

const name = fc.constantFrom('POD_NAME', 'MODE', 'DOMAIN', 'X', 'Y')
const anyEnv = fc.uniqueArray(
  fc.oneof(
    fc.record({ name, value: fc.constantFrom('', '1') }),
    fc.record({ name, valueFrom: fc.constant({ fieldRef: { fieldPath: 'spec.nodeName' } }) }),
  ),
  { selector: (each) => each.name },
)
const handler = fc.constantFrom(
  { exec: { command: ['x'] } },
  { tcpSocket: { port: 1 } },
  { httpGet: { path: '/', port: 'p' } },
)
const anyProxy = fc.record(
  {
    image: fc.constantFrom('auto', 'mine', ''),
    args: fc.array(fc.string()),
    env: anyEnv,
    ports: fc.uniqueArray(
      fc.record({ containerPort: fc.constantFrom(1, 15090), name: fc.string() }),
      {
        selector: (each) => each.containerPort,
      },
    ),
    resources: fc.record({
      limits: fc.dictionary(fc.constantFrom('cpu', 'x'), fc.constantFrom('1', '1000m', '0.5Gi')),
    }),
    readinessProbe: handler,
    lifecycle: fc.record({ preStop: handler }, { requiredKeys: [] }),
    securityContext: fc.record(
      { runAsUser: fc.nat(3), runAsGroup: fc.nat(3) },
      { requiredKeys: [] },
    ),
    volumeMounts: fc.uniqueArray(
      fc.record({
        mountPath: fc.constantFrom('/m', '/etc/istio/proxy'),
        name: fc.constantFrom('v', 'w'),
      }),
      { selector: (each) => each.mountPath },
    ),
    more: fc.constant({ unknown: true }),
  },
  { requiredKeys: [] },
)

t.test('law: injecting twice is injecting once, for any proxy of the user’s', async () => {
  fc.assert(
    fc.property(
      anyProxy,
      anyProxy,
      fc.constantFrom('plain', 'native', 'cni', 'mixed'),
      fc.boolean(),
      fc.boolean(),
      (user, userInit, kind: Kind, isTproxy, isInit) => {
        const mine = { name: 'istio-proxy', ...user }
        const inits = [{ name: 'istio-init', ...userInit }, ...(isInit ? [mine] : [])]
        const pod = podOf(isInit ? [app] : [mine, app], { initContainers: inits })
        const once = inject(pod, kind, isTproxy)
        return (
          isSame(inject(once, kind, isTproxy), once) &&
          isSame(stripped(once), stripped(stripped(once)))
        )
      },
    ),
    { numRuns: 500 },
  )
})

t.test('law: what is not ours is the very same', async () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom('plain', 'native'), (unknown, kind: Kind) => {
      const foreign = { name: 'app', image: 'a', unknown } as unknown as Container
      const pod = podOf([foreign, { name: 'istio-proxy', image: 'auto' }])
      return byName(inject(inject(pod, kind), kind).spec?.containers, 'app') === foreign
    }),
  )
})
