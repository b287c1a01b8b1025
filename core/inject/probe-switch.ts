import type { StringMap } from '../k8s.ts'

/** Annotation: whether probes are rewritten for this pod; a template may set it too. */
export const REWRITE_ANNOTATION = 'sidecar.istio.io/rewriteAppHTTPProbers'

/** The annotation if it can be read, else what the values say. */
export function isRewriting(annotations: StringMap | undefined, byValues: boolean): boolean {
  return readGoBoolean(annotations?.[REWRITE_ANNOTATION]) ?? byValues
}

/** A boolean as Go's strconv.ParseBool reads it; undefined for any other text. */
export function readGoBoolean(text: string | undefined): boolean | undefined {
  return GO_BOOLEANS.get(text)
}

const GO_BOOLEANS: ReadonlyMap<string | undefined, boolean> = new Map([
  ...['1', 't', 'T', 'TRUE', 'true', 'True'].map((text) => [text, true] as const),
  ...['0', 'f', 'F', 'FALSE', 'false', 'False'].map((text) => [text, false] as const),
])
