/** The annotations that hold JSON of users, read and checked against the API's types before they reach a template. */
import { isObject, sortedEntries, type Json, type JsonObject } from '../json.ts'
import type { StringMap } from '../k8s.ts'
import { bad, good, type Problem, type Read } from '../problem.ts'
import { readTyped, type TypeName } from './typed.ts'

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
  const mounts = named(annotations, USER_VOLUME_MOUNT_ANNOTATION, 'VolumeMount', problems)
  const datadog = texts(annotations, DATADOG_ANNOTATION, problems)
  return problems.length === 0 ? good({ volumes, mounts, datadog }) : { ok: false, problems }
}

function named(
  annotations: StringMap,
  key: string,
  type: TypeName,
  problems: Problem[],
): readonly Json[] {
  const items: Json[] = []
  for (const [name, value] of members(annotations, key, problems)) {
    const read = readTyped(type, `${key}: /${name}`, value)
    if (read.ok) items.push({ name, ...read.value })
    else problems.push(...read.problems)
  }
  return items
}

function texts(annotations: StringMap, key: string, problems: Problem[]): StringMap {
  const map: Record<string, string> = {}
  for (const [name, value] of members(annotations, key, problems)) {
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
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
