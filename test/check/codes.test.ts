/** Every code: manifests that earn it, where, and the nearest ones that do not. */
import fc from 'fast-check'
import t from 'tap'
import { CODES, type Code } from '../../core/analysis/codes.ts'
import type { Json, JsonObject } from '../../core/json.ts'
import { pods } from '../support/pods.ts'
import { checkObjects } from './run-check.ts'
import {
  container,
  deployment,
  ENABLED,
  namespace,
  service,
  webhook,
  withSpec,
  type Written,
} from './helpers.ts'

type Case = {
  readonly code: Code
  readonly what: string
  readonly objects: readonly Written[]
  /** The object's name, and the JSON Pointer in it. */
  readonly at: string
  /** What is nearly the same and earns no such finding. */
  readonly misses: readonly (readonly Written[])[]
  readonly values?: string
}

const INJECT = 'sidecar.istio.io/inject'
const NAME = 'kubernetes.io/metadata.name'
const TEMPLATE = '/spec/template'
const labelled = (labels: Readonly<Record<string, string>>): readonly Written[] => [
  namespace(labels),
]
const inShop = (...objects: readonly Written[]): readonly Written[] => [namespace(), ...objects]
const withContainer = (fields: Parameters<typeof container>[0]): Written =>
  deployment({ containers: [container(fields)] })
const annotated = (key: string, text: string): Written =>
  deployment({}, { annotations: { [key]: text } })
const secure = { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } }
const restricted = { ...ENABLED, 'pod-security.kubernetes.io/enforce': 'restricted' }
const meetsRestricted = deployment({
  securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
  containers: [container({ securityContext: secure })],
})
const CNI =
  '{"pilot":{"cni":{"enabled":true}},"global":{"proxy":{"seccompProfile":{"type":"RuntimeDefault"}}}}'
const job = (fields = {}, more = {}): Written => ({
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: { name: 'web', namespace: 'shop' },
  spec: {
    template: { ...more, spec: { restartPolicy: 'Never', containers: [container(fields)] } },
  },
})
const quota = (hard: Readonly<Record<string, string>>, more = {}): Written =>
  withSpec('ResourceQuota', { hard, ...more })
const amounts = { requests: { cpu: '100m', memory: '64Mi' }, limits: { cpu: '1', memory: '128Mi' } }
const revision = (name: string) => ({ matchLabels: { 'istio.io/rev': name } })

