/** The flags that say which cluster, and what to read there. */
import { configMapPlaces, type ConfigMapPlace } from '../cluster/config-maps.ts'
import type { ConnectFlags } from '../cluster/connect.ts'
import type { Problem } from '../core/problem.ts'
import { writesInCluster } from './certificate-flags.ts'
import type { Flags } from './config.ts'

/** How to reach the cluster; undefined where nothing needs one. */
export function clusterOf(flags: Flags): ConnectFlags | undefined {
  const { kubeconfig, context } = flags
  if (!needsCluster(flags)) return undefined
  return {
    ...(kubeconfig === undefined ? {} : { kubeconfig }),
    ...(context === undefined ? {} : { context }),
  }
}

/** The ConfigMaps to read; undefined where none is asked for. */
export function placesOf(
  flags: Flags,
  podNamespace: string | undefined,
): readonly ConfigMapPlace[] | undefined {
  if (flags.configFromCluster !== true) return undefined
  const { istioNamespace = podNamespace, meshConfigMapName, injectConfigMapName } = flags
  return configMapPlaces({
    revision: flags.revision ?? '',
    ...(istioNamespace === undefined ? {} : { istioNamespace }),
    ...(meshConfigMapName === undefined ? {} : { meshConfigMapName }),
    ...(injectConfigMapName === undefined ? {} : { injectConfigMapName }),
  })
}

/** Flags about a cluster that nothing would read: better refused than ignored. */
export function refuseClusterFlags(flags: Flags): Problem[] {
  const unread = [
    ...(needsCluster(flags) ? [] : (['kubeconfig', 'context'] as const)),
    ...(flags.configFromCluster === true
      ? []
      : (['istioNamespace', 'meshConfigMapName', 'injectConfigMapName'] as const)),
  ]
  return unread.flatMap((flag) => {
    const got = flags[flag]
    const isAny = flag === 'kubeconfig' || flag === 'context'
    const others = isAny ? ', --own-ca-secret, --ca-file or --events true' : ''
    const want = `a flag beside it that asks the cluster: --config-from-cluster${others}`
    return got === undefined ? [] : [{ path: `--${flag}`, got, want }]
  })
}

/** Whether anything that these flags ask for is done by way of an API server. */
function needsCluster(flags: Flags): boolean {
  return flags.configFromCluster === true || flags.events === 'true' || writesInCluster(flags)
}
