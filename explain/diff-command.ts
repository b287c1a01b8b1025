/** The subcommand `diff`: 0 nothing differs, 1 something does, 2 it could not be told, as diff(1) has it. */
import { Command, Option } from 'commander'
import type { ConnectFlags } from '../cluster/connect.ts'
import { ISTIO_VERSIONS, type IstioVersion } from '../core/inject/values.ts'
import { Refusal } from '../core/problem.ts'

/** The flags as commander hands them over. */
export type DiffFlags = ConnectFlags & {
  readonly filename: readonly string[]
  readonly live?: string
  readonly namespace?: string
  readonly output: (typeof FORMATS)[number]
  readonly meshConfigFile?: string
  readonly valuesFile?: string
  readonly injectConfigFile?: string
  readonly revision: string
  readonly istioNamespace?: string
  readonly meshConfigMapName?: string
  readonly injectConfigMapName?: string
  readonly istioVersion: IstioVersion
}

const FORMATS = ['human', 'json'] as const

/** The command. */
export function diffCommand(): Command {
  return new Command('diff')
    .description(
      'Show what injection would change now. Exit 0: nothing, 1: something, 2: it could not be told.',
    )
    .option(
      '-f, --filename <file|folder|pattern|url|->',
      'manifests to read, YAML or JSON; `-` is standard input; may be repeated',
      (name: string, before: readonly string[]) => [...before, name],
      [],
    )
    .addOption(
      new Option(
        '--live <namespace/pod>',
        'what runs in a cluster; namespace/deployment/name for a workload',
      ).conflicts(['filename']),
    )
    .option('-n, --namespace <name>', 'namespace of objects that do not say')
    .addOption(new Option('--output <format>', 'how to tell').choices(FORMATS).default('human'))
    .option('--meshConfigFile <file>', 'mesh configuration, over what is read elsewhere')
    .option('--valuesFile <file>', 'Helm values of Istio, over what is read elsewhere')
    .option('--injectConfigFile <file>', 'injector configuration, over what is read elsewhere')
    .option('-r, --revision <name>', 'revision of the control plane', '')
    .option(
      '--kubeconfig <file>',
      'how to reach the cluster; its ConfigMaps give the configuration',
    )
    .option('--context <name>', 'the same, by this context of the kubeconfig')
    .option('--meshConfigMapName <name>', 'mesh from this ConfigMap (istio[-revision])')
    .option(
      '--injectConfigMapName <name>',
      'the rest from this one (istio-sidecar-injector[-revision])',
    )
    .option('-i, --istioNamespace <name>', 'namespace of the ConfigMaps (istio-system)')
    .addOption(
      new Option('--istio-version <version>', 'built-in templates, values and mesh defaults')
        .choices(ISTIO_VERSIONS)
        .default('current'),
    )
    .action(async (flags: DiffFlags, command: Command) => {
      if (flags.live === undefined && flags.filename.length === 0) {
        command.error('error: want -f, --filename or --live', { exitCode: 2 })
      }
      const { runDiff } = await import('./diff-run.ts')
      try {
        process.exitCode = (await runDiff(flags, process.env)) ? 1 : 0
      } catch (cause) {
        if (!(cause instanceof Refusal)) throw cause
        process.stderr.write(`${cause.message}\n`)
        process.exitCode = 2
      }
    })
}
