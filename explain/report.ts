/** Everything there is to say about one pod of a manifest: both gates, and where each field comes from. */
import type { GateEntry } from '../core/gates/entry.ts'
import { evaluateGate, type GateResult } from '../core/gates/gate.ts'
import { judgeGates, type GateVerdict } from '../core/gates/judge.ts'
import type { InjectConfig } from '../core/inject/config.ts'
import { DECISIONS, type Evidence, type Reason } from '../core/inject/decide.ts'
import type { Decision, InjectRequest } from '../core/inject/decision.ts'
import { injectPod } from '../core/inject/inject.ts'
import { readPod } from '../core/inject/pod-shape.ts'
import { isInjected } from '../core/inject/status.ts'
import { uninjectPod } from '../core/inject/uninject.ts'
import { describeDecision } from '../core/inject/why.ts'
import { isObject, type Json, type JsonObject } from '../core/json.ts'
import type { StringMap } from '../core/k8s.ts'
import { explainPod, type Explained } from '../core/origins/origins.ts'
import type { Origin } from '../core/origins/origin.ts'

/** What is told about one pod. */
export type Report = {
  /** What becomes of the pod and the true cause, on one line. */
  readonly answer: string
  /** What the API server does before the injector hears of the pod; absent where nobody said what is installed. */
  readonly gate?: GateReport
  /** The rows of the injector's policy, in the order in which they are asked. */
  readonly policy: readonly PolicyRow[]
  readonly decision: Decision
  readonly origins: readonly Origin[]
  readonly notes: readonly string[]
}

/** The first gate: its verdict, and every entry with all of its questions. */
export type GateReport = {
  readonly verdict: GateVerdict
  readonly entries: readonly GateResult[]
}

/** One row of the policy and what it said to this pod. */
export type PolicyRow = {
  readonly reason: Reason
  readonly sentence: string
  readonly answer: 'passed' | 'spoke' | 'not asked'
  /** What it spoke about. */
  readonly evidence?: Evidence
}

/** What a cluster is assumed to hold. */
export type Scene = {
  /** Entries of the webhook configurations; undefined where none were given. */
  readonly entries: readonly GateEntry[] | undefined
  readonly namespace: string
  readonly namespaceLabels: StringMap
}

/** Explains one pod. */
export function makeReport(request: InjectRequest, config: InjectConfig, scene: Scene): Report {
  const { pod, notes } = plainPod(request, config)
  const { decision, asked, origins } = explainPod({ ...request, pod }, config)
  const gate = scene.entries && gateReport(scene.entries, scene, pod)
  return {
    answer: answerOf(gate, decision),
    ...(gate && { gate }),
    policy: asked === undefined ? [] : policyRows(asked, decision),
    decision,
    origins,
    notes,
  }
}

function answerOf(gate: GateReport | undefined, decision: Decision): string {
  if (gate === undefined || gate.verdict.outcome === 'taken') return describeDecision(decision)
  const { outcome, sentence, reason } = gate.verdict
  const said = outcome === 'left' ? 'not injected' : 'only the API server can tell'
  return `${said}: ${sentence} (${reason})`
}

function gateReport(entries: readonly GateEntry[], scene: Scene, pod: Json): GateReport {
  const object = isObject(pod) ? pod : {}
  const facts = { ...scene, podLabels: labelsOf(object), pod: object }
  return {
    verdict: judgeGates(entries, facts),
    entries: entries.map((entry) => evaluateGate(entry, facts)),
  }
}

function policyRows(
  { facts, policy }: NonNullable<Explained['asked']>,
  decision: Decision,
): readonly PolicyRow[] {
  let isOver = false
  return DECISIONS.map(({ reason, sentence, speaks }): PolicyRow => {
    if (isOver) return { reason, sentence, answer: 'not asked' }
    // What could not be understood is among the warnings of the decision.
    const evidence = speaks(facts, policy, () => decision)
    isOver = evidence !== undefined
    if (evidence === undefined) return { reason, sentence, answer: 'passed' }
    return { reason, sentence, answer: 'spoke', evidence }
  })
}

/** An injected pod is explained from what it was before: nothing in it differs from itself. */
function plainPod(
  request: InjectRequest,
  config: InjectConfig,
): { readonly pod: Json; readonly notes: readonly string[] } {
  const read = readPod('', request.pod)
  if (!read.ok || !isInjected(read.value)) return { pod: request.pod, notes: [] }
  const plain = uninjectPod(read.value, (candidate) => {
    const decision = injectPod({ ...request, pod: jsonOf(candidate) }, config)
    return decision.kind === 'inject' ? decision.pod : undefined
  })
  if (!plain.ok) return { pod: request.pod, notes: ['the marks of its injection cannot be read'] }
  const told = 'the pod is injected already: what follows is told from what it was before'
  const changed =
    'it was injected with another configuration than this one, or changed since: fields may differ'
  const { pod, isExact } = plain.value
  return { pod: jsonOf(pod), notes: isExact ? [told] : [told, changed] }
}

function labelsOf({ metadata }: JsonObject): StringMap {
  const labels = isObject(metadata) && isObject(metadata['labels']) ? metadata['labels'] : {}
  return Object.fromEntries(
    Object.entries(labels).flatMap(([key, text]) =>
      text === undefined || text === null || typeof text === 'object'
        ? []
        : [[key, String(text)] as const],
    ),
  )
}

function jsonOf(pod: unknown): JsonObject {
  return isObject(pod) ? pod : {}
}
