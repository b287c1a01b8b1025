import { textOf } from './texts.ts'
import type { PodPlace, Subject } from '../core/analysis/model.ts'
import { pointer } from '../core/inject/pod-shape.ts'
import { isArray, isObject, type Json, type JsonObject } from '../core/json.ts'
import { groupOf, listItems, workloadOf, type Workload } from '../kube-inject/workloads.ts'

/** An object of a document, and where in it it stands, as a JSON Pointer. */
export type Placed = { readonly subject: Subject; readonly path: string }

/** How objects are read. */
export type SubjectSetting = {
  readonly workloads: readonly Workload[]
  /** Namespace of objects that do not say. */
  readonly namespace: string
}

/** The objects of a document: itself, or the items of a List. */
export function subjectsIn(
  value: JsonObject,
  setting: SubjectSetting,
  path = '',
): readonly Placed[] {
  const items = listItems(value)
  if (items === undefined) return [{ subject: subjectOf(value, setting), path }]
  return items.flatMap((item, index) =>
    isObject(item) ? subjectsIn(item, setting, `${path}/items/${index}`) : [],
  )
}

/** Kinds of the whole cluster that are looked at: they live in no namespace. */
const CLUSTER_KINDS = ['Namespace', 'MutatingWebhookConfiguration']

/** One object with its pods. */
export function subjectOf(value: JsonObject, setting: SubjectSetting): Subject {
  const metadata = value['metadata']
  const kind = textOf(value['kind'])
  const own = isObject(metadata) ? metadata : {}
  const namespace = textOf(own['namespace']) || setting.namespace
  const workload = workloadOf(value, setting.workloads)
  return {
    kind,
    group: groupOf(value),
    namespace: CLUSTER_KINDS.includes(kind) ? '' : namespace,
    name: textOf(own['name']) || textOf(own['generateName']),
    value,
    pods: workload === undefined ? [] : podsAt(value, workload.template, ''),
  }
}

/** The pod templates at a path of member names, in which `*` is every item of a list. */
function podsAt(
  value: Json | undefined,
  steps: readonly string[],
  path: string,
): readonly PodPlace[] {
  const [step, ...rest] = steps
  if (step === undefined) return isObject(value) ? [{ path, pod: value }] : []
  if (step === '*' && isArray(value)) {
    return value.flatMap((item, index) => podsAt(item, rest, `${path}/${index}`))
  }
  return isObject(value) ? podsAt(value[step], rest, path + pointer(step)) : []
}
