#!/usr/bin/env node
/** The program `sidecar-injector`: a subcommand a door, each loaded only when it is called. */
import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { Refusal } from '../core/problem.ts'

type Row = { readonly name: string; readonly says: string; readonly load: () => Promise<Command> }

const DOORS: readonly Row[] = [
  {
    name: 'webhook',
    says: 'serve the mutating admission webhook over HTTPS',
    load: async () => (await import('../webhook/command.ts')).webhookCommand(),
  },
  {
    name: 'kube-inject',
    says: 'inject the sidecar into manifests, no cluster needed',
    load: async () => (await import('../kube-inject/command.ts')).kubeInjectCommand(),
  },
]

/** Usage errors exit with 2, refused input with 1. */
async function main(argv: readonly string[]): Promise<void> {
  const program = new Command('sidecar-injector')
    .description('Istio sidecar injection: as a webhook, and in CI')
    .version(version())
    .exitOverride()
  for (const { name, says, load } of DOORS) {
    if (argv.includes(name)) program.addCommand((await load()).exitOverride().name(name))
    else program.command(name).description(says)
  }
  await program.parseAsync([...argv], { from: 'user' })
}

function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return /"version": "([^"]+)"/.exec(text)?.[1] ?? 'unknown'
}

try {
  await main(process.argv.slice(2))
} catch (cause) {
  if (cause instanceof CommanderError) process.exitCode = cause.exitCode === 0 ? 0 : 2
  else if (cause instanceof Refusal) {
    process.stderr.write(`${cause.message}\n`)
    process.exitCode = 1
  } else throw cause
}
