import { isLast, makeAnalysis } from '../../core/analysis/analyze.ts'
import { makeInventory } from '../../core/analysis/inventory.ts'
import type { Finding } from '../../core/analysis/model.ts'
import { subjectOf } from '../../check/subjects.ts'
import { injectPod } from '../../core/inject/inject.ts'
import { WORKLOADS } from '../../kube-inject/workloads.ts'
import { configOf } from '../support/config.ts'
import type { Written } from './helpers.ts'

/** What an analysis may be told beside the objects. */
export type CheckOptions = {
  readonly values?: string
  readonly nativeSidecars?: boolean
  readonly isLive?: boolean
}

/** What is found in objects, with the name of the object. */
export function checkObjects(
  objects: readonly Written[],
  { values, nativeSidecars = false, isLive = false }: CheckOptions = {},
): readonly (Finding & { readonly name: string })[] {
  const config = configOf(values === undefined ? {} : { values })
  const subjects = objects.map((value) => {
    return subjectOf(value, { workloads: WORKLOADS, namespace: 'default' })
  })
  const { add, inventory } = makeInventory()
  subjects.forEach(add)
  const { find, findLast } = makeAnalysis(inventory, {
    config,
    inject: (request) => injectPod(request, config),
    nativeSidecars,
    namespaceLabels: { 'istio-injection': 'enabled' },
    isLive,
  })
  const found = subjects.flatMap((subject) => {
    return find(subject).map((finding) => ({ ...finding, name: subject.name }))
  })
  const last = subjects.filter(isLast).flatMap((subject) => {
    return findLast(subject).map((finding) => ({ ...finding, name: subject.name }))
  })
  return [...found, ...last]
}
