import { PROXY_CONTAINER, PROXY_ID } from '../constants.ts'
import type { Pod } from '../k8s.ts'
import type { Finding } from './model.ts'

/**
 * Containers that run as the user or group of the proxy, by their own word or the pod's. Init containers
 * may: it is how they reach the network before the proxy is there.
 */
export function findProxyIds({ spec }: Pod, path: string): readonly Finding[] {
  return (spec?.containers ?? []).flatMap((container, index): readonly Finding[] => {
    if (container.name === PROXY_CONTAINER) return []
    return FIELDS.flatMap((field): readonly Finding[] => {
      const own = container.securityContext?.[field]
      if ((own ?? spec?.securityContext?.[field]) !== PROXY_ID) return []
      const place = own === undefined ? '/spec' : `/spec/containers/${index}`
      const got = `${field} ${PROXY_ID} of container ${container.name}`
      const want = `an id other than ${PROXY_ID}`
      return [{ code: 'SI0401', path: `${path}${place}/securityContext/${field}`, got, want }]
    })
  })
}

const FIELDS = ['runAsUser', 'runAsGroup'] as const
