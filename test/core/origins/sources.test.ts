/**
 * The table of sources against the context that it speaks of: one source after the other is changed, and
 * every value of the context that changes with it must name it.
 */
import t from 'tap'
import type { InjectConfig } from '../../../core/inject/config.ts'
import { contextRows } from '../../../core/inject/context-page.ts'
import type { InjectRequest } from '../../../core/inject/decision.ts'
import { injectPod } from '../../../core/inject/inject.ts'
import type { Step } from '../../../core/inject/observe.ts'
import { defaultValues } from '../../../core/inject/values-defaults.ts'
import { isArray, isObject, isSame, type Json, type JsonObject } from '../../../core/json.ts'
import type { Pod } from '../../../core/k8s.ts'
import { CONTEXT_SOURCES, itemAt } from '../../../core/origins/context-sources.ts'
import type { Source, SourceFacts } from '../../../core/origins/source.ts'
import { printYaml } from '../../../core/yaml.ts'
import { configOf, requestFor } from '../../support/config.ts'

/** Paths that hold something themselves; a list stands beside its items. */
const paths = contextRows().map(({ path }) => path)

t.test('every path of the context has its sources, and no other', async (t) => {
  t.strictSame(
    paths.filter((path) => !Object.hasOwn(CONTEXT_SOURCES, path)),
    [],
    'without sources',
  )
  const known = new Set(paths)
  t.strictSame(
    Object.keys(CONTEXT_SOURCES).filter((path) => !known.has(path)),
    [],
    'no path of the context',
  )
})

type Given = {
  readonly pod?: JsonObject
  readonly values?: JsonObject
  readonly mesh?: JsonObject
  readonly more?: Partial<InjectRequest>
  readonly platform?: string
  readonly revision?: string
  readonly compliancePolicy?: string
}

const plainPod = {
  metadata: { name: 'shop', namespace: 'shop', labels: {}, annotations: {} },
  spec: { containers: [{ name: 'app', image: 'example/app:1' }] },
}

/** What an injection saw; undefined where the configuration or the pod is refused. */
function watched(given: Given): SourceFacts | undefined {
  let config: InjectConfig
  try {
    config = configOf({
      ...(given.values && { values: printYaml(given.values) }),
      ...(given.mesh && { mesh: printYaml(given.mesh) }),
      platform: given.platform ?? '',
      revision: given.revision ?? '',
      compliancePolicy: given.compliancePolicy ?? '',
    })
  } catch {
    return undefined
  }
  const steps: Step[] = []
  const request = requestFor(given.pod ?? plainPod, given.more)
  try {
    injectPod(request, config, (step) => steps.push(step))
  } catch {
    // Refused later than what is looked at here.
  }
  const context = steps.findLast((step) => step.stage === 'context')
  const facts = steps.findLast((step) => step.stage === 'facts')
  if (context?.stage !== 'context' || facts?.stage !== 'facts') return undefined
  return {
    before: request.pod as Pod,
    view: context.input.pod,
    annotations: context.lookups.annotations,
    labels: context.lookups.labels,
    request,
    config,
    facts: facts.facts,
    context: context.context,
  }
}

/** The values at a path, one for each item where there is a `[]`. */
function valuesAt({ context }: SourceFacts, path: string): readonly Json[] {
  const [list = '', member] = path.split('[]')
  const whole = list.split('.').reduce<Json>((at, step) => {
    return isObject(at) ? (at[step] ?? null) : null
  }, context)
  if (list === path) return [whole]
  const items = isArray(whole) ? whole : []
  const name = member?.replace('.', '') ?? ''
  return items.map((item) => (name === '' ? item : isObject(item) ? (item[name] ?? null) : null))
}

function sourcesAt(facts: SourceFacts, path: string): readonly Source[] {
  return valuesAt(facts, path).flatMap((_, round) => {
    const value = itemAt(facts.context, path, round)
    return CONTEXT_SOURCES[path]?.(facts, { value, index: path.includes('[]') ? round : -1 }) ?? []
  })
}

