/** The fields that are asked about, and the parts of a pod that they are in. */
import { isArray, isObject, own, type Json } from '../core/json.ts'
import type { Origin } from '../core/origins/origin.ts'
import type { Decision } from '../core/inject/decision.ts'
import { visible } from '../core/problem.ts'
import { WORKLOADS } from '../kube-inject/workloads.ts'

/** A field in the pod, where it was named in the workload around it: a JSON Pointer without a slash at its end. */
export function fieldInPod(field: string, kind: string): string {
  const inPod = WORKLOADS.filter((one) => one.kind === kind && one.template.length > 0)
    .map(({ template }) => `/${template.join('/')}`)
    .find((prefix) => field.startsWith(`${prefix}/`))
  return (inPod === undefined ? field : field.slice(inPod.length)).replace(/\/$/, '')
}

/** The origins of a field of the pod and of all that is in it. */
export function originsAt(origins: readonly Origin[], field: string): readonly Origin[] {
  return origins.filter(({ path }) => path === field || path.startsWith(`${field}/`))
}

/** Whether the pod, as it is to be, has such a field. */
export function hasField(decision: Decision, field: string): boolean {
  return valueAt(afterOf(decision), stepsOf(field)) !== undefined
}

/** A part of a pod as people name it, and the steps of a path that lead to it. */
type Part = { readonly title: string; readonly depth: number }

/** One part with its origins; paths in it are told from the part. */
export type Group = {
  readonly title: string
  readonly rows: readonly { readonly field: string; readonly origin: Origin }[]
}

/** Origins by the part of the pod that they are in, in their order. */
export function groupsOf(origins: readonly Origin[], decision: Decision): readonly Group[] {
  const groups = new Map<string, { field: string; origin: Origin }[]>()
  for (const origin of origins) {
    const { title, depth } = partOf(origin, decision)
    const field = origin.path
      .split('/')
      .slice(depth + 1)
      .join('/')
    const known = groups.get(title) ?? []
    groups.set(title, known)
    known.push({ field, origin })
  }
  return [...groups].map(([title, rows]) => ({ title, rows }))
}

const LISTS: Readonly<Record<string, string>> = {
  containers: 'container',
  initContainers: 'init container',
  volumes: 'volume',
  imagePullSecrets: 'image pull secret',
}

function partOf({ path, change }: Origin, decision: Decision): Part {
  const [first, second = '', third] = stepsOf(path)
  if (first === 'metadata' && (second === 'labels' || second === 'annotations')) {
    const kind = second === 'labels' ? 'label' : 'annotation'
    return third === undefined
      ? { title: second, depth: 2 }
      : { title: `${kind} ${visible(third)}`, depth: 3 }
  }
  const list = LISTS[second]
  if (first === 'spec' && list !== undefined) {
    if (third === undefined) return { title: second, depth: 2 }
    // What was removed is named by its place in the pod as it came.
    const pod = change === 'removed' ? beforeOf(decision) : afterOf(decision)
    return { title: `${list} ${visible(nameAt(pod, [first, second, third]) ?? third)}`, depth: 3 }
  }
  return { title: 'pod', depth: 0 }
}

function beforeOf(decision: Decision): unknown {
  return decision.kind === 'inject' ? decision.before : undefined
}

function afterOf(decision: Decision): unknown {
  return decision.kind === 'inject' ? decision.pod : undefined
}

function nameAt(pod: unknown, steps: readonly string[]): string | undefined {
  const item = valueAt(pod, steps)
  const name: Json | undefined = isObject(item) ? item['name'] : undefined
  return typeof name === 'string' ? name : undefined
}

function valueAt(pod: unknown, steps: readonly string[]): unknown {
  let at: unknown = pod
  for (const step of steps) {
    if (isArray(at)) at = at[Number(step)]
    else at = isObject(at) ? own(at, step) : undefined
  }
  return at
}

function stepsOf(path: string): readonly string[] {
  return path
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
}