const cases: readonly Case[] = [
  {
    code: 'SI0101',
    what: 'a namespace that says nothing',
    objects: labelled({ team: 'a' }),
    at: 'shop /metadata',
    misses: [
      labelled(ENABLED),
      labelled({ 'istio-injection': 'disabled' }),
      labelled({ 'istio.io/rev': 'canary' }),
      labelled({ 'istio.io/dataplane-mode': 'ambient' }),
      [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'kube-system' } }],
      [namespace({}), webhook('all', 'auto.sidecar-injector.istio.io', {})],
    ],
  },
  {
    code: 'SI0102',
    what: 'both labels',
    objects: labelled({ ...ENABLED, 'istio.io/rev': 'canary' }),
    at: 'shop /metadata/labels/istio.io~1rev',
    misses: [labelled(ENABLED), labelled({ 'istio.io/rev': 'canary' })],
  },
  {
    code: 'SI0103',
    what: 'sidecars and ambient mode',
    objects: labelled({ ...ENABLED, 'istio.io/dataplane-mode': 'ambient' }),
    at: 'shop /metadata/labels/istio.io~1dataplane-mode',
    misses: [
      labelled({ 'istio.io/dataplane-mode': 'ambient', 'istio-injection': 'disabled' }),
      labelled({ 'istio.io/dataplane-mode': 'none', ...ENABLED }),
    ],
  },
  {
    code: 'SI0104',
    what: 'a label that says true',
    objects: labelled({ 'istio-injection': 'true' }),
    at: 'shop /metadata/labels/istio-injection',
    misses: [labelled(ENABLED), labelled({ 'istio-injection': 'disabled' })],
  },
  {
    code: 'SI0110',
    what: "a pod in its node's network",
    objects: inShop(deployment({ hostNetwork: true })),
    at: `web ${TEMPLATE}/spec/hostNetwork`,
    misses: [inShop(deployment({ hostNetwork: false })), inShop(deployment())],
  },
  {
    code: 'SI0110',
    what: 'a pod that says no',
    objects: inShop(deployment({}, { labels: { [INJECT]: 'false' } })),
    at: `web ${TEMPLATE}/metadata/labels/sidecar.istio.io~1inject`,
    misses: [inShop(deployment({}, { labels: { [INJECT]: 'true' } }))],
  },
  {
    code: 'SI0111',
    what: 'a pod whose annotation says yes in a namespace that says nothing',
    objects: [namespace({}), annotated(INJECT, 'true')],
    at: `web ${TEMPLATE}/metadata`,
    misses: [
      [namespace({}), deployment({}, { labels: { [INJECT]: 'true' } })],
      inShop(annotated(INJECT, 'true')),
      [namespace({}), deployment()],
    ],
  },
  {
    code: 'SI0112',
    what: 'containers that are no list',
    objects: inShop(deployment({ containers: 'none' })),
    at: `web ${TEMPLATE}/spec/containers`,
    misses: [inShop(deployment())],
  },
  {
    code: 'SI0114',
    what: 'a label that says yes in its own words',
    objects: inShop(deployment({}, { labels: { [INJECT]: 'yes' } })),
    at: `web ${TEMPLATE}/metadata/labels/sidecar.istio.io~1inject`,
    misses: [inShop(deployment({}, { labels: { [INJECT]: 'true' } }))],
  },
  {
    code: 'SI0115',
    what: 'a gateway that nobody injects',
    objects: [namespace({}), deployment({ containers: [{ name: 'istio-proxy', image: 'auto' }] })],
    at: `web ${TEMPLATE}/spec/containers/0/image`,
    misses: [inShop(deployment({ containers: [{ name: 'istio-proxy', image: 'auto' }] }))],
  },
  {
    code: 'SI0120',
    what: 'two configurations for the same label',
    objects: [
      webhook('a', 'namespace.sidecar-injector.istio.io', { matchLabels: ENABLED }),
      webhook('b', 'namespace.sidecar-injector.io', { matchLabels: ENABLED }),
    ],
    at: 'a /webhooks/0',
    misses: [
      [
        webhook('a', 'rev.sidecar-injector.istio.io', revision('a')),
        webhook('b', 'rev.sidecar-injector.io', revision('b')),
      ],
      [
        webhook('a', 'namespace.sidecar-injector.istio.io', { matchLabels: ENABLED }),
        webhook('b', 'audit.example.com', { matchLabels: ENABLED }),
      ],
    ],
  },
  {
    code: 'SI0121',
    what: 'a pod that two entries take by labels of their own',
    objects: [
      namespace({ team: 'a', tier: 'b' }),
      webhook('a', 'x.sidecar-injector.istio.io', { matchLabels: { team: 'a' } }),
      webhook('b', 'y.sidecar-injector.io', { matchLabels: { tier: 'b' } }),
      deployment(),
    ],
    at: `web ${TEMPLATE}/metadata`,
    misses: [
      [
        namespace({ team: 'a', tier: 'c' }),
        webhook('a', 'x.sidecar-injector.istio.io', { matchLabels: { team: 'a' } }),
        webhook('b', 'y.sidecar-injector.io', { matchLabels: { tier: 'b' } }),
        deployment(),
      ],
    ],
  },
  {
    code: 'SI0121',
    what: 'an entry that takes the namespace by its name, which nobody need write on it',
    objects: [
      namespace({ team: 'a' }),
      webhook('a', 'x.sidecar-injector.istio.io', { matchLabels: { team: 'a' } }),
      webhook('b', 'y.sidecar-injector.io', { matchLabels: { [NAME]: 'shop' } }),
      deployment(),
    ],
    at: `web ${TEMPLATE}/metadata`,
    misses: [
      [
        namespace({ team: 'a' }),
        webhook('a', 'x.sidecar-injector.istio.io', { matchLabels: { team: 'a' } }),
        webhook('b', 'y.sidecar-injector.io', { matchLabels: { [NAME]: 'pay' } }),
        deployment(),
      ],
    ],
  },
  {
    code: 'SI0122',
    what: 'an operator that is none',
    objects: [
      webhook('a', 'x.istio.io', {
        matchExpressions: [{ key: 'a', operator: 'Is', values: ['b'] }],
      }),
    ],
    at: 'a /webhooks/0/namespaceSelector',
    misses: [
      [
        webhook('a', 'x.istio.io', {
          matchExpressions: [{ key: 'a', operator: 'In', values: ['b'] }],
        }),
      ],
    ],
  },
  {
    code: 'SI0201',
    what: 'a typing mistake',
    objects: inShop(annotated('sidecar.istio.io/proxyCpu', '10m')),
    at: `web ${TEMPLATE}/metadata/annotations/sidecar.istio.io~1proxyCpu`,
    misses: [
      inShop(annotated('sidecar.istio.io/proxyCPU', '10m')),
      inShop(annotated('traffic.sidecar.istio.io/excludeInboundPorts', '80')),
      inShop(annotated('ambient.istio.io/something-new', 'x')),
      inShop(annotated('example.com/sidecar.istio.io', 'x')),
    ],
  },
  {
    code: 'SI0202',
    what: 'an annotation of pods on the Deployment',
    objects: inShop(deployment({}, {}, { annotations: { 'sidecar.istio.io/proxyCPU': '10m' } })),
    at: 'web /metadata/annotations/sidecar.istio.io~1proxyCPU',
    misses: [
      inShop(annotated('sidecar.istio.io/proxyCPU', '10m')),
      inShop(deployment({}, {}, { annotations: { 'galley.istio.io/analyze-suppress': 'X' } })),
    ],
  },
  {
    code: 'SI0202',
    what: 'the label of pods on the Deployment',
    objects: inShop(deployment({}, {}, { labels: { [INJECT]: 'true' } })),
    at: 'web /metadata/labels/sidecar.istio.io~1inject',
    misses: [inShop(deployment({}, { labels: { [INJECT]: 'true' } }))],
  },
  {
    code: 'SI0203',
    what: 'a port that is a word',
    objects: inShop(annotated('traffic.sidecar.istio.io/excludeInboundPorts', 'http')),
    at: `web ${TEMPLATE}/metadata/annotations/traffic.sidecar.istio.io~1excludeInboundPorts`,
    misses: [
      inShop(annotated('traffic.sidecar.istio.io/excludeInboundPorts', '80,443')),
      [namespace({}), annotated('traffic.sidecar.istio.io/excludeInboundPorts', 'http')],
    ],
  },
  {
    code: 'SI0204',
    what: 'the annotation where there is a label now',
    objects: inShop(annotated(INJECT, 'true')),
    at: `web ${TEMPLATE}/metadata/annotations/sidecar.istio.io~1inject`,
    misses: [
      inShop(deployment({}, { labels: { [INJECT]: 'true' } })),
      inShop(deployment({}, { labels: { [INJECT]: 'true' }, annotations: { [INJECT]: 'true' } })),
    ],
  },
  {
    code: 'SI0301',
    what: 'a port without a protocol',
    objects: [service('web', { name: 'web', port: 80 })],
    at: 'web /spec/ports/0',
    misses: [
      [service('web', { name: 'http', port: 80 })],
      [service('web', { name: 'HTTP2-web', port: 80 })],
      [service('web', { name: 'grpc-web', port: 80 })],
      [service('web', { name: 'web', port: 80, appProtocol: 'http' })],
      [service('web', { name: 'web', port: 80, appProtocol: 'kubernetes.io/h2c' })],
      [service('web', { name: 'db', port: 3306 })],
      [service('web', { name: 'web', port: 80, protocol: 'UDP' })],
    ],
  },
  {
    code: 'SI0302',
    what: 'an external name with a port named tcp',
    objects: [
      service(
        'out',
        { name: 'tcp', port: 443 },
        { type: 'ExternalName', externalName: 'example.com' },
      ),
    ],
    at: 'out /spec/ports/0',
    misses: [
      [service('out', { name: 'https', port: 443 }, { type: 'ExternalName' })],
      [service('in', { name: 'tcp', port: 443 })],
    ],
  },
  {
    code: 'SI0303',
    what: 'one number over TCP and over UDP',
    objects: inShop(
      deployment(),
      service('a', { name: 'tcp', port: 53 }),
      service('b', { name: 'udp', port: 53, protocol: 'UDP' }),
    ),
    at: `web ${TEMPLATE}/metadata/labels`,
    misses: [
      inShop(
        deployment(),
        service(
          'a',
          { name: 'tcp', port: 53 },
          {
            ports: [
              { name: 'tcp', port: 53 },
              { name: 'udp', port: 53, protocol: 'UDP' },
            ],
          },
        ),
      ),
      inShop(
        deployment(),
        service('a', { name: 'tcp', port: 53 }),
        service('b', { name: 'udp', port: 53, protocol: 'UDP' }, { selector: { app: 'other' } }),
      ),
    ],
  },
  {
    code: 'SI0304',
    what: 'one port of the pod behind two numbers',
    objects: inShop(
      deployment(),
      service('a', { name: 'http', port: 80, targetPort: 8080 }),
      service('b', { name: 'http', port: 81, targetPort: 8080 }),
    ),
    at: `web ${TEMPLATE}/metadata/labels`,
    misses: [
      inShop(
        deployment(),
        service('a', { name: 'http', port: 80, targetPort: 8080 }),
        service('b', { name: 'http', port: 80, targetPort: 8080 }),
      ),
      inShop(
        deployment(),
        service('a', { name: 'http', port: 80, targetPort: 8080 }),
        service('b', { name: 'http', port: 81, targetPort: 8081 }),
      ),
    ],
  },
  {
    code: 'SI0305',
    what: "the agent's port",
    objects: inShop(withContainer({ ports: [{ containerPort: 15020 }] })),
    at: `web ${TEMPLATE}/spec/containers/0/ports/0/containerPort`,
    misses: [
      inShop(withContainer({ ports: [{ containerPort: 15022 }] })),
      inShop(withContainer({ ports: [{ containerPort: 15020, protocol: 'UDP' }] })),
    ],
  },
  {
    code: 'SI0401',
    what: 'the user of the proxy, said by the pod',
    objects: inShop(deployment({ securityContext: { runAsUser: 1337 } })),
    at: `web ${TEMPLATE}/spec/securityContext/runAsUser`,
    misses: [
      inShop(deployment({ securityContext: { runAsUser: 1338 } })),
      inShop(
        deployment({
          securityContext: { runAsUser: 1337 },
          containers: [container({ securityContext: { runAsUser: 1000 } })],
        }),
      ),
      inShop(
        deployment({
          initContainers: [
            { ...container({ securityContext: { runAsUser: 1337 } }), name: 'early' },
          ],
        }),
      ),
    ],
  },
  {
    code: 'SI0401',
    what: 'the group of the proxy, said by the container',
    objects: inShop(withContainer({ securityContext: { runAsGroup: 1337 } })),
    at: `web ${TEMPLATE}/spec/containers/0/securityContext/runAsGroup`,
    misses: [inShop(deployment({ securityContext: { fsGroup: 1337 } }))],
  },
  {
    code: 'SI0402',
    what: 'a port of the node that leads to a captured port',
    objects: inShop(withContainer({ ports: [{ containerPort: 8080, hostPort: 80 }] })),
    at: `web ${TEMPLATE}/spec/containers/0/ports/0/hostPort`,
    misses: [
      inShop(withContainer({ ports: [{ containerPort: 8080 }] })),
      inShop(
        deployment(
          { containers: [container({ ports: [{ containerPort: 8080, hostPort: 80 }] })] },
          { annotations: { 'traffic.sidecar.istio.io/excludeInboundPorts': '8080' } },
        ),
      ),
      inShop(
        deployment(
          { containers: [container({ ports: [{ containerPort: 8080, hostPort: 80 }] })] },
          { annotations: { 'sidecar.istio.io/interceptionMode': 'NONE' } },
        ),
      ),
    ],
  },
  {
    code: 'SI0403',
    what: 'a port name that the container does not have',
    objects: inShop(withContainer({ readinessProbe: { httpGet: { path: '/', port: 'web' } } })),
    at: `web ${TEMPLATE}/spec/containers/0/readinessProbe/httpGet/port`,
    misses: [
      inShop(
        withContainer({
          ports: [{ name: 'web', containerPort: 80 }],
          readinessProbe: { httpGet: { path: '/', port: 'web' } },
        }),
      ),
      inShop(withContainer({ readinessProbe: { httpGet: { path: '/', port: 80 } } })),
      inShop(withContainer({ readinessProbe: { exec: { command: ['true'] } } })),
      inShop(withContainer({ livenessProbe: { grpc: { port: 9000 } } })),
    ],
  },
  {
    code: 'SI0404',
    what: 'a check that is not rewritten',
    objects: inShop(
      deployment(
        { containers: [container({ livenessProbe: { tcpSocket: { port: 80 } } })] },
        { annotations: { 'sidecar.istio.io/rewriteAppHTTPProbers': 'false' } },
      ),
    ),
    at: `web ${TEMPLATE}/spec/containers/0/livenessProbe/tcpSocket`,
    misses: [
      inShop(withContainer({ livenessProbe: { tcpSocket: { port: 80 } } })),
      inShop(
        deployment(
          { containers: [container({ livenessProbe: { tcpSocket: { port: 80 } } })] },
          {
            annotations: {
              'sidecar.istio.io/rewriteAppHTTPProbers': 'false',
              'traffic.sidecar.istio.io/excludeInboundPorts': '80',
            },
          },
        ),
      ),
      inShop(
        deployment(
          { containers: [container({ livenessProbe: { exec: { command: ['true'] } } })] },
          { annotations: { 'sidecar.istio.io/rewriteAppHTTPProbers': 'false' } },
        ),
      ),
    ],
  },
  {
    code: 'SI0405',
    what: 'a check of another host',
    objects: inShop(withContainer({ readinessProbe: { httpGet: { host: '10.0.0.1', port: 80 } } })),
    at: `web ${TEMPLATE}/spec/containers/0/readinessProbe/httpGet/host`,
    misses: [inShop(withContainer({ readinessProbe: { httpGet: { port: 80 } } }))],
  },
  {
    code: 'SI0410',
    what: 'a Job beside a proxy that nobody ends',
    objects: inShop(job()),
    at: `web ${TEMPLATE}/spec`,
    misses: [
      inShop(deployment()),
      inShop(job({}, { metadata: { annotations: { 'sidecar.istio.io/nativeSidecar': 'true' } } })),
      inShop(job({ command: ['sh', '-c', 'work; curl -X POST localhost:15020/quitquitquit'] })),
      inShop(job({}, { metadata: { labels: { [INJECT]: 'false' } } })),
    ],
  },
  {
    code: 'SI0501',
    what: 'NET_ADMIN in a restricted namespace',
    objects: [namespace(restricted), meetsRestricted],
    at: `web ${TEMPLATE}/spec`,
    misses: [
      [namespace(ENABLED), meetsRestricted],
      [namespace({ ...ENABLED, 'pod-security.kubernetes.io/enforce': 'privileged' }), deployment()],
    ],
  },
  {
    code: 'SI0502',
    what: 'a privileged container in a baseline namespace',
    objects: [
      namespace({ ...ENABLED, 'pod-security.kubernetes.io/enforce': 'baseline' }),
      withContainer({ securityContext: { privileged: true } }),
    ],
    at: `web ${TEMPLATE}/spec/containers/0`,
    misses: [[namespace(restricted), meetsRestricted]],
  },
  {
    code: 'SI0503',
    what: 'a namespace that only warns',
    objects: [
      namespace({ ...ENABLED, 'pod-security.kubernetes.io/warn': 'restricted' }),
      meetsRestricted,
    ],
    at: `web ${TEMPLATE}/spec`,
    misses: [[namespace(restricted), meetsRestricted]],
  },
  {
    code: 'SI0504',
    what: 'a proxy larger than the largest container',
    objects: inShop(
      withSpec('LimitRange', { limits: [{ type: 'Container', max: { cpu: '1', memory: '2Gi' } }] }),
      deployment(),
    ),
    at: `web ${TEMPLATE}/spec`,
    misses: [
      inShop(
        withSpec('LimitRange', { limits: [{ type: 'Container', max: { cpu: 2, memory: '1Gi' } }] }),
        deployment(),
      ),
      inShop(
        withSpec('LimitRange', { limits: [{ type: 'Container', min: { cpu: '100m' } }] }),
        deployment(),
      ),
    ],
  },
  {
    code: 'SI0504',
    what: 'a limit twenty times the request where ten are allowed',
    objects: inShop(
      withSpec('LimitRange', {
        limits: [{ type: 'Container', maxLimitRequestRatio: { cpu: '10' } }],
      }),
      withContainer({ resources: amounts }),
    ),
    at: `web ${TEMPLATE}/spec`,
    misses: [
      inShop(
        withSpec('LimitRange', {
          limits: [{ type: 'Container', maxLimitRequestRatio: { cpu: '20' } }],
        }),
        withContainer({ resources: amounts }),
      ),
    ],
  },
  {
    code: 'SI0504',
    what: 'a pod that is too large with its proxy',
    objects: inShop(
      withSpec('LimitRange', { limits: [{ type: 'Pod', max: { cpu: '2' } }] }),
      withContainer({ resources: amounts }),
    ),
    at: `web ${TEMPLATE}/spec`,
    misses: [
      inShop(
        withSpec('LimitRange', { limits: [{ type: 'Pod', max: { cpu: '3' } }] }),
        withContainer({ resources: amounts }),
      ),
    ],
  },
  {
    code: 'SI0505',
    what: 'a quota of what the proxy does not say',
    objects: inShop(
      quota({ 'limits.cpu': '10' }),
      deployment({}, { annotations: { 'sidecar.istio.io/proxyCPU': '10m' } }),
    ),
    at: `web ${TEMPLATE}/spec`,
    misses: [
      inShop(quota({ 'limits.cpu': '10' }), deployment()),
      inShop(
        quota({ pods: '10' }),
        deployment({}, { annotations: { 'sidecar.istio.io/proxyCPU': '10m' } }),
      ),
      inShop(
        quota({ 'limits.cpu': '10' }),
        withSpec('LimitRange', { limits: [{ type: 'Container', default: { cpu: '1' } }] }),
        deployment({}, { annotations: { 'sidecar.istio.io/proxyCPU': '10m' } }),
      ),
      inShop(
        quota({ 'limits.cpu': '10' }, { scopes: ['BestEffort'] }),
        deployment({}, { annotations: { 'sidecar.istio.io/proxyCPU': '10m' } }),
      ),
    ],
  },
  {
    code: 'SI0506',
    what: 'two pods of 1.1 CPU where one fits without a proxy',
    objects: inShop(quota({ 'requests.cpu': '300m' }), withContainer({ resources: amounts })),
    at: 'bounds /spec/hard/requests.cpu',
    misses: [
      inShop(quota({ 'requests.cpu': '400m' }), withContainer({ resources: amounts })),
      inShop(quota({ 'requests.cpu': '100m' }), withContainer({ resources: amounts })),
    ],
  },
]

