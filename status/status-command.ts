/** The subcommand `status`: flags in, one call; what could not be told is exit status 2. */
import { Command, Option } from 'commander'

/** The flags as commander hands them over. */
export type StatusFlags = {
  readonly kubeconfig?: string
  readonly context?: string
  readonly istioNamespace: string
  readonly output: 'human' | 'json'
}

/** The command. */
export function statusCommand(): Command {
  return new Command('status')
    .description('Show who injects what in a cluster, and what is not as it should be.')
    .option('--kubeconfig <file>', 'the cluster; else as kubectl finds it, or that of the pod')
    .option('--context <name>', 'a context of the kubeconfig')
    .option('-i, --istioNamespace <name>', "namespace of Istio's ConfigMaps", 'istio-system')
    .addOption(
      new Option('-o, --output <format>', 'how to tell')
        .choices(['human', 'json'])
        .default('human'),
    )
    .action(async (flags: StatusFlags) => {
      const { status } = await import('./status-run.ts')
      process.exitCode = await status(flags)
    })
}
