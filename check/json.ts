import { SEVERITIES } from '../core/analysis/codes.ts'
import type { Report } from './reported.ts'

/** One JSON object: all findings, flat, how many of each severity, and how many objects were looked at. */
export function printJson({ findings, objects }: Report): string {
  const counts = Object.fromEntries(
    SEVERITIES.map((severity) => [
      severity,
      findings.filter((finding) => finding.severity === severity).length,
    ]),
  )
  const flat = findings.map(({ place, ...finding }) => ({ ...place, ...finding }))
  return `${JSON.stringify({ objects, counts, findings: flat }, undefined, 2)}\n`
}
