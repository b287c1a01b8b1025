import { Command } from 'commander'

/** The subcommand `krm-function`: no flags, because functions are called without any. */
export function krmCommand(): Command {
  return new Command('krm-function')
    .description(
      'inject the items of a ResourceList on standard input; see docs/reference/kube-inject.md',
    )
    .action(async () => {
      const { runKrmFunction } = await import('./krm-function.ts')
      await runKrmFunction()
    })
}
