import { rowOf } from './codes.ts'
import { metadataOf, type Finding, type Subject } from './model.ts'

/** Annotation: codes that are not to be reported about its object, ours or Istio's; `*` for all. */
const SUPPRESS_ANNOTATION = 'galley.istio.io/analyze-suppress'

/** The findings that neither the object nor its pod templates ask to hear nothing of. */
export function unsuppressed(subject: Subject, findings: readonly Finding[]): readonly Finding[] {
  const codes = new Set(
    [subject.value, ...subject.pods.map(({ pod }) => pod)]
      .map((object) => metadataOf(object).annotations[SUPPRESS_ANNOTATION] ?? '')
      .flatMap((text) => text.split(','))
      .map((code) => code.trim()),
  )
  if (codes.has('*')) return []
  return findings.filter(({ code }) => {
    const { istio } = rowOf(code)
    return !codes.has(code) && !(istio !== undefined && codes.has(istio))
  })
}
