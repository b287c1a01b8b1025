/**
 * Random pods as people write them, and random texts for every annotation and label of the table. Seeded by
 * fast-check, so that a failure can be had again.
 */
import fc, { type Arbitrary } from 'fast-check'
import { REDIRECT_PLAN_ANNOTATION } from '../../core/constants.ts'
import type { Json, JsonObject } from '../../core/json.ts'
import { ANNOTATIONS } from '../../core/options/annotations.ts'

/** What the pods of one run may contain. */
export type PodOptions = {
  /** Texts that no API server takes as labels are among the labels. */
  readonly hasHostileLabels?: boolean
  /** Unknown fields stand among the known ones. */
  readonly hasUnknownFields?: boolean
  /** Most annotations of the table on one pod. */
  readonly mostAnnotations?: number
}

/** A pod that most API servers would take, without a word about injection in its metadata. */
export function plainPods(options: PodOptions = {}): Arbitrary<JsonObject> {
  return volumes().chain((list) => podWith(list, options))
}

/** The same with texts of the annotation table, right and wrong ones. */
export function pods(options: PodOptions = {}): Arbitrary<JsonObject> {
  return fc
    .tuple(plainPods(options), annotationTexts(options), labelTexts(options))
    .map(([pod, annotations, labels]) => {
      const metadata = pod['metadata'] as JsonObject
      return {
        ...pod,
        metadata: {
          ...metadata,
          labels: { ...(metadata['labels'] as JsonObject), ...labels },
          annotations: { ...(metadata['annotations'] as JsonObject), ...annotations },
        },
      }
    })
}

// Annotations and labels.

/** Texts that mean nothing anywhere, or something else everywhere. */
const HOSTILE = [
  '',
  ' ',
  '0',
  '-1',
  '65536',
  '1e999',
  '*',
  'true',
  'null',
  '[]',
  '{}',
  '{"a":',
  '"',
  "'\n- evil: 1",
  '\n---\n',
  '{{json revision}}',
  '@slot:0;',
  '__proto__',
  'constructor',
  '\u0000',
  '\u2028',
  'ü😀',
  'x'.repeat(300),
]

const PORT_LISTS = [
  '',
  '80',
  '80,443',
  ' 80 , 443 ',
  '0',
  '65535',
  '1,1',
  '80,',
  'http',
  '65536',
  '*',
]
const CIDR_LISTS = [
  '',
  '*',
  '10.0.0.0/8',
  '10.0.0.0/8,fd00::/8',
  '0.0.0.0/0',
  '10.0.0.1',
  '10.0.0.0/33',
  '*,10.0.0.0/8',
]
const INTERFACE_LISTS = [
  '',
  'eth0',
  'eth0,net1',
  ' eth0 ',
  'eth0,',
  '0eth',
  'a-name-of-16-char',
  'eth+',
]
const SWITCHES = ['true', 'false', '1', 'f', 'TRUE', 'yes', '']
const AMOUNTS = [
  '0',
  '1',
  '10m',
  '100m',
  '2',
  '1Gi',
  '40Mi',
  '1.5',
  '2e3',
  '100n',
  '0.0001',
  '-1',
  '1 Gi',
  '9999999E',
  '1000E',
  'lots',
  '-0',
  '.5',
  '1Ki',
]
const COUNTS = [
  '0',
  '1',
  '30',
  '2147483647',
  '2147483648',
  '4294967295',
  '4294967296',
  '-1',
  ' 5',
  '1e3',
  '007',
]
const WORDS = ['debug', 'misc:error', 'a b', '"quoted"', '$(POD_NAME)']
const LABELS = ['shop', '0', 'A_b.c-1', 'x'.repeat(63), '']

