/** Why a pod has a sidecar or none: what a cluster shows, from the most certain cause to the least. */
import {
  INJECT_KEY,
  ISTIO_REVISION_LABEL,
  PROXY_CONTAINER,
  STATUS_ANNOTATION,
} from '../core/constants.ts'
import { printEntry, revisionOf } from '../core/gates/entry.ts'
import type { GateVerdict } from '../core/gates/judge.ts'
import { printLabel } from '../core/gates/scene.ts'
import type { Reason } from '../core/inject/decide.ts'
import type { Decision } from '../core/inject/decision.ts'
import { readStatus } from '../core/inject/status.ts'
import { describeReason } from '../core/inject/why.ts'
import { isArray, isObject, type JsonObject } from '../core/json.ts'
import { formatProblem, quoted } from '../core/problem.ts'
import { mapAt } from '../cluster/members.ts'
import type { LiveFacts } from './live-facts.ts'
import {
  createdAt,
  isAfter,
  labelWriter,
  printTime,
  writerOf,
  type Written,
} from '../cluster/history.ts'
import { foundOr } from '../cluster/look.ts'
import type { Reach } from '../cluster/reach.ts'
import { printTarget } from '../cluster/target.ts'

/** All that causes are looked for in. */
export type Scene = {
  readonly facts: LiveFacts
  /** The API server's choice by the labels that count: of a pod that exists those that it was created with. */
  readonly gate: GateVerdict
  /** What the injector's own policy says. */
  readonly decision: Decision
  /** How the first entry that takes the pod stands; undefined where none does. */
  readonly reach: Reach | undefined
  /** What is wrong with the injector's configuration, each a sentence. */
  readonly configProblems: readonly string[]
}

/** What a cause comes to: for a pod that it has a sidecar or not, for a workload that its next pods get one. */
export type Fate = 'sidecar' | 'none' | 'refused' | 'unknown'

/** The cause. `code` is stable. */
export type Cause = { readonly code: string; readonly fate: Fate; readonly sentence: string }

/** The first row that speaks; the last always does. */
export function findCause(scene: Scene): Cause {
  for (const { code, fate, speaks } of CAUSES) {
    const sentence = speaks(scene)
    if (sentence !== undefined) return { code, fate, sentence }
  }
  throw new Error('no row of the causes spoke')
}

type Row = {
  readonly code: string
  readonly fate: Fate
  readonly speaks: (scene: Scene) => string | undefined
}

/** Reasons of the policy that no label can change, so that they count whatever webhooks do. */
const FINAL: readonly Reason[] = ['mirror-pod', 'host-network', 'ignored-namespace']

