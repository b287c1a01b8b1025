/** What the API server remembers of when something was written. */
import { isArray, isObject, type JsonObject } from '../core/json.ts'

/** Who wrote a field last, and when, to the second. */
export type Written = { readonly manager: string; readonly at: Date }

/** When an object was created; undefined where it does not say. */
export function createdAt(object: JsonObject): Date | undefined {
  const { metadata } = object
  return isObject(metadata) ? readTime(metadata['creationTimestamp']) : undefined
}

/** Reads RFC 3339. */
export function readTime(text: unknown): Date | undefined {
  const time = typeof text === 'string' ? new Date(text) : undefined
  return time === undefined || Number.isNaN(time.getTime()) ? undefined : time
}

/**
 * Who owns a field, from `managedFields`: of several the one whose entry is oldest. The time is that of
 * the manager's last change of anything it owns, so that the field may be older, and never is newer.
 */
export function writerOf(object: JsonObject, field: readonly string[]): Written | undefined {
  const { metadata } = object
  const managed = isObject(metadata) ? metadata['managedFields'] : undefined
  const writers = (isArray(managed) ? managed : []).filter(isObject).flatMap((entry) => {
    const at = readTime(entry['time'])
    const { manager } = entry
    if (at === undefined || !owns(entry['fieldsV1'], field)) return []
    return [{ manager: typeof manager === 'string' ? manager : 'somebody', at }]
  })
  return writers.sort((a, b) => a.at.getTime() - b.at.getTime())[0]
}

/** Who wrote a label. */
export function labelWriter(object: JsonObject, key: string): Written | undefined {
  return writerOf(object, ['f:metadata', 'f:labels', `f:${key}`])
}

/** Whether one moment is at least a second after another: times at an API server have no fractions. */
export function isAfter(later: Date | undefined, earlier: Date | undefined): boolean {
  return later !== undefined && earlier !== undefined && later.getTime() > earlier.getTime()
}

/** A moment as the API server writes it. */
export function printTime(time: Date): string {
  return time.toISOString().replace(/\.\d{3}Z$/, 'Z')
}

function owns(fields: unknown, path: readonly string[]): boolean {
  const found = path.reduce<unknown>(
    (inner, key) => (isObject(inner) ? inner[key] : undefined),
    fields,
  )
  return found !== undefined
}
