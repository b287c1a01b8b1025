/** Clashes of pod and template: what is put right, and what is told. The API server's own verdict: test/e2e. */
import t from 'tap'
import { injectPod } from '../../../core/inject/inject.ts'
import type { JsonObject } from '../../../core/json.ts'
import { byName, type Container, type Pod } from '../../../core/k8s.ts'
import { configOf, frozen, requestFor } from '../../support/config.ts'

const config = configOf({})
const gateway = { 'inject.istio.io/templates': 'gateway' }

type Parts = {
  readonly own?: JsonObject
  readonly spec?: JsonObject
  readonly annotations?: JsonObject
  readonly name?: string
}

function podWith({ own, spec = {}, annotations = {}, name = 'p' }: Parts): JsonObject {
  const containers = [{ name: 'app', image: 'nginx' }, ...(own === undefined ? [] : [own])]
  return frozen({ metadata: { name, annotations }, spec: { containers, ...spec } })
}

const proxy = (rest: JsonObject) => ({ name: 'istio-proxy', image: 'auto', ...rest })
const requests = (name: string, text: string) => ({ resources: { requests: { [name]: text } } })
const limits = (name: string, text: string) => ({ resources: { limits: { [name]: text } } })

type Repair = {
  readonly who: string
  readonly parts: Parts
  readonly look: (proxy: Container | undefined, pod: Pod) => unknown
  readonly want: unknown
}

