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
    name: 'check',
    says: 'find what injection will do wrong in manifests or in a cluster',
    load: async () => (await import('../check/command.ts')).checkCommand(),
  },
  {
    name: 'preview',
    says: 'tell what a new template, values or mesh would change, before it is rolled out',
    load: async () => (await import('../preview/command.ts')).previewCommand(),
  },
  {
    name: 'explain',
    says: 'tell why a pod is injected or not, and where each field comes from',
    load: async () => (await import('../explain/command.ts')).explainCommand(),
  },
  {
    name: 'diff',
    says: 'show what injection would change now, of manifests or of what runs',
    load: async () => (await import('../explain/diff-command.ts')).diffCommand(),
  },
  {
    name: 'status',
    says: 'show who injects what in a cluster, and what is wrong',
    load: async () => (await import('../status/status-command.ts')).statusCommand(),
  },
  {
    name: 'doctor',
    says: 'find out why pods are refused or hang',
    load: async () => (await import('../status/doctor-command.ts')).doctorCommand(),
  },
  {
    name: 'describe',
    says: 'tell what the rules of a running pod do, and the first contradiction',
    load: async () => (await import('../datapath/describe-command.ts')).describeCommand(),
  },
  {
    name: 'bootstrap',
    says: "print the static configuration of an injected pod's Envoy",
    load: async () => (await import('../datapath/bootstrap-command.ts')).bootstrapCommand(),
  },
  {
    name: 'krm-function',
    says: 'inject a ResourceList from standard input, as kustomize and kpt call functions',
    load: async () => (await import('../kube-inject/krm-command.ts')).krmCommand(),
  },
]

runProgram(process.argv.slice(2), DOORS)
