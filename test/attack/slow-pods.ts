/** Pods that try to make the injector slow, each as large as it is told, and an ordinary pod of any size. */
import type { Json, JsonObject } from '../../core/json.ts'

type Make = (size: number) => JsonObject

/** A pod of about `size` characters such as people write: containers with variables, ports and volumes. */
export function ordinaryPod(size: number): JsonObject {
  const app = (number: number): JsonObject => ({
    name: `app-${number}`,
    image: `example/app:${number}`,
    env: many(8, (index) => ({ name: `VAR_${index}`, value: `value ${index} of ${number}` })),
    ports: [{ containerPort: 8080 + (number % 1000), protocol: 'TCP' }],
    readinessProbe: { httpGet: { path: '/ready', port: 8080, scheme: 'HTTP' } },
    volumeMounts: [{ name: `data-${number}`, mountPath: '/data' }],
  })
  const volume = (number: number): JsonObject => ({ name: `data-${number}`, emptyDir: {} })
  const each = JSON.stringify([app(1), volume(1)]).length
  const count = Math.max(1, Math.round(size / each))
  return pod({ containers: many(count, app), volumes: many(count, volume) })
}

/** Every way of being slow that was thought of. `size` is the length of the pod's JSON, about. */
export const SLOW: Readonly<Record<string, Make>> = {
  'one long annotation': (size) => noted({ 'example.com/x': 'x'.repeat(size) }),
  'many annotations': (size) =>
    noted(map(size / 30, (index) => [`example.com/key-${index}`, 'value'])),
  'many labels': (size) =>
    pod({ containers: [APP] }, { labels: map(size / 24, (index) => [`l${index}`, 'value']) }),
  'a label of a megabyte': (size) =>
    pod(
      { containers: [APP] },
      { labels: { app: 'a-._'.repeat(size / 4), version: '-'.repeat(9) } },
    ),
  'many containers': (size) => ({ ...pod({ containers: many(size / 28, named('c')) }) }),
  'many init containers': (size) =>
    pod({ containers: [APP], initContainers: many(size / 28, named('i')) }),
  'containers of one name': (size) => pod({ containers: many(size / 28, () => APP) }),
  'proxies of one name': (size) =>
    pod({ containers: [APP, ...many(size / 38, () => ({ ...APP, name: 'istio-proxy' }))] }),
  'many volumes': (size) =>
    pod({ containers: [APP], volumes: many(size / 32, (n) => ({ name: `v${n}`, emptyDir: {} })) }),
  'volumes of the names of the template': (size) =>
    pod({
      containers: [APP],
      volumes: many(size / 38, () => ({ name: 'istio-envoy', emptyDir: {} })),
    }),
  'many variables': (size) => withApp({ env: many(size / 34, variable) }),
  'variables of one name': (size) => withApp({ env: many(size / 30, () => variable(1)) }),
  'many variables of the proxy': (size) => withProxy({ env: many(size / 34, variable) }),
  'variables of the proxy of one name': (size) =>
    withProxy({ env: many(size / 30, () => variable(1)) }),
  'many mounts of the proxy': (size) =>
    withProxy({
      volumeMounts: many(size / 36, (n) => ({ name: 'istio-envoy', mountPath: `/m/${n}` })),
    }),
  'many ports': (size) =>
    withApp({ ports: many(size / 38, (n) => ({ containerPort: n, name: `p${n}` })) }),
  'many ports of the proxy': (size) =>
    withProxy({ ports: many(size / 38, (n) => ({ containerPort: n, name: `p${n}` })) }),
  'many ports of one number': (size) =>
    withProxy({ ports: many(size / 38, (n) => ({ containerPort: 1, name: `p${n}` })) }),
  'many node ports of the proxy': (size) =>
    withProxy({ ports: many(size / 40, (n) => ({ containerPort: n, hostPort: n })) }),
  'many capabilities of the proxy': (size) =>
    withProxy({ securityContext: { capabilities: { add: many(size / 10, (n) => `CAP_${n}`) } } }),
  'many arguments of the proxy': (size) => withProxy({ args: many(size / 8, (n) => `-x${n}`) }),
  'many pull secrets': (size) =>
    pod({ containers: [APP], imagePullSecrets: many(size / 18, (n) => ({ name: `s${n}` })) }),
  'many owners': (size) =>
    pod(
      { containers: [APP] },
      { ownerReferences: many(size / 40, (n) => ({ kind: 'Job', name: `j${n}` })) },
    ),
  'many probes': (size) =>
    pod({
      containers: many(size / 90, (n) => ({
        ...named('c')(n),
        livenessProbe: { httpGet: { path: '/', port: 'http' } },
      })),
    }),
  'a name in each of many ports and probes': (size) =>
    withApp({
      ports: many(size / 38, (n) => ({ containerPort: n, name: 'http' })),
      livenessProbe: { httpGet: { path: '/', port: 'http' } },
    }),
  'many headers of a probe': (size) =>
    withApp({
      livenessProbe: {
        httpGet: {
          path: '/',
          port: 80,
          httpHeaders: many(size / 28, (n) => ({ name: `h${n}`, value: 'v' })),
        },
      },
    }),
  'deep nesting': (size) => withApp({ unknown: deep(Math.min(400, size)) }),
  'deep nesting, many times': (size) => withApp({ unknown: many(size / 800, () => deep(390)) }),
  'many tolerations': (size) =>
    pod({
      containers: [APP],
      tolerations: many(size / 28, (n) => ({ key: `k${n}`, operator: 'Exists' })),
    }),
  'many templates': (size) => noted({ 'inject.istio.io/templates': list(size, () => 'sidecar') }),
  'many templates that are not there': (size) =>
    noted({ 'inject.istio.io/templates': list(size, (n) => `t${n}`) }),
  'many ports to exclude': (size) =>
    noted({ 'traffic.sidecar.istio.io/excludeInboundPorts': list(size, (n) => String(n % 65536)) }),
  'many ports to include': (size) =>
    noted({
      'traffic.sidecar.istio.io/includeOutboundPorts': list(size, (n) => String(n % 65536)),
    }),
  'many ranges to exclude': (size) =>
    noted({
      'traffic.sidecar.istio.io/excludeOutboundIPRanges': list(size, (n) => `10.${n % 256}.0.0/16`),
    }),
  'many ranges to include, IPv6': (size) =>
    noted({
      'traffic.sidecar.istio.io/includeOutboundIPRanges': list(
        size,
        (n) => `fd${(n % 90) + 10}::/16`,
      ),
    }),
  'many interfaces': (size) =>
    noted({ 'traffic.sidecar.istio.io/excludeInterfaces': list(size, (n) => `eth${n}`) }),
  'many scrape targets': (size) =>
    noted({ 'prometheus.istio.io/scrape-targets': list(size, (n) => `${(n % 60000) + 100}:/m`) }),
  'many spellings of the metrics port': (size) =>
    noted(
      map(size / 24, (n) => [`prometheus${'._-/~'.charAt(n % 5)}io.port${' '.repeat(n % 7)}`, '1']),
    ),
  'many user volumes': (size) =>
    noted({
      'sidecar.istio.io/userVolume': JSON.stringify(
        map(size / 60, (n) => [`v${n}`, { emptyDir: {} }]),
      ),
      'sidecar.istio.io/userVolumeMount': JSON.stringify(
        map(size / 60, (n) => [`v${n}`, { mountPath: `/v${n}` }]),
      ),
    }),
  'many variables of proxyMetadata': (size) =>
    noted({
      'proxy.istio.io/config': JSON.stringify({
        proxyMetadata: map(size / 14, (n) => [`A${n}`, 'b']),
      }),
    }),
  'proxyMetadata in YAML': (size) =>
    noted({
      'proxy.istio.io/config': `proxyMetadata:\n${many(size / 10, (n) => `  A${n}: b`).join('\n')}`,
    }),
  'many unknown fields of ProxyConfig': (size) =>
    noted({ 'proxy.istio.io/config': many(size / 10, (n) => `f${n}: x`).join('\n') }),
  'YAML that multiplies': () => noted({ 'proxy.istio.io/config': `proxyMetadata:\n${bomb(12)}` }),
  'YAML of many anchors': (size) =>
    noted({
      'proxy.istio.io/config': `extraStatTags: [&a x${many(size / 4, () => ',*a').join('')}]`,
    }),
  'YAML of brackets': (size) => noted({ 'proxy.istio.io/config': '['.repeat(size) }),
  'YAML of question marks': (size) => noted({ 'proxy.istio.io/config': '? '.repeat(size / 2) }),
  'YAML of quotes': (size) =>
    noted({ 'proxy.istio.io/config': `a: "${'\\x41'.repeat(size / 4)}"` }),
  'a long duration': (size) =>
    noted({ 'proxy.istio.io/config': `drainDuration: ${'1h'.repeat(size / 2)}` }),
  'a long address': (size) =>
    noted({ 'proxy.istio.io/config': `discoveryAddress: ${'a.'.repeat(size / 2)}:1` }),
  'a long status': (size) =>
    noted({
      'sidecar.istio.io/status': JSON.stringify({ containers: many(size / 8, (n) => `c${n}`) }),
    }),
  'a status with every container': (size) =>
    pod(
      { containers: many(size / 40, named('c')) },
      {
        annotations: {
          'sidecar.istio.io/status': JSON.stringify({
            containers: many(size / 40, (n) => `c${n}`),
          }),
        },
      },
    ),
  'many overrides': (size) =>
    noted({
      'proxy.istio.io/overrides': JSON.stringify({ containers: many(size / 28, named('c')) }),
    }),
  'overrides of one name': (size) =>
    noted({
      'proxy.istio.io/overrides': JSON.stringify({
        containers: many(size / 38, () => ({ name: 'istio-proxy', image: 'auto' })),
      }),
    }),
  'networks in JSON': (size) =>
    noted({
      'k8s.v1.cni.cncf.io/networks': JSON.stringify(many(size / 14, (n) => ({ name: `n${n}` }))),
    }),
  'networks in text': (size) =>
    noted({ 'k8s.v1.cni.cncf.io/networks': list(size, (n) => `n${n}`) }),
  'a long amount': (size) => noted({ 'sidecar.istio.io/proxyCPU': '1'.repeat(size) }),
  'an amount of zeros': (size) =>
    noted({ 'sidecar.istio.io/proxyMemory': `0.${'0'.repeat(size)}1` }),
  'an amount with a large exponent': (size) =>
    noted({ 'sidecar.istio.io/proxyMemory': `1e${'9'.repeat(Math.min(9, size))}` }),
  'a large amount of the proxy': (size) =>
    withProxy({ resources: { limits: { cpu: `1e${'9'.repeat(5)}`, memory: '9'.repeat(size) } } }),
  'a trap for image types': (size) =>
    noted({ 'sidecar.istio.io/proxyImageType': `${'a-'.repeat(size / 2)}!` }),
  'a trap for images': (size) =>
    noted({ 'sidecar.istio.io/proxyImage': `${'a/'.repeat(size / 2)} ` }),
  'a trap for ports': (size) =>
    noted({ 'traffic.sidecar.istio.io/excludeInboundPorts': `${' '.repeat(size)}x` }),
  'a trap for Job names': (size) =>
    pod(
      { containers: [APP] },
      {
        generateName: 'x-',
        ownerReferences: [
          {
            apiVersion: 'batch/v1',
            kind: 'Job',
            name: `${'-1'.repeat(size / 2)}x`,
            controller: true,
            uid: 'u',
          },
        ],
      },
    ),
  'a trap for label ends': (size) =>
    pod({ containers: [APP] }, { labels: { app: `a${'-'.repeat(size)}b`, version: 'v' } }),
  'a long name': (size) => pod({ containers: [{ ...APP, name: 'x'.repeat(size) }] }),
  'prototype names': (size) =>
    noted(map(size / 30, (n) => [n % 2 === 0 ? `__proto__${n}` : `constructor${n}`, 'x'])),
}

