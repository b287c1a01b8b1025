/** One entry against one pod: the questions that the API server asks, in its order, with their answers. */
import { NAMESPACE_NAME_LABEL } from '../constants.ts'
import { printRequirement, selects, type Requirement, type Selector } from '../inject/selectors.ts'
import { own, type JsonObject } from '../json.ts'
import type { StringMap } from '../k8s.ts'
import { judgeCondition, whyNot, type Answer } from './conditions.ts'
import { inOrder, type GateCondition, type GateEntry, type GateRule } from './entry.ts'

/** A pod that is created, as the API server sees it before any webhook. */
export type GateFacts = {
  readonly namespace: string
  /** As they stand on the Namespace; its name is one of them, also where it is not said. */
  readonly namespaceLabels: StringMap
  readonly podLabels: StringMap
  /** The pod itself: conditions look into it. */
  readonly pod: JsonObject
}

/** What one part of an entry asks. `label` and `requirement` are there where it is about a label. */
export type GateStep = {
  readonly about: 'rules' | 'namespace' | 'pod' | 'condition'
  readonly holds: Answer
  /** The question and what stood there, in words. */
  readonly sentence: string
  readonly requirement?: Requirement
}

/** How an entry stands to a pod. */
export type GateResult = {
  readonly entry: GateEntry
  /** Whether the API server asks it; unknown where conditions that we cannot judge decide. */
  readonly matches: Answer
  readonly steps: readonly GateStep[]
}

/** Asks everything, also after the first no, so that all that stands in the way is told. */
export function evaluateGate(entry: GateEntry, facts: GateFacts): GateResult {
  const steps = [
    rulesStep(entry.rules),
    ...selectorSteps('namespace', entry.namespaceSelector, namespaceLabelsOf(facts)),
    ...selectorSteps('pod', entry.objectSelector, facts.podLabels),
    ...entry.conditions.map((condition) => conditionStep(condition, facts.pod)),
  ]
  return { entry, matches: allOf(steps), steps }
}

/**
 * The entries that take a pod, in the order in which the API server asks them. What only the API server
 * can judge (conditions in CEL) counts as taken.
 */
export function takersOf(entries: readonly GateEntry[], facts: GateFacts): readonly GateEntry[] {
  return entries
    .filter((entry) => evaluateGate(entry, facts).matches !== 'no')
    .sort((a, b) => inOrder(a.configuration, b.configuration))
}

/** The labels of the namespace; the API server sets the one with its name. */
export function namespaceLabelsOf({ namespace, namespaceLabels }: GateFacts): StringMap {
  if (namespace === '') return namespaceLabels
  return { ...namespaceLabels, [NAMESPACE_NAME_LABEL]: namespace }
}

function allOf(steps: readonly GateStep[]): Answer {
  if (steps.some(({ holds }) => holds === 'no')) return 'no'
  return steps.some(({ holds }) => holds === 'unknown') ? 'unknown' : 'yes'
}

function rulesStep(rules: readonly GateRule[]): GateStep {
  const isAsked = rules.some(asksForNewPods)
  const asked = rules.map(printRule).join('; ')
  return {
    about: 'rules',
    holds: isAsked ? 'yes' : 'no',
    sentence: isAsked
      ? 'its rules ask for the creation of pods'
      : `its rules do not ask for the creation of pods, but for ${asked || 'nothing'}`,
  }
}

/** The request that creates a pod, as rules name its parts. */
const NEW_POD = { operation: 'CREATE', group: '', version: 'v1', resource: 'pods', subresource: '' }

function asksForNewPods({ operations, apiGroups, apiVersions, resources, scope }: GateRule) {
  return (
    scope !== 'Cluster' &&
    isIn(operations, NEW_POD.operation) &&
    isIn(apiGroups, NEW_POD.group) &&
    isIn(apiVersions, NEW_POD.version) &&
    resources.some(isForPods)
  )
}

/** `pods`, `*` and either with `/*` behind it, which takes the resource itself too. */
function isForPods(text: string): boolean {
  const [resource, subresource = ''] = text.split('/')
  return (
    (resource === '*' || resource === NEW_POD.resource) &&
    (subresource === '*' || subresource === NEW_POD.subresource)
  )
}

function isIn(texts: readonly string[], text: string): boolean {
  return texts.includes('*') || texts.includes(text)
}

function printRule({ operations, apiGroups, apiVersions, resources, scope }: GateRule): string {
  const groups = apiGroups.map((group) => (group === '' ? '""' : group)).join(',')
  const of = `${resources.join(',')} of ${groups}/${apiVersions.join(',')}`
  return `${operations.join(',')} ${of}${scope === '*' ? '' : ` (${scope})`}`
}

const WHOSE = { namespace: 'the namespace', pod: 'the pod' } as const

function selectorSteps(
  about: 'namespace' | 'pod',
  selector: Selector,
  labels: StringMap,
): readonly GateStep[] {
  if (selector.length === 0) {
    const sentence = `its selector of ${about === 'pod' ? 'pods' : 'namespaces'} is empty and takes all`
    return [{ about, holds: 'yes', sentence }]
  }
  return selector.map((requirement) => {
    const holds = selects([requirement], labels)
    const found = own(labels, requirement.key)
    const has = found === undefined ? `no label ${requirement.key}` : `${requirement.key}=${found}`
    const wanted = printRequirement(requirement)
    const sentence = `it wants ${wanted}, and ${WHOSE[about]} has ${has}`
    return { about, holds: holds ? 'yes' : 'no', sentence, requirement }
  })
}

function conditionStep(condition: GateCondition, pod: JsonObject): GateStep {
  const { name, expression } = condition
  const holds = judgeCondition(condition, pod)
  const says = {
    yes: `its condition ${name} holds: ${expression}`,
    no: `its condition ${name} does not hold: ${whyNot(condition) ?? expression}`,
    unknown: `its condition ${name} was not evaluated, only the API server can: ${expression}`,
  }
  return { about: 'condition', holds, sentence: says[holds] }
}
