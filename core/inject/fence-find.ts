/**
 * What an injected pod has and its original had not, beyond what the templates declare. Looks only at parts
 * that injection touched: what both pods share by reference is passed over.
 */
import { INIT_CONTAINER, PROXY_CONTAINER, VALIDATION_CONTAINER } from '../constants.ts'
import { isObject, isSame, own, type Json } from '../json.ts'
import type { Container, EnvVar, Pod, SecurityContext, VolumeMount } from '../k8s.ts'
import type { Problem } from '../problem.ts'
import { NOTHING, type Allowance, type Declaration } from './fence-declaration.ts'
import { findInOwn } from './fence-own.ts'
import { containersIn, type ContainerList } from './order.ts'
import { isTrusted } from './trust-envs.ts'
import type { UserVolumes } from './user-json.ts'

/** A pod before and after injection, and what its templates declare together. */
export type Fenced = {
  readonly before: Pod
  readonly after: Pod
  readonly declaration: Declaration
  /** What the annotations for it add to the proxy. */
  readonly user: Pick<UserVolumes, 'volumes' | 'mounts'>
  /** Whether a template is not ours: then the proxy's variables of trust are looked at too. */
  readonly isForeign: boolean
}

/** Something that nobody declared. */
export type Strange = {
  /** What it is in general, without what may differ from pod to pod; one of them is enough to allow it. */
  readonly ids: readonly string[]
  readonly problem: Problem
}

const LISTS: readonly ContainerList[] = ['initContainers', 'containers']

/** Everything that was added, changed or taken away without a declaration. */
export function findStrange(fenced: Fenced): readonly Strange[] {
  const found: Strange[] = []
  findInPod(fenced, found)
  findContainers(fenced, found)
  findVolumes(fenced, found)
  findSecrets(fenced, found)
  return found
}

/** Notes what was found: `at` is a place in the injected pod. */
export function note(
  found: Strange[],
  ids: readonly string[],
  at: string,
  got: unknown,
  want: string,
): void {
  const text = typeof got === 'string' ? got : JSON.stringify(got)
  found.push({ ids, problem: { path: `injected pod: ${at}`, got: text, want } })
}

// The pod as a whole.

const LISTED = new Set(['containers', 'initContainers', 'volumes', 'imagePullSecrets'])

function findInPod({ before, after, declaration }: Fenced, found: Strange[]): void {
  const compare = (
    at: string,
    old: object,
    now: object,
    isFree: (key: string) => boolean,
  ): void => {
    if (!isObject(old) || !isObject(now)) return
    for (const key in now) {
      if (isFree(key) || now[key] === old[key] || isSame(now[key], own(old, key))) continue
      const id = `${at}/${key}=${JSON.stringify(now[key])}`
      note(
        found,
        [id],
        `${at}/${key}`,
        now[key],
        own(old, key) === undefined ? NOT_HERE : AS_IT_WAS,
      )
    }
    for (const key in old) {
      if (isFree(key) || old[key] === undefined || own(now, key) !== undefined) continue
      note(found, [`${at}/${key} removed`], `${at}/${key}`, 'nothing', AS_IT_WAS)
    }
  }
  const isDeclared = (key: string): boolean => LISTED.has(key) || declaration.podFields.has(key)
  compare('/spec', before.spec ?? {}, after.spec ?? {}, isDeclared)
  const isMarked = (key: string): boolean => key === 'labels' || key === 'annotations'
  compare('/metadata', before.metadata ?? {}, after.metadata ?? {}, isMarked)
}

const NOT_HERE = 'nothing: no template declares it'
const AS_IT_WAS = 'as the pod has it: no template declares a change'

// Containers.

