/** The pod's own containers: what injection may change in them. */
import { isObject, isSame, own } from '../json.ts'
import type { Container, Lifecycle, Probe } from '../k8s.ts'
import type { Touch } from './fence-declaration.ts'
import { note, type Strange } from './fence-find.ts'

/** Every change of a container of the pod that is neither a turned check nor declared. */
export function findInOwn(
  at: string,
  now: Container,
  old: Container,
  touch: Touch,
  found: Strange[],
): void {
  const add = (what: string, where: string, got: unknown): void => {
    note(found, [`podContainers: ${what}`, at], `${at}/${where}`, got, AS_IT_WAS)
  }
  const before: unknown = old
  const after: unknown = now
  if (!isObject(before) || !isObject(after)) return
  const compare = (field: string): void => {
    const value = after[field]
    if (LOOKED_AT.has(field) || touch.fields.has(field) || isTurned(field, now)) return
    if (!isSame(value, own(before, field)))
      add(`${field}=${JSON.stringify(value ?? null)}`, field, value ?? 'nothing')
  }
  for (const field in after) if (after[field] !== before[field]) compare(field)
  for (const field in before) if (after[field] === undefined) compare(field)
  if (old.env !== now.env) {
    for (const name of changedNames(old, now)) {
      if (!touch.env.has(name)) add(`env ${name}`, `env: ${name}`, name)
    }
  }
  if (old.volumeMounts === now.volumeMounts) return
  const mounts = new Set(now.volumeMounts?.map(({ name }) => name))
  for (const { name } of old.volumeMounts ?? []) {
    if (!mounts.has(name)) add(`mount ${name} removed`, `volumeMounts: ${name}`, 'nothing')
  }
}

const AS_IT_WAS = 'as the pod has it: no template declares a change'

/** These are compared item by item, here or with what containers of templates may have. */
const LOOKED_AT = new Set(['env', 'volumeMounts'])

/** Names of variables that are new, gone, or say something else. Of several with one name the last counts. */
function changedNames(old: Container, now: Container): readonly string[] {
  const before = new Map(old.env?.map((item) => [item.name, item]))
  const after = new Map(now.env?.map((item) => [item.name, item]))
  return [...new Set([...before.keys(), ...after.keys()])].filter(
    (name) => !isSame(before.get(name), after.get(name)),
  )
}

/** Whether a check asks the agent now, which asks the application. */
function isTurned(field: string, container: Container): boolean {
  const isAgents = (handler: Probe | undefined): boolean =>
    handler?.httpGet?.path?.startsWith(`/app-health/${container.name}/`) === true
  switch (field) {
    case 'livenessProbe':
      return isAgents(container.livenessProbe)
    case 'readinessProbe':
      return isAgents(container.readinessProbe)
    case 'startupProbe':
      return isAgents(container.startupProbe)
    case 'lifecycle':
      return isHook(container.lifecycle, container.name)
    default:
      return false
  }
}

function isHook(lifecycle: Lifecycle | undefined, name: string): boolean {
  return [lifecycle?.preStop, lifecycle?.postStart].some(
    (hook) => hook?.httpGet?.path?.startsWith(`/app-lifecycle/${name}/`) === true,
  )
}
