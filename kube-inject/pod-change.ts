/** One pod of a document: what is to change in it, and what is told about it. */
import type { Decision } from '../core/inject/decision.ts'
import { readPod } from '../core/inject/pod-shape.ts'
import { uninjectPod } from '../core/inject/uninject.ts'
import { isInjected } from '../core/inject/status.ts'
import { isObject, isSame, type Json, type JsonObject } from '../core/json.ts'
import { quoted, type Problem } from '../core/problem.ts'
import { additionsBetween, type Additions } from './additions.ts'
import { changeBetween, SAME, type Change } from './change.ts'
import type { Difference } from './three-way.ts'
import { upgradePod, type Injectors } from './upgrade.ts'

/** What is collected on the way. */
export type Notes = {
  readonly where: string
  readonly objects: ObjectOutcome[]
  readonly warnings: string[]
  readonly problems: Problem[]
}

/** What became of one pod or workload of a document. */
export type ObjectOutcome = {
  readonly kind: string
  /** `namespace/name`, or the name alone. */
  readonly name: string
  /** What was decided; a rejected one has no reason but its problems. */
  readonly decision: Decision['kind'] | 'uninject'
  readonly reason?: string
  readonly sentence?: string
  /** What injection put in; nothing where it put in nothing. */
  readonly added?: Additions
  /** What was taken out of an injected one. */
  readonly removed?: Additions
  /** What was changed by hand in the sidecar of an earlier injection, and stays. */
  readonly kept?: readonly Difference[]
  /** What stood in that sidecar, perhaps by hand, and gave way. */
  readonly replaced?: readonly Difference[]
}

/** Where messages about one pod go, and what they call it. */
export type Told = Notes & {
  readonly kind: string
  readonly ownName: string
  readonly name: string
  readonly place: string
}

/**
 * The change that a decision makes of a pod. `injectors` are asked where the pod is injected already and
 * would change.
 */
export function changeOf(decision: Decision, injectors: () => Injectors, told: Told): Change {
  const { where, name, kind, ownName, objects, warnings } = told
  warnings.push(...decision.warnings.map((warning) => `${where}, ${name}: ${warning}`))
  const object = { kind, name: ownName, ...summaryOf(decision) }
  switch (decision.kind) {
    case 'skip': {
      objects.push(object)
      warnings.push(`===> Skipping injection because ${name} ${skipPhrase(decision)}`)
      const { cleaned } = decision
      return cleaned === undefined
        ? SAME
        : changeBetween(asJson(cleaned.before), asJson(cleaned.pod))
    }
    case 'reject':
      objects.push(object)
      refuse(told, decision.problems)
      return SAME
    case 'inject': {
      const { before, pod } = decision
      if (!isInjected(before) || isSame(before, pod)) {
        objects.push(object)
        return changeBetween(asJson(before), asJson(pod))
      }
      const { pod: upgraded, isKnown, kept, replaced } = upgradePod(before, pod, injectors())
      objects.push({
        ...object,
        ...(kept.length > 0 && { kept }),
        ...(replaced.length > 0 && { replaced }),
      })
      warnings.push(
        ...upgradeLines(isKnown, kept, replaced).map((line) => `${where}, ${name}: ${line}`),
      )
      return changeBetween(asJson(before), upgraded)
    }
  }
}

/** Places that a line names; the report has all of them. */
const MOST_NAMED = 20

/** What is told of a sidecar that was replaced; what stays is still in the file, what gave way is told with its text. */
function upgradeLines(
  isKnown: boolean,
  kept: readonly Difference[],
  replaced: readonly Difference[],
): readonly string[] {
  const list = (differences: readonly Difference[], print: (one: Difference) => string): string => {
    const named = differences.slice(0, MOST_NAMED).map(print)
    const more = differences.length - named.length
    return named.join(', ') + (more > 0 ? `, and ${more} more (--report json has them)` : '')
  }
  const isYours = isKnown ? 'your changes of the sidecar stay' : 'these stay, whoever wrote them'
  const isGone = isKnown
    ? 'these follow from the pod and were written anew'
    : 'injected with another configuration than those at hand (see --previous-values), so these were written anew'
  const was = ({ path, yours }: Difference): string =>
    `${path} (was ${quoted(JSON.stringify(yours ?? null))})`
  return [
    ...(kept.length > 0 ? [`${isYours}: ${list(kept, ({ path }) => path)}`] : []),
    ...(replaced.length > 0 ? [`${isGone}: ${list(replaced, was)}`] : []),
  ]
}

/** The change that takes the injection out of a pod. */
export function changeBack(pod: JsonObject, decide: (pod: Json) => Decision, told: Told): Change {
  const { where, name, kind, ownName, objects, warnings } = told
  const read = readPod('', pod)
  const before = read.ok ? read.value : {}
  const plain = uninjectPod(before, (candidate) => {
    const decision = decide(asJson(candidate))
    return decision.kind === 'inject' ? decision.pod : undefined
  })
  const problems = [...(read.ok ? [] : read.problems), ...(plain.ok ? [] : plain.problems)]
  if (!plain.ok || problems.length > 0) {
    refuse(told, problems)
    return SAME
  }
  const { pod: after, isExact } = plain.value
  if (!isExact) {
    const what = 'it was injected with another configuration, or changed since'
    warnings.push(`${where}, ${name}: ${what}; look at its labels and annotations`)
  }
  const removed = additionsBetween(after, before)
  objects.push({ kind, name: ownName, decision: 'uninject', ...(after !== before && { removed }) })
  return changeBetween(asJson(before), asJson(after))
}

/** Notes problems of one pod: paths in it become paths in its document. */
export function refuse({ where, name, place, problems }: Told, found: readonly Problem[]): void {
  for (const problem of found) {
    const isInPod = problem.path === '' || problem.path.startsWith('/')
    const at = isInPod ? place + problem.path : problem.path
    problems.push({ ...problem, path: `${where}, ${name}: ${at}` })
  }
}

function summaryOf(decision: Decision): Omit<ObjectOutcome, 'kind' | 'name'> {
  if (decision.kind === 'reject') return { decision: 'reject' }
  const { kind, reason, sentence } = decision
  const told = { decision: kind, reason, sentence }
  if (kind === 'skip') return told
  return { ...told, added: additionsBetween(decision.before, decision.pod) }
}

/** Why an object was left alone: in Istio's words where Istio has words for it. */
function skipPhrase({ reason, sentence }: Extract<Decision, { kind: 'skip' }>): string {
  switch (reason) {
    case 'host-network':
      return 'has host networking enabled'
    case 'label-opt-out':
    case 'annotation-opt-out':
      return 'has sidecar injection disabled'
    default:
      return `is left alone: ${sentence}`
  }
}

/** A pod is plain JSON. */
function asJson(value: unknown): Json {
  return isObject(value) ? value : null
}