function findContainers(fenced: Fenced, found: Strange[]): void {
  const { before, after, declaration } = fenced
  const names = new Map<string, Container>()
  for (const list of LISTS) {
    for (const container of containersIn(before, list)) names.set(container.name, container)
  }
  const left = new Set(names.keys())
  for (const list of LISTS) {
    for (const container of containersIn(after, list)) {
      const { name } = container
      const old = names.get(name)
      left.delete(name)
      if (container === old) continue
      const at = `/spec/${list}/${name}`
      const allowed = declaration[list].get(name)
      if (allowed !== undefined)
        findParts(fenced, { at, ids: [at], container, old, allowed }, found)
      else if (old !== undefined) {
        const touch = declaration.podContainers
        findInOwn(at, container, old, touch, found)
        const ids = ['podContainers', at]
        findParts(fenced, { at, ids, container, old, allowed: touch }, found)
      } else {
        note(found, [at], at, container, NOT_HERE)
        findParts(fenced, { at, ids: [at], container, old, allowed: NOTHING }, found)
      }
    }
  }
  for (const name of left) {
    if (KEPT.has(name)) continue
    note(found, [`${name} removed`], `/spec: container ${name}`, 'nothing', AS_IT_WAS)
  }
}

/** Names that injection itself puts into another list, or takes back when templates bring them no longer. */
const KEPT = new Set([PROXY_CONTAINER, INIT_CONTAINER, VALIDATION_CONTAINER])

/** One container that was touched. */
type Touched = {
  readonly at: string
  readonly ids: readonly string[]
  readonly container: Container
  readonly old: Container | undefined
  readonly allowed: Allowance
}

/** The parts of a container that give it power, unless its author wrote them. */
function findParts({ user, isForeign }: Fenced, touched: Touched, found: Strange[]): void {
  const { at, ids, container, old, allowed } = touched
  const add: Add = (what, got, where = what) => {
    const names = ids.map((id) => `${id}: ${what}`)
    note(found, names, `${at}/${where}`, got, NOT_HERE)
  }
  const { securityContext: now, ports, volumeMounts, volumeDevices } = container
  if (now !== undefined && now !== old?.securityContext) {
    findPowers(now, old?.securityContext, allowed, add)
  }
  if (ports !== undefined && ports !== old?.ports && !allowed.hostPorts) {
    for (const { hostPort = 0 } of ports) {
      if (hostPort === 0 || old?.ports?.some((port) => port.hostPort === hostPort) === true)
        continue
      add('hostPort', hostPort)
    }
  }
  if (volumeMounts !== undefined && volumeMounts !== old?.volumeMounts) {
    const isLeft = volumeMounts.some(({ name }) => !allowed.mounts.has(name))
    if (isLeft) findMounts(user, volumeMounts, touched, add)
  }
  if (volumeDevices !== undefined && volumeDevices !== old?.volumeDevices) {
    const had = new Set(old?.volumeDevices?.map(({ name }) => name))
    for (const { name } of volumeDevices) {
      if (!had.has(name) && !allowed.mounts.has(name)) add(`volumeDevice ${name}`, name)
    }
  }
  if (isForeign && container.name === PROXY_CONTAINER) findTrust(container, old, add)
}

type Add = (what: string, got: unknown, where?: string) => void

function findPowers(
  now: SecurityContext,
  was: SecurityContext | undefined,
  allowed: Allowance,
  add: Add,
): void {
  if (!allowed.privileged) {
    for (const name of powersOf(now)) {
      if (was === undefined || !powersOf(was).includes(name)) add(name, true)
    }
  }
  const granted = now.capabilities?.add
  if (granted === undefined || granted === was?.capabilities?.add) return
  const had = new Set(was?.capabilities?.add)
  for (const name of granted) {
    if (!had.has(name) && !allowed.capabilities.has(name)) add(`capability ${name}`, name)
  }
}

/** What a security context switches on, each by name. */
function powersOf({ privileged, windowsOptions, procMount }: SecurityContext): readonly string[] {
  if (privileged !== true && windowsOptions === undefined && procMount === undefined) return []
  return [
    ...(privileged === true ? ['privileged'] : []),
    ...(windowsOptions?.hostProcess === true ? ['hostProcess'] : []),
    ...((procMount ?? 'Default') === 'Default' ? [] : ['procMount']),
  ]
}

