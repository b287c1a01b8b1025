import { isArray, isObject, type Json, type JsonObject } from '../core/json.ts'
import { oneOf } from '../core/options/values.ts'
import { bad, good, type Problem, type Read } from '../core/problem.ts'

/** The plugin's type: the name of its executable, and of everything that is named for it. */
export const PLUGIN_TYPE = 'sidecar-cni'

/** One key of the plugin's entry in a conflist. The words are Markdown. */
export type Setting<T> = {
  readonly key: string
  readonly takes: string
  readonly fallback: T
  /** What the page says where the fallback is not a plain value. */
  readonly shown?: string
  readonly effect: string
  readonly read: (path: string, value: Json) => Read<T>
}

/** Every key of ours. Keys that are not here belong to somebody else and are passed over. */
export const SETTINGS = {
  podSource: words(
    'pod_source',
    ['annotations', 'api'],
    'where the plan of a pod comes from: the annotations that the runtime hands over, or, where they do not say, also the API server',
  ),
  excludeNamespaces: {
    key: 'exclude_namespaces',
    takes: 'list of texts',
    fallback: ['kube-system', 'istio-system', 'sidecar-injector'],
    effect: 'namespaces whose pods are never looked at',
    read: readTexts,
  },
  onError: words(
    'on_error',
    ['fail', 'warn'],
    '`warn` lets a pod start without rules where they cannot be written; errors of the caller stay errors',
  ),
  iptablesMode: words(
    'iptables_mode',
    ['auto', 'nft', 'legacy', 'native'],
    'which rule engine: `auto` takes what the namespace and the kernel have, `native` uses nft and tables of our own',
  ),
  toolDirs: {
    key: 'tool_dirs',
    takes: 'list of absolute paths',
    fallback: [],
    effect: 'folders that are searched for programs before PATH',
    read: readPaths,
  },
  ipv6: words(
    'ipv6',
    ['auto', 'on', 'off'],
    'whether IPv6 gets rules: `auto` where the pod has no IPv4 address, or its plan asks for both; `on` wherever it has an IPv6 address',
  ),
  runDir: {
    key: 'run_dir',
    takes: 'absolute path',
    fallback: `/var/run/${PLUGIN_TYPE}`,
    effect: 'folder with `log.sock`, and the log file for when nobody listens there',
    read: readPath,
  },
  logLevel: words('log_level', ['info', 'debug', 'warn', 'error'], 'least level that is logged'),
  kubeconfig: {
    key: 'kubeconfig',
    takes: 'absolute path',
    fallback: '',
    shown: '`kubeconfig` in `run_dir`',
    effect: 'JSON kubeconfig for `pod_source: api`; read again at each attempt',
    read: readPath,
  },
  lookupTimeout: milliseconds(
    'pod_lookup_timeout_ms',
    20_000,
    'longest time for all attempts to look a pod up',
  ),
  attemptTimeout: milliseconds('pod_lookup_attempt_ms', 5_000, 'longest time for one attempt'),
  agentNamespace: text(
    'agent_namespace',
    'namespace of the installer: its own pods never wait for themselves',
  ),
  agentPodPrefix: text('agent_pod_prefix', "what the names of the installer's pods begin with"),
  statusStrict: {
    key: 'status_strict',
    takes: '`true` or `false`',
    fallback: false,
    effect:
      'whether STATUS also fails where credentials are missing or expired; a node that is not ready starts no installer that could bring them',
    read: readFlag,
  },
  defaults: {
    key: 'defaults',
    takes: 'map of texts or numbers',
    fallback: {},
    effect:
      'for `pod_source: api`: what counts where a pod has no annotation, by the end of its name (`includeOutboundIPRanges`), and `outboundPort`, `inboundPort`',
    read: readTextMap,
  },
} as const

/** The keys of ours, read. */
export type Options = {
  readonly [Name in keyof typeof SETTINGS]: (typeof SETTINGS)[Name] extends {
    readonly read: (path: string, value: Json) => Read<infer T>
  }
    ? T
    : never
}