/** Texts for each key, beside the hostile ones: right, on the border, and wrong in the way of that key. */
const TEXTS: Readonly<Record<string, readonly string[]>> = {
  'sidecar.istio.io/inject': ['true', 'false', 'yes', ''],
  'inject.istio.io/templates': [
    'sidecar',
    'gateway',
    'grpc-agent',
    'grpc-simple',
    'sidecar,grpc-simple',
    'gateway, sidecar',
    'grpc-agent,sidecar',
    'sidecar,sidecar',
    'nope',
    '',
  ],
  'sidecar.istio.io/nativeSidecar': ['true', 'false', 'yes', 'FALSE', ''],
  'proxy.istio.io/config': [
    'concurrency: 4',
    'interceptionMode: TPROXY',
    'interceptionMode: NONE',
    'holdApplicationUntilProxyStarts: true',
    'statusPort: 15022',
    'statusPort: 0',
    'proxyMetadata: {ISTIO_META_DNS_CAPTURE: "true"}',
    'proxyMetadata: {ISTIO_META_ENABLE_HBONE: "true", IPTABLES_TRACE_LOGGING: "true"}',
    'proxyMetadata: {POD_NAME: mine, PROXY_CONFIG: mine, ISTIO_META_CLUSTER_ID: mine}',
    'proxyMetadata: {"": empty}',
    'proxyMetadata: {"a b": blank}',
    'proxyMetadata: {"a=b": sign}',
    'proxyMetadata: {"1a": digit, "..": dots, "ü": letter}',
    'proxyMetadata: {ISTIO_KUBE_APP_PROBERS: "{}", ISTIO_PROMETHEUS_ANNOTATIONS: "x"}',
    'proxyMetadata: {ENVOY_SECURE_MERGED_METRICS_PORT: "15091"}',
    'image: {imageType: distroless}',
    'image: {imageType: "a b"}',
    'tracing: {sampling: 10, zipkin: {address: "zipkin:9411"}}',
    'discoveryAddress: istiod.other:15012',
    'terminationDrainDuration: 30s',
    'concurrency: many',
    'a: [',
    '- list',
    '{}',
  ],
  'proxy.istio.io/overrides': [
    '{}',
    '{"containers":[{"name":"istio-proxy","image":"auto","resources":{}}]}',
    '{"containers":[{"name":"istio-proxy","env":[{"name":"POD_NAME","value":"x"}],"resources":{}}]}',
    '{"initContainers":[{"name":"istio-init","args":["-x"],"resources":{}}]}',
    '{"containers":[{"name":"ghost","image":"ghost","resources":{}}]}',
    '{"containers":[{"image":"nameless"}]}',
    '{"containers":7}',
    '[]',
  ],
  'sidecar.istio.io/status': [
    '{}',
    '{"initContainers":["istio-init"],"containers":["istio-proxy"],"volumes":["istio-envoy"],"imagePullSecrets":null,"revision":"default"}',
    '{"initContainers":null,"containers":["app"],"volumes":null,"imagePullSecrets":null}',
    '{"containers":7}',
    'none',
  ],
  'sidecar.istio.io/proxyImage': [
    'example.com/proxyv2:1',
    'a/b',
    'proxyv2',
    'a/b ',
    'a /b',
    '/',
    'A/B:c d',
  ],
  'sidecar.istio.io/proxyImageType': [
    'distroless',
    'debug',
    'default',
    '',
    'a b',
    '-',
    'x'.repeat(200),
  ],
  'sidecar.istio.io/proxyCPU': AMOUNTS,
  'sidecar.istio.io/proxyCPULimit': AMOUNTS,
  'sidecar.istio.io/proxyMemory': AMOUNTS,
  'sidecar.istio.io/proxyMemoryLimit': AMOUNTS,
  'sidecar.istio.io/logLevel': WORDS,
  'sidecar.istio.io/componentLogLevel': WORDS,
  'sidecar.istio.io/agentLogLevel': WORDS,
  'sidecar.istio.io/capNetBindService': SWITCHES,
  'sidecar.istio.io/bootstrapOverride': [
    'boot',
    'boot.v1',
    'Not A Name',
    '-',
    '.',
    'a/b',
    'x'.repeat(254),
  ],
  'sidecar.istio.io/userVolume': [
    '{"data":{"emptyDir":{}}}',
    '{"certs":{"secret":{"secretName":"certs"}},"conf":{"configMap":{"name":"conf"}}}',
    '{"Not a name":{"emptyDir":{}}}',
    '{"":{"emptyDir":{}}}',
    '{"two":{"emptyDir":{},"configMap":{"name":"c"}}}',
    '{"none":{}}',
    '{"istio-envoy":{"configMap":{"name":"c"}}}',
    '{"odd":{"emptyDir":{"sizeLimit":"-1"}}}',
    '{"odd":{"configMap":{}}}',
    '{"odd":{"hostPath":{"path":"/x/../y"}}}',
    '{"odd":{"floppy":{}}}',
    '{"odd":{"configMap":7}}',
    '{"odd":null}',
    '{"__proto__":{"emptyDir":{}}}',
    '[]',
  ],
  'sidecar.istio.io/userVolumeMount': [
    '{"istio-envoy":{"mountPath":"/extra"}}',
    '{"data":{"mountPath":"/data"}}',
    '{"data":{"mountPath":"/data","readOnly":true},"certs":{"mountPath":"/data"}}',
    '{"certs":{"mountPath":"/etc/istio/proxy"}}',
    '{"istio-data":{"mountPath":"/a:b"}}',
    '{"istio-data":{"mountPath":""}}',
    '{"istio-data":{}}',
    '{"istio-data":{"mountPath":"/x","subPath":"../y"}}',
    '{"istio-data":{"mountPath":"/x","subPath":"y","subPathExpr":"$(A)"}}',
    '{"istio-data":{"mountPath":"/x","mountPropagation":"Sideways"}}',
    '{"istio-data":{"name":"istio-envoy","mountPath":"/x"}}',
    '{"ghost":{"mountPath":"/ghost"}}',
    '{"odd":7}',
    '[]',
  ],
  'apm.datadoghq.com/env': [
    '{"DD_ENV":"prod"}',
    '{"a b":"1"}',
    '{"":"1"}',
    '{"a=b":1}',
    '{"A":{}}',
    '7',
  ],
  'resource.opentelemetry.io/service.namespace': WORDS,
  'resource.opentelemetry.io/service.version': WORDS,
  'resource.opentelemetry.io/service.instance.id': WORDS,
  'sidecar.istio.io/interceptionMode': ['REDIRECT', 'TPROXY', 'NONE', 'tproxy'],
  'traffic.sidecar.istio.io/includeInboundPorts': PORT_LISTS,
  'traffic.sidecar.istio.io/excludeInboundPorts': PORT_LISTS,
  'traffic.sidecar.istio.io/includeOutboundPorts': [...PORT_LISTS, '8000-8100', '9-8'],
  'traffic.sidecar.istio.io/excludeOutboundPorts': PORT_LISTS,
  'traffic.sidecar.istio.io/includeOutboundIPRanges': CIDR_LISTS,
  'traffic.sidecar.istio.io/excludeOutboundIPRanges': CIDR_LISTS,
  'traffic.sidecar.istio.io/excludeInterfaces': INTERFACE_LISTS,
  'istio.io/reroute-virtual-interfaces': INTERFACE_LISTS,
  'traffic.sidecar.istio.io/kubevirtInterfaces': INTERFACE_LISTS,
  'k8s.v1.cni.cncf.io/networks': ['net1', 'a/net1, net2', '[{"name":"net1"}]', '[]', '[', ']'],
  'status.sidecar.istio.io/port': ['15020', '15022', '0', '00', ' 15022 ', '65535', '65536', '1'],
  'readiness.status.sidecar.istio.io/initialDelaySeconds': COUNTS,
  'readiness.status.sidecar.istio.io/periodSeconds': COUNTS,
  'readiness.status.sidecar.istio.io/failureThreshold': COUNTS,
  'sidecar.istio.io/rewriteAppHTTPProbers': SWITCHES,
  'prometheus.istio.io/merge-metrics': SWITCHES,
  'prometheus.io/scrape': SWITCHES,
  'prometheus.io/port': ['8080', '15020', '15022', '0', 'metrics', '65536', '08080', ''],
  'prometheus.io/path': ['/metrics', 'metrics', '/a?b=<c>&d', ''],
  'prometheus.istio.io/scrape-targets': [
    '8080',
    '8080:/a,9090:/b',
    ':/a',
    '15020',
    'x:/y',
    ',',
    '',
  ],
  'prometheus.istio.io/secure-port': ['15091', 'x', ''],
  'istio.io/rev': LABELS,
  'security.istio.io/tlsMode': [...LABELS, 'istio', 'disabled'],
  'networking.istio.io/tunnel': [...LABELS, 'http'],
  'service.istio.io/canonical-name': LABELS,
  'service.istio.io/canonical-revision': LABELS,
  'service.istio.io/workload-name': LABELS,
  'topology.istio.io/network': LABELS,
  app: LABELS,
  'app.kubernetes.io/name': LABELS,
  version: [...LABELS, '1.10'],
  'app.kubernetes.io/version': [...LABELS, '1.10'],
  'pod-template-hash': LABELS,
  'rollouts-pod-template-hash': LABELS,
  deploymentconfig: LABELS,
  'kubectl.kubernetes.io/default-container': ['app', 'ghost', ''],
  'kubectl.kubernetes.io/default-logs-container': ['app', 'ghost', ''],
  'sidecar.istio.io/discoveryAddress': WORDS,
  'sidecar.istio.io/extraStatTags': WORDS,
  'sidecar.istio.io/statsCompression': WORDS,
  'sidecar.istio.io/statsEvictionInterval': WORDS,
  'sidecar.istio.io/statsFlushInterval': WORDS,
  'sidecar.istio.io/statsHistogramBins': WORDS,
  'sidecar.istio.io/statsHistogramBuckets': WORDS,
  'sidecar.istio.io/statsInclusionPrefixes': WORDS,
  'sidecar.istio.io/statsInclusionRegexps': WORDS,
  'sidecar.istio.io/statsInclusionSuffixes': WORDS,
  'readiness.status.sidecar.istio.io/applicationPorts': WORDS,
}

