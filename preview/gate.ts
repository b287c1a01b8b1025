import { DEFAULT_REVISION, ISTIO_REVISION_LABEL } from '../core/constants.ts'
import { ownerOfEntry, revisionOf, type GateEntry } from '../core/gates/entry.ts'
import { takersOf } from '../core/gates/gate.ts'
import type { InjectRequest } from '../core/inject/decision.ts'
import { isObject, own, type JsonObject } from '../core/json.ts'
import type { StringMap } from '../core/k8s.ts'

/**
 * Which pods of a cluster its webhooks send to the injector of a revision. Undefined where no webhook of
 * that revision is installed. What only the API server can judge (conditions in CEL) counts as sent.
 */
export function gateOf(
  entries: readonly GateEntry[],
  revision: string,
  namespaces: ReadonlyMap<string, StringMap>,
): ((request: InjectRequest) => boolean) | undefined {
  const ours = entries.filter((entry) => isOf(entry, revision === '' ? DEFAULT_REVISION : revision))
  if (ours.length === 0) return undefined
  return ({ pod, owner }) => {
    const namespace = owner.namespace ?? ''
    const facts = {
      namespace,
      namespaceLabels: namespaces.get(namespace) ?? {},
      podLabels: labelsOf(pod),
      pod: isObject(pod) ? pod : {},
    }
    return takersOf(ours, facts).length > 0
  }
}

/** A tag is a revision's other name: both select the same pods' injector. */
function isOf(entry: GateEntry, revision: string): boolean {
  const { configuration } = entry
  const names = [revisionOf(configuration), own(configuration.labels, ISTIO_REVISION_LABEL)]
  return ownerOfEntry(entry) !== 'other' && names.includes(revision)
}

/** The labels of an object or of a pod template. */
export function labelsOf(object: unknown): StringMap {
  const metadata: unknown = isObject(object) ? object['metadata'] : undefined
  const labels: unknown = isObject(metadata) ? metadata['labels'] : undefined
  const entries: readonly (readonly [string, unknown])[] = Object.entries(
    isObject(labels) ? labels : ({} satisfies JsonObject),
  )
  return Object.fromEntries(
    entries.flatMap(([key, value]) => (typeof value === 'string' ? [[key, value]] : [])),
  )
}
