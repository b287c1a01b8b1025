import { createHash } from 'node:crypto'
import { readInjectConfig, type ConfigSources, type InjectConfig } from '../core/inject/config.ts'
import { isNativeByDefault, readNativeMode } from '../core/inject/native.ts'
import { ISTIO_VERSIONS, type IstioVersion } from '../core/inject/values.ts'
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

/** The flags that say what was injected with before; what is not given is as today. */
export type PreviousFlags = {
  readonly previousMesh?: string
  readonly previousValues?: string
  readonly previousInjectConfig?: string
  readonly previousIstioVersion?: IstioVersion
}

/** Texts that come from elsewhere than from files. */
export type ConfigTexts = Pick<ConfigSources, 'mesh' | 'values' | 'injectConfig' | 'valuesOverlay'>

/** The configuration of today, and finds an earlier one by the hash that the status of a pod has. */
export type Configs = {
  readonly today: InjectConfig
  readonly earlier: (version: string) => InjectConfig | undefined
}

/**
 * Reads the configuration that the flags name, over the built-in defaults: files first, then `texts`, then
 * the cluster where a flag asks for one. Throws a Refusal.
 */
export async function readConfig(
  flags: ConfigFlags,
  environment: Environment,
  texts: ConfigTexts = {},
): Promise<InjectConfig> {
  return configOf(await readSources(flags, environment, texts))
}

/** Reads the configuration as `readConfig` does, and with it what is known of earlier ones; `textsBefore` as `texts`. */
export async function readConfigs(
  flags: ConfigFlags & PreviousFlags,
  environment: Environment,
  texts: ConfigTexts = {},
  textsBefore: ConfigTexts = {},
): Promise<Configs> {
  const sources = await readSources(flags, environment, texts)
  const today = configOf(sources)
  const given = givenBefore(flags, textsBefore)
  const before = given === undefined ? [] : [configOf({ ...sources, ...given })]
  let known: ReadonlyMap<string, InjectConfig> | undefined
  const earlier = (version: string): InjectConfig | undefined => {
    // Few runs ask; reading all of them takes longer than injecting a pod.
    known ??= new Map([...builtIns(sources), ...before].map((each) => [each.version, each]))
    return known.get(version)
  }
  return { today, earlier }
}

function givenBefore(
  flags: PreviousFlags,
  textsBefore: ConfigTexts,
): Partial<ConfigSources> | undefined {
  const { previousMesh: mesh, previousValues: values, previousInjectConfig: injectConfig } = flags
  const texts = { ...textsBefore, ...textsOf({ mesh, values, injectConfig }) }
  const { previousIstioVersion: istioVersion } = flags
  const given = { ...texts, ...(istioVersion === undefined ? {} : { istioVersion }) }
  return Object.keys(given).length === 0 ? undefined : given
}

/** What an installation may have had before: the other built-in versions, with the texts of today and without. */
function builtIns(sources: ConfigSources): readonly InjectConfig[] {
  const { mesh: _, values: __, injectConfig: ___, ...bare } = sources
  return ISTIO_VERSIONS.flatMap((istioVersion) =>
    [bare, sources].flatMap((each) => {
      const read = readInjectConfig({ ...each, istioVersion })
      return read.ok ? [read.value] : []
    }),
  )
}

type Environment = Readonly<Record<string, string | undefined>>

async function readSources(
  flags: ConfigFlags,
  environment: Environment,
  texts: ConfigTexts,
): Promise<ConfigSources> {
  return {
    istioVersion: flags.istioVersion,
    revision: flags.revision,
    compliancePolicy: environment['COMPLIANCE_POLICY'] ?? '',
    digest: (text) => createHash('sha256').update(text).digest('hex'),
    // Loaded here: whoever asks for no cluster does not wait for what speaks to one.
    ...(asksForCluster(flags)
      ? await (await import('./cluster.ts')).readClusterSources(flags)
      : {}),
    ...texts,
    ...textsOf({
      mesh: flags.meshConfigFile,
      values: flags.valuesFile,
      injectConfig: flags.injectConfigFile,
    }),
  }
}

function textsOf(
  files: Readonly<Record<Exclude<keyof ConfigTexts, 'valuesOverlay'>, string | undefined>>,
): ConfigTexts {
  const { mesh, values, injectConfig } = files
  return {
    ...(mesh === undefined ? {} : { mesh: read(mesh) }),
    ...(values === undefined ? {} : { values: read(values) }),
    ...(injectConfig === undefined ? {} : { injectConfig: read(injectConfig) }),
  }
}

function configOf(sources: ConfigSources): InjectConfig {
  const config = readInjectConfig(sources)
  if (!config.ok) throw new Refusal(config.problems)
  return config.value
}

/** Whether proxies become native sidecars: without a cluster there are no nodes to ask. */
export function isNative(environment: Environment): boolean {
  return isNativeByDefault(readNativeMode(environment['ENABLE_NATIVE_SIDECARS']), [], undefined)
}

function read(file: string): { readonly path: string; readonly text: string } {
  return { path: file, text: readText(file, file).replace(/^\uFEFF/, '') }
}