/** The plan is only ever written: test/core/inject/redirect-plan.test.ts has the pods that bring one. */
const ROWS = ANNOTATIONS.flatMap((group) => group.rows).filter(
  ({ key }) => key !== REDIRECT_PLAN_ANNOTATION,
)

/** Keys of the annotation table for which there are no texts here; none, or a row was forgotten. */
export const KEYS_WITHOUT_TEXTS: readonly string[] = ROWS.map(({ key }) => key).filter(
  (key) => !Object.hasOwn(TEXTS, key),
)

/** Some annotations of the table with some texts each; three of four are texts meant for that key. */
export function annotationTexts(options: PodOptions = {}): Arbitrary<Record<string, string>> {
  const keys = ROWS.filter(({ on }) => on !== 'label').map(({ key }) => key)
  return textsFor(keys, HOSTILE, options.mostAnnotations ?? 6)
}

function labelTexts({ hasHostileLabels = false }: PodOptions): Arbitrary<Record<string, string>> {
  const keys = ROWS.filter(({ on }) => on !== 'annotation').map(({ key }) => key)
  return textsFor(keys, hasHostileLabels ? HOSTILE : LABELS, 3)
}

function textsFor(
  keys: readonly string[],
  others: readonly string[],
  most: number,
): Arbitrary<Record<string, string>> {
  const pair = fc.constantFrom(...keys).chain((key) => {
    const own = fc.constantFrom(...(TEXTS[key] ?? ['']))
    const text = fc.oneof(
      { arbitrary: own, weight: 3 },
      { arbitrary: fc.constantFrom(...others), weight: 1 },
    )
    return fc.tuple(fc.constant(key), text)
  })
  return fc.array(pair, { maxLength: most }).map((pairs) => Object.fromEntries(pairs))
}

