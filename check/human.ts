import type { Severity } from '../core/analysis/codes.ts'
import { SEVERITIES } from '../core/analysis/codes.ts'
import { visible } from '../core/problem.ts'
import { objectName, type Report, type Reported } from './reported.ts'

/** Three lines for each finding, as compilers write them, and one for the sum. */
export function printHuman({ findings, objects }: Report, isColoured: boolean): string {
  const blocks = findings.map((finding) => printFinding(finding, isColoured))
  const counts = SEVERITIES.map((severity) => {
    return `${findings.filter((each) => each.severity === severity).length} ${severity}`
  })
  return [...blocks, `${objects} objects: ${counts.join(', ')}\n`].join('')
}

function printFinding(finding: Reported, isColoured: boolean): string {
  const { place, severity, code, istio, title, path, message, remedy } = finding
  const at = place === undefined ? '' : `${visible(place.file)}:${place.line}:${place.column}: `
  const word = isColoured ? `\u001b[${COLOURS[severity]}m${severity}\u001b[0m` : severity
  const codes = istio === undefined ? code : `${code} ${istio}`
  return [
    `${at}${word} ${codes} ${title}: ${objectName(finding)}`,
    `  ${path === '' ? '' : `${visible(path)}: `}${message}`,
    `  ${remedy}\n`,
  ].join('\n')
}

const COLOURS: Readonly<Record<Severity, number>> = { error: 31, warning: 33, info: 36 }
