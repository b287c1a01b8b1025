/** Why a pod comes to an injector's webhook, or to none: the first row that speaks wins. */
import { INJECT_KEY } from '../constants.ts'
import { isObject } from '../json.ts'
import { quoted } from '../problem.ts'
import type { GateStep } from './gate.ts'
import { printEntry } from './entry.ts'
import {
  isAboutName,
  isServed,
  isSteering,
  NAMESPACE_INJECTION,
  NAMESPACE_REVISION,
  POD_INJECT,
  POD_REVISION,
  printLabel,
  servedRevisions,
  spoken,
  unmetSteps,
  type Scene,
  type Spoken,
} from './scene.ts'

/** What the API server does with a pod: asks an injector, asks none, or what only it can tell. */
export type GateOutcome = 'taken' | 'left' | 'unknown'

/** The closed set of codes. A retired code is not used again. */
export type GateReason = (typeof GATE_REASONS)[number]['reason']

/** What a row found: the cause in words, and the label that it is about. */
type Found = { readonly sentence: string; readonly label?: Spoken }

type Row = {
  readonly reason: string
  readonly outcome: GateOutcome
  /** What the code means, for the reference page. */
  readonly meaning: string
  readonly speaks: (scene: Scene) => Found | undefined
}

/** Rows of takers first, then those of pods that nobody takes; the last takes what is left. */
export const GATE_REASONS = [
  {
    reason: 'namespace-label',
    outcome: 'taken',
    meaning: 'the namespace says istio-injection=enabled',
    speaks: (scene) => taken(scene, NAMESPACE_INJECTION),
  },
  {
    reason: 'namespace-revision',
    outcome: 'taken',
    meaning: 'the namespace names the revision, in istio.io/rev',
    speaks: (scene) => taken(scene, NAMESPACE_REVISION),
  },
  {
    reason: 'pod-revision',
    outcome: 'taken',
    meaning: 'the pod names the revision, and the namespace says nothing',
    speaks: (scene) => taken(scene, POD_REVISION),
  },
  {
    reason: 'pod-label',
    outcome: 'taken',
    meaning: 'the label of the pod says yes, and the namespace says nothing',
    speaks: (scene) => taken(scene, POD_INJECT),
  },
  {
    reason: 'selectors',
    outcome: 'taken',
    meaning: 'selectors of an entry take the pod by other labels, or without any',
    speaks: ({ active }): Found | undefined => {
      const taker = active.find(({ matches }) => matches === 'yes')
      if (taker === undefined) return undefined
      return { sentence: `the selectors of ${printEntry(taker.entry)} take the pod` }
    },
  },
  {
    reason: 'condition-unknown',
    outcome: 'unknown',
    meaning:
      'all labels are right, and a condition in CEL decides that only the API server can judge',
    speaks: ({ active }): Found | undefined => {
      const open = active.find(({ matches }) => matches === 'unknown')
      const step = open?.steps.find(({ holds }) => holds === 'unknown')
      return open && step ? { sentence: `${printEntry(open.entry)}: ${step.sentence}` } : undefined
    },
  },
  {
    reason: 'no-injector',
    outcome: 'left',
    meaning: 'no installed webhook of an injector asks for the creation of pods',
    speaks: ({ active, asleep }): Found | undefined => {
      if (active.length > 0) return undefined
      const sentence = 'no webhook of an injector is installed that asks for the creation of pods'
      return { sentence: asleep === 0 ? sentence : `${sentence}: those there are switched off` }
    },
  },
  {
    reason: 'condition',
    outcome: 'left',
    meaning: 'all labels are right, and a condition of the entry leaves the pod out',
    speaks: (scene) => onlyUnmet(scene, ({ about }) => about === 'condition'),
  },
  {
    reason: 'pod-opted-out',
    outcome: 'left',
    meaning: 'the label of the pod says no',
    speaks: ({ facts, active }) => {
      const label = spoken(facts, POD_INJECT)
      const isKept = active.some((result) =>
        unmetSteps(result).some(
          ({ about, requirement }) => about === 'pod' && requirement?.key === INJECT_KEY,
        ),
      )
      if (label?.value !== 'false' || !isKept) return undefined
      return { label, sentence: `the pod has the label ${printLabel(label)}` }
    },
  },
  {
    reason: 'namespace-opted-out',
    outcome: 'left',
    meaning: 'the namespace says istio-injection=disabled',
    speaks: (scene) =>
      unserved(scene, NAMESPACE_INJECTION, (label) =>
        label.value === 'disabled' ? `the namespace has the label ${printLabel(label)}` : undefined,
      ),
  },
  {
    reason: 'namespace-unserved',
    outcome: 'left',
    meaning: 'the namespace says istio-injection=enabled, and no default revision is installed',
    speaks: (scene) =>
      unserved(scene, NAMESPACE_INJECTION, (label) =>
        label.value === 'enabled'
          ? `the namespace has ${printLabel(label)}, which is for the default revision, and no installed webhook serves it; ${served(scene)}`
          : undefined,
      ),
  },
  {
    reason: 'namespace-text',
    outcome: 'left',
    meaning: 'the label istio-injection of the namespace is neither enabled nor disabled',
    speaks: (scene) =>
      unserved(
        scene,
        NAMESPACE_INJECTION,
        ({ key, value }) =>
          `the label ${key} of the namespace is ${quoted(value)}; anything but "enabled" keeps its pods out`,
      ),
  },
  {
    reason: 'namespace-revision-unserved',
    outcome: 'left',
    meaning: 'the namespace names a revision that nobody serves',
    speaks: (scene) =>
      unserved(
        scene,
        NAMESPACE_REVISION,
        ({ key, value }) =>
          `the namespace asks for the revision ${quoted(value)} (${key}), which no installed webhook serves; ${served(scene)}`,
      ),
  },
  {
    reason: 'namespace-left-out',
    outcome: 'left',
    meaning: 'the entry that would take the pod leaves this namespace out by its name',
    speaks: (scene) => onlyUnmet(scene, isAboutName),
  },
  {
    reason: 'selector',
    outcome: 'left',
    meaning: 'the entry that would take the pod wants another label than those of Istio',
    speaks: (scene) => onlyUnmet(scene, (step) => !isSteering(step)),
  },
  {
    reason: 'pod-revision-unserved',
    outcome: 'left',
    meaning: 'the pod names a revision that nobody serves',
    speaks: (scene) =>
      unserved(
        scene,
        POD_REVISION,
        ({ key, value }) =>
          `the pod asks for the revision ${quoted(value)} (${key}), which no installed webhook serves; ${served(scene)}`,
      ),
  },
  {
    reason: 'pod-unserved',
    outcome: 'left',
    meaning: 'the label of the pod says yes, and no default revision is installed',
    speaks: (scene) =>
      unserved(scene, POD_INJECT, (label) =>
        label.value === 'true'
          ? `the pod has ${printLabel(label)}, which is for the default revision, and no installed webhook serves it; ${served(scene)}`
          : undefined,
      ),
  },
  {
    reason: 'pod-text',
    outcome: 'left',
    meaning: 'the label of the pod is neither true nor false, and the namespace says nothing',
    speaks: (scene) =>
      unserved(
        scene,
        POD_INJECT,
        ({ key, value }) =>
          `the label ${key} of the pod is ${quoted(value)}; only exactly "true" asks for a sidecar`,
      ),
  },
  {
    reason: 'annotation-unheard',
    outcome: 'left',
    meaning: 'the pod asks by an annotation, which no webhook is chosen by',
    speaks: ({ facts: { pod } }): Found | undefined => {
      const { annotations } = isObject(pod['metadata']) ? pod['metadata'] : {}
      if (!isObject(annotations) || annotations[INJECT_KEY] !== 'true') return undefined
      return {
        sentence: `the pod asks by the annotation ${INJECT_KEY}, which the API server does not look at: it must be a label`,
      }
    },
  },
  {
    reason: 'nobody-asks',
    outcome: 'left',
    meaning: 'neither the namespace nor the pod has a label that asks for a sidecar',
    speaks: (): Found => ({
      sentence: 'neither the namespace nor the pod has a label that asks for a sidecar',
    }),
  },
] as const satisfies readonly Row[]

