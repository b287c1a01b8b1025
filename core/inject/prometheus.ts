import { goJson, isArray, isObject, type Json } from '../json.ts'
import type { Container, Pod, StringMap } from '../k8s.ts'
import type { Problem } from '../problem.ts'
import { appendEnv, findProxy, withProxyEnv } from './cluster-envs.ts'
import { readGoBoolean } from './probe-switch.ts'
import { withAnnotations } from './status.ts'

/** Annotation: whether the proxy's and the application's metrics are merged, for this pod. */
export const MERGE_ANNOTATION = 'prometheus.istio.io/merge-metrics'
/** Annotation: the port where the merged metrics are served with mTLS. */
export const SECURE_PORT_ANNOTATION = 'prometheus.istio.io/secure-port'
/** Environment variable of the proxy: where the application's metrics are, JSON. */
export const PROMETHEUS_ENV = 'ISTIO_PROMETHEUS_ANNOTATIONS'
/** Environment variable of the proxy: the port that becomes the secure-port annotation. */
export const SECURE_PORT_ENV = 'ENVOY_SECURE_MERGED_METRICS_PORT'

/** Path of the agent's merged metrics. */
const MERGED_PATH = '/stats/prometheus'
/** Prometheus' own default. */
const DEFAULT_PATH = '/metrics'

/** The annotations that say where metrics are, by what they say. */
const KEYS = {
  scrape: 'prometheus.io/scrape',
  port: 'prometheus.io/port',
  path: 'prometheus.io/path',
  targets: 'prometheus.istio.io/scrape-targets',
  securePort: SECURE_PORT_ANNOTATION,
} as const

type Said = keyof typeof KEYS

/** Ports that the sidecar takes for itself, and what for; beside the agent's own. */
const RESERVED: ReadonlyMap<number, string> = new Map([
  [15000, 'Envoy admin'],
  [15001, 'outbound traffic capture'],
  [15004, 'pilot debug'],
  [15006, 'inbound traffic capture'],
  [15008, 'HBONE'],
  [15020, 'merged metrics'],
  [15021, 'Envoy health'],
  [15053, 'DNS proxy'],
  [15090, 'Envoy Prometheus, merged already'],
])

/** How one version of the injector reads the annotations. */
export type PrometheusDialect = {
  /** Whether any punctuation may stand in the keys, as in `prometheus.io.port`. */
  readonly anySpelling: boolean
  /** Whether `scrape: "false"` keeps the annotations as they are. */
  readonly obeysScrape: boolean
  /** Whether a list of targets is read. */
  readonly hasTargets: boolean
  /** Whether ports are checked. */
  readonly checksPorts: boolean
  /** Whether the secure port is announced. */
  readonly hasSecurePort: boolean
}

/** Today's injector. */
export const PROMETHEUS_CURRENT: PrometheusDialect = {
  anySpelling: true,
  obeysScrape: true,
  hasTargets: true,
  checksPorts: true,
  hasSecurePort: true,
}

/** Istio 1.8. */
export const PROMETHEUS_1_8: PrometheusDialect = {
  anySpelling: false,
  obeysScrape: false,
  hasTargets: false,
  checksPorts: false,
  hasSecurePort: false,
}

/** What merging needs to know beside the pod. */
export type PrometheusFacts = {
  /** Port of the agent's status server (MeshConfig defaultConfig.statusPort). */
  readonly meshStatusPort: number
  /** MeshConfig enablePrometheusMerge, true when the mesh does not say; the pod's annotation wins. */
  readonly enabled: boolean
  readonly dialect?: PrometheusDialect
}

/** One place where the application serves metrics. */
export type ScrapeTarget = { readonly port: string; readonly path: string }

/** Where a pod's annotations say that its metrics are; empty texts where they say nothing. */
export type ScrapeConfig = {
  readonly scrape: string
  readonly path: string
  readonly port: string
  readonly targets: readonly ScrapeTarget[]
}

/** The pod with merged metrics and what was passed over, or every problem of its annotations. */
export type PrometheusMerge =
  | { readonly ok: true; readonly value: Pod; readonly warnings: readonly Problem[] }
  | { readonly ok: false; readonly problems: readonly Problem[] }

/**
 * Makes one scrape of the agent's port give the proxy's and the application's metrics: what the pod's
 * annotations say moves into the proxy's environment, and they point at the agent instead. A pod that
 * points there already was merged before.
 */
