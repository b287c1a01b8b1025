/** Which answers deserve an Event: what a user did not ask for and should know. */
import type { Reason } from '../../core/inject/decide.ts'
import { isArray, isObject, type Json } from '../../core/json.ts'
import type { Happening, ObjectReference } from './object.ts'

/**
 * Reasons to skip that surprise: the pod, or its namespace, asked for injection and does not get it.
 * The others are what somebody wrote down: an opt-out, a selector, a policy.
 */
export const SURPRISING_SKIPS = {
  'host-network': 'Normal',
  'ignored-namespace': 'Normal',
  'policy-illegal': 'Warning',
} as const satisfies Partial<Record<Reason, Happening['type']>>

/** Whether a user should be told of a skip. */
export function isSurprising(reason: Reason): reason is keyof typeof SURPRISING_SKIPS {
  return Object.hasOwn(SURPRISING_SKIPS, reason)
}

/** What happened to a pod, as far as Events go. */
export type PodFate =
  | { readonly kind: 'refused'; readonly text: string }
  | { readonly kind: 'failed'; readonly text: string }
  | { readonly kind: 'skipped'; readonly reason: Reason; readonly text: string }

/** Where the pod was to live, and who made it; `workload` is what a user knows it by. */
export type PodPlace = {
  readonly namespace: string | undefined
  readonly workload: string
  readonly metadata: Json | undefined
}

/** The Event for a pod, about the controller that made it or else about its namespace. */
export function happeningOf(fate: PodFate, place: PodPlace): Happening | undefined {
  const { namespace, workload } = place
  // A name that cannot be is nothing that the API server sent.
  if (namespace === undefined || !/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(namespace)) {
    return undefined
  }
  const regarding = controllerOf(place.metadata, namespace) ?? {
    apiVersion: 'v1',
    kind: 'Namespace',
    name: namespace,
    namespace,
  }
  const note = (what: string): string => `${workload}: ${what}: ${fate.text}`
  switch (fate.kind) {
    case 'refused':
      return {
        regarding,
        type: 'Warning',
        reason: 'SidecarRefused',
        note: note('a pod was denied'),
      }
    case 'failed':
      return {
        regarding,
        type: 'Warning',
        reason: 'SidecarFailed',
        note: note('a pod was not answered'),
      }
    case 'skipped':
      if (!isSurprising(fate.reason)) return undefined
      return {
        regarding,
        type: SURPRISING_SKIPS[fate.reason],
        reason: 'SidecarSkipped',
        note: note('a pod got no sidecar'),
      }
  }
}

/** What made the pod: it exists, and `kubectl describe` of it lists Events that have its uid. */
function controllerOf(metadata: Json | undefined, namespace: string): ObjectReference | undefined {
  const references = isObject(metadata) ? metadata['ownerReferences'] : undefined
  if (!isArray(references)) return undefined
  const controller = references.filter(isObject).find((one) => one['controller'] === true)
  if (controller === undefined) return undefined
  const { apiVersion, kind, name, uid } = controller
  // The API server checks a pod after this: only names that can be are passed on.
  if (!isWord(apiVersion) || !isWord(kind) || !isWord(name) || !isWord(uid)) return undefined
  return { apiVersion, kind, name, uid, namespace }
}

function isWord(value: unknown): value is string {
  return typeof value === 'string' && /^[A-Za-z0-9][A-Za-z0-9./_-]{0,252}$/.test(value)
}
