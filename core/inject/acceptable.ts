/**
 * What the API server would refuse although it takes the pod alone: the pod's own text clashes with what
 * the templates bring. Where only one thing can be meant it is put right, else the pod's author is told.
 * Faults that a template has by itself are not looked for.
 */
import type { Container, EnvVar, Pod, VolumeMount } from '../k8s.ts'
import { isArray, isObject, isSame, type Json, type JsonObject } from '../json.ts'
import type { Problem, Read } from '../problem.ts'
import { findPodAmounts, findTightAmounts, withFittingAmounts } from './amounts.ts'
import { ALTERNATIVES } from './merge-keys.ts'
import { containersIn, withContainers, type ContainerList } from './order.ts'
import { withLabels } from './status.ts'
import { USER_VOLUME_ANNOTATION, USER_VOLUME_MOUNT_ANNOTATION } from './user-json.ts'

/** What an injected pod is made of. */
export type Parts = {
  readonly before: Pod
  /** The rendered templates, merged. */
  readonly template: Pod
  readonly pod: Pod
  /** The mounts that an annotation asks for, each with `name` and `mountPath`. */
  readonly userMounts: readonly Json[]
}

/** The pod as the API server takes it, or every reason why it will not. */
export function acceptable(parts: Parts): Read<Pod> {
  const pod = withValidLabels({ ...parts, pod: fitted(parts) })
  const problems = [
    ...checkPlatform(pod),
    ...LISTS.flatMap((list) => checkList({ ...parts, pod }, list)),
    ...checkNames({ ...parts, pod }),
    ...checkVolumes({ ...parts, pod }),
    ...findPodAmounts(pod),
    ...checkAnnotationSize(pod),
  ]
  return problems.length === 0 ? { ok: true, value: pod } : { ok: false, problems }
}

/**
 * The pod without repeated variables in the containers that a template has too. Kubernetes lets the last of
 * one name win; merged one by one they would become one variable with two values.
 */
export function withoutRepeats(pod: Pod, overlays: readonly JsonObject[]): Pod {
  const names = new Set(overlays.flatMap(containerNames))
  const tidied = (container: Container): Container => {
    const { env } = container
    if (env === undefined || !names.has(container.name)) return container
    const last = new Map(env.map((item) => [item.name, item]))
    return last.size === env.length ? container : { ...container, env: [...last.values()] }
  }
  return withContainers(pod, {
    containers: containersIn(pod, 'containers').map(tidied),
    initContainers: containersIn(pod, 'initContainers').map(tidied),
  })
}

/**
 * The overlays in which no container of the template has a variable twice, as one that proxyMetadata names
 * and the template sets by itself: the last one counts, as the kubelet has it, in the place of the first. In a second
 * pass the two would be merged into one with both contents.
 */
export function withoutTwins(overlays: readonly JsonObject[]): readonly JsonObject[] {
  return overlays.map((overlay) => {
    const { spec } = overlay
    if (!isObject(spec)) return overlay
    let tidied = spec
    for (const list of LISTS) {
      const items = spec[list]
      if (!isArray(items)) continue
      const changed = items.map(withoutTwinsIn)
      if (changed.some((item, index) => item !== items[index]))
        tidied = { ...tidied, [list]: changed }
    }
    return tidied === spec ? overlay : { ...overlay, spec: tidied }
  })
}

function withoutTwinsIn(container: Json): Json {
  const env = isObject(container) ? container['env'] : undefined
  if (!isObject(container) || !isArray(env)) return container
  const last = new Map(
    env.map((item) => [(isObject(item) ? item['name'] : undefined) ?? item, item]),
  )
  return last.size === env.length ? container : { ...container, env: [...last.values()] }
}

const LISTS: readonly ContainerList[] = ['containers', 'initContainers']

function containerNames({ spec }: JsonObject): readonly unknown[] {
  if (!isObject(spec)) return []
  return LISTS.flatMap((list) => {
    const items: unknown = spec[list]
    return Array.isArray(items) ? items.filter(isObject).map(({ name }) => name) : []
  })
}

// What is put right.

/** The pod with amounts and privileges that go together in the containers that user and template share. */
function fitted({ template, pod }: Parts): Pod {
  const fit = (list: ContainerList) =>
    containersIn(pod, list).map((container) => {
      const ours = containersIn(template, list).find(({ name }) => name === container.name)
      return ours === undefined ? container : withPrivileges(withFittingAmounts(container, ours))
    })
  return withContainers(pod, {
    containers: fit('containers'),
    initContainers: fit('initContainers'),
  })
}

/** Who asks for all privileges asks for new ones too: templates say no to those. */
function withPrivileges(container: Container): Container {
  const { securityContext } = container
  const { privileged, capabilities, allowPrivilegeEscalation } = securityContext ?? {}
  const isAsking = privileged === true || capabilities?.add?.includes('CAP_SYS_ADMIN') === true
  if (!isAsking || allowPrivilegeEscalation !== false) return container
  return { ...container, securityContext: { ...securityContext, allowPrivilegeEscalation: true } }
}

