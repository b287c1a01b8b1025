import {
  INIT_CONTAINER,
  INTERCEPTION_MODE_ANNOTATION,
  PROXY_CONTAINER,
  VALIDATION_CONTAINER,
} from '../constants.ts'
import { isObject, type Json } from '../json.ts'
import type { Container, Pod } from '../k8s.ts'
import { containersIn, mapContainers } from './order.ts'
import type { UserContainer } from './overrides.ts'

/**
 * Makes the ids agree when the user's `istio-proxy` names a user or group: the rules leave that user's
 * traffic alone (`-u`), the validation runs as it, and under TPROXY the proxy itself must be root.
 */
export function adjustUser(pod: Pod, users: readonly UserContainer[], isTproxy: boolean): Pod {
  const proxy = users.find(({ name }) => name === PROXY_CONTAINER)
  const ids = proxy?.container['securityContext']
  if (proxy === undefined || !isObject(ids)) return pod
  const { runAsUser, runAsGroup } = ids
  const inits = containersIn(pod, 'initContainers')
  const isCapturing = inits.some(
    ({ name }) => name === INIT_CONTAINER || name === VALIDATION_CONTAINER,
  )
  if (!isCapturing || (runAsUser === undefined && runAsGroup === undefined)) return pod
  const isRoot = isTproxy || pod.metadata?.annotations?.[INTERCEPTION_MODE_ANNOTATION] === 'TPROXY'
  const own = { ...(isUid(runAsUser) && { runAsUser }), ...(isUid(runAsGroup) && { runAsGroup }) }
  const withUid = (container: Container): Container => {
    const at = container.args?.indexOf('-u') ?? -1
    if (at < 0 || !isUid(runAsUser) || runAsUser === 0) return container
    const args = container.args?.map((arg, index) => (index === at + 1 ? String(runAsUser) : arg))
    return args === undefined ? container : { ...container, args }
  }
  const asUser = (container: Container): Container => {
    return { ...container, securityContext: { ...container.securityContext, ...own } }
  }
  const asRoot = (container: Container): Container => {
    return { ...container, securityContext: { ...container.securityContext, runAsUser: 0 } }
  }
  const told = [INIT_CONTAINER, VALIDATION_CONTAINER].reduce(
    (each, name) => mapContainers(each, 'initContainers', name, withUid),
    pod,
  )
  if (!isRoot) return mapContainers(told, 'initContainers', VALIDATION_CONTAINER, asUser)
  return isUid(runAsUser) ? mapContainers(told, proxy.list, PROXY_CONTAINER, asRoot) : told
}

function isUid(value: Json | undefined): value is number {
  return typeof value === 'number'
}
