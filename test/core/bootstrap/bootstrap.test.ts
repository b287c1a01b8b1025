import t from 'tap'
import { buildDiscovered, buildStandalone } from '../../../core/bootstrap/bootstrap.ts'
import { readProxy } from '../../../core/bootstrap/from-pod.ts'
import type { Json, JsonObject } from '../../../core/json.ts'
import type { Problem } from '../../../core/problem.ts'
import { configOf } from '../../support/config.ts'
import { at, injected, named, proxyOf } from './pod.ts'

const STATUS = 'status.sidecar.istio.io/port'
const CONFIG = 'proxy.istio.io/config'

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

const agents = [
  { name: 'the annotation', annotations: { [STATUS]: ' 15099' }, port: 15099 },
  { name: 'the configuration', annotations: { [CONFIG]: 'statusPort: 15088' }, port: 15088 },
  {
    name: 'both: the annotation wins, as in injection',
    annotations: { [STATUS]: '15099', [CONFIG]: 'statusPort: 15088' },
    port: 15099,
  },
  { name: '0, which switches the agent off', annotations: { [STATUS]: '0' }, port: 15020 },
] as const

for (const { name, annotations, port } of agents) {
  t.test(`the port of the agent by ${name}`, async (t) => {
    const proxy = proxyOf(injected({ annotations }))
    t.equal(at(proxy.node.metadata, 'PROXY_CONFIG', 'statusPort'), port)
    for (const built of [
      buildStandalone(proxy, []),
      buildDiscovered(proxy, { kind: 'pipe', path: './xds' }),
    ]) {
      const agent = named(at(built, 'static_resources', 'clusters'), 'agent')
      t.match(JSON.stringify(agent), `"port_value":${port}}`)
    }
  })
}

t.test('the address of istiod by annotation', async (t) => {
  const annotations = {
    'sidecar.istio.io/discoveryAddress': 'istiod-canary.istio-system.svc:15012',
  }
  const { node } = proxyOf(injected({ annotations }))
  t.equal(
    at(node.metadata, 'PROXY_CONFIG', 'discoveryAddress'),
    'istiod-canary.istio-system.svc:15012',
  )
})

const collectors = [
  {
    address: 'zipkin:9411',
    want: { type: 'STRICT_DNS', dns_lookup_family: 'V4_ONLY' },
    host: 'zipkin',
  },
  { address: '10.0.0.7:9411', want: { type: 'STATIC' }, host: '10.0.0.7' },
  { address: '[fd00::9]:9411', want: { type: 'STATIC' }, host: 'fd00::9' },
] as const

t.test('collectors by name and by address', async (t) => {
  for (const { address, want, host } of collectors) {
    const annotations = { [CONFIG]: `tracing: {zipkin: {address: "${address}"}}` }
    const proxy = proxyOf(injected({ annotations }))
    const built = buildDiscovered(proxy, { kind: 'pipe', path: './xds' })
    const zipkin = named(at(built, 'static_resources', 'clusters'), 'zipkin')
    t.match(zipkin, want, address)
    const endpoint = at(zipkin, 'load_assignment', 'endpoints', 0, 'lb_endpoints', 0, 'endpoint')
    const socket = at(endpoint, 'address', 'socket_address')
    t.strictSame(socket, { address: host, port_value: 9411 })
  }
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
    name: 'a port of the agent that is none',
    problems: () => {
      const { pod } = injected()
      const annotations = { ...pod.metadata?.annotations, [STATUS]: '15o20' }
      const broken = { ...pod, metadata: { ...pod.metadata, annotations } }
      const read = readProxy(broken, configOf({}).mesh, { addresses: [] })
      return read.ok ? [] : read.problems
    },
    want: [{ path: STATUS, got: '15o20' }],
  },
]

for (const { name, problems, want } of refused) {
  t.test(`refused: ${name}`, async (t) => {
    t.match(problems(), want)
  })
}
