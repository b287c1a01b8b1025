/** The subcommand `doctor`: flags in, one call; what could not be told is exit status 2. */
import { Command } from 'commander'
import { addAskFlags, type AskFlags } from './flags.ts'

/** The command. */
export function doctorCommand(): Command {
  const command = new Command('doctor')
    .description('Find out why pods are refused or hang: the cause first, then the chain.')
    .argument(
      '[namespace/pod]',
      'a pod, or namespace/deployment/name and the like; every injector without',
    )
  return addAskFlags(command, 'namespace of istiod').action(
    async (target: string | undefined, flags: AskFlags) => {
      const { doctor } = await import('./doctor-run.ts')
      process.exitCode = await doctor(target, flags)
    },
  )
}