// Pods.

/** Volumes, those of the templates among them. */
const VOLUMES = [
  'data',
  'config',
  'cache',
  'istio-envoy',
  'istio-data',
  'istio-token',
  'workload-socket',
  'istio-podinfo',
  'istiod-ca-cert',
  'grpc-io-proxyless-bootstrap',
]

const SOURCES: readonly JsonObject[] = [
  { emptyDir: {} },
  { emptyDir: { medium: 'Memory', sizeLimit: '1Gi' } },
  { configMap: { name: 'settings', items: [{ key: 'a', path: 'a.txt' }] } },
  { secret: { secretName: 'keys', defaultMode: 256 } },
  { hostPath: { path: '/var/log', type: 'Directory' } },
  { persistentVolumeClaim: { claimName: 'claim' } },
  { downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }] } },
  {
    projected: {
      sources: [
        { serviceAccountToken: { path: 'token', audience: 'shop' } },
        { secret: { name: 'keys' } },
      ],
    },
  },
  { csi: { driver: 'csi.example.com', readOnly: true } },
]

function volumes(): Arbitrary<readonly JsonObject[]> {
  return fc
    .tuple(
      fc.uniqueArray(fc.constantFrom(...VOLUMES), { maxLength: 4 }),
      fc.array(fc.constantFrom(...SOURCES), { minLength: 4, maxLength: 4 }),
    )
    .map(([names, sources]) => names.map((name, index) => ({ name, ...sources[index] })))
}

