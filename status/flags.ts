import { Option, type Command } from 'commander'
import type { ConnectFlags } from '../cluster/connect.ts'
import { addFlags } from '../kube-inject/flags.ts'

/** The flags of `status` and `doctor`, as commander hands them over. */
export type AskFlags = ConnectFlags & {
  readonly istioNamespace: string
  readonly output: (typeof FORMATS)[number]
}

const FORMATS = ['human', 'json'] as const

/** Declares them; `namespaceSays` is what is looked for in the namespace of Istio. */
export function addAskFlags(command: Command, namespaceSays: string): Command {
  return addFlags(command, ['kubeconfig', 'context'], {
    kubeconfig: 'the cluster; else as kubectl finds it, or that of the pod',
    context: 'a context of the kubeconfig',
  })
    .option('-i, --istioNamespace <name>', namespaceSays, 'istio-system')
    .addOption(new Option('-o, --output <format>', 'how to tell').choices(FORMATS).default('human'))
}
