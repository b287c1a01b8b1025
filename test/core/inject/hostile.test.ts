/** YAML-breaking text at every string input: nothing but that scalar changes. */
import t from 'tap'
import { injectPod } from '../../../core/inject/inject.ts'
import { isArray, isObject, type Json, type JsonObject } from '../../../core/json.ts'
import { printYaml } from '../../../core/yaml.ts'
import { configOf, requestFor } from '../../support/config.ts'

/** Texts that break out of YAML, Handlebars or JSON where they are pasted; `Q` marks the place of each. */
const NASTY = [
  'Q\n- evil: 1',
  'Q\n    privileged: true\n',
  'Q"\n  - name: evil\n    image: "evil',
  "Q'\n- evil: '1",
  '\n---\nkind: Evil\nQ',
  '\n...\nQ',
  '&Q anchor',
  '*Q',
  '!!binary Q',
  '{Q: 1}',
  '[Q, 2]',
  '# Q',
  'Q: y',
  'Q #',
  '{{json revisionQ}}',
  '{{{Q}}}',
  '{{else}}Q',
  '@slot:0;Q',
  '@slot:1;',
  'Q\u0000',
  'Q\u2028evil: 1',
  'Q\u2029',
  'Q\u0085x',
  '\ufeffQ',
  'Q\r\n- evil',
  '\tQ',
  '|Q',
  '>-\n  Q',
  '? Q',
  '%YAML 1.1 Q',
  '- Q',
  'Q\\',
  '\\nQ',
  '"Q"',
  "'Q'",
  '$(Q)',
  '`Q`',
  '__proto__',
  'constructorQ',
]

/** The same kind of text without what could break anything. */
function benign(nasty: string): string {
  return `Q${'x'.repeat(nasty.length)}`
}

const pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name: 'p',
    namespace: 'n',
    labels: {
      app: 'L',
      version: 'L',
      'service.istio.io/workload-name': 'L',
      'security.istio.io/tlsMode': 'L',
      'topology.istio.io/network': 'L',
      other: 'L',
    },
    annotations: {
      'example.com/free': 'A',
      'sidecar.istio.io/logLevel': 'A',
      'sidecar.istio.io/componentLogLevel': 'A',
      'sidecar.istio.io/agentLogLevel': 'A',
      'sidecar.istio.io/proxyImage': 'A',
      'sidecar.istio.io/proxyImageType': 'A',
      'sidecar.istio.io/bootstrapOverride': 'A',
      'sidecar.istio.io/interceptionMode': 'REDIRECT',
      'sidecar.istio.io/capNetBindService': 'A',
      'sidecar.istio.io/proxyCPU': '1',
      'traffic.sidecar.istio.io/includeOutboundPorts': '80',
      'traffic.sidecar.istio.io/excludeOutboundPorts': '80',
      'traffic.sidecar.istio.io/includeInboundPorts': '80',
      'traffic.sidecar.istio.io/excludeInboundPorts': '80',
      'traffic.sidecar.istio.io/includeOutboundIPRanges': '10.0.0.0/8',
      'traffic.sidecar.istio.io/excludeOutboundIPRanges': '10.0.0.0/8',
      'traffic.sidecar.istio.io/excludeInterfaces': 'eth1',
      'istio.io/reroute-virtual-interfaces': 'eth2',
      'status.sidecar.istio.io/port': '15020',
      'proxy.istio.io/config': 'proxyMetadata: {A: b}',
      'sidecar.istio.io/userVolume': '{"v":{"configMap":{"name":"c"}}}',
      'sidecar.istio.io/userVolumeMount': '{"v":{"mountPath":"/v"}}',
      'prometheus.io/port': '9090',
      'prometheus.io/path': '/metrics',
      'k8s.v1.cni.cncf.io/networks': 'A',
      'inject.istio.io/templates': 'sidecar',
    },
  },
  spec: {
    serviceAccountName: 'S',
    nodeName: 'S',
    containers: [
      {
        name: 'S',
        image: 'S',
        ports: [{ name: 'S', containerPort: 80, protocol: 'S', hostIP: 'S' }],
        env: [{ name: 'S', value: 'S' }],
        readinessProbe: {
          httpGet: {
            path: 'S',
            port: 80,
            host: 'S',
            scheme: 'S',
            httpHeaders: [{ name: 'S', value: 'S' }],
          },
        },
        livenessProbe: { grpc: { port: 81, service: 'S' } },
      },
    ],
    volumes: [{ name: 'S', configMap: { name: 'S' } }],
  },
} as const

const values = {
  revision: 'V',
  global: {
    hub: 'V',
    tag: 'V',
    variant: 'V',
    imagePullPolicy: 'V',
    imagePullSecrets: ['V'],
    caAddress: 'V',
    caName: 'V',
    istioNamespace: 'V',
    meshID: 'V',
    network: 'V',
    trustDomain: 'V',
    trustBundleName: 'V',

    logging: { level: 'V' },
    multiCluster: { clusterName: 'V' },
    sds: { token: { aud: 'V' } },
    proxy: {
      image: 'V',
      clusterDomain: 'V',
      componentLogLevel: 'V',
      logLevel: 'V',
      outlierLogPath: 'V',
      excludeIPRanges: 'V',
      excludeInboundPorts: 'V',
      excludeOutboundPorts: 'V',
      includeIPRanges: 'V',
      includeInboundPorts: 'V',
      includeOutboundPorts: 'V',
      tracer: 'V',
      seccompProfile: { type: 'V', localhostProfile: 'V' },
      lifecycle: { preStop: { exec: { command: ['V'] } } },
    },
    proxy_init: { image: 'V' },
  },
  sidecarInjectorWebhook: { injectedAnnotations: { x: 'V' } },
}