/** The pod with labels of the templates cut to what a label may hold: names of workloads may be longer. */
function withValidLabels({ before, template, pod }: Parts): Pod {
  const labels = pod.metadata?.labels ?? {}
  const cut = Object.keys(template.metadata?.labels ?? {}).flatMap((key) => {
    const text = labels[key] ?? ''
    if (text.length <= LONGEST_LABEL || text === before.metadata?.labels?.[key]) return []
    return [[key, text.slice(0, LONGEST_LABEL).replace(/[-_.]+$/, '')] as const]
  })
  return cut.length === 0 ? pod : withLabels(pod, Object.fromEntries(cut))
}

const LONGEST_LABEL = 63

// What is told.

function checkPlatform(pod: Pod): readonly Problem[] {
  const got = pod.spec?.os?.name ?? ''
  if (got !== 'windows') return []
  const want = 'linux: proxy and rules run nowhere else (label sidecar.istio.io/inject: "false")'
  return [{ path: '/spec/os/name', got, want }]
}

function checkList({ template, pod, userMounts }: Parts, list: ContainerList): readonly Problem[] {
  const volumes = new Set((pod.spec?.volumes ?? []).map(({ name }) => name))
  const own = new Set((template.spec?.volumes ?? []).map(({ name }) => name))
  return containersIn(pod, list).flatMap((container, index) => {
    const ours = containersIn(template, list).find(({ name }) => name === container.name)
    if (ours === undefined) return []
    const path = `/spec/${list}/${index}`
    const isInit = list === 'initContainers' && container.restartPolicy !== 'Always'
    const problems = [
      ...(isSame(container.resources, ours.resources) ? [] : findTightAmounts(path, container)),
      ...checkContainer(path, container, isInit),
      ...checkMounts(path, container, userMounts, volumes),
    ]
    if (problems.length === 0) return []
    const alone = [...checkContainer(path, ours, isInit), ...checkMounts(path, ours, [], own)]
    return problems.filter((problem) => {
      return !problem.path.startsWith('/') || !alone.some((each) => isSame(each, problem))
    })
  })
}

/** What clashes in one container. */
function checkContainer(path: string, container: Container, isInit: boolean): readonly Problem[] {
  const problems: Problem[] = []
  if ((container.image ?? '') === '')
    problems.push({ path: `${path}/image`, got: '', want: 'an image' })
  for (const [index, item] of (container.env ?? []).entries()) {
    problems.push(...checkVariable(`${path}/env/${index}`, item))
  }
  const ports = (container.ports ?? []).map(({ name }) => name ?? '')
  for (const [index, name] of ports.entries()) {
    if (name === '' || ports.indexOf(name) === index) continue
    const want = 'a port name that this container has only once'
    problems.push({ path: `${path}/ports/${index}/name`, got: name, want })
  }
  const { livenessProbe, readinessProbe, startupProbe, lifecycle } = container
  for (const [field, probe] of Object.entries({ livenessProbe, readinessProbe, startupProbe })) {
    if (probe === undefined) continue
    problems.push(...checkAlternatives(`${path}/${field}`, 'Probe', probe))
    if (isInit) problems.push({ path: `${path}/${field}`, got: 'a probe', want: NO_CHECKS })
  }
  for (const [field, hook] of Object.entries(lifecycle ?? {})) {
    if (!isObject(hook)) continue
    const at = `${path}/lifecycle/${field}`
    problems.push(...checkAlternatives(at, 'LifecycleHandler', hook))
    if (isInit) problems.push({ path: at, got: 'a hook', want: NO_CHECKS })
  }
  return problems
}

const NO_CHECKS = 'none: here this container is an init container that ends'

function checkVariable(path: string, { value, valueFrom }: EnvVar): readonly Problem[] {
  if (valueFrom === undefined) return []
  if (value !== undefined && value !== '') {
    return [{ path, got: 'value and valueFrom', want: 'one of them' }]
  }
  return checkAlternatives(`${path}/valueFrom`, 'EnvVarSource', valueFrom)
}

function checkAlternatives(path: string, type: string, object: object): readonly Problem[] {
  const given = Object.keys(object).filter((name) => ALTERNATIVES.get(type)?.has(name))
  return given.length < 2 ? [] : [{ path, got: given.join(', '), want: 'one of them' }]
}

