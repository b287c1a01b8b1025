import {
  collectionOf,
  dataOf,
  nameOf,
  readText,
  type ConfigMapPlace,
} from '../../cluster/config-maps.ts'
import { watchOne } from '../../cluster/watch.ts'
import type { Source } from '../../core/inject/config.ts'
import { isObject, type JsonObject } from '../../core/json.ts'
import { bad, formatProblem, type Problem, type Read } from '../../core/problem.ts'
import type { ReadConfig, Sources } from '../injector.ts'
import { keepLastGood, readGuarded, type Report } from '../last-good.ts'
import { describe, type Part } from '../part.ts'
import { pathsOf, sort, watchLive, type ConfigFiles, type LiveFiles } from '../source.ts'
import { tellingEvents, type ConfigMap, type WatchedConfigMap } from './blame.ts'
import { failureOf, watchedBy, type ClusterDeps } from './watched.ts'

/** Milliseconds in which changes are gathered: who installs writes both ConfigMaps at a time. */
const GATHER_MS = 100

/**
 * The configuration of the injection from ConfigMaps, and from files for what they say. Bad files at
 * the start are a refusal, ConfigMaps are not: the part becomes ready when they are there and good.
 */
export async function watchConfigMaps<Config>(
  deps: ClusterDeps,
  places: readonly ConfigMapPlace[],
  files: ConfigFiles,
  read: ReadConfig<Config>,
  report: Report<Config>,
  pollMs?: number,
): Promise<Read<Part<Config>>> {
  let look = (): void => undefined
  const again = (): void => {
    look()
  }
  const opened = await watchLive<Sources>(
    pathsOf(files),
    (texts) => ({ ok: true, value: sort(files, texts) }),
    { taken: again, refused: again },
    pollMs,
  )
  if (!opened.ok) return opened
  const given = opened.value
  const watched = watchPlaces(deps, places, given.current())
  const kept = keepLastGood<Config, undefined>(tellingEvents(report, deps, watched), undefined)
  const offer = (): void => {
    const sources = gather(watched, given)
    if (sources === undefined) return
    const from = places.map(nameOf).join(', ')
    kept.offer(sources.ok ? readGuarded(from, () => read(sources.value)) : sources)
  }
  let timer: NodeJS.Timeout | undefined
  look = () => {
    timer ??= setTimeout(() => {
      timer = undefined
      offer()
    }, GATHER_MS)
  }
  for (const { watch } of watched) watch.onChange(look)
  if (watched.length === 0) look()
  return {
    ok: true,
    value: {
      current: kept.current,
      onChange: kept.onChange,
      check: () => {
        const isReady = kept.current() !== undefined
        const detail = isReady
          ? describe('read', kept.problems())
          : missing(watched, kept.problems())
        const failure = failureOf(watched.map(({ watch }) => watch))
        return { name: 'config', isReady, detail: `${detail}${failure}` }
      },
      close: () => {
        clearTimeout(timer)
        given.close()
        for (const { watch } of watched) watch.close()
      },
    },
  }
}

/** Watches the ConfigMaps that say something which no file says. */
function watchPlaces(
  deps: ClusterDeps,
  places: readonly ConfigMapPlace[],
  given: Sources,
): readonly WatchedConfigMap[] {
  return places.flatMap((place) => {
    const keys = place.keys.filter(([part]) => given[part] === undefined)
    if (keys.length === 0) return []
    const watch = watchOne<ConfigMap>(deps.api, place.name, {
      path: collectionOf(place),
      keep: keepConfigMap,
      ...watchedBy(deps, keys.some(([part]) => part === 'mesh') ? 'mesh' : 'injector'),
    })
    return [{ place: { ...place, keys }, watch }]
  })
}

function keepConfigMap(object: JsonObject): ConfigMap {
  const uid = isObject(object['metadata']) ? object['metadata']['uid'] : undefined
  return { data: dataOf(object), uid: typeof uid === 'string' ? uid : '' }
}

/** All texts, or what is missing; undefined while the cluster has not said anything yet. */
function gather(
  watched: readonly WatchedConfigMap[],
  files: LiveFiles<Sources>,
): Read<Sources> | undefined {
  if (!watched.every(({ watch }) => watch.isSynced())) return undefined
  const texts = watched.flatMap(({ place, watch }) => {
    const configMap = watch.current()
    if (configMap === undefined) return [absent(place)]
    return place.keys.map(([part, key]) => named(part, readText(place, configMap.data, key)))
  })
  const problems = [...files.problems(), ...texts.flatMap((text) => (text.ok ? [] : text.problems))]
  if (problems.length > 0) return { ok: false, problems }
  const found = texts.reduce<Sources>((all, text) => ({ ...all, ...(text.ok && text.value) }), {})
  return { ok: true, value: { ...found, ...files.current() } }
}

function absent(place: ConfigMapPlace): Read<Sources> {
  return bad(nameOf(place), 'nothing', 'a ConfigMap of this name')
}

function named(part: keyof Sources, text: Read<Source>): Read<Sources> {
  return text.ok ? { ok: true, value: { [part]: text.value } } : text
}

function missing(watched: readonly WatchedConfigMap[], problems: readonly Problem[]): string {
  if (problems.length > 0) return `nothing good yet: ${problems.map(formatProblem).join('; ')}`
  const unread = watched.filter(({ watch }) => !watch.isSynced())
  return `not read yet: ${unread.map(({ place }) => nameOf(place)).join(', ')}`
}
