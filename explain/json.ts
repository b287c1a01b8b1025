import { printEntry } from '../core/gates/entry.ts'
import type { Report } from './report.ts'
import type { Subject } from './subjects.ts'

/** A report for programs: the answer, both gates, the decision, and the origins as they are. */
export function jsonReport({ where, kind, name }: Subject, report: Report): object {
  const { answer, gate, policy, decision, origins, notes } = report
  return {
    where,
    kind,
    name,
    answer,
    gate: gate === undefined ? null : gateOf(gate),
    policy,
    decision: decision.kind,
    ...(decision.kind === 'reject'
      ? { problems: decision.problems }
      : {
          reason: decision.reason,
          sentence: decision.sentence,
          evidence: decision.evidence,
        }),
    warnings: decision.warnings,
    notes,
    origins,
  }
}

function gateOf({ verdict, entries }: NonNullable<Report['gate']>): object {
  const { outcome, reason, sentence, besides } = verdict
  const asked = entries.map(({ entry, matches, steps }) => ({
    entry: printEntry(entry),
    matches,
    steps: steps.map(({ about, holds, sentence }) => ({ about, holds, sentence })),
  }))
  return { outcome, reason, sentence, besides, entries: asked }
}
