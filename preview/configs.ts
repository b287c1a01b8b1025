import type { InjectConfig } from '../core/inject/config.ts'
import { isNativeByDefault, readNativeMode, type NodeFact } from '../core/inject/native.ts'
import type { ClusterFlags } from '../kube-inject/cluster-flags.ts'
import { readConfig, type ConfigFlags, type ConfigTexts } from '../kube-inject/config.ts'
import type { Flags } from './command.ts'

/** What one injection works with: that of today, or the new one. */
export type Side = {
  readonly config: InjectConfig
  /** Whether proxies become native sidecars where the pod does not say. */
  readonly isNative: (nodes: readonly NodeFact[]) => boolean
}

/** Both sides; `next` is `now` with everything that a `--new` flag says. Throws a Refusal. */
export async function readSides(
  flags: Flags,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<{ readonly now: Side; readonly next: Side }> {
  const { newMeshConfigFile, newValuesFile, newInjectConfigFile, newRevision } = flags
  const { newIstioVersion, newNativeSidecars } = flags
  const newer: Flags = {
    ...flags,
    ...(newMeshConfigFile === undefined ? {} : { meshConfigFile: newMeshConfigFile }),
    ...(newValuesFile === undefined ? {} : { valuesFile: newValuesFile }),
    ...(newInjectConfigFile === undefined ? {} : { injectConfigFile: newInjectConfigFile }),
    ...(newRevision === undefined ? {} : { revision: newRevision }),
    ...(newIstioVersion === undefined ? {} : { istioVersion: newIstioVersion }),
    ...(newNativeSidecars === undefined ? {} : { nativeSidecars: newNativeSidecars }),
  }
  const textsNow = await clusterTexts(flags)
  const isElsewhere = newer.revision !== flags.revision
  const textsNext = isElsewhere ? await clusterTexts(newer) : textsNow
  return {
    now: await readSide(flags, textsNow, environment),
    next: await readSide(newer, textsNext, environment),
  }
}

async function readSide(
  flags: Flags,
  texts: ConfigTexts,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Side> {
  const mode = flags.nativeSidecars ?? readNativeMode(environment['ENABLE_NATIVE_SIDECARS'])
  return {
    config: await readConfig(fileFlags(flags), environment, texts),
    isNative: (nodes) => isNativeByDefault(mode, nodes, undefined),
  }
}

/** Without what asks for a cluster: that is read here, once for both sides where it is the same. */
function fileFlags(flags: Flags): ConfigFlags {
  const { istioVersion, revision, meshConfigFile, valuesFile, injectConfigFile } = flags
  return {
    istioVersion,
    revision,
    ...(meshConfigFile === undefined ? {} : { meshConfigFile }),
    ...(valuesFile === undefined ? {} : { valuesFile }),
    ...(injectConfigFile === undefined ? {} : { injectConfigFile }),
  }
}

async function clusterTexts(flags: Flags): Promise<ConfigTexts> {
  if (flags.configFromCluster !== true) return {}
  const cluster: ClusterFlags = flags
  return (await import('../kube-inject/cluster.ts')).readClusterSources(cluster)
}