for (const { code, what, objects, at, misses } of cases) {
  t.test(`${code}: ${what}`, async (t) => {
    const places = checkObjects(objects)
      .filter((finding) => finding.code === code)
      .map(({ name, path }) => `${name} ${path}`)
    t.ok(places.includes(at), `${at} among: ${places.join('; ')}`)
    for (const [index, near] of misses.entries()) {
      const found = checkObjects(near).filter((finding) => finding.code === code)
      t.strictSame(found, [], `near miss ${index + 1}`)
    }
  })
}

t.test(
  'with CNI and a seccomp profile a restricted namespace takes the injected pod',
  async (t) => {
    const found = checkObjects([namespace(restricted), meetsRestricted], { values: CNI })
    t.strictSame(found, [])
  },
)

t.test('native sidecars let Jobs end', async (t) => {
  t.strictSame(checkObjects(inShop(job()), { nativeSidecars: true }), [])
})

t.test('a running pod without a proxy is one that injection missed (SI0113)', async (t) => {
  const pod = (containers: readonly object[], phase = 'Running') => {
    const metadata = { name: 'web', namespace: 'shop' }
    return { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers }, status: { phase } }
  }
  const codes = (...objects: readonly Written[]) =>
    checkObjects(objects, { isLive: true }).map((finding) => finding.code)
  const [plain, proxied] = [[container()], [container(), { name: 'istio-proxy', image: 'x' }]]
  t.strictSame(codes(namespace(), pod(plain) as unknown as Written), ['SI0113'])
  t.strictSame(codes(namespace(), pod(proxied) as unknown as Written), [])
  t.strictSame(codes(namespace(), pod(plain, 'Succeeded') as unknown as Written), [])
  t.strictSame(codes(namespace({}), pod(plain) as unknown as Written), ['SI0101'])
})