/** The pod is taken by an entry that asks for this label. */
function taken({ facts, active }: Scene, of: Omit<Spoken, 'value'>): Found | undefined {
  const label = spoken(facts, of)
  if (label === undefined) return undefined
  const taker = active.find(({ matches }) => matches === 'yes')
  const isWanted = taker?.steps.some(
    ({ about, requirement }) =>
      about === of.whose && requirement?.key === of.key && requirement.operator === 'In',
  )
  return isWanted === true
    ? { label, sentence: `the ${of.whose} has the label ${printLabel(label)}` }
    : undefined
}

/** The label is there, and no entry for what it says. */
function unserved(
  scene: Scene,
  of: Omit<Spoken, 'value'>,
  says: (label: Spoken) => string | undefined,
): Found | undefined {
  const label = spoken(scene.facts, of)
  if (label === undefined || isServed(scene, label)) return undefined
  const sentence = says(label)
  return sentence === undefined ? undefined : { label, sentence }
}

/** An entry of which nothing is unmet but what is of this kind. */
function onlyUnmet({ active }: Scene, isKind: (step: GateStep) => boolean): Found | undefined {
  for (const result of active) {
    const steps = unmetSteps(result)
    if (steps.length === 0 || !steps.every(isKind)) continue
    const sentences = steps.map(({ sentence }) => sentence).join('; ')
    return { sentence: `${printEntry(result.entry)}: ${sentences}` }
  }
  return undefined
}

function served(scene: Scene): string {
  const revisions = servedRevisions(scene)
  return revisions.length === 0 ? 'none is served' : `served: ${revisions.join(', ')}`
}
