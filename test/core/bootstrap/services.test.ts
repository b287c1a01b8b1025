/** ServiceEntry and DestinationRule, and what Envoy gets of them. */
import t from 'tap'
import { buildStandalone } from '../../../core/bootstrap/bootstrap.ts'
import { readServices } from '../../../core/bootstrap/read-services.ts'
import type { Service } from '../../../core/bootstrap/services.ts'
import type { Json, JsonObject } from '../../../core/json.ts'
import type { Problem } from '../../../core/problem.ts'
import { at, injected, named, proxyOf } from './pod.ts'

const services = (...objects: readonly JsonObject[]): Service[] | readonly Problem[] => {
  const given = objects.map((value) => ({ path: 'f.yaml:1', value }))
  const read = readServices(given, proxyOf(injected()).ports)
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
    name: 'HTTP where the proxy itself listens',
    problems: () => services(entry({ ports: [{ number: 15090, protocol: 'HTTP' }] })),
    want: [{ path: 'ServiceEntry: spec.ports.number', got: '15090' }],
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
    name: 'hosts that are any host or none',
    problems: () => services(entry({ hosts: ['*', '', '*.test'] })),
    want: [{ path: 'f.yaml:1: spec.hosts', got: '*' }, { got: '' }],
  },
  {
    name: 'a hash by a header without a name',
    problems: () => services(rule({ consistentHash: { httpHeaderName: '' } })),
    want: [{ path: /consistentHash\.httpHeaderName$/, got: '', want: 'a name' }],
  },
  {
    name: 'a hash by a parameter without a name',
    problems: () => services(rule({ consistentHash: { httpQueryParameterName: '' } })),
    want: [{ path: /consistentHash\.httpQueryParameterName$/, want: 'a name' }],
  },
  {
    name: 'a hash by a cookie without a name, over places whose number is not prime',
    problems: () =>
      services(rule({ consistentHash: { httpCookie: {}, maglev: { tableSize: 65_536 } } })),
    want: [
      { path: /consistentHash\.httpCookie\.name$/, want: 'a name' },
      { path: /consistentHash\.maglev\.tableSize$/, got: '65536', want: 'a prime number' },
    ],
  },
  {
    name: 'a cookie for a time that is none',
    problems: () => services(rule({ consistentHash: { httpCookie: { name: 'u', ttl: 'soon' } } })),
    want: [{ path: /consistentHash\.httpCookie\.ttl$/, got: 'soon', want: /^a duration/ }],
  },
  {
    name: 'a cookie that was over before it began',
    problems: () => services(rule({ consistentHash: { httpCookie: { name: 'u', ttl: '-1s' } } })),
    want: [{ path: /consistentHash\.httpCookie\.ttl$/, got: '-1s', want: /not negative/ }],
  },
  {
    name: 'a hash by a header of two lines',
    problems: () => services(rule({ consistentHash: { httpHeaderName: 'x\ny' } })),
    want: [{ path: /consistentHash\.httpHeaderName$/, got: 'x\ny', want: 'a name' }],
  },
  {
    name: 'more points than Envoy takes',
    problems: () => {
      const ringHash = { minimumRingSize: 8_388_609 }
      return services(rule({ consistentHash: { useSourceIp: true, ringHash } }))
    },
    want: [{ path: /consistentHash\.ringHash\.minimumRingSize$/, got: '8388609' }],
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
  {
    loadBalancer: { consistentHash: { useSourceIp: true, ringHash: { minimumRingSize: '64' } } },
    want: { lb_policy: 'RING_HASH', ring_hash_lb_config: { minimum_ring_size: 64 } },
  },
  {
    loadBalancer: { consistentHash: { useSourceIp: true, minimumRingSize: 0 } },
    want: { lb_policy: 'RING_HASH', ring_hash_lb_config: { minimum_ring_size: 1024 } },
  },
  {
    loadBalancer: { consistentHash: { useSourceIp: true, maglev: { tableSize: 251 } } },
    want: { lb_policy: 'MAGLEV', maglev_lb_config: { table_size: 251 } },
  },
  {
    loadBalancer: { consistentHash: { useSourceIp: true, maglev: {} } },
    want: { lb_policy: 'MAGLEV', maglev_lb_config: { table_size: 65_537 } },
  },
] as const

