/** The subcommand `describe`: flags in, a description out; the exit status says how it ended. */
import { Command, InvalidArgumentError, Option } from 'commander'
import { Refusal } from '../core/problem.ts'

/** The flags as commander hands them over. */
export type DescribeFlags = {
  readonly netns?: string
  readonly pid?: string
  readonly filename: readonly string[]
  readonly pod?: string
  readonly namespace?: string
  readonly kubeconfig?: string
  readonly context?: string
  readonly proc: string
  readonly output: (typeof FORMATS)[number]
}

const FORMATS = ['human', 'json'] as const

/** Exit statuses: fine, a contradiction, not to be told. */
export const STATUS = { fine: 0, contradiction: 1, unknown: 2 } as const

/** The command. Wrong usage is thrown as a CommanderError; what cannot be read ends with 2. */
export function describeCommand(): Command {
  return new Command('describe')
    .description(
      'Tell what the rules of a running pod do, who listens where they send, and the first contradiction',
    )
    .argument('[namespace/pod]', 'a pod, read from the API server and found on this node')
    .option('--netns <path>', 'a network namespace, such as /run/netns/NAME or /proc/PID/ns/net')
    .option('--pid <number>', 'the network namespace of this process', readPid)
    .option(
      '-f, --filename <file|->',
      'the pod as a manifest, instead of asking the API server; may be repeated',
      (word: string, before: readonly string[]): readonly string[] => [...before, word],
      [],
    )
    .option('--pod <name>', 'which of several pods, or workloads, in the manifests')
    .option('-n, --namespace <name>', 'namespace of objects that do not say (default)')
    .option('--kubeconfig <file>', 'the cluster to ask (default: as kubectl finds it)')
    .option('--context <name>', 'the same, by this context of the kubeconfig')
    .option('--proc <folder>', 'proc of the node, where it is mounted elsewhere', '/proc')
    .addOption(new Option('-o, --output <format>', 'how to tell').choices(FORMATS).default('human'))
    .action(async (target: string | undefined, flags: DescribeFlags, command: Command) => {
      const wrong = misuse(target, flags)
      if (wrong !== undefined) command.error(`error: ${wrong}`, { exitCode: 2 })
      const { describe } = await import('./describe.ts')
      try {
        const { text, verdict } = await describe(target, flags)
        process.stdout.write(text)
        process.exitCode = STATUS[verdict]
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
        process.stderr.write(`${error.message}\n`)
        process.exitCode = STATUS.unknown
      }
    })
}

function misuse(target: string | undefined, flags: DescribeFlags): string | undefined {
  const { netns, pid, filename } = flags
  if (netns !== undefined && pid !== undefined) return 'give one of --netns and --pid'
  if (target !== undefined && filename.length > 0) return 'give one of NAMESPACE/POD and -f'
  const some = [target, netns, pid, filename[0]]
  return some.every((one) => one === undefined)
    ? 'say which: --netns PATH, --pid N, NAMESPACE/POD, or -f FILE'
    : undefined
}

function readPid(text: string): string {
  if (!/^[1-9]\d{0,9}$/.test(text)) throw new InvalidArgumentError('want the number of a process')
  return text
}
