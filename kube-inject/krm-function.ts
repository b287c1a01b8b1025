/**
 * The injection as a KRM function: a ResourceList comes in on standard input and goes out with its items
 * injected and its results filled in. The configuration is in the functionConfig.
 * Source: KRM Functions Specification v1, as kustomize and kpt follow it.
 */
import { injectPod } from '../core/inject/inject.ts'
import { ISTIO_VERSIONS, type IstioVersion } from '../core/inject/values.ts'
import { isArray, isObject, type Json, type JsonObject } from '../core/json.ts'
import { formatProblem, Refusal, type Problem, type Read } from '../core/problem.ts'
import { parseDocuments, type YamlDocument } from '../core/yaml.ts'
import { changeBetween, memberChange, placedChanges, SAME, type Change } from './change.ts'
import { isNative, readConfig, type ConfigFlags, type ConfigTexts } from './config.ts'
import { objectChange, type Setting } from './inject-document.ts'
import { changedText } from './manifest.ts'
import { writeStdout } from './output.ts'
import type { Notes } from './pod-change.ts'
import { readText, STDIN } from './sources.ts'
import { groupOf } from './workloads.ts'

/** Reads standard input, writes standard output. Throws a Refusal once the list with its errors is out. */
export async function runKrmFunction(): Promise<void> {
  const { text, problems } = await injectList(readText(0, STDIN.name), process.env)
  await writeStdout([Buffer.from(text, 'utf8')])
  if (problems.length > 0) throw new Refusal(problems)
}

/** The ResourceList after the function, and what of it could not be injected: such items stay as they are. */
export async function injectList(
  text: string,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<{ readonly text: string; readonly problems: readonly Problem[] }> {
  const { document, list } = readList(text)
  const { flags, texts, namespace } = readSettings(list)
  const config = await readConfig(flags, environment, texts)
  const setting: Setting = {
    inject: (request) => injectPod(request, config),
    nativeSidecars: isNative(environment),
    ...(namespace === undefined ? {} : { namespace }),
  }
  const problems: Problem[] = []
  const results: Json[] = isArray(list['results']) ? [...list['results']] : []
  const changes = itemsOf(list).map((item): Change => {
    const notes: Notes = { where: 'items', objects: [], warnings: [], problems: [] }
    const change = objectChange(item, setting, notes)
    problems.push(...notes.problems)
    results.push(...resultsOf(item, notes))
    return change
  })
  const items = memberChange('items', placedChanges(changes))
  const said =
    results.length === 0 ? SAME : changeBetween({ results: list['results'] }, { results })
  const members = [items, said].flatMap((one) => (one.kind === 'members' ? [...one.members] : []))
  const change: Change = { kind: 'members', members: new Map(members) }
  return { text: changedText(STDIN.name, document, change), problems }
}

const WANTED = 'one document, a ResourceList of config.kubernetes.io'

function readList(text: string): { readonly document: YamlDocument; readonly list: JsonObject } {
  const [first, ...rest] = [...parseDocuments(STDIN.name, text)]
  if (first?.ok === false) throw new Refusal(first.problems)
  const value = first?.value.value
  const isList =
    isObject(value) && value['kind'] === 'ResourceList' && groupOf(value) === 'config.kubernetes.io'
  if (first !== undefined && isList && rest.length === 0)
    return { document: first.value, list: value }
  const got = isObject(value) ? JSON.stringify(value['kind']) : 'something else'
  throw new Refusal([{ path: STDIN.name, got, want: WANTED }])
}

function itemsOf(list: JsonObject): readonly Json[] {
  return isArray(list['items']) ? list['items'] : []
}

/** What the functionConfig may say in its `data`: texts of files, and the flags of kube-inject. */
const KEYS = ['mesh', 'values', 'injectConfig', 'revision', 'namespace', 'istioVersion'] as const

type Settings = {
  readonly flags: ConfigFlags
  readonly texts: ConfigTexts
  readonly namespace: string | undefined
}

function readSettings(list: JsonObject): Settings {
  const functionConfig = list['functionConfig']
  const data = isObject(functionConfig) ? functionConfig['data'] : undefined
  const said = isObject(data) ? data : {}
  const problems: Problem[] = Object.entries(said).flatMap(([key, value]) => {
    const path = `functionConfig: /data/${key}`
    if (!KEYS.some((known) => known === key)) {
      return [{ path, got: key, want: `one of ${KEYS.join(', ')}` }]
    }
    return typeof value === 'string' ? [] : [{ path, got: JSON.stringify(value), want: 'a text' }]
  })
  const at = (key: (typeof KEYS)[number]): string | undefined => {
    const value = said[key]
    return typeof value === 'string' ? value : undefined
  }
  const version = readVersion(at('istioVersion') ?? 'current')
  if (!version.ok) problems.push(...version.problems)
  if (problems.length > 0 || !version.ok) throw new Refusal(problems)
  const text = (key: 'mesh' | 'values' | 'injectConfig'): ConfigTexts => {
    const found = at(key)
    return found === undefined
      ? {}
      : { [key]: { path: `functionConfig: /data/${key}`, text: found } }
  }
  return {
    flags: { revision: at('revision') ?? '', istioVersion: version.value },
    texts: { ...text('mesh'), ...text('values'), ...text('injectConfig') },
    namespace: at('namespace'),
  }
}

function readVersion(got: string): Read<IstioVersion> {
  const value = ISTIO_VERSIONS.find((version) => version === got)
  if (value !== undefined) return { ok: true, value }
  const path = 'functionConfig: /data/istioVersion'
  return { ok: false, problems: [{ path, got, want: `one of ${ISTIO_VERSIONS.join(', ')}` }] }
}

/** The results about one item: errors, else warnings, each with who it is about. */
function resultsOf(item: Json, { problems, warnings }: Notes): readonly Json[] {
  const resourceRef = referenceTo(item)
  return [
    ...problems.map((problem) => ({
      message: formatProblem(problem),
      severity: 'error',
      resourceRef,
    })),
    ...warnings.map((message) => ({ message, severity: 'info', resourceRef })),
  ]
}

function referenceTo(item: Json): JsonObject {
  if (!isObject(item)) return {}
  const { apiVersion, kind, metadata } = item
  const { name, namespace } = isObject(metadata) ? metadata : {}
  const said = Object.entries({ apiVersion, kind, name, namespace })
  return Object.fromEntries(said.filter(([, value]) => typeof value === 'string'))
}
