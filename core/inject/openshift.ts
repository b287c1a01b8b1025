import { INIT_CONTAINER, PROXY_CONTAINER, PROXY_ID, VALIDATION_CONTAINER } from '../constants.ts'
import { byName, type Container, type Pod, type StringMap } from '../k8s.ts'

/** Namespace annotation: the users that pods may run as, `start/size` or `start-end`. */
const UID_RANGE = 'openshift.io/sa.scc.uid-range'
/** Namespace annotation: the groups, a comma-separated list of such blocks. */
const GROUPS = 'openshift.io/sa.scc.supplemental-groups'

/** User and group of the proxy. */
export type ProxyIds = { readonly uid: number; readonly gid: number }

/**
 * User and group that the proxy gets on OpenShift: the last of the namespace's ranges, so that they meet
 * no application's. Without a readable range each stays 1337.
 */
export function openShiftIds(namespaceAnnotations: StringMap): ProxyIds {
  const uids = namespaceAnnotations[UID_RANGE] ?? ''
  const groups = namespaceAnnotations[GROUPS] ?? ''
  return {
    uid: endOfBlock(uids) ?? PROXY_ID,
    gid: endOfBlock(groups === '' ? uids : groups) ?? PROXY_ID,
  }
}

/** The last id of the first block; text after it is passed over. */
function endOfBlock(text: string): number | undefined {
  const [, start = '', mark, second = ''] = /^(\d+)([/-])(\d+)/.exec(text) ?? []
  if (mark === undefined) return undefined
  const end = mark === '/' ? Number(start) + Number(second) - 1 : Number(second)
  return end >= Number(start) && end <= LARGEST_UID ? end : undefined
}

/** The largest user or group that the API server takes. */
const LARGEST_UID = 2147483647

/** Containers whose user says nothing about what the platform assigned. */
const OWN_CONTAINERS = [PROXY_CONTAINER, INIT_CONTAINER, VALIDATION_CONTAINER]

/**
 * The pod without the user and group of its own `istio-proxy`, if the platform set them: if they are those
 * of the last application container that has any (init containers after the others, unset counts as 0).
 * They would otherwise pass for a wish of the user's. The same pod when there is nothing to clear.
 */
export function clearAssignedIds(pod: Pod): Pod {
  const { containers = [], initContainers = [] } = pod.spec ?? {}
  const all = [...containers, ...initContainers]
  const proxy = byName(all, PROXY_CONTAINER)?.securityContext
  const users = all
    .filter((container) => !OWN_CONTAINERS.includes(container.name))
    .flatMap((container) => container.securityContext?.runAsUser ?? [])
  if (proxy === undefined || pod.spec === undefined) return pod
  if ((proxy.runAsUser ?? 0) !== (users.at(-1) ?? 0)) return pod
  const spec = { ...pod.spec, containers: containers.map(withoutIds) }
  if (pod.spec.initContainers) spec.initContainers = initContainers.map(withoutIds)
  return { ...pod, spec }
}

function withoutIds(container: Container): Container {
  const { name, securityContext } = container
  if (name !== PROXY_CONTAINER || securityContext === undefined) return container
  const kept = Object.entries(securityContext).filter(([field]) => !ASSIGNED.includes(field))
  return { ...container, securityContext: Object.fromEntries(kept) }
}

const ASSIGNED = ['runAsUser', 'runAsGroup']