/** Mounts of volumes that are not there, and two mounts in one place. */
function checkMounts(
  path: string,
  container: Container,
  userMounts: readonly Json[],
  volumes: ReadonlySet<string>,
): readonly Problem[] {
  const mounts = container.volumeMounts ?? []
  const paths = new Set<string>()
  const places = new Set<string>()
  const asked = new Set(userMounts.map((each) => (isObject(each) ? textOfMount(each) : '')))
  const isTheirs = (mount: VolumeMount): boolean => asked.has(textOfMount(mount))
  const secrets =
    asked.size === 0
      ? []
      : mounts.filter((mount) => !isTheirs(mount)).map(({ mountPath }) => placeOf(mountPath))
  return mounts.flatMap((mount, index) => {
    const { name, mountPath } = mount
    const place = placeOf(mountPath)
    const isOfAnnotation = asked.size > 0 && isTheirs(mount)
    const at = isOfAnnotation
      ? `${USER_VOLUME_MOUNT_ANNOTATION}: /${name}`
      : `${path}/volumeMounts/${index}`
    const problems: Problem[] = []
    if (!volumes.has(name)) problems.push({ path: at, got: name, want: 'a volume of the pod' })
    if (paths.has(mountPath) || (isOfAnnotation && places.has(place))) {
      const want = 'a path where nothing else is mounted'
      problems.push({ path: `${at}/mountPath`, got: mountPath, want })
    } else if (isOfAnnotation && secrets.some((secret) => isInSecrets(place, secret))) {
      const want = 'a path outside the folders of the roots, keys and tokens of the proxy'
      problems.push({ path: `${at}/mountPath`, got: mountPath, want })
    }
    paths.add(mountPath)
    places.add(place)
    return problems
  })
}

function textOfMount({
  name,
  mountPath,
}: {
  readonly name?: unknown
  readonly mountPath?: unknown
}) {
  return JSON.stringify([name, mountPath])
}

/** Where a path leads: without needless parts; in the proxy's image `/var/run` is a link to `/run`. */
function placeOf(mountPath: string): string {
  const steps: string[] = []
  for (const step of mountPath.split('/')) {
    if (step === '..') steps.pop()
    else if (step !== '' && step !== '.') steps.push(step)
  }
  return `/${steps.join('/')}`.replace(/^\/run(?=\/|$)/, '/var/run')
}

/** What lies over the proxy's own root certificates, keys or tokens decides whom it trusts. */
function isInSecrets(place: string, secret: string): boolean {
  return secret.startsWith('/var/run/secrets/') && `${place}/`.startsWith(`${secret}/`)
}

/** Names of containers that stand twice, and a pod whose last regular container became an init container. */
function checkNames({ pod, template }: Parts): readonly Problem[] {
  const apps = containersIn(pod, 'containers')
  const inits = containersIn(pod, 'initContainers')
  const problems: Problem[] = []
  if (apps.length === 0) {
    const want = 'a container beside those that become init containers'
    problems.push({ path: '/spec/containers', got: '[]', want })
  }
  const names = new Set(apps.map(({ name }) => name))
  for (const [index, { name }] of inits.entries()) {
    if (!names.has(name)) names.add(name)
    else {
      const want = 'a name that no container has, the ones that injection brings included'
      problems.push({ path: `/spec/initContainers/${index}/name`, got: name, want })
    }
  }
  return template.spec === undefined ? [] : problems
}

/** Volumes of the annotation that are there under their name already, and volumes with two sources. */
function checkVolumes({ pod, template }: Parts): readonly Problem[] {
  const brought = (template.spec?.volumes ?? []).map(({ name }) => name)
  const twice = brought.filter((name, index) => brought.indexOf(name) < index)
  const problems = [...new Set(twice)].map((name) => ({
    path: `${USER_VOLUME_ANNOTATION}: /${name}`,
    got: name,
    want: 'a name that no volume of the templates has',
  }))
  if (problems.length > 0) return problems
  const names = new Set(brought)
  return (pod.spec?.volumes ?? []).flatMap((volume, index) =>
    names.has(volume.name) ? checkAlternatives(`/spec/volumes/${index}`, 'Volume', volume) : [],
  )
}

/** The API server counts bytes of keys and texts; injection adds some of its own. */
export function checkAnnotationSize(pod: Pod): readonly Problem[] {
  const annotations = Object.entries(pod.metadata?.annotations ?? {})
  const length = annotations.reduce((sum, [key, text]) => sum + key.length + text.length, 0)
  // Most pods are far below: a character has at most three bytes a unit.
  if (length * 3 <= MOST_ANNOTATION_BYTES) return []
  const encoder = new TextEncoder()
  const bytes = annotations.reduce((sum, pair) => sum + encoder.encode(pair.join('')).length, 0)
  if (bytes <= MOST_ANNOTATION_BYTES) return []
  const want = `at most ${MOST_ANNOTATION_BYTES} bytes, with what injection adds`
  return [{ path: '/metadata/annotations', got: `${bytes} bytes`, want }]
}

const MOST_ANNOTATION_BYTES = 256 * 1024
