/** The subcommand `kube-inject`: flags in, one call, exit status by what is thrown. */
import { Command, Option } from 'commander'
import { ISTIO_VERSIONS, type IstioVersion } from '../core/inject/values.ts'
import { FORMATS, type Format } from './format.ts'
import type { Workload } from './workloads.ts'
import { readName, readWorkloads } from './flag-readers.ts'

/** The flags as commander hands them over. */
export type Flags = {
  readonly filename: readonly string[]
  readonly output?: string
  readonly inPlace?: boolean
  readonly check?: boolean
  readonly diff?: boolean
  readonly uninject?: boolean
  readonly report?: 'json'
  readonly outputFormat?: Format
  readonly podTemplatePath: readonly Workload[]
  readonly meshConfigFile?: string
  readonly valuesFile?: string
  readonly injectConfigFile?: string
  readonly revision: string
  readonly namespace?: string
  readonly istioNamespace?: string
  readonly kubeconfig?: string
  readonly context?: string
  readonly meshConfigMapName?: string
  readonly injectConfigMapName?: string
  readonly istioVersion: IstioVersion
  readonly previousMesh?: string
  readonly previousValues?: string
  readonly previousInjectConfig?: string
  readonly previousIstioVersion?: IstioVersion
}

/**
 * The command. Wrong usage is thrown as a CommanderError, input that cannot be injected as a Refusal.
 */
export function kubeInjectCommand(): Command {
  const command = new Command('kube-inject')
    .description(
      'Inject the sidecar into manifests; comments and layout stay. No connection unless a flag asks.',
    )
    .requiredOption(
      '-f, --filename <file|folder|pattern|url|->',
      'manifests to read, YAML or JSON; `-` is standard input; may be repeated',
      readName,
    )
    .option('-o, --output <file|folder>', 'where to write (default: standard output)')
    .addOption(
      new Option('--in-place', 'write each file over itself, those that change').conflicts(
        'output',
      ),
    )
    .addOption(
      new Option('--check', 'write nothing; exit 1 and name what would change').conflicts([
        'output',
        'inPlace',
      ]),
    )
    .option('--uninject', 'take the injection out instead of putting it in')
    .option('--diff', 'print what would change as a unified diff instead of the manifests')
    .addOption(
      new Option(
        '--report <format>',
        'print decisions, reasons and what was added instead of the manifests',
      ).choices(['json']),
    )
    .addOption(
      new Option('--output-format <format>', 'turn all manifests into this (default: as they were)')
        .choices(FORMATS)
        .conflicts(['inPlace']),
    )
    .option(
      '--pod-template-path <kind=path>',
      'inject this kind too, as in Rollout.argoproj.io=/spec/template; may be repeated',
      readWorkloads,
      [],
    )
    .option('--meshConfigFile <file>', 'mesh configuration, over the built-in defaults')
    .option('--valuesFile <file>', 'Helm values of Istio, over the built-in defaults')
    .option('--injectConfigFile <file>', 'injector configuration, over the built-in defaults')
    .option('-r, --revision <name>', 'revision of the control plane', '')
    .option('-n, --namespace <name>', 'namespace of objects that do not say')
    .option('--kubeconfig <file>', 'read what no file gives from the ConfigMaps of this cluster')
    .option('--context <name>', 'the same, from the cluster of this context of the kubeconfig')
    .option('--meshConfigMapName <name>', 'the same, mesh from this ConfigMap (istio[-revision])')
    .option(
      '--injectConfigMapName <name>',
      'the same, the rest from this one (istio-sidecar-injector[-revision])',
    )
    .option('-i, --istioNamespace <name>', 'namespace of the ConfigMaps (istio-system)')
    .addOption(
      new Option('--istio-version <version>', 'built-in templates, values and mesh defaults')
        .choices(ISTIO_VERSIONS)
        .default('current'),
    )
    .option('--previous-values <file>', 'values that the manifests were injected with before')
    .option('--previous-mesh <file>', 'mesh configuration that they were injected with before')
    .option('--previous-inject-config <file>', 'injector configuration of that time')
    .addOption(
      new Option('--previous-istio-version <version>', 'version of that time').choices(
        ISTIO_VERSIONS,
      ),
    )
  return command.action(async (flags: Flags) => {
    if (flags.inPlace === true && flags.filename.includes('-')) {
      command.error('error: standard input cannot be written in place', { exitCode: 2 })
    }
    const { kubeInject } = await import('./run.ts')
    await kubeInject(flags)
  })
}
