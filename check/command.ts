/** The subcommand `check`: flags in, one call; findings set the exit status, usage errors are thrown. */
import { Command, Option } from 'commander'
import { SEVERITIES, type Severity } from '../core/analysis/codes.ts'
import type { StringMap } from '../core/k8s.ts'
import type { ConfigFlags } from '../kube-inject/config.ts'
import {
  addFlags,
  CLUSTER,
  CONFIG_FILES,
  filenameFlag,
  namespaceLabelsFlag,
  podTemplatePathFlag,
} from '../kube-inject/flags.ts'
import type { Workload } from '../kube-inject/workloads.ts'

/** The flags as commander hands them over. */
export type Flags = ConfigFlags & {
  readonly filename?: readonly string[]
  readonly live?: boolean
  readonly allNamespaces?: boolean
  readonly namespace?: string
  readonly namespaceLabels: StringMap
  readonly output: OutputFormat
  readonly severity: Severity
  readonly configFromCluster?: boolean
  readonly podTemplatePath: readonly Workload[]
}

/** How findings are written. */
export type OutputFormat = (typeof FORMATS)[number]

const FORMATS = ['human', 'json', 'sarif'] as const

/** The command. Input that cannot be read is thrown as a Refusal. */
export function checkCommand(): Command {
  const command = new Command('check')
    .description(
      'Find what injection will do wrong in manifests or in a cluster; see docs/reference/check.md',
    )
    .addOption(filenameFlag())
    .addOption(new Option('--live', 'read the objects of a cluster instead').conflicts('filename'))
    .option('-n, --namespace <name>', 'namespace of objects that do not say; the one to look at')
    .option('-A, --all-namespaces', 'with --live: look at all namespaces')
    .addOption(
      namespaceLabelsFlag('labels of namespaces that are not among the manifests').default({
        'istio-injection': 'enabled',
      }),
    )
    .addOption(
      new Option('--output <format>', 'how to write what was found')
        .choices(FORMATS)
        .default('human'),
    )
    .addOption(
      new Option('--severity <severity>', 'findings from here up make the exit status 1')
        .choices(SEVERITIES)
        .default('warning'),
    )
    .option('--config-from-cluster', "with --live: read the configuration from Istio's ConfigMaps")
    .addOption(podTemplatePathFlag('look at'))
  addFlags(command, [...CONFIG_FILES, 'revision', ...CLUSTER, 'istioNamespace', 'istioVersion'], {
    kubeconfig: 'the cluster; without --live, to read the ConfigMaps of',
    context: 'the same, by a context of the kubeconfig',
  })
  return command.action(async (flags: Flags) => {
    if (flags.filename === undefined && flags.live !== true) {
      command.error('error: --filename or --live says what to look at', { exitCode: 2 })
    }
    const { check } = await import('./run.ts')
    if (await check(flags)) process.exitCode = 1
  })
}