const repairs: readonly Repair[] = [
  {
    who: "the user's limit lowers the template's request",
    parts: { own: proxy(limits('memory', '16Mi')) },
    look: (proxy) => proxy?.resources,
    want: { requests: { cpu: '100m', memory: '16Mi' }, limits: { cpu: '2', memory: '16Mi' } },
  },
  {
    who: "the user's request raises the template's limit",
    parts: { own: proxy(requests('cpu', '3')) },
    look: (proxy) => proxy?.resources,
    want: { requests: { cpu: '3', memory: '128Mi' }, limits: { cpu: '3', memory: '1Gi' } },
  },
  {
    who: 'amounts that fit stay, in another notation too',
    parts: { own: proxy(limits('cpu', '0.1')) },
    look: (proxy) => proxy?.resources?.requests,
    want: { cpu: '100m', memory: '128Mi' },
  },
  {
    who: 'all privileges bring new ones',
    parts: { own: proxy({ securityContext: { privileged: true } }) },
    look: (proxy) => proxy?.securityContext?.allowPrivilegeEscalation,
    want: true,
  },
  {
    who: 'CAP_SYS_ADMIN brings new privileges',
    parts: { own: proxy({ securityContext: { capabilities: { add: ['CAP_SYS_ADMIN'] } } }) },
    look: (proxy) => proxy?.securityContext?.allowPrivilegeEscalation,
    want: true,
  },
  {
    who: 'of a variable that stands twice the last one counts',
    parts: {
      own: proxy({
        env: [
          { name: 'CA_ADDR', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
          { name: 'CA_ADDR', value: 'mine:1' },
        ],
      }),
    },
    look: (proxy) => proxy?.env?.filter(({ name }) => name === 'CA_ADDR'),
    want: [{ name: 'CA_ADDR', value: 'mine:1' }],
  },
  {
    who: 'a name that is too long for a label is cut',
    parts: { own: proxy({}), annotations: gateway, name: `${'a'.repeat(62)}-b` },
    look: (_proxy, pod) => pod.metadata?.labels?.['service.istio.io/canonical-name'],
    want: 'a'.repeat(62),
  },
]

for (const { who, parts, look, want } of repairs) {
  t.test(who, async (t) => {
    const once = injectPod(requestFor(podWith(parts)), config)
    if (once.kind !== 'inject') throw new Error(JSON.stringify(once))
    t.strictSame(look(byName(once.pod.spec?.containers, 'istio-proxy'), once.pod), want)
    const again = frozen(JSON.parse(JSON.stringify(once.pod)) as JsonObject)
    const twice = injectPod(requestFor(again), config)
    t.strictSame(twice.kind === 'inject' && twice.pod, again, 'a second time changes nothing')
  })
}

const volume = (source: JsonObject, name = 'v') => ({
  annotations: { 'sidecar.istio.io/userVolume': JSON.stringify({ [name]: source }) },
})
const mount = (rest: JsonObject, name = 'istio-data') => ({
  annotations: { 'sidecar.istio.io/userVolumeMount': JSON.stringify({ [name]: rest }) },
})
const VOLUME = 'sidecar.istio.io/userVolume: '
const MOUNT = 'sidecar.istio.io/userVolumeMount: '

type Refused = { readonly who: string; readonly parts: Parts; readonly paths: readonly string[] }

const refusals: readonly Refused[] = [
  {
    who: 'a pod for Windows',
    parts: { spec: { os: { name: 'windows' } } },
    paths: ['/spec/os/name'],
  },
  {
    who: 'a request of the pod that has no room for the proxy',
    parts: { spec: { resources: { requests: { cpu: '10m' } } } },
    paths: ['/spec/resources/requests/cpu'],
  },
  {
    who: 'a limit of the pod below that of the proxy',
    parts: { spec: { resources: { limits: { cpu: '1' } } } },
    paths: ['/spec/containers/1/resources/limits/cpu'],
  },
  {
    who: 'a limit of the pod below all requests together',
    parts: { spec: { resources: { limits: { memory: '10Mi' } } } },
    paths: ['/spec/resources/limits/memory', '/spec/containers/1/resources/limits/memory'],
  },
  {
    who: 'amounts beyond all bounds are no trouble',
    parts: {
      spec: { resources: { requests: { memory: '1' } } },
      annotations: { 'sidecar.istio.io/proxyMemory': '1e2147483647' },
    },
    paths: ['/spec/resources/requests/memory'],
  },
  {
    who: 'a port name that the template has',
    parts: { own: proxy({ ports: [{ name: 'http-envoy-prom', containerPort: 1 }] }) },
    paths: ['/spec/containers/1/ports/1/name'],
  },
  {
    who: 'a probe of an own istio-init that becomes an init container',
    parts: {
      own: { name: 'istio-init', image: 'i', readinessProbe: { exec: { command: ['a'] } } },
    },
    paths: ['/spec/initContainers/0/readinessProbe'],
  },
  {
    who: 'a volume whose name is no name',
    parts: volume({ emptyDir: {} }, 'A/b'),
    paths: [`${VOLUME}/A~1b`],
  },
  {
    who: 'a volume of two kinds',
    parts: volume({ emptyDir: {}, secret: { secretName: 's' } }),
    paths: [`${VOLUME}/v`],
  },
  {
    who: 'a volume without the name of its source',
    parts: volume({ configMap: {} }),
    paths: [`${VOLUME}/v/configMap/name`],
  },
  {
    who: 'a volume with a negative size',
    parts: volume({ emptyDir: { sizeLimit: '-1' } }),
    paths: [`${VOLUME}/v/emptyDir/sizeLimit`],
  },
  {
    who: 'a folder of the node with a wrong path and type',
    parts: volume({ hostPath: { path: '/a/../b', type: 'Floppy' } }),
    paths: [`${VOLUME}/v/hostPath/path`, `${VOLUME}/v/hostPath/type`],
  },
  {
    who: 'items of a volume',
    parts: volume({
      secret: { secretName: 's', defaultMode: 512, items: [{ key: '', path: '../a', mode: -1 }] },
    }),
    paths: ['/defaultMode', '/items/0/path', '/items/0/key', '/items/0/mode'].map(
      (path) => `${VOLUME}/v/secret${path}`,
    ),
  },
  {
    who: 'a volume with the name of one of the template',
    parts: volume({ emptyDir: {} }, 'istio-envoy'),
    paths: [`${VOLUME}/istio-envoy`],
  },
  {
    who: 'a mount without a path',
    parts: mount({}),
    paths: [`${MOUNT}/istio-data/mountPath`],
  },
  {
    who: 'a mount of no volume',
    parts: mount({ mountPath: '/x' }, 'ghost'),
    paths: [`${MOUNT}/ghost`],
  },
  {
    who: 'a mount where the template mounts',
    parts: mount({ mountPath: '/etc/istio/proxy' }),
    paths: [`${MOUNT}/istio-data/mountPath`],
  },
  {
    who: 'everything wrong about one mount',
    parts: mount({
      mountPath: '/x',
      subPath: '/a',
      subPathExpr: '../b',
      mountPropagation: 'Sideways',
      recursiveReadOnly: 'Maybe',
    }),
    paths: ['subPath', 'subPathExpr', 'subPathExpr', 'mountPropagation', 'recursiveReadOnly'].map(
      (member) => `${MOUNT}/istio-data/${member}`,
    ),
  },
  {
    who: 'read-only to the depth without read-only',
    parts: mount({ mountPath: '/x', recursiveReadOnly: 'Enabled' }),
    paths: [`${MOUNT}/istio-data/recursiveReadOnly`],
  },
  {
    who: 'names of variables for Datadog',
    parts: { annotations: { 'apm.datadoghq.com/env': '{"a=b":"1","":"2"}' } },
    paths: ['apm.datadoghq.com/env', 'apm.datadoghq.com/env'],
  },
  {
    who: 'more annotations than a pod may have',
    parts: { annotations: { note: 'ü'.repeat(131_000) } },
    paths: ['/metadata/annotations'],
  },
  {
    who: 'a pod without any application',
    parts: {
      spec: { containers: [{ name: 'istio-init', image: 'i' }] },
      annotations: { 'sidecar.istio.io/nativeSidecar': 'true' },
    },
    paths: ['/spec/containers'],
  },
  {
    who: 'a container with the name of an init container of the template',
    parts: {
      own: { name: 'grpc-bootstrap-init', image: 'i' },
      annotations: { 'inject.istio.io/templates': 'grpc-simple' },
    },
    paths: ['/spec/initContainers/0/name'],
  },
]

for (const { who, parts, paths } of refusals) {
  t.test(`refused: ${who}`, async (t) => {
    const pod = podWith(parts)
    const decision = injectPod(requestFor(pod), config)
    const problems = decision.kind === 'reject' ? decision.problems : []
    t.strictSame(
      [...problems.map(({ path }) => path)].sort(),
      [...paths].sort(),
      JSON.stringify(problems),
    )
  })
}

t.test('the API server is not asked to judge what the pod had before', async (t) => {
  const app = { name: 'app', image: 'nginx', env: [{ name: 'A' }, { name: 'A', value: '1' }] }
  const decision = injectPod(requestFor({ spec: { containers: [app] } }), config)
  t.equal(decision.kind, 'inject')
  if (decision.kind === 'inject') t.strictSame(decision.pod.spec?.containers[0]?.env, app.env)
})
