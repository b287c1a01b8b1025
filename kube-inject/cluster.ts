/** The configuration of an installed Istio, read from its ConfigMaps: only when a flag asks for a cluster. */
import { demand, makeApi, type Api } from '../cluster/api.ts'
import {
  collectionOf,
  configMapPlaces,
  dataOf,
  nameOf,
  readText,
  type ConfigMapFlags,
  type ConfigMapPlace,
  type ConfigPart,
} from '../cluster/config-maps.ts'
import { connect } from '../cluster/connect.ts'
import type { Source } from '../core/inject/config.ts'
import type { JsonObject } from '../core/json.ts'
import { Refusal } from '../core/problem.ts'
import type { ClusterFlags } from './cluster-flags.ts'

/** The three texts, and what is laid over the values. */
export type ClusterSources = Readonly<Partial<Record<ConfigPart | 'valuesOverlay', Source>>>

/** Reads both ConfigMaps, by Istio's names unless flags name others. Throws a Refusal. */
export async function readClusterSources(flags: ClusterFlags): Promise<ClusterSources> {
  const api = makeApi(await connect(flags))
  try {
    return await readSourcesOf(api, flags)
  } finally {
    api.close()
  }
}

/** The same from an API server that is spoken to already, but for the parts that are given. */
export async function readSourcesOf(
  api: Api,
  flags: ConfigMapFlags,
  given: ClusterSources = {},
): Promise<ClusterSources> {
  const places = configMapPlaces(flags)
    .map((place) => ({ ...place, keys: place.keys.filter(([part]) => given[part] === undefined) }))
    .filter(({ keys }) => keys.length > 0)
  const found = await Promise.all(places.map((place) => readPlace(api, place)))
  return { ...Object.fromEntries(found.flat()), ...given }
}

async function readPlace(
  api: Api,
  place: ConfigMapPlace,
): Promise<readonly (readonly [ConfigPart, Source])[]> {
  const data = await readData(api, place)
  return place.keys.map(([part, key]) => {
    const read = readText(place, data, key)
    if (!read.ok) throw new Refusal(read.problems)
    return [part, read.value]
  })
}

async function readData(api: Api, place: ConfigMapPlace): Promise<JsonObject> {
  const path = nameOf(place)
  const refused = (cause: unknown, want: string): Refusal => {
    const got = cause instanceof Error ? cause.message : String(cause)
    return new Refusal([{ path, got, want }], { cause })
  }
  const answer = await api
    .call({ path: `${collectionOf(place)}/${encodeURIComponent(place.name)}` })
    .catch((cause: unknown) => {
      throw refused(cause, `an answer of ${api.server.origin}`)
    })
  try {
    return dataOf(demand(answer, 200))
  } catch (cause) {
    throw refused(cause, 'a ConfigMap that may be read')
  }
}
