/** Where an installed Istio keeps its configuration: two ConfigMaps, and what their keys hold. */
import type { Source } from '../core/inject/config.ts'
import { isObject, type JsonObject } from '../core/json.ts'
import { bad, good, type Read } from '../core/problem.ts'

/** The flags that say where in a cluster. */
export type ConfigMapFlags = {
  readonly istioNamespace?: string
  readonly meshConfigMapName?: string
  readonly injectConfigMapName?: string
  /** Empty for the default revision. */
  readonly revision: string
}

/** The parts of a configuration, as the sources of core/inject/config.ts call them. */
export type ConfigPart = 'mesh' | 'injectConfig' | 'values'

/** One ConfigMap and the parts that are read of it, each with its key. */
export type ConfigMapPlace = {
  readonly namespace: string
  readonly name: string
  readonly keys: readonly (readonly [part: ConfigPart, key: string])[]
}

/** Both ConfigMaps, by Istio's names unless flags name others. */
export function configMapPlaces(flags: ConfigMapFlags): readonly ConfigMapPlace[] {
  const { istioNamespace: namespace = 'istio-system', revision } = flags
  const suffix = revision === '' || revision === 'default' ? '' : `-${revision}`
  return [
    { namespace, name: flags.meshConfigMapName ?? `istio${suffix}`, keys: [['mesh', 'mesh']] },
    {
      namespace,
      name: flags.injectConfigMapName ?? `istio-sidecar-injector${suffix}`,
      keys: [
        ['injectConfig', 'config'],
        ['values', 'values'],
      ],
    },
  ]
}

/** What to call a ConfigMap in problems. */
export function nameOf({ namespace, name }: ConfigMapPlace): string {
  return `ConfigMap ${namespace}/${name}`
}

/** Path of the collection that a ConfigMap is in. */
export function collectionOf({ namespace }: ConfigMapPlace): string {
  return `/api/v1/namespaces/${encodeURIComponent(namespace)}/configmaps`
}

/** The text under a key of a ConfigMap's `data`. */
export function readText(place: ConfigMapPlace, data: JsonObject, key: string): Read<Source> {
  const found = Object.hasOwn(data, key) ? data[key] : undefined
  if (typeof found === 'string') return good({ path: `${nameOf(place)}, ${key}`, text: found })
  return bad(nameOf(place), `keys ${Object.keys(data).join(', ')}`, `the key ${key}`)
}

/** What a ConfigMap holds; the empty object where it has no data. */
export function dataOf(configMap: unknown): JsonObject {
  const data = isObject(configMap) ? configMap['data'] : undefined
  return isObject(data) ? data : {}
}