function findMounts(
  user: Fenced['user'],
  mounts: readonly VolumeMount[],
  { old, allowed }: Touched,
  add: Add,
): void {
  const had = new Set(old?.volumeMounts?.map(({ name }) => name))
  const asked = namesOf(user.mounts)
  for (const mount of mounts) {
    const { name } = mount
    if (allowed.mounts.has(name) || had.has(name)) continue
    if (!asked.has(name)) add(`mount ${name}`, mount, `volumeMounts: ${name}`)
    else if (!allowed.userVolumes) add('userVolumes', mount, `volumeMounts: ${name}`)
  }
}

/** Variables that say whom the proxy trusts, with the values that they have now. */
function findTrust(container: Container, old: Container | undefined, add: Add): void {
  const written = new Map(old?.env?.map((item) => [item.name, item]))
  for (const item of container.env ?? []) {
    if (!isTrusted(item.name) || isSame(item, written.get(item.name))) continue
    add(`${item.name}=${contentOf(item)}`, contentOf(item), `env: ${item.name}`)
  }
}

function contentOf({ value, valueFrom }: EnvVar): string {
  return value ?? JSON.stringify(valueFrom ?? '')
}

// Volumes and secrets.

function findVolumes({ before, after, declaration, user }: Fenced, found: Strange[]): void {
  const volumes = after.spec?.volumes
  const own = before.spec?.volumes
  if (volumes === undefined || volumes === own) return
  const names = new Map(own?.map((volume) => [volume.name, volume]))
  const asked = namesOf(user.volumes)
  let met = 0
  for (const volume of volumes) {
    const { name, hostPath } = volume
    const old = names.get(name)
    if (old !== undefined) met++
    if (volume === old) continue
    const at = `/spec/volumes/${name}`
    if (!declaration.volumes.has(name)) {
      if (!asked.has(name)) note(found, [at], at, volume, old === undefined ? NOT_HERE : AS_IT_WAS)
      else if (!hasUserVolumes(declaration)) note(found, ['userVolumes'], at, volume, NOT_HERE)
    }
    if (hostPath === undefined || old?.hostPath !== undefined) continue
    if (declaration.hostPaths.has(name) || declaration.hostPaths.has('*')) continue
    note(found, [`${at}: ${JSON.stringify(hostPath)}`], `${at}/hostPath`, hostPath, NO_HOST_PATH)
  }
  if (met === names.size) return
  const staying = new Set(volumes.map(({ name }) => name))
  for (const name of names.keys()) {
    const at = `/spec/volumes/${name}`
    if (!staying.has(name)) note(found, [`${at} removed`], at, 'nothing', AS_IT_WAS)
  }
}

function hasUserVolumes({ containers, initContainers }: Declaration): boolean {
  return [containers, initContainers].some(
    (list) => list.get(PROXY_CONTAINER)?.userVolumes === true,
  )
}

const NO_HOST_PATH = 'no path of the node, unless it stands in spec.volumes of the pod itself'

function findSecrets({ before, after }: Fenced, found: Strange[]): void {
  const secrets = after.spec?.imagePullSecrets
  if (secrets === undefined || secrets === before.spec?.imagePullSecrets) return
  const names = new Set(before.spec?.imagePullSecrets?.map(({ name }) => name))
  for (const { name = '' } of secrets) {
    const at = `/spec/imagePullSecrets/${name}`
    if (!names.has(name)) note(found, [at], at, name, NOT_HERE)
  }
}

function namesOf(items: readonly Json[]): ReadonlySet<unknown> {
  return items.length === 0
    ? NONE
    : new Set(items.map((item) => (isObject(item) ? item['name'] : null)))
}

const NONE: ReadonlySet<unknown> = new Set()