/** The paths that change between two injections and do not name the source of the change in either. */
function unnamed(
  before: SourceFacts,
  after: SourceFacts,
  isNamed: (source: Source) => boolean,
): readonly string[] {
  return paths.filter((path) => {
    if (isSame(valuesAt(before, path), valuesAt(after, path))) return false
    const [list = ''] = path.split('[]')
    // Whether there is an item at all, the list tells.
    const isLonger = valuesAt(before, path).length !== valuesAt(after, path).length
    const asked = isLonger ? [path, list] : [path]
    return !asked.some((at) => [...sourcesAt(before, at), ...sourcesAt(after, at)].some(isNamed))
  })
}

function changed(before: SourceFacts, after: SourceFacts): number {
  return paths.filter((path) => !isSame(valuesAt(before, path), valuesAt(after, path))).length
}

/** Dotted names of everything in the values of a version that is no map, or an empty one. */
function namesIn(values: JsonObject, path = ''): readonly (readonly [string, Json])[] {
  return Object.entries(values).flatMap(([name, value]) => {
    const at = path === '' ? name : `${path}.${name}`
    return isObject(value) && Object.keys(value).length > 0
      ? namesIn(value, at)
      : [[at, value ?? null] as const]
  })
}

function nested(name: string, value: Json): JsonObject {
  const [first = '', ...rest] = name.split('.')
  return { [first]: rest.length === 0 ? value : nested(rest.join('.'), value) }
}

function another(value: Json): readonly Json[] {
  if (typeof value === 'boolean') return [!value]
  if (typeof value === 'number') return [value + 1]
  if (typeof value === 'string') return /^\d+$/.test(value) ? ['15999'] : ['other', '1.2.3.4/32']
  if (isArray(value)) return [['other']]
  return [{ other: 'text' }, 'other', 7]
}

const base = watched({})
if (base === undefined) throw new Error('the built-in configuration injects nothing')

t.test('Helm values', async (t) => {
  const extra: readonly (readonly [string, Json])[] = [
    ['global.caName', 'GkeWorkloadCertificate'],
    ['global.proxy.lifecycle', { preStop: { exec: { command: ['x'] } } }],
    ['global.proxy.seccompProfile', { type: 'RuntimeDefault' }],
    ['global.proxy.image', 'example.com/proxy:1'],
    ['global.proxy_init.image', 'example.com/init:1'],
    ['global.imagePullSecrets', ['pull']],
    ['global.network', 'n1'],
    ['global.meshID', 'm1'],
    ['global.trustBundleName', 'bundle'],
    ['global.caAddress', 'ca.example:1'],
    ['global.proxy.outlierLogPath', '/tmp/x'],
    ['gateways.securityContext', { runAsUser: 7 }],
    ['pilot.crlConfigMapName', 'crl'],
    ['pilot.env.ENABLE_CLUSTER_TRUST_BUNDLE_API', true],
    ['istio_cni.enabled', true],
    ['revision', 'canary'],
  ]
  let effects = 0
  for (const [name, value] of [...namesIn(defaultValues('current')), ...extra]) {
    const others = extra.some(([known]) => known === name) ? [value] : another(value)
    for (const other of others) {
      const after = watched({ values: nested(name, other) })
      if (after === undefined) continue
      effects += changed(base, after)
      const isNamed = ({ kind, name: own }: Source): boolean =>
        kind === 'values' &&
        (own === name || own.startsWith(`${name}.`) || name.startsWith(`${own}.`))
      t.strictSame(unnamed(base, after, isNamed), [], `${name}: ${JSON.stringify(other)}`)
    }
  }
  t.ok(effects > 80, `${effects} values of the context changed`)
})