const mesh = {
  trustDomain: 'M',
  defaultConfig: {
    proxyMetadata: { A: 'M' },
    image: { imageType: 'M' },
    meshId: 'M',
    serviceCluster: 'M',
  },
}

type Path = readonly (string | number)[]

/** The paths of every string in a value. */
function strings(value: Json, at: Path = []): Path[] {
  if (typeof value === 'string') return [at]
  if (isArray(value)) return value.flatMap((item, index) => strings(item, [...at, index]))
  if (!isObject(value)) return []
  return Object.entries(value).flatMap(([key, item]) => strings(item ?? null, [...at, key]))
}

function replaced(value: Json, [step, ...rest]: Path, text: string): Json {
  if (step === undefined) return text
  if (isArray(value))
    return value.map((item, index) => (index === step ? replaced(item, rest, text) : item))
  if (!isObject(value)) return value
  return { ...value, [step]: replaced(value[step] ?? null, rest, text) }
}

/** The leaves of a value by path; texts that hold JSON are opened, so that the text inside is compared. */
function leaves(value: Json, at: string, into: Map<string, Json>): Map<string, Json> {
  if (typeof value === 'string' && /^[[{]/.test(value)) {
    try {
      const inner = JSON.parse(value) as Json
      if (typeof inner === 'object' && inner !== null) return leaves(inner, `${at}<json>`, into)
    } catch {
      // Text that only looks like JSON.
    }
  }
  if (isArray(value)) {
    into.set(at, `list of ${value.length}`)
    value.forEach((item, index) => leaves(item, `${at}/${index}`, into))
  } else if (isObject(value)) {
    into.set(at, `map of ${Object.keys(value).length}`)
    for (const [key, item] of Object.entries(value)) leaves(item ?? null, `${at}/${key}`, into)
  } else if (!at.endsWith('status<json>/version')) into.set(at, value)
  return into
}

/** What differs between two results besides scalars that hold the text that was put in. */
function stray(nasty: string, plain: string, got: Json, want: Json): string[] {
  const mark = (text: string) => text.replaceAll(plain, '<text>').replaceAll(nasty, '<text>')
  const rename = (map: Map<string, Json>) =>
    new Map([...map].map(([key, value]) => [mark(key), value]))
  const [left, right] = [rename(leaves(got, '', new Map())), rename(leaves(want, '', new Map()))]
  const found: string[] = []
  for (const key of new Set([...left.keys(), ...right.keys()])) {
    const [a, b] = [left.get(key), right.get(key)]
    if (a === b) continue
    if (typeof a === 'string' && typeof b === 'string' && isTextOf(a, nasty) && b.includes('Q'))
      continue
    found.push(
      `${JSON.stringify(key)}: ${JSON.stringify(a)} where a harmless text gives ${JSON.stringify(b)}`,
    )
  }
  return found
}

/** The text itself, or what trimming and cutting to a label value leave of it. */
function isTextOf(value: string, nasty: string): boolean {
  return (
    value.includes(nasty) ||
    value.includes(nasty.trim()) ||
    value.includes(nasty.replace(/^[-_.]+|[-_.]+$/g, ''))
  )
}

function outcome(
  input: JsonObject,
  config: ReturnType<typeof configOf>,
  native: boolean,
): Json | undefined {
  const decision = injectPod(requestFor(input, { nativeSidecars: native }), config)
  return decision.kind === 'inject' ? (JSON.parse(JSON.stringify(decision.pod)) as Json) : undefined
}

t.test('texts of pods', async (t) => {
  for (const istioVersion of ['current', '1.17', '1.8'] as const) {
    const config = configOf({ istioVersion })
    let injected = 0
    const found: string[] = []
    for (const path of strings(pod)) {
      for (const nasty of istioVersion === 'current' ? NASTY : NASTY.slice(0, 10)) {
        const got = outcome(replaced(pod, path, nasty) as JsonObject, config, true)
        if (got === undefined) continue
        const want = outcome(replaced(pod, path, benign(nasty)) as JsonObject, config, true)
        injected++
        // A text that is refused where a harmless one is taken is no leak, and the other way round says nothing.
        if (want === undefined) continue
        found.push(
          ...stray(nasty, benign(nasty), got, want).map((line) => `${path.join('/')}: ${line}`),
        )
      }
    }
    t.strictSame(
      found.slice(0, 5),
      [],
      `${istioVersion}: ${strings(pod).length} places, ${NASTY.length} texts`,
    )
    t.ok(injected > strings(pod).length * 5, `${istioVersion}: ${injected} pods were injected`)
  }
})

t.test('texts of values and mesh, all places at once', async (t) => {
  const found: string[] = []
  let used = 0
  const fill = (base: Json, text: string): Json =>
    strings(base).reduce((value, path) => replaced(value, path, text), base)
  for (const nasty of NASTY) {
    const [got, want] = [nasty, benign(nasty)].map((text) => {
      const texts = {
        values: printYaml(fill(values, text)),
        mesh: printYaml(fill(mesh, text)),
      }
      return outcome(pod, configOf(texts), true)
    })
    if (got === undefined || want === undefined) continue
    used++
    found.push(...stray(nasty, benign(nasty), got, want))
  }
  t.strictSame(found.slice(0, 5), [], `${strings(values).length + strings(mesh).length} places`)
  t.ok(used > NASTY.length / 2, `${used} of ${NASTY.length} texts were used`)
})