/** Reads the keys of ours; every wrong one is a problem and counts as absent. */
export function readOptions(json: JsonObject): {
  readonly options: Options
  readonly problems: readonly Problem[]
} {
  const problems: Problem[] = []
  const get = <T>({ key, read, fallback }: Setting<T>): T => {
    const value = json[key] ?? null
    const found = value === null ? good(fallback) : read(key, value)
    if (found.ok) return found.value
    problems.push(...found.problems)
    return fallback
  }
  const s = SETTINGS
  const runDir = get(s.runDir)
  const options: Options = {
    podSource: get(s.podSource),
    excludeNamespaces: get(s.excludeNamespaces),
    onError: get(s.onError),
    iptablesMode: get(s.iptablesMode),
    toolDirs: get(s.toolDirs),
    ipv6: get(s.ipv6),
    runDir,
    logLevel: get(s.logLevel),
    kubeconfig: get(s.kubeconfig) || `${runDir}/kubeconfig`,
    lookupTimeout: get(s.lookupTimeout),
    attemptTimeout: get(s.attemptTimeout),
    agentNamespace: get(s.agentNamespace),
    agentPodPrefix: get(s.agentPodPrefix),
    statusStrict: get(s.statusStrict),
    defaults: get(s.defaults),
  }
  return { options, problems }
}

/** A key that takes one of some words; the first is what counts where it is absent. */
function words<const Word extends string>(
  key: string,
  some: readonly [Word, ...Word[]],
  effect: string,
) {
  const read = oneOf(...some)
  return {
    key,
    takes: some.map((word) => `\`${word}\``).join(', '),
    fallback: some[0],
    effect,
    read: (path: string, value: Json): Read<Word> => read(path, shown(value)),
  }
}

function text(key: string, effect: string) {
  return { key, takes: 'text', fallback: '', effect, read: readText }
}

function milliseconds(key: string, fallback: number, effect: string) {
  return { key, takes: 'milliseconds, 1 to 60000', fallback, effect, read: readMilliseconds }
}

/** Longest budget that may be set: below what runtimes wait for a plugin. */
const LONGEST = 60_000

function readMilliseconds(path: string, value: Json): Read<number> {
  const isRight =
    typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= LONGEST
  return isRight ? good(value) : bad(path, shown(value), `milliseconds from 1 to ${LONGEST}`)
}

function readText(path: string, value: Json): Read<string> {
  return typeof value === 'string' ? good(value) : bad(path, shown(value), 'a text')
}

function readFlag(path: string, value: Json): Read<boolean> {
  return typeof value === 'boolean' ? good(value) : bad(path, shown(value), 'true or false')
}

function readPath(path: string, value: Json): Read<string> {
  const isRight = typeof value === 'string' && /^\/[^\p{Cc}:]{0,1023}$/u.test(value)
  return isRight ? good(value) : bad(path, shown(value), 'an absolute path')
}

function readTexts(path: string, value: Json): Read<readonly string[]> {
  return readEach(path, value, readText)
}

function readPaths(path: string, value: Json): Read<readonly string[]> {
  return readEach(path, value, readPath)
}

function readEach(
  path: string,
  value: Json,
  read: (path: string, value: Json) => Read<string>,
): Read<readonly string[]> {
  if (!isArray(value)) return bad(path, shown(value), 'a list of texts')
  const reads = value.map((item, index) => read(`${path}[${index}]`, item))
  const problems = reads.flatMap((one) => (one.ok ? [] : one.problems))
  return problems.length > 0
    ? { ok: false, problems }
    : good(reads.flatMap((one) => (one.ok ? [one.value] : [])))
}

function readTextMap(path: string, value: Json): Read<Readonly<Record<string, string>>> {
  if (!isObject(value)) return bad(path, shown(value), 'a map of texts or numbers')
  const problems: Problem[] = []
  const entries = Object.entries(value).flatMap(([key, item]): [string, string][] => {
    if (typeof item === 'string' || typeof item === 'number') return [[key, `${item}`]]
    problems.push({ path: `${path}.${key}`, got: shown(item), want: 'a text or a number' })
    return []
  })
  return problems.length > 0 ? { ok: false, problems } : good(Object.fromEntries(entries))
}

function shown(value: Json | undefined): string {
  return typeof value === 'string' ? value : JSON.stringify(value ?? null)
}