export function prometheusMerge(pod: Pod, facts: PrometheusFacts): PrometheusMerge {
  const dialect = facts.dialect ?? PROMETHEUS_CURRENT
  const said = listen(pod.metadata?.annotations ?? {}, dialect)
  if (!isMerging(pod, said, facts, dialect)) return merged(pod, said, dialect, [])
  const { config, warnings } = readScrapeConfig(said)
  const problems = dialect.checksPorts ? checkPorts(said, config, facts.meshStatusPort) : []
  if (problems.length > 0) return { ok: false, problems }
  const told = tellAgent(pod, config)
  return merged(pointAtAgent(told, said, facts.meshStatusPort), said, dialect, warnings)
}

/** Whether metrics are merged for a pod: its annotation if it can be read, else the mesh. */
export function isMergeEnabled(annotations: StringMap | undefined, byMesh: boolean): boolean {
  return readGoBoolean(annotations?.[MERGE_ANNOTATION]) ?? byMesh
}

/** One annotation that says something here, by the key as the pod spells it. */
type Heard = { readonly key: string; readonly text: string }

/** What the annotations say. Each list begins with the key spelled as documented, then goes by key. */
export type Annotations = { readonly [What in Said]: readonly Heard[] }

/** Finds the annotations that are about scraping, in every spelling that the dialect knows. */
export function listen(annotations: StringMap, dialect: PrometheusDialect): Annotations {
  const heard: Record<Said, Heard[]> = {
    scrape: [],
    port: [],
    path: [],
    targets: [],
    securePort: [],
  }
  for (const key in annotations) {
    // Only punctuation differs between the spellings, and none of the names begins with any.
    if (!key.startsWith('prometheus')) continue
    const what = SPELLINGS.get(dialect.anySpelling ? normal(key) : key)
    const text = annotations[key]
    if (what === undefined || text === undefined) continue
    if (what === 'targets' && !dialect.hasTargets) continue
    heard[what].push({ key, text })
  }
  for (const what of WHATS) heard[what].sort((a, b) => rank(what, a) - rank(what, b) || order(a, b))
  return heard
}

/** Reads where the application's metrics are. Targets without a port are passed over, with a warning. */
export function readScrapeConfig(said: Annotations): {
  readonly config: ScrapeConfig
  readonly warnings: readonly Problem[]
} {
  const { targets, warnings } = readTargets(said.targets[0])
  const scrape = said.scrape[0]?.text ?? ''
  const path = said.path[0]?.text ?? ''
  const port = said.port[0]?.text ?? ''
  return { config: { scrape, path, port, targets }, warnings }
}

const WHATS = ['scrape', 'port', 'path', 'targets', 'securePort'] as const

const SPELLINGS: ReadonlyMap<string, Said> = new Map(
  WHATS.flatMap((what) => [[KEYS[what], what] as const, [normal(KEYS[what]), what] as const]),
)

function normal(key: string): string {
  return key.replace(/[^A-Za-z0-9_]/g, '_')
}

function rank(what: Said, { key }: Heard): number {
  return key === KEYS[what] ? 0 : 1
}

function order(a: Heard, b: Heard): number {
  return a.key < b.key ? -1 : 1
}

function isMerging(
  pod: Pod,
  said: Annotations,
  { enabled, meshStatusPort }: PrometheusFacts,
  { obeysScrape }: PrometheusDialect,
): boolean {
  if (obeysScrape && said.scrape.some(({ text }) => readGoBoolean(text) === false)) return false
  if (!isMergeEnabled(pod.metadata?.annotations, enabled)) return false
  return !said.port.some(({ text }) => text === String(meshStatusPort))
}

function readTargets(said: Heard | undefined): {
  readonly targets: readonly ScrapeTarget[]
  readonly warnings: readonly Problem[]
} {
  const targets: ScrapeTarget[] = []
  for (const entry of said?.text.split(',') ?? []) {
    const item = entry.trim()
    if (item === '') continue
    const colon = item.indexOf(':')
    const port = (colon < 0 ? item : item.slice(0, colon)).trim()
    const path = colon < 0 ? '' : item.slice(colon + 1).trim()
    if (port === '')
      return { targets: [], warnings: [{ path: said?.key ?? '', got: item, want: TARGETS }] }
    targets.push({ port, path: path === '' ? DEFAULT_PATH : path })
  }
  return { targets, warnings: [] }
}

const TARGETS = 'a list of "port" or "port:path", separated by commas; none of it is scraped'

