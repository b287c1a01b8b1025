/** The subcommand `preview`: flags in, one call, exit status by what it found. */
import { Command, Option } from 'commander'
import type { NativeMode } from '../core/inject/native.ts'
import { ISTIO_VERSIONS, type IstioVersion } from '../core/inject/values.ts'
import { Refusal } from '../core/problem.ts'
import type { ConfigFlags } from '../kube-inject/config.ts'
import {
  addFlags,
  CONFIG_FILES,
  filenameFlag,
  flag,
  podTemplatePathFlag,
} from '../kube-inject/flags.ts'
import type { Workload } from '../kube-inject/workloads.ts'

/** The flags as commander hands them over. */
export type Flags = ConfigFlags & {
  readonly filename: readonly string[]
  readonly live?: boolean
  readonly namespace?: string
  readonly allNamespaces?: boolean
  readonly podTemplatePath: readonly Workload[]
  readonly as: 'webhook' | 'kube-inject'
  readonly configFromCluster?: boolean
  readonly nativeSidecars?: NativeMode
  readonly newMeshConfigFile?: string
  readonly newValuesFile?: string
  readonly newInjectConfigFile?: string
  readonly newRevision?: string
  readonly newIstioVersion?: IstioVersion
  readonly newNativeSidecars?: NativeMode
  readonly output: 'human' | 'json'
  readonly diff?: boolean
  readonly exitCode?: boolean
}

/** What is meant here by flags that others have too. */
const WORDS = {
  namespace: 'with --live: those of this namespace; else: of objects that do not say',
  kubeconfig: 'the cluster that --live and --config-from-cluster ask',
  context: 'the same, by a context of the kubeconfig',
  meshConfigMapName: 'name of the ConfigMap with the mesh (istio[-revision])',
  injectConfigMapName: 'name of the one with the rest (istio-sidecar-injector[-revision])',
  meshConfigFile: 'mesh configuration of today, over the built-in defaults',
  valuesFile: 'Helm values of today, over the built-in defaults',
  injectConfigFile: 'injector configuration of today, over the built-in defaults',
  revision: 'revision of today',
  istioVersion: 'built-in templates, values and mesh defaults of today',
} as const

const NATIVE: readonly NativeMode[] = ['true', 'false', 'auto']

/** The command. Wrong usage is thrown as a CommanderError. */
export function previewCommand(): Command {
  const command = new Command('preview')
    .description(
      'Tell what a new template, values or mesh would change, before it is rolled out. No connection unless a flag asks.',
    )
    .addOption(filenameFlag('manifests to preview').default([]))
    .option('--live', 'preview the workloads of a cluster instead')
    .addOption(flag('namespace', WORDS.namespace))
    .option('-A, --all-namespaces', 'with --live: those of all namespaces')
    .addOption(podTemplatePathFlag('preview'))
    .addOption(
      new Option(
        '--as <door>',
        'what injects: the webhook, with its policy and selectors, or kube-inject',
      )
        .choices(['webhook', 'kube-inject'])
        .default('webhook'),
    )
    .addOption(flag('kubeconfig', WORDS.kubeconfig))
    .addOption(flag('context', WORDS.context))
    .option('--config-from-cluster', 'read what no file gives from the ConfigMaps of the cluster')
  addFlags(
    command,
    [
      'meshConfigMapName',
      'injectConfigMapName',
      'istioNamespace',
      ...CONFIG_FILES,
      'revision',
      'istioVersion',
    ],
    WORDS,
  )
  command
    .addOption(
      new Option('--native-sidecars <mode>', 'ENABLE_NATIVE_SIDECARS of today').choices(NATIVE),
    )
    .option('--new-meshConfigFile <file>', 'the new mesh configuration')
    .option('--new-valuesFile <file>', 'the new Helm values')
    .option('--new-injectConfigFile <file>', 'the new injector configuration')
    .option('--new-revision <name>', 'the new revision; with --config-from-cluster its ConfigMaps')
    .addOption(
      new Option('--new-istio-version <version>', 'the new built-in defaults').choices(
        ISTIO_VERSIONS,
      ),
    )
    .addOption(
      new Option('--new-native-sidecars <mode>', 'the new ENABLE_NATIVE_SIDECARS').choices(NATIVE),
    )
    .addOption(
      new Option('--output <format>', 'lines for people or JSON for programs')
        .choices(['human', 'json'])
        .default('human'),
    )
    .option('--diff', 'print each pod that changes as a unified diff')
    .option('--exit-code', 'exit 1 where something changes')
  return command.action(async (flags: Flags) => {
    const wrong = wrongUsage(flags)
    if (wrong !== undefined) command.error(`error: ${wrong}`, { exitCode: 2 })
    const { preview } = await import('./run.ts')
    try {
      const { isChanged } = await preview(flags)
      if (isChanged && flags.exitCode === true) process.exitCode = 1
    } catch (cause) {
      if (!(cause instanceof Refusal)) throw cause
      process.stderr.write(`${cause.message}\n`)
      // 1 says that something changes; this could not be told.
      process.exitCode = 2
    }
  })
}

function wrongUsage(flags: Flags): string | undefined {
  const { filename, live = false, configFromCluster = false, newRevision } = flags
  if (filename.length > 0 === live) return 'either --filename or --live is needed, not both'
  if (flags.allNamespaces === true && !live) return '--all-namespaces is of --live'
  if (flags.allNamespaces === true && flags.namespace !== undefined) {
    return 'either --namespace or --all-namespaces, not both'
  }
  if (flags.diff === true && flags.output === 'json')
    return 'either --diff or --output json, not both'
  const { newMeshConfigFile, newValuesFile, newInjectConfigFile } = flags
  const { newIstioVersion, newNativeSidecars } = flags
  const files = [newMeshConfigFile, newValuesFile, newInjectConfigFile]
  if (
    [...files, newRevision, newIstioVersion, newNativeSidecars].every((one) => one === undefined)
  ) {
    return 'nothing is new: give at least one of the --new flags'
  }
  const { kubeconfig, context, meshConfigMapName, injectConfigMapName, istioNamespace } = flags
  if (!live && !configFromCluster && (kubeconfig ?? context) !== undefined) {
    return '--kubeconfig and --context are of --live and --config-from-cluster'
  }
  if (
    !configFromCluster &&
    (meshConfigMapName ?? injectConfigMapName ?? istioNamespace) !== undefined
  ) {
    return '--meshConfigMapName, --injectConfigMapName and --istioNamespace are of --config-from-cluster'
  }
  return undefined
}
