/** A pod before all installed webhooks, with the questions that the rows of the reasons ask of it. */
import {
  INJECT_KEY,
  INJECTION_LABEL,
  ISTIO_REVISION_LABEL,
  NAMESPACE_NAME_LABEL,
} from '../constants.ts'
import { own } from '../json.ts'
import type { StringMap } from '../k8s.ts'
import { ownerOfEntry, type GateEntry } from './entry.ts'
import { evaluateGate, type GateFacts, type GateResult, type GateStep } from './gate.ts'

/** What there is to judge by. */
export type Scene = {
  readonly facts: GateFacts
  /** Entries of injectors, ours and istiod's, that ask for the creation of pods and are not switched off. */
  readonly active: readonly GateResult[]
  /** How many entries of injectors there are besides. */
  readonly asleep: number
}

/** A label that injection is steered by, and where it stands. */
export type Spoken = {
  readonly whose: 'namespace' | 'pod'
  readonly key: string
  readonly value: string
}

/** Evaluates every entry. */
export function sceneOf(entries: readonly GateEntry[], facts: GateFacts): Scene {
  const injectors = entries
    .filter((entry) => ownerOfEntry(entry) !== 'other')
    .map((entry) => evaluateGate(entry, facts))
  const active = injectors.filter((result) => asksForPods(result) && !isDeactivated(result))
  return { facts, active, asleep: injectors.length - active.length }
}

/** `key=value`; a value that is empty shows its quotes. */
export function printLabel({ key, value }: Spoken): string {
  return `${key}=${value === '' ? '""' : value}`
}

/** The labels by which pods and namespaces ask for injection, those that are there. */
export function spokenLabels(facts: GateFacts): readonly Spoken[] {
  return STEERING.flatMap(({ whose, key }) => {
    const value = own(labelsOf(facts, whose), key)
    return value === undefined ? [] : [{ whose, key, value }]
  })
}

/** One of these labels; undefined where it is not there. */
export function spoken(facts: GateFacts, of: Omit<Spoken, 'value'>): Spoken | undefined {
  return spokenLabels(facts).find(({ whose, key }) => whose === of.whose && key === of.key)
}

/** The same pod without one label. */
export function without(facts: GateFacts, { whose, key }: Spoken): GateFacts {
  const name = whose === 'pod' ? 'podLabels' : 'namespaceLabels'
  const rest = Object.entries(facts[name]).filter(([other]) => other !== key)
  return { ...facts, [name]: Object.fromEntries(rest) }
}

/** The steering labels, in the order in which they are told. */
export const NAMESPACE_INJECTION = { whose: 'namespace', key: INJECTION_LABEL } as const
export const NAMESPACE_REVISION = { whose: 'namespace', key: ISTIO_REVISION_LABEL } as const
export const POD_INJECT = { whose: 'pod', key: INJECT_KEY } as const
export const POD_REVISION = { whose: 'pod', key: ISTIO_REVISION_LABEL } as const
const STEERING = [NAMESPACE_INJECTION, NAMESPACE_REVISION, POD_INJECT, POD_REVISION] as const

/** Whether any entry is there for what this label says. */
export function isServed({ active }: Scene, { whose, key, value }: Spoken): boolean {
  return active.some(({ steps }) =>
    steps.some(
      ({ about, requirement }) =>
        about === whose &&
        requirement?.key === key &&
        requirement.operator === 'In' &&
        requirement.values.includes(value),
    ),
  )
}

/** The revisions that some entry is there for. */
export function servedRevisions({ active }: Scene): readonly string[] {
  const named = active.flatMap(({ steps }) =>
    steps.flatMap(({ requirement }) =>
      requirement?.key === ISTIO_REVISION_LABEL && requirement.operator === 'In'
        ? requirement.values
        : [],
    ),
  )
  return [...new Set(named)].sort()
}

/** What of an entry the pod does not meet. */
export function unmetSteps({ steps }: GateResult): readonly GateStep[] {
  return steps.filter(({ holds }) => holds === 'no')
}

/** Whether a step is about a label by which people ask for injection. */
export function isSteering({ about, requirement }: GateStep): boolean {
  return STEERING.some(({ whose, key }) => whose === about && requirement?.key === key)
}

/** Whether a step is about the name of the namespace. */
export function isAboutName({ about, requirement }: GateStep): boolean {
  return about === 'namespace' && requirement?.key === NAMESPACE_NAME_LABEL
}

/** Label that nothing bears: istioctl switches a configuration off by asking for it. */
const DEACTIVATED = 'istio.io/deactivated'

function isDeactivated(result: GateResult): boolean {
  return unmetSteps(result).some(({ requirement }) => requirement?.key === DEACTIVATED)
}

function asksForPods({ steps }: GateResult): boolean {
  return steps.every(({ about, holds }) => about !== 'rules' || holds === 'yes')
}

function labelsOf(facts: GateFacts, whose: Spoken['whose']): StringMap {
  return whose === 'pod' ? facts.podLabels : facts.namespaceLabels
}
