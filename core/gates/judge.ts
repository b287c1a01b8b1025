/** The first gate as a whole: which installed webhook the API server asks about a pod, and why. */
import type { GateEntry } from './entry.ts'
import type { GateFacts, GateResult } from './gate.ts'
import { GATE_REASONS, type GateOutcome, type GateReason } from './reasons.ts'
import { printLabel, sceneOf, spokenLabels, without, type Spoken } from './scene.ts'

/** What becomes of a pod at the first gate. */
export type GateVerdict = {
  readonly outcome: GateOutcome
  readonly reason: GateReason
  /** The cause, in words. */
  readonly sentence: string
  /** The label that spoke; undefined where it is no label, or the lack of one. */
  readonly label: Spoken | undefined
  /** What else is said about injection, and why it makes no difference. */
  readonly besides: readonly string[]
  /** Entries of injectors that take the pod, in the order in which they are asked. */
  readonly takers: readonly GateResult[]
}

/** Judges by the first row of `GATE_REASONS` that speaks. Entries that inject no Istio sidecar do not count. */
export function judgeGates(entries: readonly GateEntry[], facts: GateFacts): GateVerdict {
  const scene = sceneOf(entries, facts)
  const takers = scene.active.filter(({ matches }) => matches === 'yes')
  for (const { reason, outcome, speaks } of GATE_REASONS) {
    const found = speaks(scene)
    if (found === undefined) continue
    const { sentence, label } = found
    const besides = outcome === 'unknown' ? [] : besidesOf(entries, facts, outcome, label)
    return { outcome, reason, sentence, label, besides, takers }
  }
  throw new Error('no row of the gate reasons spoke')
}

/** A label that keeps the pod out may hide another that would; all others have no say. */
function besidesOf(
  entries: readonly GateEntry[],
  facts: GateFacts,
  outcome: GateOutcome,
  label: Spoken | undefined,
): readonly string[] {
  const others = spokenLabels(facts).filter(
    ({ whose, key }) => whose !== label?.whose || key !== label.key,
  )
  const idle = others.map(
    (other) => `${printLabel(other)} of the ${other.whose} does not count beside it`,
  )
  if (outcome === 'taken' || label === undefined) return idle
  const next = judgeGates(entries, without(facts, label))
  if (next.outcome !== 'left' || next.reason === 'nobody-asks') return idle
  return [`without that still none: ${next.sentence}`, ...next.besides]
}
