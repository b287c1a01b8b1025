import { findProxy } from '../core/inject/cluster-envs.ts'
import { readPod } from '../core/inject/pod-shape.ts'
import { isObject, type Json, type JsonObject } from '../core/json.ts'
import type { Pod } from '../core/k8s.ts'
import { bad, good, Refusal, type Problem, type Read } from '../core/problem.ts'
import { parseDocuments } from '../core/yaml.ts'
import { openSources } from '../kube-inject/sources.ts'
import { listItems, workloadOf } from '../kube-inject/workloads.ts'

/** An object of a manifest, and where it stands: `file:line: Kind "name"`. */
export type Manifest = { readonly path: string; readonly value: JsonObject }

/** A pod of a manifest, under the name that it will have or that its workload has. */
export type NamedPod = { readonly path: string; readonly name: string; readonly pod: Pod }

/** The objects of files, lists taken apart. Throws a Refusal. */
export async function readManifests(names: readonly string[]): Promise<readonly Manifest[]> {
  const found: Manifest[] = []
  for (const { name, text } of await openSources(names)) {
    for (const document of parseDocuments(name, text)) {
      if (!document.ok) throw new Refusal(document.problems)
      const { value, line } = document.value
      if (value !== null) found.push(...objectsOf(`${name}:${line}`, value))
    }
  }
  return found
}

function objectsOf(place: string, value: Json): readonly Manifest[] {
  if (!isObject(value)) {
    throw new Refusal([{ path: place, got: JSON.stringify(value), want: 'an object' }])
  }
  const items = listItems(value)
  if (items !== undefined) return items.flatMap((item) => objectsOf(place, item))
  const kind = typeof value['kind'] === 'string' ? value['kind'] : 'object'
  return [{ path: `${place}: ${kind} "${nameOf(value)}"`, value }]
}

/** The pods of objects, or of their templates, each with a name and a namespace. Throws a Refusal. */
export function podsOf(
  manifests: readonly Manifest[],
  namespace: string | undefined,
): readonly NamedPod[] {
  const problems: Problem[] = []
  const pods = manifests.flatMap(({ path, value }): NamedPod[] => {
    const workload = workloadOf(value)
    if (workload === undefined) return []
    const template = workload.template.reduce<Json | undefined>(
      (at, step) => (isObject(at) ? at[step] : undefined),
      value,
    )
    if (!isObject(template)) return []
    const metadata = isObject(template['metadata']) ? template['metadata'] : {}
    const own = isObject(value['metadata']) ? value['metadata'] : {}
    const name = nameOf(template) || nameOf(value)
    const where = metadata['namespace'] ?? own['namespace'] ?? namespace ?? 'default'
    const read = readPod(path, { ...template, metadata: { ...metadata, name, namespace: where } })
    if (read.ok) return [{ path, name, pod: read.value }]
    problems.push(...read.problems)
    return []
  })
  if (problems.length > 0) throw new Refusal(problems)
  return pods
}

/** The one injected pod, or the one that is named. */
export function choosePod(pods: readonly NamedPod[], wanted: string | undefined): Read<Pod> {
  const named = pods.filter(({ name }) => wanted === undefined || name === wanted)
  const injected = named.filter(({ pod }) => findProxy(pod) !== undefined)
  const [first, ...others] = injected.length > 0 ? injected : named
  const got = (some: readonly NamedPod[]): string => some.map(({ path }) => path).join(', ')
  if (first === undefined) return bad('-f', got(pods), 'an injected pod, or one named by --pod')
  return others.length === 0
    ? good(first.pod)
    : bad('-f', got([first, ...others]), 'one injected pod; --pod says which')
}

function nameOf(object: JsonObject): string {
  const { metadata } = object
  const name = isObject(metadata) ? (metadata['name'] ?? metadata['generateName']) : undefined
  return typeof name === 'string' ? name : ''
}
