/** A diagnosis for people, the cause in its first line, and as JSON. */
import type { Json } from '../core/json.ts'
import { visible } from '../core/problem.ts'
import type { Diagnosis } from './doctor.ts'
import { CHECKS, type Finding } from './finding.ts'

const SAYS: Readonly<Record<Finding['state'], string>> = {
  ok: 'ok',
  'not-ok': 'not ok',
  unknown: 'not checkable from here',
}

/** Lines for a terminal; names and messages come from a cluster and must not steer it. */
export function printDiagnosis({ cause, findings, breakGlass }: Diagnosis): string {
  const lines = [cause, '']
  for (const { check, title } of CHECKS) {
    for (const { state, sentence, webhook } of findings.filter((one) => one.check === check)) {
      const about = webhook === undefined || check === 'two-injectors' ? '' : ` (${webhook})`
      lines.push(`${SAYS[state]}: ${title}: ${sentence}${about}`)
    }
  }
  if (breakGlass !== undefined) {
    const { does, on, back } = breakGlass
    lines.push('', `Until that is mended: ${does}.`, `  ${on}`, 'And back:', `  ${back}`)
  }
  return lines.map((line) => `${visible(line)}\n`).join('')
}

/** The same as one JSON object. */
export function diagnosisJson({ state, cause, findings, breakGlass }: Diagnosis): Json {
  return {
    state,
    cause,
    findings: findings.map(({ check, state, sentence, webhook = null }) => ({
      check,
      state,
      sentence,
      webhook,
    })),
    breakGlass: breakGlass ?? null,
  }
}
