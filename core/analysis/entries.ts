/** The webhook entries that choose which pods an injector is asked about. */
import {
  explainEntries,
  matchEntries,
  type EntryMatch,
  type SelectedLabels,
  type WebhookConfiguration,
  type WebhookEntry,
} from '../inject/selectors.ts'
import { INJECT_KEY, INJECTION_LABEL, ISTIO_REVISION_LABEL } from '../constants.ts'
import { isArray, type JsonObject } from '../json.ts'
import { mapAt, objectsAt } from './model.ts'

/** What names of entries end in that inject Istio's sidecar: istiod's, and ours. */
const INJECTOR_SUFFIXES = ['istio.io', 'sidecar-injector.io']

/** The entries of one MutatingWebhookConfiguration that inject sidecars, each at its index. */
export type Injector = {
  readonly configuration: string
  readonly entries: readonly (WebhookEntry & { readonly index: number })[]
}

/** Reads a MutatingWebhookConfiguration; nothing when no entry of it injects sidecars. */
export function readInjector(value: JsonObject): Injector | undefined {
  const { name } = mapAt(value, 'metadata')
  const entries = objectsAt(value, 'webhooks').flatMap((entry, index) => {
    const read = readEntry(entry)
    return INJECTOR_SUFFIXES.some((suffix) => endsIn(read.name, suffix)) ? [{ ...read, index }] : []
  })
  return entries.length === 0
    ? undefined
    : { configuration: typeof name === 'string' ? name : '', entries }
}

/** The names of the entries that take a pod with these labels, `configuration/entry`, in the order of the API server. */
export function takers(injectors: readonly Injector[], labels: SelectedLabels): readonly string[] {
  return explainAll(injectors, labels)
    .filter(({ matches }) => matches)
    .map(({ configuration, entry }) => `${configuration}/${entry.name}`)
}

/** Whether an injector takes a pod where no webhook is known: Istio's four entries for each revision that is named. */
export function isTakenByDefault(labels: SelectedLabels, revision: string): boolean {
  const named = [
    labels.namespaceLabels[ISTIO_REVISION_LABEL],
    labels.podLabels[ISTIO_REVISION_LABEL],
  ]
  const revisions = new Set([revision || 'default', ...named.filter((name) => name !== undefined)])
  return matchEntries([{ webhooks: [...revisions].flatMap(standardEntries) }], labels).length > 0
}

/** How all known entries stand to a pod. */
export function explainAll(
  injectors: readonly Injector[],
  labels: SelectedLabels,
): readonly EntryMatch<Injector['entries'][number]>[] {
  const configurations: WebhookConfiguration<Injector['entries'][number]>[] = injectors.map(
    ({ configuration, entries }) => ({ metadata: { name: configuration }, webhooks: entries }),
  )
  return explainEntries(configurations, labels)
}

/** What creates a pod. */
const NEW_PODS = {
  operations: ['CREATE'],
  apiGroups: [''],
  apiVersions: ['v1'],
  resources: ['pods'],
}

type Condition = Readonly<Record<'key' | 'operator', string>> & {
  readonly values?: readonly string[]
}

const absent = (key: string): Condition => ({ key, operator: 'DoesNotExist' })
const oneOf = (key: string, ...values: readonly string[]): Condition => {
  return { key, operator: 'In', values }
}
const NOT_OUT: Condition = { key: INJECT_KEY, operator: 'NotIn', values: ['false'] }

/** Istio's matrix of labels, as its chart writes it for one revision; the last two are the default revision's. */
function standardEntries(revision: string): readonly WebhookEntry[] {
  const entry = (name: string, namespace: readonly Condition[], pod: readonly Condition[]) => ({
    name,
    namespaceSelector: { matchExpressions: namespace },
    objectSelector: { matchExpressions: pod },
    rules: [NEW_PODS],
  })
  const isSilent = [absent(INJECTION_LABEL), absent(ISTIO_REVISION_LABEL)]
  const revisioned = oneOf(ISTIO_REVISION_LABEL, revision)
  const own = [
    entry('rev.namespace', [revisioned, absent(INJECTION_LABEL)], [NOT_OUT]),
    entry('rev.object', isSilent, [NOT_OUT, revisioned]),
  ]
  if (revision !== 'default') return own
  return [
    ...own,
    entry('namespace', [oneOf(INJECTION_LABEL, 'enabled')], [NOT_OUT]),
    entry('object', isSilent, [oneOf(INJECT_KEY, 'true'), absent(ISTIO_REVISION_LABEL)]),
  ]
}

function readEntry(entry: JsonObject): WebhookEntry {
  const { name, namespaceSelector, objectSelector } = entry
  return {
    name: typeof name === 'string' ? name : '',
    namespaceSelector,
    objectSelector,
    rules: objectsAt(entry, 'rules').map((rule) => ({
      operations: textList(rule['operations']),
      apiGroups: textList(rule['apiGroups']),
      apiVersions: textList(rule['apiVersions']),
      resources: textList(rule['resources']),
      ...(typeof rule['scope'] === 'string' ? { scope: rule['scope'] } : {}),
    })),
  }
}

function textList(value: unknown): readonly string[] {
  return isArray(value) ? value.filter((item) => typeof item === 'string') : []
}

function endsIn(name: string, suffix: string): boolean {
  return name === suffix || name.endsWith(`.${suffix}`)
}
