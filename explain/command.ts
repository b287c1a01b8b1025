/** The subcommand `explain`: flags in, one call; usage errors and what cannot be read are thrown. */
import { Command, Option } from 'commander'
import type { StringMap } from '../core/k8s.ts'
import type { ConfigFlags } from '../kube-inject/config.ts'
import {
  addFlags,
  CLUSTER,
  CONFIG_FILES,
  filenameFlag,
  flag,
  namespaceLabelsFlag,
  podTemplatePathFlag,
} from '../kube-inject/flags.ts'
import type { Workload } from '../kube-inject/workloads.ts'

/** The flags as commander hands them over. */
export type Flags = ConfigFlags & {
  readonly filename: readonly string[]
  readonly live?: string
  readonly namespace: string
  readonly namespaceLabels?: StringMap
  readonly webhookConfig?: string
  readonly field?: string
  readonly output: (typeof FORMATS)[number]
  readonly podTemplatePath: readonly Workload[]
}

const FORMATS = ['human', 'json'] as const

/** Flags that say what a cluster says itself. */
const OFFLINE = [
  ...['filename', 'namespaceLabels', 'webhookConfig', 'field'],
  ...CONFIG_FILES,
  ...['meshConfigMapName', 'injectConfigMapName'],
]

/** The command. */
export function explainCommand(): Command {
  const command = new Command('explain')
    .description('Tell why a pod is injected or not, and where each field comes from.')
    .addOption(filenameFlag().default([]))
    .addOption(
      new Option(
        '--live <namespace/pod>',
        'ask a cluster why; namespace/deployment/name for the pods of a workload',
      ).conflicts(OFFLINE),
    )
    .addOption(flag('namespace').default('default'))
    .addOption(
      namespaceLabelsFlag('labels of the namespace; else those of a Namespace among the manifests'),
    )
    .option(
      '--webhook-config <file>',
      'MutatingWebhookConfigurations of the cluster, a list or more',
    )
    .option('--field <pointer>', 'only this field, such as /spec/initContainers/0/args/3')
    .addOption(new Option('--output <format>', 'how to tell').choices(FORMATS).default('human'))
    .addOption(podTemplatePathFlag('explain'))
  addFlags(command, [...CONFIG_FILES, 'revision', ...CLUSTER, 'istioNamespace', 'istioVersion'])
  return command.action(async (flags: Flags) => {
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
