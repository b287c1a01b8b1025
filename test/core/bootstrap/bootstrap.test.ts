import t from 'tap'
import { buildDiscovered, buildStandalone } from '../../../core/bootstrap/bootstrap.ts'
import { readProxy } from '../../../core/bootstrap/from-pod.ts'
import type { Proxy } from '../../../core/bootstrap/proxy.ts'
import { readServices } from '../../../core/bootstrap/read-services.ts'
import type { Service } from '../../../core/bootstrap/services.ts'
import { injectPod } from '../../../core/inject/inject.ts'
import { isObject, type Json, type JsonObject } from '../../../core/json.ts'
import type { Pod } from '../../../core/k8s.ts'
import type { Problem } from '../../../core/problem.ts'
import { configOf, requestFor } from '../../support/config.ts'

type Texts = Parameters<typeof configOf>[0]

/** A pod as injection leaves it, and the mesh that it was injected for. */
function injected(metadata: JsonObject = {}, texts: Texts = {}): { pod: Pod; texts: Texts } {
  const ports = [{ containerPort: 9080 }]
  const decision = injectPod(
    requestFor(
      {
        metadata: { name: 'productpage-v1-6b', namespace: 'default', ...metadata },
        spec: {
          serviceAccountName: 'bookinfo-productpage',
          containers: [{ name: 'productpage', image: 'productpage', ports }],
        },
      },
      { namespace: 'default' },
    ),
    configOf(texts),
  )
  if (decision.kind !== 'inject') throw new Error(decision.kind)
  return { pod: decision.pod, texts }
}

function proxyOf(given: { pod: Pod; texts: Texts }, addresses: readonly string[] = []): Proxy {
  const read = readProxy(given.pod, configOf(given.texts).mesh, { addresses })
  if (!read.ok) throw new Error(JSON.stringify(read.problems))
  return read.value
}

/** A member of a tree by names and places. */
function at(value: Json | undefined, ...path: readonly (string | number)[]): Json | undefined {
  return path.reduce<Json | undefined>((here, step) => {
    if (Array.isArray(here) && typeof step === 'number') return here[step] as Json
    return isObject(here) ? here[`${step}`] : undefined
  }, value)
}

function named(list: Json | undefined, name: string): JsonObject {
  const found = (list as readonly JsonObject[]).find((one) => one['name'] === name)
  if (found === undefined) throw new Error(`nothing is called ${name}`)
  return found
}

t.test('the node is the injected pod', async (t) => {
  const labels = { app: 'productpage', version: 'v1' }
  const { node } = proxyOf(injected({ labels }), ['10.240.2.38'])
  t.equal(
    node.id,
    'sidecar~10.240.2.38~productpage-v1-6b.default~default.svc.cluster.local',
    'as in document 004',
  )
  t.equal(node.cluster, 'productpage.default')
  t.match(node.metadata, {
    APP_CONTAINERS: 'productpage',
    CLUSTER_ID: 'Kubernetes',
    INSTANCE_IPS: '10.240.2.38',
    INTERCEPTION_MODE: 'REDIRECT',
    ISTIO_VERSION: '1.30.3',
    MESH_ID: 'cluster.local',
    NAME: 'productpage-v1-6b',
    NAMESPACE: 'default',
    POD_PORTS: '[{"containerPort":9080}]',
    SERVICE_ACCOUNT: 'bookinfo-productpage',
    WORKLOAD_NAME: 'productpage-v1-6b',
  })
  t.equal(
    at(node.metadata, 'LABELS', 'service.istio.io/canonical-name'),
    'productpage',
    'labels are those after injection',
  )
  t.equal(at(node.metadata, 'PROXY_CONFIG', 'statusPort'), 15020)
})

t.test('variables of the mesh and of the pod reach the node', async (t) => {
  const mesh =
    'defaultConfig: {proxyMetadata: {ISTIO_META_HOSTILE: "a\\"}, \\nb", ISTIO_METAJSON_X: "{\\"A\\": {\\"b\\": 1}}"}}'
  const { node } = proxyOf(injected({}, { mesh }))
  t.equal(node.metadata['HOSTILE'], 'a"}, \nb', 'texts stay texts')
  t.strictSame(node.metadata['A'], { b: 1 }, 'and JSON becomes what it says')
  const config =
    'proxyAdminPort: 15999\nserviceCluster: shop\ntracing: {zipkin: {address: "z:9411"}}\n'
  const own = proxyOf(injected({ annotations: { 'proxy.istio.io/config': config } }))
  t.strictSame([own.ports.admin, own.node.cluster, own.zipkin], [15999, 'shop', 'z:9411'])
})

