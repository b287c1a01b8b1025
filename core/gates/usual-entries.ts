import {
  DEFAULT_REVISION,
  INJECT_KEY,
  INJECTION_LABEL,
  ISTIO_REVISION_LABEL,
} from '../constants.ts'
import { own, type JsonObject } from '../json.ts'
import type { GateEntry } from './entry.ts'
import type { GateFacts } from './gate.ts'
import { listEntries, readable } from './read-webhooks.ts'

/**
 * The entries to judge a pod by where none is known: those of Istio's chart, for a revision (empty: the
 * default) and for each that the pod or its namespace names.
 */
export function usualEntries(
  revision: string,
  { namespaceLabels, podLabels }: GateFacts,
): readonly GateEntry[] {
  const named = [namespaceLabels, podLabels].map((labels) => own(labels, ISTIO_REVISION_LABEL))
  const all = [revision || DEFAULT_REVISION, ...named.filter((name) => name !== undefined)]
  return readable(listEntries({ webhooks: [...new Set(all)].flatMap(entriesFor) }))
}

/** Istio's matrix of labels, as its chart writes it for one revision; the last two are the default revision's. */
function entriesFor(revision: string): readonly JsonObject[] {
  const isSilent = [absent(INJECTION_LABEL), absent(ISTIO_REVISION_LABEL)]
  const revisioned = oneOf(ISTIO_REVISION_LABEL, revision)
  const revisionEntries = [
    entry('rev.namespace', [revisioned, absent(INJECTION_LABEL)], [NOT_OUT]),
    entry('rev.object', isSilent, [NOT_OUT, revisioned]),
  ]
  if (revision !== DEFAULT_REVISION) return revisionEntries
  return [
    ...revisionEntries,
    entry('namespace', [oneOf(INJECTION_LABEL, 'enabled')], [NOT_OUT]),
    entry('object', isSilent, [oneOf(INJECT_KEY, 'true'), absent(ISTIO_REVISION_LABEL)]),
  ]
}

function entry(
  name: string,
  namespace: readonly JsonObject[],
  pod: readonly JsonObject[],
): JsonObject {
  return {
    name,
    namespaceSelector: { matchExpressions: namespace },
    objectSelector: { matchExpressions: pod },
    rules: [NEW_PODS],
  }
}

/** What creates a pod. */
const NEW_PODS = {
  operations: ['CREATE'],
  apiGroups: [''],
  apiVersions: ['v1'],
  resources: ['pods'],
}

const absent = (key: string): JsonObject => ({ key, operator: 'DoesNotExist' })
const oneOf = (key: string, value: string): JsonObject => {
  return { key, operator: 'In', values: [value] }
}
const NOT_OUT: JsonObject = { key: INJECT_KEY, operator: 'NotIn', values: ['false'] }