function podWith(list: readonly JsonObject[], options: PodOptions): Arbitrary<JsonObject> {
  const names = list.map((volume) => volume['name'] as string)
  const apps = fc
    .uniqueArray(fc.constantFrom('app', 'web', 'logger', 'grpc-server'), {
      minLength: 1,
      maxLength: 3,
    })
    .chain((apps) => fc.tuple(...apps.map((name) => container(name, names, options))))
  const inits = fc
    .uniqueArray(fc.constantFrom('setup', 'migrate'), { maxLength: 2 })
    .chain((inits) => fc.tuple(...inits.map((name) => initContainer(name, names))))
  const own = sometimes(
    fc.oneof(
      { arbitrary: ownProxy(names).map((proxy) => ({ containers: [proxy] })), weight: 6 },
      {
        arbitrary: ownProxy(names).map((proxy) => ({
          initContainers: [{ ...proxy, restartPolicy: 'Always' }],
        })),
        weight: 2,
      },
      { arbitrary: ownInit(names).map((init) => ({ initContainers: [init] })), weight: 2 },
      { arbitrary: ownInit(names).map((init) => ({ containers: [init] })), weight: 1 },
    ),
    2,
  )
  return fc
    .record({
      apps,
      inits,
      own,
      isAlone: once(12),
      isFirst: fc.boolean(),
      metadata: metadata(),
      rest: specRest(),
    })
    .map(({ apps, inits, own, isAlone, isFirst, metadata, rest }) => {
      const { containers: ours = [], initContainers: ourInits = [] } = (own ?? {}) as {
        containers?: Json[]
        initContainers?: Json[]
      }
      const others: Json[] = isAlone && ours.length > 0 ? [] : apps
      const containers = isFirst ? [...ours, ...others] : [...others, ...ours]
      const initContainers = isFirst ? [...ourInits, ...inits] : [...inits, ...ourInits]
      const unknown: JsonObject =
        options.hasUnknownFields === true ? { newField: { a: [null, 1] } } : {}
      return {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata,
        spec: {
          ...rest,
          ...unknown,
          containers,
          ...(initContainers.length > 0 && { initContainers }),
          ...(list.length > 0 && { volumes: list }),
        },
        ...unknown,
      }
    })
}

function metadata(): Arbitrary<JsonObject> {
  return fc.record(
    {
      name: fc.constantFrom('p', 'shop-7d4b9c-x2x4x', 'a.b.c', `${'long-'.repeat(25)}name`),
      labels: dictionary(['app', 'tier', 'version'], ['shop', 'web', 'v1']),
      annotations: dictionary(
        ['example.com/note', 'example.com/json'],
        ['text', '{"a":"<b>"}', 'ü\n'],
      ),
    },
    { requiredKeys: ['name', 'labels', 'annotations'] },
  )
}