const shapes = [
  {
    name: 'IPv4',
    addresses: ['10.0.0.9'],
    listens: ['0.0.0.0'],
    admin: '127.0.0.1',
    source: { source_address: { address: '127.0.0.6', port_value: 0 } },
  },
  {
    name: 'both families',
    addresses: ['10.0.0.9', 'fd00::9'],
    listens: ['0.0.0.0', '::'],
    admin: '127.0.0.1',
    source: {
      source_address: { address: '127.0.0.6', port_value: 0 },
      extra_source_addresses: [{ address: { address: '::6', port_value: 0 } }],
    },
  },
  {
    name: 'IPv6',
    addresses: ['fd00::9'],
    listens: ['::'],
    admin: '::1',
    source: { source_address: { address: '::6', port_value: 0 } },
  },
] as const

for (const { name, addresses, listens, admin, source } of shapes) {
  t.test(`stand-alone, ${name}`, async (t) => {
    const built = buildStandalone(proxyOf(injected(), addresses), [])
    const listeners = at(built, 'static_resources', 'listeners')
    const clusters = at(built, 'static_resources', 'clusters')
    for (const [listener, port] of [
      ['metrics', 15090],
      ['health', 15021],
      ['virtualOutbound', 15001],
      ['virtualInbound', 15006],
    ] as const) {
      const { address, additional_addresses: others } = named(listeners, listener)
      const all = [address, ...((others ?? []) as { address: Json }[]).map((one) => one.address)]
      t.strictSame(
        all.map((one) => at(one, 'socket_address')),
        listens.map((text) => ({ address: text, port_value: port })),
        listener,
      )
    }
    const page = { address: admin, port_value: 15000 }
    t.strictSame(at(built, 'admin', 'address', 'socket_address'), page)
    t.equal(named(listeners, 'virtualOutbound')['use_original_dst'], true)
    t.strictSame(named(clusters, 'InboundPassthroughCluster')['upstream_bind_config'], source)
    for (const cluster of ['PassthroughCluster', 'InboundPassthroughCluster']) {
      t.equal(named(clusters, cluster)['type'], 'ORIGINAL_DST')
    }
    t.equal(named(clusters, 'BlackHoleCluster')['load_assignment'], undefined)
  })
}

t.test('TPROXY keeps the address of the client', async (t) => {
  const annotations = { 'sidecar.istio.io/interceptionMode': 'TPROXY' }
  const built = buildStandalone(proxyOf(injected({ annotations })), [])
  const inbound = named(at(built, 'static_resources', 'listeners'), 'virtualInbound')
  t.equal(inbound['transparent'], true)
  const filter = named(inbound['listener_filters'], 'envoy.filters.listener.original_src')
  t.equal(at(filter, 'typed_config', 'mark'), 1337)
  const clusters = at(built, 'static_resources', 'clusters')
  t.equal(named(clusters, 'InboundPassthroughCluster')['upstream_bind_config'], undefined)
})

t.test('REGISTRY_ONLY sends what nobody declared into the black hole', async (t) => {
  const mesh = 'outboundTrafficPolicy: {mode: REGISTRY_ONLY}'
  const built = buildStandalone(proxyOf(injected({}, { mesh })), [])
  const text = JSON.stringify(named(at(built, 'static_resources', 'listeners'), 'virtualOutbound'))
  t.notMatch(text, '"PassthroughCluster"')
  t.match(text, '"block_all"')
})

t.test('with istiod only the pages of the proxy are static', async (t) => {
  const annotations = {
    'proxy.istio.io/config': 'tracing: {zipkin: {address: "zipkin.istio-system:9411"}}',
  }
  const built = buildDiscovered(proxyOf(injected({ annotations })), {
    kind: 'pipe',
    path: './etc/istio/proxy/XDS',
  })
  const names = (list: string): readonly Json[] =>
    (at(built, 'static_resources', list) as readonly JsonObject[]).map((one) => one['name'] ?? null)
  const clusters = ['prometheus_stats', 'agent', 'sds-grpc', 'xds-grpc', 'zipkin']
  t.strictSame(names('clusters'), clusters, 'the clusters of document 004')
  t.strictSame(names('listeners'), ['metrics', 'health'])
  const way = ['dynamic_resources', 'ads_config', 'grpc_services', 0, 'envoy_grpc', 'cluster_name']
  t.equal(at(built, ...way), 'xds-grpc')
  const zipkin = at(built, 'tracing', 'http', 'typed_config', 'collector_cluster')
  t.equal(zipkin, 'zipkin')
  t.strictSame(
    at(built, 'stats_config', 'stats_tags', 0),
    {
      tag_name: 'cluster_name',
      regex: '^cluster\\.((.+?(\\..+?\\.svc\\.cluster\\.local)?)\\.)',
    },
    'a name with dots stays one value',
  )
})

