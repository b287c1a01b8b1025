import { nameOf, type ConfigMapPlace } from '../../cluster/config-maps.ts'
import type { OneWatch } from '../../cluster/watch.ts'
import type { JsonObject } from '../../core/json.ts'
import type { Problem } from '../../core/problem.ts'
import type { Report } from '../last-good.ts'
import { happeningOf } from './happenings.ts'
import type { ClusterDeps } from './watched.ts'

/** What of a ConfigMap matters. */
export type ConfigMap = { readonly data: JsonObject; readonly uid: string }

/** A ConfigMap that is watched, with the keys that are read of it. */
export type WatchedConfigMap = {
  readonly place: ConfigMapPlace
  readonly watch: OneWatch<ConfigMap>
}

/** The report, and an Event on each ConfigMap at fault; another one when all is good again. */
export function tellingEvents<Config>(
  report: Report<Config>,
  { events }: Pick<ClusterDeps, 'events'>,
  watched: readonly WatchedConfigMap[],
): Report<Config> {
  const blamed = new Set<WatchedConfigMap>()
  const uids = new Map<WatchedConfigMap, string>()
  for (const each of watched) {
    // The uid of one that is gone is still the one that its Event is about.
    each.watch.onChange((configMap) => {
      if (configMap !== undefined) uids.set(each, configMap.uid)
    })
  }
  const tell = (each: WatchedConfigMap, problems: readonly Problem[]): void => {
    const { namespace, name } = each.place
    const uid = uids.get(each)
    const regarding = { apiVersion: 'v1', kind: 'ConfigMap', namespace, name }
    events.record(happeningOf(uid === undefined ? regarding : { ...regarding, uid }, problems))
  }
  return {
    taken: (value) => {
      report.taken(value)
      for (const each of blamed) tell(each, [])
      blamed.clear()
    },
    refused: (problems, isServing) => {
      report.refused(problems, isServing)
      for (const each of watched) {
        const own = problems.filter((problem) => blame(problem, watched) === each)
        if (own.length === 0) continue
        blamed.add(each)
        tell(each, own)
      }
    },
  }
}

/**
 * The ConfigMap that a problem is about: the one that it names, else the one that holds templates;
 * undefined where the text came from a file.
 */
function blame(
  { path }: Problem,
  watched: readonly WatchedConfigMap[],
): WatchedConfigMap | undefined {
  const isNamed = ({ place }: WatchedConfigMap): boolean => {
    return path === nameOf(place) || path.startsWith(`${nameOf(place)},`)
  }
  const holdsTemplates = ({ place }: WatchedConfigMap): boolean => {
    return path.startsWith('template ') && place.keys.some(([part]) => part !== 'mesh')
  }
  return watched.find(isNamed) ?? watched.find(holdsTemplates)
}