const CAUSES: readonly Row[] = [
  {
    code: 'other-revision',
    fate: 'sidecar',
    speaks: ({ facts, gate }) => {
      const was = injectedBy(facts.pod)
      const taker = gate.takers[0]?.entry
      const is = taker && revisionOf(taker.configuration)
      if (was === undefined || is === undefined || was === is || was === '') return undefined
      return `the revision ${quoted(was)} put it in, and ${quoted(is)} takes such pods now: ${gate.sentence}; create it again to change over`
    },
  },
  {
    code: 'injected',
    fate: 'sidecar',
    speaks: ({ facts }) => {
      const was = injectedBy(facts.pod)
      if (was === undefined) return undefined
      return was === '' ? 'an injector put it in' : `the revision ${quoted(was)} put it in`
    },
  },
  {
    code: 'policy-final',
    fate: 'none',
    speaks: ({ decision }) => (isSkip(decision, true) ? describeReason(decision) : undefined),
  },
  {
    code: 'unseen',
    fate: 'unknown',
    speaks: ({ facts: { configurations, namespace } }) => {
      const [what, unseen] =
        configurations.kind === 'unseen'
          ? ['the installed webhooks', configurations]
          : ['the labels of the namespace', namespace]
      return unseen.kind === 'unseen'
        ? `${what} could not be read, and they decide: ${unseen.why}`
        : undefined
    },
  },
  {
    code: 'label-misplaced',
    fate: 'none',
    speaks: ({ facts, gate }) => (gate.reason === 'nobody-asks' ? misplaced(facts) : undefined),
  },
  {
    code: 'not-asked',
    fate: 'none',
    speaks: ({ gate }) => (gate.outcome === 'left' ? gate.sentence : undefined),
  },
  {
    code: 'labelled-later',
    fate: 'none',
    speaks: ({ facts, gate }) => {
      const { label } = gate
      const object = label?.whose === 'pod' ? facts.pod : foundOr(facts.namespace, {})
      const written = label && labelWriter(object, label.key)
      if (!label || !isLater(written, facts)) return undefined
      return `the ${label.whose} got ${printLabel(label)} ${afterwards(written, facts)}; create it again`
    },
  },
  {
    code: 'webhook-later',
    fate: 'none',
    speaks: ({ facts, gate }) => {
      const all = gate.takers.map(({ entry }) => new Date(entry.configuration.createdAt ?? 0))
      const first = new Date(Math.min(...all.map((time) => time.getTime())))
      const [taker] = gate.takers
      if (taker === undefined || !isPod(facts) || !isAfter(first, createdAt(facts.pod))) {
        return undefined
      }
      const what = `the webhook ${printEntry(taker.entry)} was installed at ${printTime(first)}`
      return `${what}, after the pod was created at ${podTime(facts)}; create it again`
    },
  },
  {
    code: 'policy',
    fate: 'none',
    speaks: ({ decision, gate }) =>
      isSkip(decision, false) && gate.outcome === 'taken'
        ? `the webhook is asked and leaves it alone: ${describeReason(decision)}`
        : undefined,
  },
  {
    code: 'webhook-changed',
    fate: 'none',
    speaks: ({ facts, gate }) => {
      const [taker] = gate.takers
      if (taker === undefined) return undefined
      const { name, configuration } = taker.entry
      const object = foundOr(facts.configurations, []).find(
        ({ metadata }) => isObject(metadata) && metadata['name'] === configuration.name,
      )
      const entry = ['f:webhooks', `k:${JSON.stringify({ name })}`]
      const written = CHOOSING.map((field) => object && writerOf(object, [...entry, field])).find(
        (one) => isLater(one, facts),
      )
      if (!isLater(written, facts)) return undefined
      return `what the webhook ${printEntry(taker.entry)} selects was written ${afterwards(written, facts)}; create it again`
    },
  },
  {
    code: 'webhook-down-ignored',
    fate: 'none',
    speaks: (scene) =>
      isDown(scene, 'Ignore')
        ? `${taker(scene)} cannot be asked, and its failurePolicy Ignore lets pods in without: ${whyDown(scene)}`
        : undefined,
  },
  {
    code: 'webhook-down',
    fate: 'refused',
    speaks: (scene) =>
      isDown(scene, 'Fail') && !isPod(scene.facts)
        ? `${taker(scene)} cannot be asked, and its failurePolicy Fail refuses pods then: ${whyDown(scene)}`
        : undefined,
  },
  {
    code: 'refused',
    fate: 'refused',
    speaks: ({ decision, facts, gate }) =>
      decision.kind === 'reject' && gate.outcome === 'taken' && !isPod(facts)
        ? `the webhook denies it: ${decision.problems.map(formatProblem).join('; ')}`
        : undefined,
  },
  {
    code: 'creation-refused',
    fate: 'refused',
    speaks: ({ facts }) => {
      const message = replicaFailure(facts.object)
      return message === undefined ? undefined : `the API server says: ${message}`
    },
  },
  {
    code: 'condition-unknown',
    fate: 'unknown',
    speaks: ({ gate }) => (gate.outcome === 'unknown' ? gate.sentence : undefined),
  },
  {
    code: 'webhook-was-down',
    fate: 'none',
    speaks: (scene) => {
      const { facts, gate } = scene
      const isIgnored = gate.takers[0]?.entry.failurePolicy === 'Ignore'
      if (!isPod(facts) || !isIgnored) return undefined
      return `${taker(scene)} has failurePolicy Ignore and gave no answer when the pod was created at ${podTime(facts)}: all that can be seen now would give it a sidecar; create it again`
    },
  },
  {
    code: 'nothing-now',
    fate: 'none',
    speaks: (scene) =>
      isPod(scene.facts)
        ? `what kept it out at ${podTime(scene.facts)} cannot be seen any more: created now, ${taker(scene)} would take it (${scene.gate.sentence})`
        : undefined,
  },
  {
    code: 'two-injectors',
    fate: 'sidecar',
    speaks: ({ gate }) => {
      const callers = new Set(gate.takers.map(({ entry }) => JSON.stringify(entry.client)))
      const names = gate.takers.map(({ entry }) => printEntry(entry)).join(' and ')
      return callers.size > 1
        ? `two injectors take it and stop each other, ${names}: ${gate.sentence}`
        : undefined
    },
  },
  {
    code: 'taken',
    fate: 'sidecar',
    speaks: (scene) => `${taker(scene)} takes it: ${scene.gate.sentence}`,
  },
]