function specRest(): Arbitrary<JsonObject> {
  return optional({
    restartPolicy: fc.constantFrom('Always', 'OnFailure', 'Never'),
    serviceAccountName: fc.constantFrom('default', 'shop'),
    terminationGracePeriodSeconds: fc.constantFrom(0, 5, 60),
    nodeSelector: dictionary(['disk'], ['ssd']),
    imagePullSecrets: fc.subarray([{ name: 'pull' }, { name: 'other' }]),
    hostNetwork: once(10),
    hostPID: once(10),
    shareProcessNamespace: once(5),
    dnsPolicy: fc.constantFrom('ClusterFirst', 'Default'),
    enableServiceLinks: fc.boolean(),
    automountServiceAccountToken: fc.boolean(),
    securityContext: optional({
      fsGroup: fc.constantFrom(1337, 2000),
      runAsUser: fc.constantFrom(0, 1000),
      runAsNonRoot: fc.boolean(),
      seccompProfile: fc.constant({ type: 'RuntimeDefault' }),
      sysctls: fc.constant([{ name: 'net.core.somaxconn', value: '1024' }]),
    }),
    tolerations: fc.constant([{ key: 'a', operator: 'Exists', effect: 'NoSchedule' }]),
    hostAliases: fc.constant([{ ip: '127.0.0.1', hostnames: ['me.local'] }]),
    topologySpreadConstraints: fc.constant([
      {
        maxSkew: 1,
        topologyKey: 'zone',
        whenUnsatisfiable: 'ScheduleAnyway',
        labelSelector: { matchLabels: { app: 'shop' } },
      },
    ]),
    resources: sometimes(
      fc.constantFrom({ limits: { cpu: '1', memory: '1Gi' } }, { requests: { cpu: '50m' } }),
      6,
    ),
    os: sometimes(fc.constantFrom({ name: 'windows' }, { name: 'linux' }), 6),
    hostUsers: sometimes(fc.boolean(), 5),
  })
}

/** A container of the application. */
function container(
  name: string,
  mounts: readonly string[],
  options: PodOptions,
): Arbitrary<JsonObject> {
  const unknown: JsonObject =
    options.hasUnknownFields === true
      ? { newField: 'x', ports: [{ containerPort: 1, newField: true }] }
      : {}
  return fc
    .tuple(
      optional({
        ports: ports(),
        env: envs(['MODE', 'POD_NAME', 'LEVEL']),
        envFrom: fc.constant([{ configMapRef: { name: 'settings', optional: true } }]),
        command: fc.constant(['/bin/app']),
        args: fc.constant(['--verbose', '$(MODE)']),
        resources: resources(),
        volumeMounts: mountsOf(mounts, ['/data', '/config', '/etc/istio/proxy']),
        livenessProbe: probe(),
        readinessProbe: probe(),
        startupProbe: probe(),
        lifecycle: lifecycle(),
        securityContext: securityContext(),
        imagePullPolicy: fc.constantFrom('Always', 'IfNotPresent', 'Never'),
        workingDir: fc.constant('/srv'),
        terminationMessagePolicy: fc.constant('FallbackToLogsOnError'),
        stdin: fc.boolean(),
      }),
      fc.constantFrom('nginx', 'example.com/shop@sha256:' + 'a'.repeat(64)),
    )
    .map(([rest, image]) => ({ name, image, ...rest, ...unknown }))
}

function initContainer(name: string, mounts: readonly string[]): Arbitrary<JsonObject> {
  const rest = optional({
    env: envs(['MODE']),
    command: fc.constant(['sh', '-c', 'sleep 1']),
    resources: resources(),
    volumeMounts: mountsOf(mounts, ['/data']),
    securityContext: securityContext(),
  })
  const sidecar = optional({
    ports: ports(),
    startupProbe: probe(),
    livenessProbe: probe(),
    lifecycle: lifecycle(),
  })
  return fc.oneof(
    { arbitrary: rest.map((each) => ({ name, image: 'busybox', ...each })), weight: 3 },
    {
      arbitrary: fc.tuple(rest, sidecar).map(([each, more]) => ({
        ...{ name, image: 'busybox', restartPolicy: 'Always' },
        ...each,
        ...more,
      })),
      weight: 1,
    },
  )
}

