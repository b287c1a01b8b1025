/** The pod that templates see, beyond what `stripped` takes from it: the same in the first pass and in every later one. */
import { OVERRIDES_ANNOTATION, PROXY_CONTAINER } from '../constants.ts'
import { isArray, isObject, type JsonObject } from '../json.ts'
import type { Container, Pod, StringMap } from '../k8s.ts'
import { containersIn, withContainers } from './order.ts'

/**
 * A stripped pod without the annotations in which an earlier injection differs from the first one: the
 * memory of the user's containers, and what the configuration adds to every pod.
 */
export function templateView(pod: Pod, injected: StringMap): Pod {
  const annotations = pod.metadata?.annotations
  if (annotations === undefined) return pod
  const entries = Object.entries(annotations)
  const kept = entries.filter(([key, text]) => {
    return key !== OVERRIDES_ANNOTATION && !(Object.hasOwn(injected, key) && injected[key] === text)
  })
  if (kept.length === entries.length) return pod
  return { ...pod, metadata: { ...pod.metadata, annotations: Object.fromEntries(kept) } }
}

/**
 * The overlays for a pod. Where the templates bring as init containers what the pod has as a regular one,
 * that container is no application: they are rendered again without it, as they will be in a later pass.
 */
export function renderOverlays(
  view: Pod,
  render: (view: Pod) => readonly JsonObject[],
): readonly JsonObject[] {
  const overlays = render(view)
  const rules = new Set(overlays.flatMap(initNames))
  const apps = containersIn(view, 'containers')
  const isApplication = ({ name }: Container): boolean =>
    !rules.has(name) || name === PROXY_CONTAINER
  if (apps.every(isApplication)) return overlays
  return render(
    withContainers(view, {
      containers: apps.filter(isApplication),
      initContainers: [...containersIn(view, 'initContainers')],
    }),
  )
}

function initNames({ spec }: JsonObject): readonly unknown[] {
  const items = isObject(spec) ? spec['initContainers'] : undefined
  return isArray(items) ? items.filter(isObject).map(({ name }) => name) : []
}
