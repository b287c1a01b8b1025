/**
 * Static analysis of objects, as far as it concerns injection. Two passes: `add` of the inventory hears
 * every object once; then `find` is asked about each, and at the end `findLast` about those whose
 * verdict needs the sum of the others.
 */
import { readable } from '../gates/read-webhooks.ts'
import { findInAnnotations } from './annotations.ts'
import type { Inventory } from './inventory.ts'
import type { Finding, Setting, Subject } from './model.ts'
import { findInNamespace } from './namespaces.ts'
import { findOverruns, type Usage } from './quotas.ts'
import { findInService, isService } from './services.ts'
import { unsuppressed } from './suppress.ts'
import { findInWebhooks, findOverlaps, injectsByDefault, isWebhooks } from './webhooks.ts'
import { findInPod } from './workload.ts'

/** Asks about objects one by one, once the inventory knows all of them. */
export type Analysis = {
  readonly find: (subject: Subject) => readonly Finding[]
  /** What could be said only after all objects were asked about; nothing for most. */
  readonly findLast: (subject: Subject) => readonly Finding[]
}

/** Whether `findLast` has something to say about an object. */
export function isLast({ group, kind }: Subject): boolean {
  return group === '' && kind === 'ResourceQuota'
}

/** Starts an analysis of the objects of an inventory. */
export function makeAnalysis(inventory: Inventory, setting: Setting): Analysis {
  const usage: Usage = new Map()
  const injectors = readable(inventory.injectors)
  const overlaps = findOverlaps(injectors)
  const isByDefault = injectsByDefault(injectors)
  const findOwn = (subject: Subject): readonly Finding[] => {
    const { group, kind } = subject
    if (isService(subject)) return [...findInService(subject), ...findInAnnotations(subject)]
    if (isWebhooks(subject)) return findInWebhooks(subject, overlaps)
    if (group === '' && kind === 'Namespace') {
      const { istioNamespace } = setting.config.values.global
      const findings = findInNamespace(subject, istioNamespace, isByDefault)
      return [...findings, ...findInAnnotations(subject)]
    }
    if (subject.pods.length === 0) return []
    const pods = subject.pods.flatMap((place) => {
      return findInPod(subject, place, inventory, setting, usage)
    })
    // A running pod was injected: its annotations are those of injection, too.
    return setting.isLive && kind === 'Pod' ? pods : [...pods, ...findInAnnotations(subject)]
  }
  return {
    find: (subject) => unsuppressed(subject, findOwn(subject)),
    findLast: (subject) => {
      return isLast(subject) ? unsuppressed(subject, findOverruns(subject, usage)) : []
    },
  }
}
