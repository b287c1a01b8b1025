import { ENTRY_SUFFIX, INJECT_KEY, INJECTION_LABEL, ISTIO_REVISION_LABEL } from '../constants.ts'
import { endsIn, printEntry, type GateEntry, type GatePlace } from '../gates/entry.ts'
import { takersOf, type GateFacts } from '../gates/gate.ts'
import { listEntries } from '../gates/read-webhooks.ts'
import { isObject } from '../json.ts'
import type { StringMap } from '../k8s.ts'
import { printLabels, type Finding, type Subject } from './model.ts'

/**
 * What is wrong with the entries of one configuration: selectors that cannot be read, and those that take
 * pods which another entry of any configuration takes too.
 */
export function findInWebhooks(subject: Subject, overlaps: Overlaps): readonly Finding[] {
  const injectors = listEntries(subject.value).filter(isInjector)
  return injectors.flatMap((entry): readonly Finding[] => {
    const path = `/webhooks/${entry.index}`
    const problems = entry.read.ok ? [] : entry.read.problems
    const broken = problems.map(({ path: at, got, want }): Finding => {
      // The selector's own places follow a dot.
      const [selector = at] = at.split('.', 1)
      return { code: 'SI0122', path: selector, got, want }
    })
    const rivals = overlaps.get(keyOf(entry)) ?? new Map<string, string>()
    const taken = [...rivals].map(([rival, labels]): Finding => {
      return { code: 'SI0120', path, got: `${rival} takes them too: ${labels}`, want: 'one entry' }
    })
    return [...broken, ...taken]
  })
}

/** By the place of an entry the other entries that take the same pods, each with labels of such a pod. */
export type Overlaps = ReadonlyMap<string, ReadonlyMap<string, string>>

/** Tries all labels that injection knows, with every revision that a selector names. */
export function findOverlaps(injectors: readonly GateEntry[]): Overlaps {
  const overlaps = new Map<string, Map<string, string>>()
  for (const labels of combinations(injectors)) {
    const taking = takersOf(injectors, factsOf(labels))
    if (taking.length < 2) continue
    for (const entry of taking) {
      const key = keyOf(entry)
      const rivals = overlaps.get(key) ?? new Map<string, string>()
      overlaps.set(key, rivals)
      for (const other of taking) {
        const name = printEntry(other)
        if (other !== entry && !rivals.has(name)) rivals.set(name, printCombination(labels))
      }
    }
  }
  return overlaps
}

function keyOf({ configuration, index }: GatePlace): string {
  return `${configuration.name}/${index}`
}

type Labels = Pick<GateFacts, 'namespaceLabels' | 'podLabels'>

/** A pod of which nothing but labels is known. */
function factsOf(labels: Labels): GateFacts {
  return { namespace: '', pod: {}, ...labels }
}

/** Every combination of what namespaces and pods can say about injection. */
function* combinations(injectors: readonly GateEntry[]): Generator<Labels> {
  const revisions = [undefined, ...new Set(injectors.flatMap(revisionsOf))]
  for (const injection of [undefined, 'enabled', 'disabled']) {
    for (const revision of revisions) {
      for (const inject of [undefined, 'true', 'false']) {
        for (const podRevision of revisions) {
          yield {
            namespaceLabels: labelsOf(
              [INJECTION_LABEL, injection],
              [ISTIO_REVISION_LABEL, revision],
            ),
            podLabels: labelsOf([INJECT_KEY, inject], [ISTIO_REVISION_LABEL, podRevision]),
          }
        }
      }
    }
  }
}

function labelsOf(...pairs: readonly (readonly [string, string | undefined])[]): StringMap {
  const labels: Record<string, string> = {}
  for (const [key, text] of pairs) if (text !== undefined) labels[key] = text
  return labels
}

function revisionsOf({ namespaceSelector, objectSelector }: GateEntry): readonly string[] {
  return [...namespaceSelector, ...objectSelector].flatMap(({ key, values }) =>
    key === ISTIO_REVISION_LABEL ? values : [],
  )
}

function printCombination({ namespaceLabels, podLabels }: Labels): string {
  return `namespace with ${printLabels(namespaceLabels)}, pod with ${printLabels(podLabels)}`
}

/** Whether injection is asked for pods of namespaces that say nothing. */
export function injectsByDefault(injectors: readonly GateEntry[]): boolean {
  return takersOf(injectors, factsOf({ namespaceLabels: {}, podLabels: {} })).length > 0
}

/** What the names of entries end in that `istioctl analyze` looks at, and of ours. */
const SUFFIXES = ['istio.io', ENTRY_SUFFIX]

/** Whether an entry injects Istio's sidecar, as far as its name tells. */
export function isInjector({ name }: GatePlace): boolean {
  return SUFFIXES.some((suffix) => endsIn(name, suffix))
}

/** Whether a subject registers webhooks. */
export function isWebhooks({ group, kind, value }: Subject): boolean {
  const isKind = kind === 'MutatingWebhookConfiguration'
  return isKind && group === 'admissionregistration.k8s.io' && isObject(value)
}
