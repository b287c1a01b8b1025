import { createHash } from 'node:crypto'
import { Command } from 'commander'
import { formatProblem, Refusal, type Problem } from '../core/problem.ts'
import { readConfig, type Flags } from './config.ts'

/** Flags, what they take and what they say; the reference page shows the same. */
const FLAGS: readonly (readonly [flags: string, says: string])[] = [
  ['--port <number>', 'port of the webhook, 0 for any that is free (default: 15017)'],
  ['--address <address>', 'address to listen on (default: all of this machine)'],
  ['--monitoring-port <number>', 'port of metrics and probes, 0 for any (default: 15014)'],
  ['--tls-cert-file <file>', 'certificate with its chain, PEM, read again when it changes'],
  ['--tls-key-file <file>', 'key of the certificate, PEM, read again when it changes'],
  ['--self-signed', 'make a CA and a certificate in memory, for one machine'],
  [
    '--own-ca-secret [name]',
    'keep a CA in this Secret (default name: sidecar-injector-ca[-revision])',
  ],
  ['--ca-file <file>', 'the CA: written there with --self-signed, else published as caBundle'],
  ['--ca-rotation-delay <seconds>', 'time for API servers to see a new caBundle (default: 60)'],
  ['--lease-duration <seconds>', 'how long a dead leader keeps others waiting (default: 15)'],
  ['--service <name>', 'Service whose names are in the certificate (default: sidecar-injector)'],
  ['--client-ca-file <file>', 'CAs of those who may call, PEM, read again when it changes'],
  ['--client-name <names>', 'names of those who may call, comma separated (default: any)'],
  ['--meshConfigFile <file>', 'MeshConfig, YAML, read again when it changes'],
  ['--valuesFile <file>', 'Helm values, YAML or JSON, read again when it changes'],
  ['--valuesOverlayFile <file>', 'the same, laid over those of the file or of the cluster'],
  ['--injectConfigFile <file>', 'policy, selectors and templates, read again when it changes'],
  ['--namespacesFile <file>', 'List of Namespace objects whose annotations matter'],
  ['--config-from-cluster', 'read what no file gives from the cluster, and follow it there'],
  ['--kubeconfig <file>', 'how to reach the cluster (default: the account of the pod)'],
  ['--context <name>', 'the same, by this context of the kubeconfig'],
  ['--istioNamespace <name>', 'of the ConfigMaps (default: POD_NAMESPACE, else istio-system)'],
  ['--meshConfigMapName <name>', 'ConfigMap of the mesh (default: istio[-revision])'],
  ['--injectConfigMapName <name>', 'the other (default: istio-sidecar-injector[-revision])'],
  ['-r, --revision <name>', 'revision of this injector (default: "", the default revision)'],
  ['--istio-version <version>', 'templates, values and mesh of: current, 1.17, 1.8'],
  ['--drain-delay <seconds>', 'time between losing readiness and closing the port (default: 0)'],
  ['--max-requests <number>', 'requests under way; more are told to try again (default: 2000)'],
  ['--max-connections <number>', 'connections; more are closed at once (default: 4000)'],
  ['--max-body-memory <MiB>', 'held by bodies of all requests under way (default: 64)'],
  ['--events <boolean>', 'write Events (default: true where other flags ask the cluster)'],
  ['--warnings <boolean>', 'tell who creates a pod what is odd about it (default: true)'],
  ['--audit-annotations <boolean>', 'write decisions to the audit log (default: true)'],
  ['--pod-security-warnings <boolean>', 'warn where PodSecurity will refuse (default: false)'],
  ['--stencils <boolean>', 'answer pods of a known shape from its stencil (default: true)'],
  ['--log-level <level>', 'debug, info, warn, error or silent (default: info)'],
]

/** The subcommand `webhook`: reads its flags, starts, and runs until a signal stops it. */
export function webhookCommand(): Command {
  const command: Command = new Command('webhook')
    .description('serve the mutating admission webhook over HTTPS')
    .allowExcessArguments(false)
  for (const [flags, says] of FLAGS) command.option(flags, says)
  command.addHelpText(
    'after',
    '\nEnvironment: ENABLE_NATIVE_SIDECARS (true, false, auto), PLATFORM, COMPLIANCE_POLICY, POD_NAMESPACE',
  )
  return command.action(async () => {
    const config = readConfig(command.opts<Flags>(), process.env)
    if (!config.ok) command.error(printProblems(config.problems), { exitCode: 2 })
    // The servers and the injection are loaded after the flags were right: help and mistakes are quick.
    const [{ startWebhook }, { readInjectConfig }, { injectPod }, { rulesOf }] = await Promise.all([
      import('./main.ts'),
      import('../core/inject/config.ts'),
      import('../core/inject/inject.ts'),
      import('./stencil/holes.ts'),
    ])
    const { istioVersion, revision, platform, compliancePolicy } = config.value
    const fixed = { istioVersion, revision, platform, compliancePolicy, digest }
    const started = await startWebhook(config.value, {
      inject: injectPod,
      rulesOf,
      version: command.parent?.version() ?? '',
      readConfig: (sources) => readInjectConfig({ ...sources, ...fixed }),
      withProxyConfigs: (snapshot, proxyConfigs) => ({ ...snapshot, proxyConfigs }),
      warningsOf: (snapshot) => snapshot.warnings,
    })
    if (!started.ok) throw new Refusal(started.problems)
    await stopOnSignal(started.value.stop)
  })
}

function printProblems(problems: readonly Problem[]): string {
  return problems.map((problem) => `error: ${formatProblem(problem)}`).join('\n')
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** Ends the process with 0 once everything is answered; a second signal ends it at once. */
async function stopOnSignal(stop: (signal: string) => Promise<void>): Promise<void> {
  const signal = await new Promise<string>((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT']) process.once(name, resolve)
  })
  for (const name of ['SIGTERM', 'SIGINT']) process.once(name, () => process.exit(1))
  await stop(signal)
  process.exit(0)
}
