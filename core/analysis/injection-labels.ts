import { IGNORED_NAMESPACES } from '../inject/decide.ts'

/** Labels of namespaces and pods that choose an injector, as Istio names them. */
export const INJECTION_LABEL = 'istio-injection'
export const REVISION_LABEL = 'istio.io/rev'
/** Label of a namespace: `ambient` hands its pods to the node's own proxy. */
export const DATAPLANE_LABEL = 'istio.io/dataplane-mode'

/** Whether Istio leaves a namespace alone whatever its labels say. */
export function isSystemNamespace(name: string): boolean {
  return IGNORED_NAMESPACES.includes(name)
}
