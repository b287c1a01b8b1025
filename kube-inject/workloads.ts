import { isArray, type Json, type JsonObject } from '../core/json.ts'

/** A kind of object and where it keeps its pods. The version does not matter. */
export type Workload = {
  /** API group, empty for the core group. */
  readonly group: string
  readonly kind: string
  /**
   * Path of the pod template, whose own metadata is read and written; empty for the pod itself. `*`
   * stands for every item of a list.
   */
  readonly template: readonly string[]
}

/** The kinds that are injected unless configured otherwise. */
export const WORKLOADS: readonly Workload[] = [
  { group: '', kind: 'Pod', template: [] },
  { group: '', kind: 'ReplicationController', template: ['spec', 'template'] },
  { group: 'apps', kind: 'Deployment', template: ['spec', 'template'] },
  { group: 'apps', kind: 'StatefulSet', template: ['spec', 'template'] },
  { group: 'apps', kind: 'DaemonSet', template: ['spec', 'template'] },
  { group: 'apps', kind: 'ReplicaSet', template: ['spec', 'template'] },
  { group: 'batch', kind: 'Job', template: ['spec', 'template'] },
  { group: 'batch', kind: 'CronJob', template: ['spec', 'jobTemplate', 'spec', 'template'] },
  { group: 'apps.openshift.io', kind: 'DeploymentConfig', template: ['spec', 'template'] },
  // OpenShift's API from before it had groups.
  { group: '', kind: 'DeploymentConfig', template: ['spec', 'template'] },
]

/** Groups that were renamed, with what they are called now. */
const RENAMED: Readonly<Record<string, string>> = { extensions: 'apps' }

/** The row that an object falls under; nothing for kinds that are left alone. */
export function workloadOf(
  object: JsonObject,
  workloads: readonly Workload[] = WORKLOADS,
): Workload | undefined {
  const group = groupOf(object)
  return workloads.find((one) => one.kind === object['kind'] && one.group === group)
}

/** The items of a `List`, which may be lists themselves; nothing for other kinds. */
export function listItems(object: JsonObject): readonly Json[] | undefined {
  if (object['kind'] !== 'List' || groupOf(object) !== '') return undefined
  return isArray(object['items']) ? object['items'] : undefined
}

/** The API group of an object under its name of today, empty for the core group. */
export function groupOf(object: JsonObject): string {
  const version = object['apiVersion']
  const group = typeof version === 'string' ? (/^(.*)\//.exec(version)?.[1] ?? '') : ''
  return RENAMED[group] ?? group
}