/** Fields of an entry that choose pods. */
const CHOOSING = ['f:namespaceSelector', 'f:objectSelector', 'f:rules', 'f:matchConditions']

/** The revision that injected a pod, empty where it does not say; undefined for a pod without a proxy. */
export function injectedBy(pod: JsonObject): string | undefined {
  const text = mapAt(pod, 'annotations')[STATUS_ANNOTATION]
  const { spec } = pod
  const hasProxy = ['containers', 'initContainers'].some((list) => {
    const containers = isObject(spec) ? spec[list] : undefined
    return (
      isArray(containers) &&
      containers.some((one) => isObject(one) && one['name'] === PROXY_CONTAINER)
    )
  })
  return text === undefined || !hasProxy ? undefined : (readStatus(text).status.revision ?? '')
}

/** Whether what is asked about is a pod that exists, and not what a workload would make. */
export function isPod({ target }: LiveFacts): boolean {
  return target.template.length === 0
}

type Skip = Extract<Decision, { readonly kind: 'skip' }>

function isSkip(decision: Decision, isFinal: boolean): decision is Skip {
  return decision.kind === 'skip' && FINAL.includes(decision.reason) === isFinal
}

/** A label that would count on the pods, and stands on what makes them. */
function misplaced(facts: LiveFacts): string | undefined {
  const { target, object, owners } = facts
  const makers = isPod(facts) ? owners : [{ target, object }, ...owners]
  for (const maker of makers) {
    const labels = mapAt(maker.object, 'labels')
    const annotations = mapAt(maker.object, 'annotations')
    const label = [INJECT_KEY, ISTIO_REVISION_LABEL].find((key) => isAsking(labels[key]))
    const where = `the ${maker.target.kind} ${maker.target.name} itself, where it does not count: it belongs among the labels of its pod template`
    if (label !== undefined) return `the label ${label}=${labels[label] ?? ''} stands on ${where}`
    if (isAsking(annotations[INJECT_KEY])) return `the annotation ${INJECT_KEY} stands on ${where}`
  }
  return undefined
}

function isAsking(text: string | undefined): boolean {
  return text !== undefined && text !== 'false' && text !== ''
}

function isLater(written: Written | undefined, facts: LiveFacts): written is Written {
  return isPod(facts) && isAfter(written?.at, createdAt(facts.pod))
}

function afterwards({ at, manager }: Written, facts: LiveFacts): string {
  return `at ${printTime(at)} (by ${manager}), after the pod was created at ${podTime(facts)}`
}

function podTime({ pod }: LiveFacts): string {
  const time = createdAt(pod)
  return time === undefined ? 'a time that it does not tell' : printTime(time)
}

function isDown({ gate, reach }: Scene, policy: 'Fail' | 'Ignore'): boolean {
  return reach?.state === 'down' && gate.takers[0]?.entry.failurePolicy === policy
}

function whyDown({ reach, configProblems }: Scene): string {
  const [problem] = configProblems
  const why = reach?.sentence ?? ''
  return problem === undefined ? why : `${why}; its configuration is refused: ${problem}`
}

function taker({ gate }: Scene): string {
  const [first] = gate.takers
  return first === undefined ? 'no webhook' : `the webhook ${printEntry(first.entry)}`
}

/** What the controller of a workload was told when it made pods. */
function replicaFailure({ status }: JsonObject): string | undefined {
  const conditions = isObject(status) ? status['conditions'] : undefined
  const failure = (isArray(conditions) ? conditions : [])
    .filter(isObject)
    .find((one) => one['type'] === 'ReplicaFailure' && one['status'] === 'True')
  const message = failure?.['message']
  return typeof message === 'string' ? message : undefined
}

/** What a pod or workload is called in the first line, by its fate. */
export function headline({ fate, sentence }: Cause, facts: LiveFacts): string {
  const name = printTarget(facts.target)
  const says = isPod(facts)
    ? {
        sidecar: `${name} has a sidecar`,
        none: `${name} has no sidecar`,
        refused: `${name} has no sidecar`,
        unknown: `${name} has no sidecar, and why cannot be told from here`,
      }
    : {
        sidecar: `pods of ${name} get a sidecar`,
        none: `pods of ${name} get no sidecar`,
        refused: `pods of ${name} cannot be created`,
        unknown: `whether pods of ${name} get a sidecar cannot be told from here`,
      }
  return `${says[fate]}: ${sentence}`
}
