import { isArray, isObject } from '../core/json.ts'
import type { Pod } from '../core/k8s.ts'

/** Names of what a pod has after injection and had not before. */
export type Additions = Readonly<Record<Place, readonly string[]>>

type Place =
  'containers' | 'initContainers' | 'volumes' | 'imagePullSecrets' | 'labels' | 'annotations'

/** What injection put into a pod: names of list items, keys of maps, in the order in which they stand. */
export function additionsBetween(before: Pod, after: Pod): Additions {
  const items = (place: 'containers' | 'initContainers' | 'volumes' | 'imagePullSecrets') =>
    missing(namesOf(before.spec?.[place]), namesOf(after.spec?.[place]))
  const keys = (place: 'labels' | 'annotations') =>
    missing(Object.keys(before.metadata?.[place] ?? {}), Object.keys(after.metadata?.[place] ?? {}))
  return {
    containers: items('containers'),
    initContainers: items('initContainers'),
    volumes: items('volumes'),
    imagePullSecrets: items('imagePullSecrets'),
    labels: keys('labels'),
    annotations: keys('annotations'),
  }
}

function namesOf(list: unknown): readonly string[] {
  if (!isArray(list)) return []
  return list.flatMap((item) => {
    const name = isObject(item) ? item['name'] : undefined
    return typeof name === 'string' ? [name] : []
  })
}

function missing(before: readonly string[], after: readonly string[]): readonly string[] {
  const known = new Set(before)
  return after.filter((name) => !known.has(name))
}
