/** The subcommand `status`: flags in, one call; what could not be told is exit status 2. */
import { Command } from 'commander'
import { addAskFlags, type AskFlags } from './flags.ts'

/** The command. */
export function statusCommand(): Command {
  const command = new Command('status').description(
    'Show who injects what in a cluster, and what is not as it should be.',
  )
  return addAskFlags(command, "namespace of Istio's ConfigMaps").action(async (flags: AskFlags) => {
    const { status } = await import('./status-run.ts')
    process.exitCode = await status(flags)
  })
}