/** A user's own istio-proxy: what people customise, and what clashes with the template. */
export function ownProxy(mounts: readonly string[] = []): Arbitrary<JsonObject> {
  return fc
    .tuple(
      fc.constantFrom('auto', 'example.com/own-proxy:1'),
      optional({
        ports: ports(),
        env: envs([
          'MODE',
          'POD_NAME',
          'GOMEMLIMIT',
          'PROXY_CONFIG',
          'ISTIO_META_CLUSTER_ID',
          'ISTIO_KUBE_APP_PROBERS',
          'ISTIO_PROMETHEUS_ANNOTATIONS',
          'CA_ADDR',
        ]),
        args: fc.constantFrom(['proxy', 'sidecar'], ['proxy', 'router', '--concurrency', '1']),
        resources: resources(),
        volumeMounts: mountsOf(mounts, [
          '/data',
          '/etc/istio/proxy',
          '/etc/istio/pod',
          '/var/run/secrets/tokens',
        ]),
        readinessProbe: probe(),
        livenessProbe: probe(),
        startupProbe: probe(),
        lifecycle: lifecycle(),
        securityContext: securityContext(),
        imagePullPolicy: fc.constantFrom('Always', 'Never'),
        tty: fc.boolean(),
      }),
    )
    .map(([image, rest]) => ({ name: 'istio-proxy', image, ...rest }))
}

/** A user's own istio-init or istio-validation. */
export function ownInit(mounts: readonly string[] = []): Arbitrary<JsonObject> {
  return fc
    .tuple(
      fc.constantFrom('istio-init', 'istio-init', 'istio-validation'),
      optional({
        env: envs(['MODE', 'DNS']),
        args: fc.constant(['istio-iptables', '-p', '15001']),
        resources: resources(),
        volumeMounts: mountsOf(mounts, ['/data']),
        securityContext: securityContext(),
      }),
    )
    .map(([name, rest]) => ({ name, image: 'example.com/init:1', ...rest }))
}

function ports(): Arbitrary<Json[]> {
  const port = fc
    .tuple(
      fc.constantFrom(80, 8080, 9090, 15020, 15021, 15090),
      optional({
        name: fc.constantFrom('http', 'grpc', 'metrics', 'http-envoy-prom'),
        protocol: fc.constantFrom('TCP', 'UDP'),
      }),
    )
    .map(([containerPort, rest]) => ({ ...rest, containerPort }))
  return fc.uniqueArray(port, { maxLength: 3, selector: (each) => each.name ?? each.containerPort })
}

function envs(names: readonly string[]): Arbitrary<Json[]> {
  const value = fc.constantFrom<JsonObject[]>(
    {},
    { value: '' },
    { value: 'a "b" {{c}}\n' },
    { valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
    { valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'status.podIP' } } },
    { valueFrom: { secretKeyRef: { name: 'keys', key: 'k', optional: true } } },
    { valueFrom: { configMapKeyRef: { name: 'settings', key: 'k' } } },
    { valueFrom: { resourceFieldRef: { resource: 'requests.cpu' } } },
  )
  return fc.array(
    fc.tuple(fc.constantFrom(...names), value).map(([name, rest]) => ({ name, ...rest })),
    { maxLength: 4 },
  )
}

/** Amounts above and below those of the templates, requests never above limits of their own. */
function resources(): Arbitrary<JsonObject> {
  return fc.constantFrom<JsonObject[]>(
    {},
    { requests: { cpu: '50m' } },
    { requests: { cpu: '3', memory: '2Gi' } },
    { limits: { cpu: '50m' } },
    { limits: { cpu: '10m', memory: '16Mi' } },
    { limits: { cpu: 1, memory: 134217728 } },
    { limits: { memory: '64Mi' }, requests: { memory: '32Mi' } },
    { limits: { cpu: '0' } },
    { requests: { 'ephemeral-storage': '1Gi' }, limits: { 'ephemeral-storage': '2Gi' } },
    { limits: { 'example.com/gpu': '1' } },
    { limits: { 'hugepages-2Mi': '2Mi', memory: '64Mi' } },
  )
}

