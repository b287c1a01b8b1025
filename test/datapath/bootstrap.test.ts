/** The command, and Envoy's own opinion of what it prints. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { bootstrapCommand } from '../../datapath/bootstrap-command.ts'
import { need } from '../require.ts'
import { configOf } from '../support/config.ts'
import { injectText } from '../support/inject-text.ts'
import { injectPod } from '../../core/inject/inject.ts'
import { ENVOY, refusalOf } from './scenario.ts'

const folder = mkdtempSync(join(tmpdir(), 'bootstrap-'))
t.teardown(() => {
  rmSync(folder, { recursive: true })
})
const file = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}

const deployment = readFileSync('examples/nginx-deployment.yaml', 'utf8')
const setting = {
  inject: (request: Parameters<typeof injectPod>[0]) => injectPod(request, configOf({})),
  nativeSidecars: true,
}
const plain = file('plain.yaml', deployment)
const injected = file('injected.yaml', injectText('nginx', deployment, setting))
const two = file(
  'two.yaml',
  `${readFileSync(injected, 'utf8')}\n---\n${readFileSync(injected, 'utf8').replace('name: nginx-deployment', 'name: other')}`,
)
const services = file(
  'services.yaml',
  `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: details}
spec:
  hosts: [details.default.svc.cluster.local]
  addresses: [10.96.0.90, "fd25:96::90"]
  ports: [{number: 9080, name: http, protocol: HTTP}, {number: 6379, name: redis, protocol: TCP}]
  resolution: STATIC
  endpoints: [{address: 10.0.0.1}, {address: "fd00::1", ports: {http: 8080}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: details}
spec:
  host: details.default.svc.cluster.local
  trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user}}}
`,
)
const log = file('log.yaml', 'accessLogFile: /dev/stdout\n')
const json = file(
  'json.yaml',
  'accessLogFile: /tmp/access.log\naccessLogEncoding: JSON\naccessLogFormat: \'{"a\\"}": "%REQ(X-B)% \\"}"}\'\noutboundTrafficPolicy: {mode: REGISTRY_ONLY}\n',
)

/** Names and addresses that services share, ports that the proxy has elsewhere, and every way to spread calls. */
const shared = file(
  'shared.yaml',
  [
    ...[
      'one.test, two.test, ONE.test',
      'three.test',
      'details.default.svc.cluster.local, details, "*.default.svc.cluster.local"',
    ].map(
      (hosts, index) => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: shared-${index}}
spec:
  hosts: [${hosts}]
  addresses: [10.9.9.9, "fd00::9:9"]
  ports: [{number: 8080, name: http, protocol: HTTP}, {number: 6379, name: redis, protocol: TCP}, {number: 15000, name: admin, protocol: HTTP}, {number: 15090, name: metrics, protocol: TCP}]
  resolution: STATIC
  endpoints: [{address: 10.0.0.1}]
`,
    ),
    ...[
      ['one.test', 'httpCookie: {name: user, path: /, ttl: 1h30m}'],
      ['two.test', 'httpCookie: {name: user, ttl: 0s}, minimumRingSize: "8388608"'],
      ['three.test', 'httpHeaderName: x-user, maglev: {tableSize: 5000011}'],
      ['details', 'httpQueryParameterName: user, maglev: {}'],
    ].map(
      ([host, hash]) => `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${host}}
spec: {host: ${host}, trafficPolicy: {loadBalancer: {consistentHash: {${hash}}}}}
`,
    ),
  ].join('---\n'),
)
const collector = file(
  'collector.yaml',
  'defaultConfig: {tracing: {zipkin: {address: "[fd00::9]:9411"}}}\n',
)

const forms: readonly (readonly string[])[] = [
  ['-f', injected],
  [
    '-f',
    injected,
    '-f',
    services,
    '--pod-ip',
    '10.0.0.9',
    '--pod-ip',
    'fd00::9',
    '--meshConfigFile',
    log,
  ],
  ['-f', injected, '--pod-ip', 'fd00::9', '--meshConfigFile', json],
  ['--interception-mode', 'TPROXY', '--name', 'a', '-n', 'b'],
  ['-f', injected, '--xds'],
  ['-f', injected, '--xds', 'istiod.istio-system.svc:15010'],
  ['-f', injected, '-f', shared],
  ['-f', injected, '--xds', '--meshConfigFile', collector],
  ['-f', injected, '--xds', '--istio-version', '1.8'],
]

async function print(args: readonly string[]): Promise<string> {
  const output = join(folder, 'envoy.json')
  const command = bootstrapCommand().exitOverride()
  await command.parseAsync([...args, '-o', output], { from: 'user' })
  return output
}

const lacks = ENVOY === undefined ? 'needs envoy: scripts/test-tools.mjs' : undefined
t.test('Envoy accepts every form', need(lacks), async (t) => {
  for (const args of forms) {
    t.equal(refusalOf(await print(args)), undefined, args.join(' ').replaceAll(folder, ''))
  }
  const broken = file(
    'broken.json',
    readFileSync(await print([]), 'utf8').replace('STATIC', 'STATISCH'),
  )
  t.match(refusalOf(broken), 'STATISCH', 'and would refuse another')
})

t.test('which pod', async (t) => {
  const node = async (...args: readonly string[]): Promise<unknown> =>
    (JSON.parse(readFileSync(await print(args), 'utf8')) as { node: { id: string } }).node.id
  t.equal(
    await node('-f', two, '--pod', 'other', '--pod-ip', '10.0.0.9', '--name', 'web-7'),
    'sidecar~10.0.0.9~web-7.default~default.svc.cluster.local',
  )
  t.equal(await node('-n', 'shop'), 'sidecar~127.0.0.1~app.shop~shop.svc.cluster.local')
  await t.rejects(print(['-f', two]), /Deployment .+nginx-deployment.+Deployment .+other.+--pod/s)
  await t.rejects(print(['-f', plain]), /got "nginx", want a pod that was injected/)
  await t.rejects(print(['-f', services]), /want an injected pod/)
  await t.rejects(
    print(['-f', injected, '--xds', 'nowhere']),
    /--xds: got "nowhere", want host:port/,
  )
})

t.test('the defaults are those of the version that injected', async (t) => {
  const made = async (...args: readonly string[]): Promise<unknown> => {
    const text = readFileSync(await print(['-f', injected, '--xds', ...args]), 'utf8')
    const { node, tracing, static_resources } = JSON.parse(text) as {
      node: { metadata: { PROXY_CONFIG: { concurrency?: number } } }
      tracing?: object
      static_resources: { clusters: { name: string }[] }
    }
    return {
      concurrency: node.metadata.PROXY_CONFIG.concurrency,
      traces: tracing !== undefined,
      clusters: static_resources.clusters.map(({ name }) => name),
    }
  }
  const clusters = ['prometheus_stats', 'agent', 'sds-grpc', 'xds-grpc']
  t.strictSame(await made(), { concurrency: undefined, traces: false, clusters })
  const want = { concurrency: 2, traces: true, clusters: [...clusters, 'zipkin'] }
  t.strictSame(await made('--istio-version', '1.8'), want, 'as in document 004')
})