/** The targets if there are any, for they stand before the single port; else that port. */
function checkPorts(
  said: Annotations,
  config: ScrapeConfig,
  agentPort: number,
): readonly Problem[] {
  const { targets, port } = config
  if (targets.length > 0) {
    const key = said.targets[0]?.key ?? KEYS.targets
    return targets.flatMap((target) => checkPort(key, target.port, agentPort))
  }
  return port === '' ? [] : checkPort(said.port[0]?.key ?? KEYS.port, port, agentPort)
}

function checkPort(path: string, got: string, agentPort: number): readonly Problem[] {
  const port = /^\d+$/.test(got) ? Number(got) : 0
  if (port < 1 || port > 65535) return [{ path, got, want: 'a port number from 1 to 65535' }]
  if (port === agentPort) {
    return [{ path, got, want: "a port of the application: this one conflicts with the agent's" }]
  }
  const owner = RESERVED.get(port)
  if (owner === undefined) return []
  return [
    { path, got, want: `a port of the application: this one is reserved for Istio (${owner})` },
  ]
}

/** Writes into the proxy's environment where the application's metrics are, if anywhere. */
function tellAgent(pod: Pod, { scrape, path, port, targets }: ScrapeConfig): Pod {
  const first = targets[0]
  const config = { scrape, path: first?.path ?? path, port: first?.port ?? port }
  if (config.scrape === '' && config.path === '' && config.port === '') return pod
  const json: Json = targets.length === 0 ? config : { ...config, targets }
  return withProxyEnv(pod, (env) => appendEnv(env, PROMETHEUS_ENV, goJson(json)))
}

/** Takes every spelling out of the annotations and points the documented ones at the agent. */
function pointAtAgent(pod: Pod, said: Annotations, agentPort: number): Pod {
  const agent = { [KEYS.path]: MERGED_PATH, [KEYS.port]: String(agentPort), [KEYS.scrape]: 'true' }
  const gone = [...said.scrape, ...said.port, ...said.path, ...said.targets]
    .map(({ key }) => key)
    .filter((key) => !(key in agent))
  const annotations = { ...without(pod.metadata?.annotations ?? {}, gone), ...agent }
  return { ...pod, metadata: { ...pod.metadata, annotations } }
}

function without(map: StringMap, keys: readonly string[]): StringMap {
  if (keys.length === 0) return map
  return Object.fromEntries(Object.entries(map).filter(([key]) => !keys.includes(key)))
}

/** Whatever became of the merge, the port with mTLS is announced unless the pod did so itself. */
function merged(
  pod: Pod,
  said: Annotations,
  { hasSecurePort }: PrometheusDialect,
  warnings: readonly Problem[],
): PrometheusMerge {
  const isOff = !hasSecurePort || said.securePort.length > 0
  const port = isOff ? undefined : securePort(pod)
  const value = port === undefined ? pod : withAnnotations(pod, { [SECURE_PORT_ANNOTATION]: port })
  return { ok: true, value, warnings }
}

function securePort(pod: Pod): string | undefined {
  return findProxy(pod)?.env?.find(
    ({ name, value }) =>
      name === SECURE_PORT_ENV && value !== undefined && !['', '0'].includes(value),
  )?.value
}

/**
 * The annotations as they were before they were pointed at the agent, as the proxy's environment
 * remembers them, in the places that they have; the same map where nothing is remembered.
 */
export function restoreMetrics(annotations: StringMap, proxy: Container | undefined): StringMap {
  const text = proxy?.env?.find(({ name }) => name === PROMETHEUS_ENV)?.value
  const remembered = text === undefined ? undefined : parse(text)
  if (!isObject(remembered) || annotations[KEYS.path] !== MERGED_PATH) return annotations
  const { targets } = remembered
  const list = isArray(targets) ? targets.flatMap(printTarget).join(',') : ''
  // The single port and path are those of the first target then, whatever the pod said.
  const said = list === '' ? remembered : { scrape: remembered['scrape'], targets: list }
  // One that had to go was the author's, and those of the author stand first.
  const isBack = list !== '' && { [KEYS.targets]: list }
  const restored = new Map(Object.entries({ ...isBack, ...annotations }))
  for (const what of ['scrape', 'port', 'path', 'targets'] as const) {
    const was: unknown = Object.hasOwn(said, what) ? said[what] : undefined
    if (typeof was === 'string' && was !== '') restored.set(KEYS[what], was)
    else restored.delete(KEYS[what])
  }
  return Object.fromEntries(restored)
}

function printTarget(target: unknown): readonly string[] {
  const { port, path } = isObject(target) ? target : {}
  if (typeof port !== 'string') return []
  return [typeof path === 'string' && path !== DEFAULT_PATH ? `${port}:${path}` : port]
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
