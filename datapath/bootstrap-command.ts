/** The subcommand `bootstrap`: flags in, Envoy's configuration out. */
import { Command, Option } from 'commander'
import type { IstioVersion } from '../core/inject/values.ts'
import { flag } from '../kube-inject/flags.ts'

/** The flags as commander hands them over. */
export type BootstrapFlags = {
  readonly filename: readonly string[]
  readonly pod?: string
  readonly name?: string
  readonly namespace?: string
  readonly podIp: readonly string[]
  readonly interceptionMode?: string
  readonly meshConfigFile?: string
  readonly istioVersion: IstioVersion
  /** `true` where the flag has no value: the agent's socket. */
  readonly xds?: string | true
  readonly output?: string
}

/** The command. Wrong usage is thrown as a CommanderError, input that does not do as a Refusal. */
export function bootstrapCommand(): Command {
  const all = (word: string, before: readonly string[] = []): readonly string[] => [...before, word]
  return new Command('bootstrap')
    .description('print the static configuration that the Envoy of an injected pod starts with')
    .option(
      '-f, --filename <file|->',
      'manifests with an injected pod; their ServiceEntry and DestinationRule objects become services; may be repeated',
      all,
      [],
    )
    .option('--pod <name>', 'which of several pods, or workloads, in the manifests')
    .option('--name <name>', 'name of the running pod (default: as in the manifest)')
    .option('-n, --namespace <name>', 'namespace of objects that do not say (default)')
    .option(
      '--pod-ip <address>',
      'address of the running pod; its family is listened on; may be repeated',
      all,
      [],
    )
    .addOption(
      new Option('--interception-mode <mode>', 'without -f: how the pod captures').choices([
        'REDIRECT',
        'TPROXY',
      ]),
    )
    .addOption(flag('meshConfigFile'))
    .addOption(flag('istioVersion', 'with which version the pod was injected: its defaults'))
    .option(
      '--xds [address]',
      'take listeners and clusters from istiod: through the agent, by its socket, or at host:port',
    )
    .option('-o, --output <file>', 'where to write (default: standard output)')
    .action(async (flags: BootstrapFlags) => {
      const { printBootstrap } = await import('./bootstrap.ts')
      await printBootstrap(flags)
    })
}