const annotations: Readonly<Record<string, string>> = {
  'sidecar.istio.io/proxyImage': 'example.com/proxy:2',
  'sidecar.istio.io/proxyImageType': 'debug',
  'sidecar.istio.io/logLevel': 'debug',
  'sidecar.istio.io/componentLogLevel': 'http:debug',
  'sidecar.istio.io/agentLogLevel': 'all:debug',
  'sidecar.istio.io/interceptionMode': 'TPROXY',
  'sidecar.istio.io/capNetBindService': 'true',
  'sidecar.istio.io/proxyCPU': '7m',
  'sidecar.istio.io/proxyMemory': '7Mi',
  'sidecar.istio.io/proxyCPULimit': '70m',
  'sidecar.istio.io/proxyMemoryLimit': '70Mi',
  'sidecar.istio.io/nativeSidecar': 'true',
  'sidecar.istio.io/bootstrapOverride': 'mine',
  'sidecar.istio.io/userVolume': '{"v":{"emptyDir":{}}}',
  'sidecar.istio.io/userVolumeMount': '{"v":{"mountPath":"/v"}}',
  'status.sidecar.istio.io/port': '15555',
  'readiness.status.sidecar.istio.io/initialDelaySeconds': '7',
  'readiness.status.sidecar.istio.io/periodSeconds': '8',
  'readiness.status.sidecar.istio.io/failureThreshold': '9',
  'traffic.sidecar.istio.io/includeOutboundIPRanges': '10.0.0.0/8',
  'traffic.sidecar.istio.io/excludeOutboundIPRanges': '10.1.0.0/16',
  'traffic.sidecar.istio.io/includeInboundPorts': '80',
  'traffic.sidecar.istio.io/excludeInboundPorts': '81',
  'traffic.sidecar.istio.io/includeOutboundPorts': '82',
  'traffic.sidecar.istio.io/excludeOutboundPorts': '83',
  'traffic.sidecar.istio.io/excludeInterfaces': 'eth7',
  'traffic.sidecar.istio.io/kubevirtInterfaces': 'net1',
  'istio.io/reroute-virtual-interfaces': 'net2',
  'kubectl.kubernetes.io/default-container': 'app',
  'kubectl.kubernetes.io/default-logs-container': 'app',
  'apm.datadoghq.com/env': '{"DD_ENV":"prod"}',
  'k8s.v1.cni.cncf.io/networks': 'net-a',
  'resource.opentelemetry.io/service.version': 'v7',
}

/** What a pod stands in when annotations are tried: some matter in CNI mode only, some with a tracer. */
const settings: readonly Given[] = [
  {},
  { values: { pilot: { cni: { enabled: true, provider: 'multus' } } } },
  { values: { global: { proxy: { tracer: 'datadog' } } } },
  {
    mesh: {
      extensionProviders: [
        {
          name: 'otel',
          opentelemetry: {
            serviceAttributeEnrichment: 'OTEL_SEMANTIC_CONVENTIONS',
            service: 's',
            port: 1,
          },
        },
      ],
    },
  },
]

function podWith(place: 'annotations' | 'labels', key: string, text: string): JsonObject {
  return { ...plainPod, metadata: { ...plainPod.metadata, [place]: { [key]: text } } }
}

t.test('annotations of the pod', async (t) => {
  const heard = new Set<string>()
  for (const setting of settings) {
    const before = watched(setting)
    if (before === undefined) throw new Error('a setting is refused')
    for (const [key, text] of Object.entries(annotations)) {
      const after = watched({ ...setting, pod: podWith('annotations', key, text) })
      if (after === undefined) continue
      if (changed(before, after) > 2) heard.add(key)
      const isNamed = ({ kind, name }: Source): boolean =>
        (kind === 'annotation' && name === key) ||
        (kind === 'pod' && name === '/metadata/annotations')
      t.strictSame(unnamed(before, after, isNamed), [], key)
    }
  }
  const deaf = Object.keys(annotations).filter((key) => !heard.has(key))
  t.strictSame(deaf, [], 'each of them changed something beside the list of annotations')
})

t.test('labels of the pod', async (t) => {
  const labels = {
    app: 'web',
    version: 'v1',
    'app.kubernetes.io/name': 'web',
    'app.kubernetes.io/version': 'v2',
    'service.istio.io/canonical-name': 'web',
    'service.istio.io/canonical-revision': 'v3',
    'service.istio.io/workload-name': 'web',
    'security.istio.io/tlsMode': 'disabled',
  }
  for (const setting of settings) {
    const before = watched(setting)
    if (before === undefined) throw new Error('a setting is refused')
    for (const [key, text] of Object.entries(labels)) {
      const after = watched({ ...setting, pod: podWith('labels', key, text) })
      if (after === undefined) throw new Error(`${key} is refused`)
      const isNamed = ({ kind, name }: Source): boolean =>
        (kind === 'label' && name === key) || (kind === 'pod' && name === '/metadata/labels')
      t.not(changed(before, after), 0, key)
      t.strictSame(unnamed(before, after, isNamed), [], key)
    }
  }
})

