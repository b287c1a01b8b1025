/** The annotations that hold JSON of users, read and checked against the API's types before they reach a template. */
import { goJson, isObject, sortedEntries, type Json, type JsonObject } from '../json.ts'
import type { StringMap } from '../k8s.ts'
import { bad, good, type Problem, type Read } from '../problem.ts'
import { pointer } from './pod-shape.ts'
import { readTyped, type TypeName } from './typed.ts'
import { checkUserMount, checkUserVolume } from './user-volumes.ts'

/** Annotation: JSON object of volume name to volume source. */
export const USER_VOLUME_ANNOTATION = 'sidecar.istio.io/userVolume'
/** Annotation: JSON object of volume name to the rest of a volume mount of the proxy. */
export const USER_VOLUME_MOUNT_ANNOTATION = 'sidecar.istio.io/userVolumeMount'
/** Annotation: JSON object of environment variables for the Datadog tracer. */
export const DATADOG_ANNOTATION = 'apm.datadoghq.com/env'

/** What users add through JSON annotations; lists are sorted by name. */
export type UserVolumes = {
  readonly volumes: readonly Json[]
  readonly mounts: readonly Json[]
  readonly datadog: StringMap
}

/** Reads them all; every problem is told with its annotation and the path in it. */
export function readUserJson(annotations: StringMap): Read<UserVolumes> {
  const problems: Problem[] = []
  const volumes = named(annotations, USER_VOLUME_ANNOTATION, 'VolumeSource', problems)
  for (const { name, path, value } of volumes) problems.push(...checkUserVolume(path, name, value))
  const mounts = named(annotations, USER_VOLUME_MOUNT_ANNOTATION, 'VolumeMount', problems)
  for (const { name, path, value } of mounts) {
    problems.push(...checkUserMount(path, value))
    if (value['name'] === name) continue
    const want = 'no name beside the key, which is the name of the volume'
    problems.push({ path: `${path}/name`, got: goJson(value['name'] ?? null), want })
  }
  const datadog = texts(annotations, DATADOG_ANNOTATION, problems)
  return problems.length === 0
    ? good({ volumes: valuesOf(volumes), mounts: valuesOf(mounts), datadog })
    : { ok: false, problems }
}

function named(
  annotations: StringMap,
  key: string,
  type: TypeName,
  problems: Problem[],
): readonly Named[] {
  const items: Named[] = []
  for (const [name, value] of members(annotations, key, problems)) {
    const path = `${key}: ${pointer(name)}`
    const read = readTyped(type, path, value)
    if (read.ok) items.push({ name, path, value: { name, ...read.value } })
    else problems.push(...read.problems)
  }
  return items
}

/** One member of an annotation, with the name of its volume in it, and where it stands. */
type Named = { readonly name: string; readonly path: string; readonly value: JsonObject }

function valuesOf(items: readonly Named[]): readonly Json[] {
  return items.map(({ value }) => value)
}

function texts(annotations: StringMap, key: string, problems: Problem[]): StringMap {
  const map: Record<string, string> = {}
  for (const [name, value] of members(annotations, key, problems)) {
    if (!/^[ -<>-~]+$/.test(name)) {
      problems.push({ path: key, got: name, want: 'printable ASCII without "=", as a name' })
    } else if (
      typeof value === 'string' ||
      typeof value === 'number' ||
      typeof value === 'boolean'
    ) {
      map[name] = String(value)
    } else {
      problems.push({ path: `${key}: /${name}`, got: JSON.stringify(value), want: 'text' })
    }
  }
  return map
}

function members(
  annotations: StringMap,
  key: string,
  problems: Problem[],
): readonly (readonly [string, Json])[] {
  const text = annotations[key]
  if (text === undefined) return []
  const read = readJsonObject(key, text)
  if (!read.ok) {
    problems.push(...read.problems)
    return []
  }
  return sortedEntries(read.value).map(([name, value]) => [name, value ?? null] as const)
}

function readJsonObject(path: string, text: string): Read<JsonObject> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return bad(path, text, 'a JSON object')
  }
  return isObject(value) ? good(value) : bad(path, text, 'a JSON object')
}