const APP: JsonObject = { name: 'app', image: 'app' }

function pod(spec: JsonObject, metadata: JsonObject = {}): JsonObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'shop', ...metadata },
    spec,
  }
}

function noted(annotations: JsonObject): JsonObject {
  return pod({ containers: [APP] }, { annotations })
}

function withApp(fields: JsonObject): JsonObject {
  return pod({ containers: [{ ...APP, ...fields }] })
}

function withProxy(fields: JsonObject): JsonObject {
  return pod({ containers: [APP, { name: 'istio-proxy', image: 'auto', ...fields }] })
}

function named(prefix: string): (number: number) => JsonObject {
  return (number) => ({ name: `${prefix}${number}`, image: 'i' })
}

function variable(number: number): JsonObject {
  return { name: `V${number}`, value: 'value' }
}

function many<T extends Json>(count: number, make: (index: number) => T): readonly T[] {
  return Array.from({ length: Math.max(1, Math.floor(count)) }, (_, index) => make(index))
}

function map(count: number, make: (index: number) => readonly [string, Json]): JsonObject {
  return Object.fromEntries(many(count, (index) => index).map(make))
}

/** A comma list of about `size` characters. */
function list(size: number, make: (index: number) => string): string {
  return many(size / (make(1234).length + 1), make).join(',')
}

function deep(levels: number): Json {
  let value: Json = 'x'
  for (let level = 0; level < levels; level++) value = level % 2 === 0 ? [value] : { a: value }
  return value
}

/** The YAML that a few hundred characters make billions of. */
function bomb(levels: number): string {
  return many(levels, (level) => {
    const items = level === 0 ? 'x,x,x,x,x,x,x,x,x' : many(9, () => `*a${level - 1}`).join(',')
    return `  a${level}: &a${level} [${items}]`
  }).join('\n')
}
