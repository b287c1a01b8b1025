import { STATUS_ANNOTATION } from '../constants.ts'
import { goJson, isArray, isObject, type Json } from '../json.ts'
import type { Pod, StringMap } from '../k8s.ts'
import type { Problem } from '../problem.ts'

/** The names that injection put into a pod, in the order of the rendered template. */
export type InjectedNames = { readonly [List in NameList]: readonly string[] }

/** What the status annotation tells: the names, and who wrote them, where it says so. */
export type Status = InjectedNames & { readonly version?: string; readonly revision?: string }

/** How a status is written, by the version of the template set. */
export type StatusDialect = { readonly hasRevision: boolean }

/** Today's status ends with the revision. */
export const STATUS_CURRENT: StatusDialect = { hasRevision: true }
/** The status of Istio 1.8 knew no revision. */
export const STATUS_1_8: StatusDialect = { hasRevision: false }

/** What the status says beside the names. */
export type StatusFacts = {
  /** The control plane's revision; empty means `default`. */
  readonly revision: string
  /** A hash of template, values, mesh and version, as text; absent or empty when there is none. */
  readonly version?: string
  readonly dialect?: StatusDialect
}

type NameList = (typeof LISTS)[number]

/** The lists in the order of the JSON text. */
const LISTS = ['initContainers', 'containers', 'volumes', 'imagePullSecrets'] as const

const DEFAULT_REVISION = 'default'

/** The pod with a status annotation for what the rendered template declares; an old one is replaced. */
export function writeStatus(pod: Pod, template: Pod, facts: StatusFacts): Pod {
  return withAnnotations(pod, { [STATUS_ANNOTATION]: printStatus(namesOf(template), facts) })
}

/** The names in a rendered template. */
export function namesOf({ spec }: Pod): InjectedNames {
  return {
    initContainers: names(spec?.initContainers),
    containers: names(spec?.containers),
    volumes: names(spec?.volumes),
    imagePullSecrets: names(spec?.imagePullSecrets),
  }
}

/** Compact JSON: version if there is one, the four lists (null when empty), revision. */
export function printStatus(injected: InjectedNames, facts: StatusFacts): string {
  const { hasRevision } = facts.dialect ?? STATUS_CURRENT
  const status: Record<string, Json> = {}
  if (facts.version !== undefined && facts.version !== '') status['version'] = facts.version
  for (const list of LISTS) status[list] = injected[list].length === 0 ? null : injected[list]
  if (hasRevision) status['revision'] = facts.revision === '' ? DEFAULT_REVISION : facts.revision
  return goJson(status)
}

/**
 * Reads a status annotation and never refuses it: what is missing or misshapen reads as empty lists, and
 * misshapen text is told as problems. Absent and empty text are a status that names nothing.
 */
export function readStatus(text: string | undefined): {
  readonly status: Status
  readonly problems: readonly Problem[]
} {
  if (text === undefined || text === '') return { status: NOTHING, problems: [] }
  const value = parse(text)
  if (!isObject(value)) return { status: NOTHING, problems: [wrong(text, 'a JSON object')] }
  const problems: Problem[] = []
  const list = (name: NameList): readonly string[] => {
    const items: unknown = value[name] ?? []
    if (isArray(items) && items.every((item) => typeof item === 'string')) return items
    problems.push(wrong(text, `a list of names, or null, as "${name}"`))
    return []
  }
  const { version, revision } = value
  const status = {
    initContainers: list('initContainers'),
    containers: list('containers'),
    volumes: list('volumes'),
    imagePullSecrets: list('imagePullSecrets'),
    ...(typeof version === 'string' && { version }),
    ...(typeof revision === 'string' && { revision }),
  }
  return { status, problems }
}

/** Whether a pod carries the mark of an earlier injection, readable or not. */
export function isInjected(pod: Pod): boolean {
  return pod.metadata?.annotations?.[STATUS_ANNOTATION] !== undefined
}

/** The pod with annotations set, overwriting; the map is made if there is none. */
export function withAnnotations(pod: Pod, added: StringMap): Pod {
  const old = pod.metadata?.annotations ?? {}
  if (holds(old, added)) return pod
  return { ...pod, metadata: { ...pod.metadata, annotations: { ...old, ...added } } }
}

/** The pod with labels set, overwriting; the map is made if there is none. */
export function withLabels(pod: Pod, added: StringMap): Pod {
  const old = pod.metadata?.labels ?? {}
  if (holds(old, added)) return pod
  return { ...pod, metadata: { ...pod.metadata, labels: { ...old, ...added } } }
}

const NOTHING: Status = { initContainers: [], containers: [], volumes: [], imagePullSecrets: [] }

function names(items: readonly { readonly name?: string }[] | null | undefined): readonly string[] {
  return (items ?? []).flatMap(({ name }) => (name === undefined ? [] : [name]))
}

function holds(map: StringMap, part: StringMap): boolean {
  return Object.entries(part).every(([key, value]) => map[key] === value)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function wrong(got: string, want: string): Problem {
  return { path: STATUS_ANNOTATION, got, want }
}