function mountsOf(names: readonly string[], paths: readonly string[]): Arbitrary<Json[]> {
  if (names.length === 0) return fc.constant([])
  const mount = fc
    .tuple(
      fc.constantFrom(...names),
      fc.constantFrom(...paths),
      optional({ readOnly: fc.boolean(), subPath: fc.constantFrom('sub', 'a/b') }),
    )
    .map(([name, mountPath, rest]) => ({ name, mountPath, ...rest }))
  return fc.uniqueArray(mount, { maxLength: 3, selector: (each) => each.mountPath })
}

const HANDLERS: readonly JsonObject[] = [
  { httpGet: { path: '/healthz', port: 8080 } },
  {
    httpGet: {
      path: '/',
      port: 'http',
      scheme: 'HTTPS',
      httpHeaders: [{ name: 'X-Probe', value: 'a"b' }],
    },
  },
  { httpGet: { port: 80, host: '127.0.0.1' } },
  { httpGet: { path: '/a<b>&c', port: 15021 } },
  { tcpSocket: { port: 'metrics' } },
  { tcpSocket: { port: 9090 } },
  { exec: { command: ['true'] } },
]

function probe(): Arbitrary<JsonObject> {
  return fc
    .tuple(
      fc.constantFrom(
        ...HANDLERS,
        { grpc: { port: 9090 } },
        { grpc: { port: 9090, service: 'shop' } },
      ),
      optional({
        timeoutSeconds: fc.constantFrom(1, 5),
        periodSeconds: fc.constantFrom(1, 30),
        failureThreshold: fc.constantFrom(1, 3),
        initialDelaySeconds: fc.constantFrom(0, 10),
      }),
    )
    .map(([handler, rest]) => ({ ...handler, ...rest }))
}

function lifecycle(): Arbitrary<JsonObject> {
  return optional({
    preStop: fc.constantFrom(...HANDLERS.filter((each) => !('tcpSocket' in each)), {
      sleep: { seconds: 1 },
    }),
    postStart: fc.constantFrom(...HANDLERS),
  })
}

function securityContext(): Arbitrary<JsonObject> {
  return optional({
    runAsUser: fc.constantFrom(0, 1000, 1337),
    runAsGroup: fc.constantFrom(0, 1337, 3000),
    runAsNonRoot: fc.boolean(),
    privileged: once(4),
    readOnlyRootFilesystem: fc.boolean(),
    capabilities: fc.constantFrom(
      { add: ['NET_ADMIN'] },
      { drop: ['ALL'] },
      { add: ['SYS_ADMIN'], drop: ['KILL'] },
    ),
    seccompProfile: fc.constantFrom(
      { type: 'Unconfined' },
      { type: 'Localhost', localhostProfile: 'p.json' },
    ),
    procMount: sometimes(fc.constant('Default'), 3),
  })
}

// Small combinators.

/** Some of the members: each is there about one time in four. */
function optional<T>(members: { [Name in keyof T]: Arbitrary<T[Name] | undefined> }): Arbitrary<
  JsonObject & Partial<T>
> {
  const maybe = Object.fromEntries(
    Object.entries<Arbitrary<unknown>>(members).map(([name, arbitrary]) => [
      name,
      sometimes(arbitrary, 4),
    ]),
  )
  return fc.record(maybe).map((record) => {
    const set = Object.entries(record).filter(([, value]) => value !== undefined)
    return Object.fromEntries(set) as JsonObject & Partial<T>
  })
}

/** The value one time in `often`, else nothing. */
function sometimes<T>(arbitrary: Arbitrary<T>, often: number): Arbitrary<T | undefined> {
  return fc.oneof(
    { arbitrary: fc.constant(undefined), weight: often - 1 },
    { arbitrary, weight: 1 },
  )
}

/** True one time in so many. */
function once(often: number): Arbitrary<boolean> {
  return fc.nat({ max: often - 1 }).map((number) => number === 0)
}

function dictionary(
  keys: readonly string[],
  values: readonly string[],
): Arbitrary<Record<string, string>> {
  return fc.dictionary(fc.constantFrom(...keys), fc.constantFrom(...values), {
    maxKeys: 3,
    noNullPrototype: true,
  })
}