t.test('balancing as Istio names it', async (t) => {
  for (const { loadBalancer, want } of balanced) {
    const proxy = proxyOf(injected())
    const given = [entry({}), rule(loadBalancer)].map((value) => ({ path: 'f', value }))
    const read = readServices(given, proxy.ports)
    if (!read.ok) throw new Error(JSON.stringify(read.problems))
    const built = buildStandalone(proxy, read.value)
    const cluster = named(at(built, 'static_resources', 'clusters'), 'outbound|80||a.test')
    t.match(cluster, want, JSON.stringify(loadBalancer))
  }
})

const nameOf = ({ name }: JsonObject): string => (typeof name === 'string' ? name : '')

/** The listeners of services, and the domains of each virtual host of one of them. */
function listening(...objects: readonly JsonObject[]): {
  readonly names: readonly string[]
  readonly domains: (listener: string) => Readonly<Record<string, Json>>
} {
  const proxy = proxyOf(injected())
  const given = objects.map((value) => ({ path: 'f', value }))
  const read = readServices(given, proxy.ports)
  if (!read.ok) throw new Error(JSON.stringify(read.problems))
  const built = buildStandalone(proxy, read.value)
  const listeners = at(built, 'static_resources', 'listeners') as readonly JsonObject[]
  return {
    names: listeners.map(nameOf).filter((name) => /_\d+$/.test(name)),
    domains: (listener) => {
      const filter = ['filter_chains', 0, 'filters', 0, 'typed_config', 'route_config'] as const
      const hosts = at(named(listeners, listener), ...filter, 'virtual_hosts')
      return Object.fromEntries(
        (hosts as readonly JsonObject[]).map((host) => [nameOf(host), host['domains'] ?? null]),
      )
    },
  }
}

t.test('a domain is that of the first service on its port', async (t) => {
  const addresses = ['10.9.9.9']
  const { domains } = listening(
    entry({ hosts: ['one.test', 'two.test', 'ONE.test'], addresses }),
    entry({ hosts: ['three.test'], addresses: [...addresses, '10.9.9.9'] }),
    entry({ hosts: ['a.default.svc.cluster.local', 'a', '*.default.svc.cluster.local'] }),
    entry({ hosts: ['four.test'], addresses, ports: [{ number: 81, protocol: 'HTTP' }] }),
  )
  const both = (...names: readonly string[]): readonly string[] =>
    names.flatMap((name) => [name, `${name}:80`])
  t.strictSame(domains('0.0.0.0_80'), {
    'one.test:80': both('one.test', '10.9.9.9'),
    'two.test:80': both('two.test'),
    'three.test:80': both('three.test'),
    'a.default.svc.cluster.local:80': both(
      'a.default.svc.cluster.local',
      'a.default.svc',
      'a.default',
      'a',
    ),
    '*.default.svc.cluster.local:80': both(
      '*.default.svc.cluster.local',
      '*.default.svc',
      '*.default',
    ),
    allow_any: ['*'],
  })
  t.match(domains('0.0.0.0_81'), { 'four.test:81': ['four.test', 'four.test:81', '10.9.9.9'] })
})

t.test('an address of TCP is that of the first service on its port', async (t) => {
  const ports = [{ number: 6379, protocol: 'TCP' }]
  const { names } = listening(
    entry({ hosts: ['one.test'], addresses: ['10.9.9.9'], ports }),
    entry({ hosts: ['two.test'], addresses: ['10.9.9.9', '10.9.9.8'], ports }),
  )
  t.strictSame(names, ['10.9.9.9_6379', '10.9.9.8_6379'])
})
