/** The program `sidecar-injector` with all its subcommands. */
import { KUBE_INJECT } from './kube-inject.ts'
import { runProgram, type Door } from './program.ts'

const DOORS: readonly Door[] = [
  {
    name: 'webhook',
    says: 'serve the mutating admission webhook over HTTPS',
    load: async () => (await import('../webhook/command.ts')).webhookCommand(),
  },
  KUBE_INJECT,
  {
    name: 'krm-function',
    says: 'inject a ResourceList from standard input, as kustomize and kpt call functions',
    load: async () => (await import('../kube-inject/krm-command.ts')).krmCommand(),
  },
]

runProgram(process.argv.slice(2), DOORS)
