/** The subcommand `diff`: 0 nothing differs, 1 something does, 2 it could not be told, as diff(1) has it. */
import { Command, Option } from 'commander'
import { Refusal } from '../core/problem.ts'
import type { ConfigFlags } from '../kube-inject/config.ts'
import { addFlags, CLUSTER, CONFIG_FILES, filenameFlag, flag } from '../kube-inject/flags.ts'

/** The flags as commander hands them over. */
export type DiffFlags = ConfigFlags & {
  readonly filename: readonly string[]
  readonly live?: string
  readonly namespace?: string
  readonly output: (typeof FORMATS)[number]
}

const FORMATS = ['human', 'json'] as const

/** The command. */
export function diffCommand(): Command {
  const command = new Command('diff')
    .description(
      'Show what injection would change now. Exit 0: nothing, 1: something, 2: it could not be told.',
    )
    .addOption(filenameFlag().default([]))
    .addOption(
      new Option(
        '--live <namespace/pod>',
        'what runs in a cluster; namespace/deployment/name for a workload',
      ).conflicts(['filename']),
    )
    .addOption(flag('namespace'))
    .addOption(new Option('--output <format>', 'how to tell').choices(FORMATS).default('human'))
  addFlags(command, [...CONFIG_FILES, 'revision', ...CLUSTER, 'istioNamespace', 'istioVersion'], {
    meshConfigFile: 'mesh configuration, over what is read elsewhere',
    valuesFile: 'Helm values of Istio, over what is read elsewhere',
    injectConfigFile: 'injector configuration, over what is read elsewhere',
    kubeconfig: 'how to reach the cluster; its ConfigMaps give the configuration',
    context: 'the same, by this context of the kubeconfig',
  })
  return command.action(async (flags: DiffFlags) => {
    if (flags.live === undefined && flags.filename.length === 0) {
      command.error('error: want -f, --filename or --live', { exitCode: 2 })
    }
    const { runDiff } = await import('./diff-run.ts')
    try {
      process.exitCode = (await runDiff(flags, process.env)) ? 1 : 0
    } catch (cause) {
      if (!(cause instanceof Refusal)) throw cause
      process.stderr.write(`${cause.message}\n`)
      process.exitCode = 2
    }
  })
}
