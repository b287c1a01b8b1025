/** The subcommand `doctor`: flags in, one call; what could not be told is exit status 2. */
import { Command, Option } from 'commander'

/** The flags as commander hands them over. */
export type DoctorFlags = {
  readonly kubeconfig?: string
  readonly context?: string
  readonly istioNamespace: string
  readonly output: 'human' | 'json'
}

/** The command. */
export function doctorCommand(): Command {
  return new Command('doctor')
    .description('Find out why pods are refused or hang: the cause first, then the chain.')
    .argument(
      '[namespace/pod]',
      'a pod, or namespace/deployment/name and the like; every injector without',
    )
    .option('--kubeconfig <file>', 'the cluster; else as kubectl finds it, or that of the pod')
    .option('--context <name>', 'a context of the kubeconfig')
    .option('-i, --istioNamespace <name>', 'namespace of istiod', 'istio-system')
    .addOption(
      new Option('-o, --output <format>', 'how to tell')
        .choices(['human', 'json'])
        .default('human'),
    )
    .action(async (target: string | undefined, flags: DoctorFlags) => {
      const { doctor } = await import('./doctor-run.ts')
      process.exitCode = await doctor(target, flags)
    })
}
