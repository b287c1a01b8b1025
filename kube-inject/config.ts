import { createHash } from 'node:crypto'
import { readInjectConfig, type ConfigSources, type InjectConfig } from '../core/inject/config.ts'
import { isNativeByDefault, readNativeMode } from '../core/inject/native.ts'
import type { IstioVersion } from '../core/inject/values.ts'
import { Refusal } from '../core/problem.ts'
import { asksForCluster, type ClusterFlags } from './cluster-flags.ts'
import { readText } from './sources.ts'

/** The flags that say what to inject with. */
export type ConfigFlags = ClusterFlags & {
  readonly meshConfigFile?: string
  readonly valuesFile?: string
  readonly injectConfigFile?: string
  readonly istioVersion: IstioVersion
}

/** Texts that come from elsewhere than from files. */
export type ConfigTexts = Pick<ConfigSources, 'mesh' | 'values' | 'injectConfig'>

/**
 * Reads the configuration that the flags name, over the built-in defaults: files first, then `texts`, then
 * the cluster where a flag asks for one. Throws a Refusal.
 */
export async function readConfig(
  flags: ConfigFlags,
  environment: Readonly<Record<string, string | undefined>>,
  texts: ConfigTexts = {},
): Promise<InjectConfig> {
  const { meshConfigFile: mesh, valuesFile: values, injectConfigFile: inject } = flags
  const sources: ConfigSources = {
    istioVersion: flags.istioVersion,
    revision: flags.revision,
    compliancePolicy: environment['COMPLIANCE_POLICY'] ?? '',
    digest: (text) => createHash('sha256').update(text).digest('hex'),
    // Loaded here: whoever asks for no cluster does not wait for what speaks to one.
    ...(asksForCluster(flags)
      ? await (await import('./cluster.ts')).readClusterSources(flags)
      : {}),
    ...texts,
    ...(mesh === undefined ? {} : { mesh: read(mesh) }),
    ...(values === undefined ? {} : { values: read(values) }),
    ...(inject === undefined ? {} : { injectConfig: read(inject) }),
  }
  const config = readInjectConfig(sources)
  if (!config.ok) throw new Refusal(config.problems)
  return config.value
}

/** Whether proxies become native sidecars: without a cluster there are no nodes to ask. */
export function isNative(environment: Readonly<Record<string, string | undefined>>): boolean {
  return isNativeByDefault(readNativeMode(environment['ENABLE_NATIVE_SIDECARS']), [], undefined)
}

function read(file: string): { readonly path: string; readonly text: string } {
  return { path: file, text: readText(file, file).replace(/^\uFEFF/, '') }
}
