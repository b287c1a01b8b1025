/** `doctor`: why pods are refused or hang. It looks, tries dry runs, and changes nothing. */
import type { Api } from '../cluster/api.ts'
import type { Dial } from '../cluster/dial.ts'
import type { Target } from '../cluster/target.ts'
import { DEFAULT_REVISION } from '../core/constants.ts'
import { revisionOf } from '../core/gates/entry.ts'
import type { Ask } from './ask.ts'
import { breakGlassFor, type BreakGlass } from './break-glass.ts'
import { readClock } from './clock.ts'
import { casesOf, type Case } from './cases.ts'
import { readFacts } from './facts.ts'
import { firstCause, type Finding } from './finding.ts'
import { examineMesh } from './mesh-checks.ts'
import { readPatient } from './patient.ts'
import { examineWebhook } from './webhook-checks.ts'

/** What it comes to. */
export type Diagnosis = {
  /** `unsure` where nothing is wrong that could be seen, and too little could be seen. */
  readonly state: 'well' | 'ill' | 'unsure'
  readonly cause: string
  readonly findings: readonly Finding[]
  readonly breakGlass: BreakGlass | undefined
}

/** What is asked about, and how the world is reached. */
export type Question = {
  /** A pod or workload; undefined asks about every webhook of an injector. */
  readonly target: Target | undefined
  readonly istioNamespace: string
  readonly dial: Dial
  readonly ask: Ask
  readonly here: () => Date
}

/** Looks at everything, then names the first cause. Throws a Refusal where there is no such pod. */
export async function diagnose(api: Api, question: Question): Promise<Diagnosis> {
  const { target, istioNamespace, dial, ask, here } = question
  const [clock, facts, patient] = await Promise.all([
    readClock(api, here),
    readFacts(api, false),
    target === undefined ? undefined : readPatient(api, target),
  ])
  const { entries, namespaces, configurations } = facts
  const cases = patient === undefined ? casesOf(entries, namespaces) : patient.casesOf(entries)
  const unseen = facts.unseen.map((sentence): Finding => ({
    check: 'webhooks',
    state: 'unknown',
    sentence,
  }))
  // Where nobody may look, nobody can say that nothing is there.
  const findings =
    unseen.length > 0 && entries.length === 0 ? unseen : [...cases.findings, ...unseen]
  const world = { dial, ask, now: clock.now }
  for (const { entry, trial } of cases.tried) {
    findings.push(...(await examineWebhook(api, entry, trial, world)))
  }
  const revision = revisionOfFirst(cases.tried)
  for (const namespace of cases.namespaces.slice(0, MOST_NAMESPACES)) {
    findings.push(...(await examineMesh(api, namespace, { revision, istioNamespace })))
  }
  findings.push(...(patient?.findings ?? []), clock.finding)
  const cause = firstCause(findings)
  return {
    state: stateOf(cause, findings),
    cause: sentenceOf(cause, findings),
    findings,
    breakGlass: cause && breakGlassFor(cause, entries, configurations),
  }
}

/** Namespaces that are looked into where none was named. */
const MOST_NAMESPACES = 5

function revisionOfFirst(tried: readonly Case[]): string {
  const [first] = tried
  const revision = first === undefined ? undefined : revisionOf(first.entry.configuration)
  return revision === undefined || revision === DEFAULT_REVISION ? '' : revision
}

function stateOf(cause: Finding | undefined, findings: readonly Finding[]): Diagnosis['state'] {
  if (cause !== undefined) return 'ill'
  const isSeen = findings.some(
    ({ check, state }) => (check === 'trial' || check === 'review') && state === 'ok',
  )
  return isSeen ? 'well' : 'unsure'
}

/** The cause in one sentence, with what the replicas say where none is ready. */
function sentenceOf(cause: Finding | undefined, findings: readonly Finding[]): string {
  if (cause === undefined) {
    return stateOf(cause, findings) === 'well'
      ? 'nothing is wrong that can be seen from here'
      : 'what is wrong cannot be told from here'
  }
  const { check, sentence, webhook } = cause
  const isNamed = webhook !== undefined && check !== 'two-injectors'
  const said = isNamed ? `the webhook ${webhook} cannot do its work: ${sentence}` : sentence
  const replicas = findings.find(
    (finding) => finding.check === 'replicas' && finding.webhook === webhook,
  )
  return check === 'endpoints' && replicas !== undefined ? `${said}: ${replicas.sentence}` : said
}
