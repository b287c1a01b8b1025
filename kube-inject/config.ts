import { createHash } from 'node:crypto'
import { readInjectConfig, type ConfigSources, type InjectConfig } from '../core/inject/config.ts'
import { IGNORED_NAMESPACES } from '../core/inject/decide.ts'
import { isNativeByDefault, readNativeMode } from '../core/inject/native.ts'
import type { IstioVersion } from '../core/inject/values.ts'
import { Refusal } from '../core/problem.ts'
import { readText } from './sources.ts'

/** The flags that say what to inject with. */
export type ConfigFlags = {
  readonly meshConfigFile?: string
  readonly valuesFile?: string
  readonly injectConfigFile?: string
  readonly revision: string
  readonly istioVersion: IstioVersion
}

/** Reads the configuration that the flags name, over the built-in defaults. Throws a Refusal. */
export function readConfig(
  flags: ConfigFlags,
  environment: Readonly<Record<string, string | undefined>>,
): InjectConfig {
  const { meshConfigFile: mesh, valuesFile: values, injectConfigFile: inject } = flags
  const sources: ConfigSources = {
    istioVersion: flags.istioVersion,
    revision: flags.revision,
    compliancePolicy: environment['COMPLIANCE_POLICY'] ?? '',
    digest: (text) => createHash('sha256').update(text).digest('hex'),
    ...(mesh === undefined ? {} : { mesh: read(mesh) }),
    ...(values === undefined ? {} : { values: read(values) }),
    ...(inject === undefined ? {} : { injectConfig: read(inject) }),
  }
  const config = readInjectConfig(sources)
  if (!config.ok) throw new Refusal(config.problems)
  return { ...config.value, policy: COMMAND_POLICY }
}

/**
 * Whoever runs the command wants injection: as in Istio, only the pod itself can decline it, neither
 * the policy nor the selectors of the configuration.
 */
const COMMAND_POLICY: InjectConfig['policy'] = {
  policy: 'enabled',
  neverInjectSelector: [],
  alwaysInjectSelector: [],
  ignoredNamespaces: IGNORED_NAMESPACES,
}

/** Whether proxies become native sidecars: without a cluster there are no nodes to ask. */
export function isNative(environment: Readonly<Record<string, string | undefined>>): boolean {
  return isNativeByDefault(readNativeMode(environment['ENABLE_NATIVE_SIDECARS']), [], undefined)
}

function read(file: string): { readonly path: string; readonly text: string } {
  return { path: file, text: readText(file, file).replace(/^\uFEFF/, '') }
}
