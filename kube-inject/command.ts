/** The subcommand `kube-inject`: flags in, one call, exit status by what is thrown. */
import { Command, Option } from 'commander'
import { ISTIO_VERSIONS } from '../core/inject/values.ts'
import type { ConfigFlags, PreviousFlags } from './config.ts'
import { FORMATS, type Format } from './format.ts'
import type { Workload } from './workloads.ts'
import { addFlags, CLUSTER, CONFIG_FILES, filenameFlag, podTemplatePathFlag } from './flags.ts'

/** The flags as commander hands them over. */
export type Flags = ConfigFlags &
  PreviousFlags & {
    readonly filename: readonly string[]
    readonly output?: string
    readonly inPlace?: boolean
    readonly check?: boolean
    readonly diff?: boolean
    readonly uninject?: boolean
    readonly report?: 'json'
    readonly outputFormat?: Format
    readonly podTemplatePath: readonly Workload[]
    readonly namespace?: string
  }

/**
 * The command. Wrong usage is thrown as a CommanderError, input that cannot be injected as a Refusal.
 */
export function kubeInjectCommand(): Command {
  const command = new Command('kube-inject')
    .description(
      'Inject the sidecar into manifests; comments and layout stay. No connection unless a flag asks.',
    )
    .addOption(filenameFlag().makeOptionMandatory())
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
    .addOption(podTemplatePathFlag('inject'))
  addFlags(
    command,
    [...CONFIG_FILES, 'revision', 'namespace', ...CLUSTER, 'istioNamespace', 'istioVersion'],
    {
      meshConfigMapName: 'the same, mesh from this ConfigMap (istio[-revision])',
      injectConfigMapName: 'the same, the rest from this one (istio-sidecar-injector[-revision])',
    },
  )
  command
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