t.test('every code has a case', async (t) => {
  const tested = new Set<string>([...cases.map(({ code }) => code), 'SI0113'])
  t.strictSame(
    CODES.filter(({ code }) => !tested.has(code)).map(({ code }) => code),
    [],
  )
  t.equal(new Set(CODES.map(({ code }) => code)).size, CODES.length, 'no code twice')
})

t.test("an annotation silences codes, by our name or by Istio's", async (t) => {
  const silenced = (text: string): readonly string[] => {
    const annotations = { 'galley.istio.io/analyze-suppress': text }
    const object = deployment({ securityContext: { runAsUser: 1337 } }, {}, { annotations })
    return checkObjects(inShop(object)).map((finding) => finding.code)
  }
  t.strictSame(silenced('SI0402'), ['SI0401'])
  t.strictSame(silenced('SI0401'), [])
  t.strictSame(silenced('IST0108, IST0144'), [])
  t.strictSame(silenced('*'), [])
})

t.test('objects of any shape are looked at without a crash', async (t) => {
  const odd: readonly Json[] = [null, true, 1, 'x', [], {}, [null], [1, 'x'], { a: 1 }, { '': [] }]
  const kinds = [
    ['v1', 'Namespace'],
    ['v1', 'Pod'],
    ['v1', 'Service'],
    ['v1', 'LimitRange'],
    ['v1', 'ResourceQuota'],
    ['apps/v1', 'Deployment'],
    ['batch/v1', 'Job'],
    ['admissionregistration.k8s.io/v1', 'MutatingWebhookConfiguration'],
  ] as const
  const members = [
    'metadata',
    'spec',
    'template',
    'containers',
    'ports',
    'limits',
    'hard',
    'webhooks',
  ]
  const value = fc.letrec<{ node: Json }>((tie) => ({
    node: fc.oneof(
      { depthSize: 'small' },
      fc.constantFrom(...odd),
      fc.dictionary(
        fc.constantFrom(...members, 'name', 'resources', 'labels', 'type'),
        tie('node'),
      ),
      fc.array(tie('node'), { maxLength: 2 }),
    ),
  })).node
  const object = fc
    .tuple(fc.constantFrom(...kinds), fc.dictionary(fc.constantFrom(...members), value))
    .map(([[apiVersion, kind], rest]): Written => ({ ...rest, apiVersion, kind }))
  fc.assert(
    fc.property(fc.array(object, { maxLength: 4 }), fc.boolean(), (objects, isLive) => {
      checkObjects([namespace(), ...objects], { isLive })
    }),
    { numRuns: 1000 },
  )
  const empty = deployment({ containers: [{ name: 'istio-proxy' }], initContainers: [] })
  t.doesNotThrow(() => checkObjects([namespace(restricted), empty, job({ resources: null })]))
  t.doesNotThrow(() => checkObjects([namespace(restricted), deployment({ containers: null })]))
})

t.test('random pods are looked at without a crash', async (t) => {
  const bound = withSpec('LimitRange', { limits: [{ type: 'Pod', max: { cpu: '1' } }] })
  fc.assert(
    fc.property(pods({ hasHostileLabels: true, hasUnknownFields: true }), (pod) => {
      const metadata = { ...(pod['metadata'] as JsonObject), namespace: 'shop' }
      const placed = { apiVersion: 'v1', kind: 'Pod', ...pod, metadata }
      checkObjects([namespace(restricted), bound, quota({ cpu: '1' }), placed])
    }),
    { numRuns: 200 },
  )
  t.pass('none threw')
})
