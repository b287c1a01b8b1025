import type { Kept } from '../../cluster/kept.ts'
import { watchObjects } from '../../cluster/watch.ts'
import {
  readProxyConfigResource,
  type ProxyConfigResource,
} from '../../core/inject/proxy-config-layers.ts'
import { isObject, isSame, type JsonObject } from '../../core/json.ts'
import { formatProblem, type Problem } from '../../core/problem.ts'
import { readGuarded } from '../last-good.ts'
import type { Part } from '../part.ts'
import { happeningOf, referenceTo } from './happenings.ts'
import { partOf, watchedBy, type ClusterDeps } from './watched.ts'

const API_VERSION = 'networking.istio.io/v1beta1'

/** One resource: as it is now, and the last that was made of it. */
type Known = {
  readonly object: JsonObject
  /** Undefined when it never was good: then it counts for no pod. */
  readonly resource: ProxyConfigResource | undefined
  readonly problems: readonly Problem[]
}

/**
 * The ProxyConfig resources of all namespaces. Whoever may write one writes for a namespace: a bad one
 * keeps its own last good state, and nobody else's from changing. Without the CRD there are none.
 */
export function watchProxyConfigs(deps: ClusterDeps): Part<readonly ProxyConfigResource[]> {
  let known: ReadonlyMap<string, Known> = new Map()
  const watch = watchObjects(deps.api, {
    path: `/apis/${API_VERSION}/proxyconfigs`,
    mayBeAbsent: true,
    keep: matterOf,
    ...watchedBy(deps, 'proxyconfigs'),
  })
  const make = (objects: Kept<JsonObject>): readonly ProxyConfigResource[] => {
    known = new Map([...objects].map(([key, object]) => [key, read(key, object, known.get(key))]))
    const all = [...known.values()]
    deps.metrics.reloaded(
      'proxyconfigs',
      all.every((one) => one.problems.length === 0),
    )
    return all.flatMap(({ resource }) => resource ?? [])
  }
  const read = (key: string, object: JsonObject, before: Known | undefined): Known => {
    if (before !== undefined && isSame(before.object, object)) return before
    const path = `ProxyConfig ${key}`
    const now = readGuarded(path, () => readProxyConfigResource(path, object))
    if (now.ok) {
      if (before !== undefined && before.problems.length > 0) tell(object, [])
      return { object, resource: now.value, problems: [] }
    }
    tell(object, now.problems)
    return { object, resource: before?.resource, problems: now.problems }
  }
  const tell = (object: JsonObject, problems: readonly Problem[]): void => {
    const what = 'proxyconfigs'
    const lines = problems.map(formatProblem)
    if (lines.length > 0)
      deps.log.error({ what, problems: lines }, 'refused, its last good state serves')
    const regarding = referenceTo(API_VERSION, 'ProxyConfig', object)
    deps.events.record(happeningOf(regarding, problems))
  }
  return partOf('proxyconfigs', watch, make, (resources) => {
    const problems = [...known.values()].flatMap((one) => one.problems).map(formatProblem)
    const refused = `; refused, so that each stays as it was: ${problems.join('; ')}`
    return `${resources.length} known${problems.length === 0 ? '' : refused}`
  })
}

/** What of a resource is read; the rest, such as managed fields, changes without meaning. */
function matterOf({ metadata, spec }: JsonObject): JsonObject | undefined {
  if (!isObject(metadata)) return undefined
  const { name, namespace, uid, creationTimestamp } = metadata
  return { metadata: { name, namespace, uid, creationTimestamp }, spec }
}
