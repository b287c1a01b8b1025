import type { Source } from '../core/inject/config.ts'
import { isArray, isObject, type JsonObject } from '../core/json.ts'
import type { StringMap } from '../core/k8s.ts'
import type { Problem, Read } from '../core/problem.ts'
import { readYaml } from '../core/yaml.ts'

/** Annotations of the namespaces that are known, by name. */
export type Namespaces = ReadonlyMap<string, StringMap>

/** Reads a List of Namespace objects, YAML or JSON. */
export function readNamespaces(source: Source): Read<Namespaces> {
  const document = readYaml(source.path, source.text)
  if (!document.ok) return document
  const items = isObject(document.value) ? document.value['items'] : undefined
  if (!isArray(items)) {
    const want = 'a List of Namespace objects'
    return { ok: false, problems: [{ path: source.path, got: 'no items', want }] }
  }
  const problems: Problem[] = []
  const namespaces = new Map<string, StringMap>()
  items.forEach((item, index) => {
    // The items of a NamespaceList carry no kind.
    const isNamespace = isObject(item) && (item['kind'] ?? 'Namespace') === 'Namespace'
    const metadata = isNamespace ? item['metadata'] : undefined
    const name = isObject(metadata) ? metadata['name'] : undefined
    if (isObject(metadata) && typeof name === 'string' && name !== '') {
      namespaces.set(name, annotationsOf(metadata))
    } else {
      const path = `${source.path}: /items/${String(index)}`
      problems.push({ path, got: 'something else', want: 'a Namespace with a name' })
    }
  })
  return problems.length === 0 ? { ok: true, value: namespaces } : { ok: false, problems }
}

/** The annotations in the metadata of an object; those that are no texts are left out. */
export function annotationsOf({ annotations }: JsonObject): StringMap {
  if (!isObject(annotations)) return {}
  const texts = Object.entries(annotations).flatMap(([key, value]) =>
    typeof value === 'string' ? [[key, value] as const] : [],
  )
  return Object.fromEntries(texts)
}
