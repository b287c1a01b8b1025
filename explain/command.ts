/** The subcommand `explain`: flags in, one call; usage errors and what cannot be read are thrown. */
import { Command, Option } from 'commander'
import { ISTIO_VERSIONS, type IstioVersion } from '../core/inject/values.ts'
import type { StringMap } from '../core/k8s.ts'
import type { Workload } from '../kube-inject/workloads.ts'
import { readLabels, readName, readWorkloads } from '../kube-inject/flag-readers.ts'

/** The flags as commander hands them over. */
export type Flags = {
  readonly filename: readonly string[]
  readonly live?: string
  readonly namespace: string
  readonly namespaceLabels?: StringMap
  readonly webhookConfig?: string
  readonly field?: string
  readonly output: (typeof FORMATS)[number]
  readonly podTemplatePath: readonly Workload[]
  readonly meshConfigFile?: string
  readonly valuesFile?: string
  readonly injectConfigFile?: string
  readonly revision: string
  readonly istioNamespace?: string
  readonly kubeconfig?: string
  readonly context?: string
  readonly meshConfigMapName?: string
  readonly injectConfigMapName?: string
  readonly istioVersion: IstioVersion
}

const FORMATS = ['human', 'json'] as const

/** Flags that say what a cluster says itself. */
const OFFLINE = [
  ...['filename', 'namespaceLabels', 'webhookConfig', 'field'],
  ...['meshConfigFile', 'valuesFile', 'injectConfigFile'],
  ...['meshConfigMapName', 'injectConfigMapName'],
]

/** The command. */
export function explainCommand(): Command {
  return new Command('explain')
    .description('Tell why a pod is injected or not, and where each field comes from.')
    .option(
      '-f, --filename <file|folder|pattern|url|->',
      'manifests to read, YAML or JSON; `-` is standard input; may be repeated',
      readName,
      [],
    )
    .addOption(
      new Option(
        '--live <namespace/pod>',
        'ask a cluster why; namespace/deployment/name for the pods of a workload',
      ).conflicts(OFFLINE),
    )
    .option('-n, --namespace <name>', 'namespace of objects that do not say', 'default')
    .option(
      '--namespace-labels <key=text,...>',
      'labels of the namespace; else those of a Namespace among the manifests',
      readLabels,
    )
    .option(
      '--webhook-config <file>',
      'MutatingWebhookConfigurations of the cluster, a list or more',
    )
    .option('--field <pointer>', 'only this field, such as /spec/initContainers/0/args/3')
    .addOption(new Option('--output <format>', 'how to tell').choices(FORMATS).default('human'))
    .option(
      '--pod-template-path <kind=path>',
      'explain this kind too, as in Rollout.argoproj.io=/spec/template; may be repeated',
      readWorkloads,
      [],
    )
    .option('--meshConfigFile <file>', 'mesh configuration, over the built-in defaults')
    .option('--valuesFile <file>', 'Helm values of Istio, over the built-in defaults')
    .option('--injectConfigFile <file>', 'injector configuration, over the built-in defaults')
    .option('-r, --revision <name>', 'revision of the control plane', '')
    .option('--kubeconfig <file>', 'read what no file gives from the ConfigMaps of this cluster')
    .option('--context <name>', 'the same, from the cluster of this context of the kubeconfig')
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
    .action(async (flags: Flags, command: Command) => {
      const { live } = flags
      if (live === undefined && flags.filename.length === 0) {
        command.error('error: want -f, --filename or --live', { exitCode: 2 })
      }
      const { explainFiles } = await import('./run.ts')
      const { writeStdout } = await import('../kube-inject/output.ts')
      const text =
        live === undefined
          ? await explainFiles(flags, process.env, process.stdout.isTTY)
          : await (await import('./live-run.ts')).runLive({ ...flags, live })
      await writeStdout([Buffer.from(text, 'utf8')])
    })
}
