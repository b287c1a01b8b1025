import { INJECT_KEY, INJECTION_LABEL, ISTIO_REVISION_LABEL } from '../constants.ts'
import { isArray, isObject } from '../json.ts'
import type { StringMap } from '../k8s.ts'
import { explainAll, readInjector, type Injector } from './entries.ts'
import { mapAt, objectsAt, printLabels, type Finding, type Subject } from './model.ts'

/**
 * What is wrong with the entries of one configuration: selectors that cannot be read, and those that take
 * pods which another entry of any configuration takes too.
 */
export function findInWebhooks(subject: Subject, overlaps: Overlaps): readonly Finding[] {
  const own = readInjector(subject.value)
  if (own === undefined) return []
  const matches = explainAll([own], { namespaceLabels: {}, podLabels: {} })
  return matches.flatMap(({ configuration, entry, problems }): readonly Finding[] => {
    const path = `/webhooks/${entry.index}`
    const broken = problems.map(({ path: at, got, want }): Finding => {
      const member = at.slice(entry.name.length + 1).split('.', 1)[0] ?? ''
      return { code: 'SI0122', path: `${path}/${member}`, got, want }
    })
    const rivals = overlaps.get(keyOf(configuration, entry.index)) ?? new Map<string, string>()
    const taken = [...rivals].map(([rival, labels]): Finding => {
      return { code: 'SI0120', path, got: `${rival} takes them too: ${labels}`, want: 'one entry' }
    })
    return [...broken, ...taken]
  })
}

/** By the place of an entry the other entries that take the same pods, each with labels of such a pod. */
export type Overlaps = ReadonlyMap<string, ReadonlyMap<string, string>>

/** Tries all labels that injection knows, with every revision that a selector names. */
export function findOverlaps(injectors: readonly Injector[]): Overlaps {
  const overlaps = new Map<string, Map<string, string>>()
  for (const labels of combinations(injectors)) {
    const taking = explainAll(injectors, labels).filter(({ matches }) => matches)
    if (taking.length < 2) continue
    for (const match of taking) {
      const key = keyOf(match.configuration, match.entry.index)
      const rivals = overlaps.get(key) ?? new Map<string, string>()
      overlaps.set(key, rivals)
      for (const other of taking) {
        const name = `${other.configuration}/${other.entry.name}`
        if (other !== match && !rivals.has(name)) rivals.set(name, printCombination(labels))
      }
    }
  }
  return overlaps
}

function keyOf(configuration: string, index: number): string {
  return `${configuration}/${index}`
}

type Labels = { readonly namespaceLabels: StringMap; readonly podLabels: StringMap }

/** Every combination of what namespaces and pods can say about injection. */
function* combinations(injectors: readonly Injector[]): Generator<Labels> {
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

function revisionsOf({ entries }: Injector): readonly string[] {
  return entries.flatMap(({ namespaceSelector, objectSelector }) =>
    [namespaceSelector, objectSelector].flatMap((selector) => {
      const label = mapAt(selector, 'matchLabels')[ISTIO_REVISION_LABEL]
      const listed = objectsAt(selector, 'matchExpressions')
        .filter(({ key }) => key === ISTIO_REVISION_LABEL)
        .flatMap(({ values }) => (isArray(values) ? values : []))
      return [label, ...listed].filter((text) => typeof text === 'string')
    }),
  )
}

function printCombination({ namespaceLabels, podLabels }: Labels): string {
  return `namespace with ${printLabels(namespaceLabels)}, pod with ${printLabels(podLabels)}`
}

/** Whether injection is asked for pods of namespaces that say nothing. */
export function injectsByDefault(injectors: readonly Injector[]): boolean {
  const silent = { namespaceLabels: {}, podLabels: {} }
  return explainAll(injectors, silent).some(({ matches }) => matches)
}

/** Whether a subject registers webhooks. */
export function isWebhooks({ group, kind, value }: Subject): boolean {
  const isKind = kind === 'MutatingWebhookConfiguration'
  return isKind && group === 'admissionregistration.k8s.io' && isObject(value)
}