const mesh = (text: string): (() => readonly Problem[]) => {
  return () => {
    const { pod } = injected()
    const read = readProxy(pod, configOf({ mesh: text }).mesh, { addresses: [] })
    return read.ok ? [] : read.problems
  }
}
const services = (...objects: readonly JsonObject[]): Service[] | readonly Problem[] => {
  const read = readServices(objects.map((value) => ({ path: 'f.yaml:1', value })))
  return read.ok ? [...read.value] : read.problems
}
const entry = (spec: JsonObject): JsonObject => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'ServiceEntry',
  spec: {
    hosts: ['a.test'],
    ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
    resolution: 'STATIC',
    endpoints: [{ address: '10.0.0.1' }],
    ...spec,
  },
})
const rule = (loadBalancer: JsonObject): JsonObject => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'DestinationRule',
  spec: { host: 'a.test', trafficPolicy: { loadBalancer } },
})

const refused: readonly {
  readonly name: string
  readonly problems: () => unknown
  readonly want: object
}[] = [
  {
    name: 'a pod that was not injected',
    problems: () => {
      const pod = { spec: { containers: [{ name: 'a' }, { name: 'b' }] } }
      const read = readProxy(pod, configOf({}).mesh, { addresses: [] })
      return read.ok ? [] : read.problems
    },
    want: [{ path: '/spec/containers', got: 'a, b', want: /was injected/ }],
  },
  {
    name: 'an address that is none',
    problems: () => {
      const read = readProxy(injected().pod, configOf({}).mesh, { addresses: ['10.0.0.300'] })
      return read.ok ? [] : read.problems
    },
    want: [{ path: '--pod-ip', got: '10.0.0.300' }],
  },
  {
    name: 'an encoding that Istio does not know',
    problems: mesh('accessLogFile: /dev/stdout\naccessLogEncoding: XML\n'),
    want: [{ path: 'mesh: accessLogEncoding', got: 'XML', want: 'TEXT or JSON' }],
  },
  {
    name: 'a text format for JSON',
    problems: mesh(
      'accessLogFile: /dev/stdout\naccessLogEncoding: JSON\naccessLogFormat: "[%START_TIME%"\n',
    ),
    want: [{ path: 'mesh: accessLogFormat', want: /JSON object/ }],
  },
  {
    name: 'a service whose names somebody has to resolve',
    problems: () => services(entry({ resolution: 'DNS' })),
    want: [{ path: 'f.yaml:1: spec.resolution', got: 'DNS' }],
  },
  {
    name: 'a service twice',
    problems: () => services(entry({}), entry({})),
    want: [{ got: 'a.test:80', want: 'each host and port once' }],
  },
  {
    name: 'ports and addresses out of range, all of them',
    problems: () =>
      services(
        entry({ addresses: ['nowhere'], ports: [{ number: 0, name: 'x', protocol: 'TCP' }] }),
      ),
    want: [{ got: 'nowhere' }, { got: '0' }, { got: '0' }],
  },
  {
    name: 'balancing that Envoy has not',
    problems: () => services(entry({}), rule({ simple: 'BEST' })),
    want: [{ path: 'f.yaml:1: spec.trafficPolicy.loadBalancer.simple', got: 'BEST' }],
  },
  {
    name: 'a hash of nothing',
    problems: () => services(entry({}), rule({ consistentHash: {} })),
    want: [{ path: 'f.yaml:1: spec.trafficPolicy.loadBalancer.consistentHash', got: '{}' }],
  },
]

for (const { name, problems, want } of refused) {
  t.test(`refused: ${name}`, async (t) => {
    t.match(problems(), want)
  })
}

const balanced = [
  { loadBalancer: { simple: 'ROUND_ROBIN' }, want: { lb_policy: 'ROUND_ROBIN' } },
  { loadBalancer: { simple: 'LEAST_CONN' }, want: { lb_policy: 'LEAST_REQUEST' } },
  { loadBalancer: { simple: 'RANDOM' }, want: { lb_policy: 'RANDOM' } },
  { loadBalancer: {}, want: { lb_policy: 'LEAST_REQUEST' } },
  { loadBalancer: { simple: 'PASSTHROUGH' }, want: { type: 'ORIGINAL_DST' } },
  {
    loadBalancer: { consistentHash: { useSourceIp: true, minimumRingSize: 64 } },
    want: { lb_policy: 'RING_HASH', ring_hash_lb_config: { minimum_ring_size: 64 } },
  },
  {
    loadBalancer: { consistentHash: { httpCookie: { name: 'user', ttl: '0s' } } },
    want: { lb_policy: 'RING_HASH', ring_hash_lb_config: { minimum_ring_size: 1024 } },
  },
] as const

t.test('balancing as Istio names it', async (t) => {
  for (const { loadBalancer, want } of balanced) {
    const read = readServices([
      { path: 'f', value: entry({}) },
      { path: 'f', value: rule(loadBalancer) },
    ])
    if (!read.ok) throw new Error(JSON.stringify(read.problems))
    const built = buildStandalone(proxyOf(injected()), read.value)
    const cluster = named(at(built, 'static_resources', 'clusters'), 'outbound|80||a.test')
    t.match(cluster, want, JSON.stringify(loadBalancer))
  }
})
