import type { ConfigMapFlags } from '../cluster/config-maps.ts'
import type { ConnectFlags } from '../cluster/connect.ts'

/** The flags that say which cluster, and where in it. */
export type ClusterFlags = ConnectFlags & ConfigMapFlags

/** Whether any flag asks for a cluster. */
export function asksForCluster(flags: ClusterFlags): boolean {
  const { kubeconfig, context, meshConfigMapName, injectConfigMapName } = flags
  return [kubeconfig, context, meshConfigMapName, injectConfigMapName].some(
    (flag) => flag !== undefined,
  )
}
