/**
 * The injection as a KRM function: a ResourceList comes in on standard input and goes out with its items
 * injected and its results filled in. The configuration is in the functionConfig.
 * Source: KRM Functions Specification v1, as kustomize and kpt follow it.
 */
import { isArray, isObject, type Json, type JsonObject } from '../core/json.ts'
import { formatProblem, Refusal, type Problem } from '../core/problem.ts'
import { parseDocuments, type YamlDocument } from '../core/yaml.ts'
import { changeBetween, memberChange, placedChanges, SAME, type Change } from './change.ts'
import { objectChange } from './inject-document.ts'
import { readSetting } from './krm-setting.ts'
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
  const { setting, warnings } = await readSetting(list['functionConfig'], environment)
  const problems: Problem[] = []
  const results: Json[] = [
    ...(isArray(list['results']) ? list['results'] : []),
    ...warnings.map((message) => ({ message, severity: 'warning' })),
  ]
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