t.test('mesh config, ProxyConfig, owner and the rest', async (t) => {
  const rows: readonly (readonly [string, Given, (source: Source) => boolean])[] = [
    ...(
      [
        ['proxyListenPort', 15100],
        ['proxyInboundListenPort', 15106],
        ['trustDomain', 'other.local'],
        ['inboundTrafficPolicy', { mode: 'LOCALHOST' }],
        ['extensionProviders', settings[3]?.mesh?.['extensionProviders'] ?? null],
      ] as const
    ).map(([name, value]) => {
      const isNamed = (source: Source) => source.kind === 'mesh' && source.name.startsWith(name)
      return [`mesh ${name}`, { mesh: { [name]: value } }, isNamed] as const
    }),
    ...(
      [
        ['interceptionMode', 'TPROXY'],
        ['interceptionMode', 'NONE'],
        ['holdApplicationUntilProxyStarts', true],
        ['proxyMetadata', { A: '1' }],
        ['proxyMetadata', { ISTIO_META_ENABLE_HBONE: 'true' }],
        ['proxyMetadata', { IPTABLES_TRACE_LOGGING: 'true' }],
        ['image', { imageType: 'debug' }],
        ['concurrency', 3],
        [
          'tracing',
          {
            lightstep: { address: 'a:1', accessToken: 't' },
            tlsSettings: { mode: 'SIMPLE', caCertificates: '/etc/ca/x' },
          },
        ],
      ] as const
    ).flatMap(([name, value]): (readonly [string, Given, (source: Source) => boolean])[] => {
      const values = { global: { proxy: { tracer: 'lightstep' } } }
      const text = JSON.stringify({ [name]: value })
      return [
        [
          `mesh defaultConfig.${name}`,
          { values, mesh: { defaultConfig: { [name]: value } } },
          (source) =>
            source.kind === 'mesh' &&
            (source.name === 'defaultConfig' || source.name.startsWith(`defaultConfig.${name}`)),
        ],
        [
          `annotation field ${name}`,
          { values, pod: podWith('annotations', 'proxy.istio.io/config', text) },
          (source) =>
            (source.kind === 'proxy-config-annotation' && source.name.startsWith(name)) ||
            (source.kind === 'annotation' && source.name === 'proxy.istio.io/config') ||
            (source.kind === 'pod' && source.name === '/metadata/annotations'),
        ],
      ]
    }),
    ...(['name', 'namespace', 'kind', 'apiVersion'] as const).map((name) => {
      const owner = { apiVersion: 'v1', kind: 'Pod', name: 'shop', namespace: 'shop' }
      const isNamed = (source: Source) => source.kind === 'owner' && source.name === name
      return [`owner ${name}`, { more: { owner: { ...owner, [name]: 'other' } } }, isNamed] as const
    }),
    [
      'native sidecars',
      { more: { nativeSidecars: true } },
      ({ kind, name }) => kind === 'injector' && name === 'native sidecars',
    ],
    [
      'revision',
      { revision: 'canary' },
      ({ kind, name }) => kind === 'injector' && name === 'revision',
    ],
    [
      'compliance policy',
      { compliancePolicy: 'fips-140-3' },
      ({ kind, name }) => kind === 'injector' && name === 'compliance policy',
    ],
    [
      'OpenShift',
      {
        platform: 'openshift',
        more: { namespaceAnnotations: { 'openshift.io/sa.scc.uid-range': '1000/10' } },
      },
      ({ kind }) => kind === 'namespace',
    ],
    [
      'containers',
      {
        pod: {
          ...plainPod,
          spec: { containers: [{ name: 'b', image: 'i', ports: [{ containerPort: 80 }] }] },
        },
      },
      ({ kind, name }) => kind === 'pod' && name.startsWith('/spec/containers'),
    ],
    [
      'service account',
      { pod: { ...plainPod, spec: { ...plainPod.spec, serviceAccountName: 'sa' } } },
      ({ kind, name }) => kind === 'pod' && name === '/spec/serviceAccountName',
    ],
  ]
  for (const [what, given, isNamed] of rows) {
    const before = watched(given.values === undefined ? {} : { values: given.values })
    const after = watched(given)
    if (before === undefined || after === undefined) throw new Error(`${what} is refused`)
    t.not(changed(before, after), 0, `${what} changes something`)
    t.strictSame(unnamed(before, after, isNamed), [], what)
  }
})
