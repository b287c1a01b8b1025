/** The subcommand `check`: flags in, one call; findings set the exit status, usage errors are thrown. */
import { Command, Option } from 'commander'
import { SEVERITIES, type Severity } from '../core/analysis/codes.ts'
import { ISTIO_VERSIONS, type IstioVersion } from '../core/inject/values.ts'
import type { StringMap } from '../core/k8s.ts'
import type { Workload } from '../kube-inject/workloads.ts'
import { readLabels, readName, readWorkloads } from '../kube-inject/flag-readers.ts'

/** The flags as commander hands them over. */
export type Flags = {
  readonly filename?: readonly string[]
  readonly live?: boolean
  readonly allNamespaces?: boolean
  readonly namespace?: string
  readonly namespaceLabels: StringMap
  readonly output: OutputFormat
  readonly severity: Severity
  readonly configFromCluster?: boolean
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

/** How findings are written. */
export type OutputFormat = (typeof FORMATS)[number]

const FORMATS = ['human', 'json', 'sarif'] as const

/** The command. Input that cannot be read is thrown as a Refusal. */
export function checkCommand(): Command {
  const command = new Command('check')
    .description(
      'Find what injection will do wrong in manifests or in a cluster; see docs/reference/check.md',
    )
    .option(
      '-f, --filename <file|folder|pattern|url|->',
      'manifests to read, YAML or JSON; `-` is standard input; may be repeated',
      readName,
    )
    .addOption(new Option('--live', 'read the objects of a cluster instead').conflicts('filename'))
    .option('-n, --namespace <name>', 'namespace of objects that do not say; the one to look at')
    .option('-A, --all-namespaces', 'with --live: look at all namespaces')
    .option(
      '--namespace-labels <key=text,...>',
      'labels of namespaces that are not among the manifests',
      readLabels,
      { 'istio-injection': 'enabled' },
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
    .option(
      '--pod-template-path <kind=path>',
      'look at this kind too, as in Rollout.argoproj.io=/spec/template; may be repeated',
      readWorkloads,
      [],
    )
    .option('--meshConfigFile <file>', 'mesh configuration, over the built-in defaults')
    .option('--valuesFile <file>', 'Helm values of Istio, over the built-in defaults')
    .option('--injectConfigFile <file>', 'injector configuration, over the built-in defaults')
    .option('-r, --revision <name>', 'revision of the control plane', '')
    .option('--kubeconfig <file>', 'the cluster; without --live, to read the ConfigMaps of')
    .option('--context <name>', 'the same, by a context of the kubeconfig')
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
  return command.action(async (flags: Flags) => {
    if (flags.filename === undefined && flags.live !== true) {
      command.error('error: --filename or --live says what to look at', { exitCode: 2 })
    }
    const { check } = await import('./run.ts')
    if (await check(flags)) process.exitCode = 1
  })
}
