/** One program of subcommands, each loaded only when it is called. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command, CommanderError } from 'commander'
import { Refusal } from '../core/problem.ts'

/** A subcommand and what the list of them says about it. */
export type Door = {
  readonly name: string
  readonly says: string
  readonly load: () => Promise<Command>
}

/** Runs the program and sets the exit status: usage errors exit with 2, refused input with 1. */
export function runProgram(argv: readonly string[], doors: readonly Door[]): void {
  parse(argv, doors).catch((cause: unknown) => {
    if (cause instanceof CommanderError) process.exitCode = cause.exitCode === 0 ? 0 : 2
    else if (cause instanceof Refusal) {
      process.stderr.write(`${cause.message}\n`)
      process.exitCode = 1
    } else throw cause
  })
}

async function parse(argv: readonly string[], doors: readonly Door[]): Promise<void> {
  const program = new Command('sidecar-injector')
    .description('Istio sidecar injection: as a webhook, in CI, and with its reasons')
    .version(version())
    .exitOverride()
  for (const { name, says, load } of doors) {
    if (argv.includes(name)) program.addCommand((await load()).exitOverride().name(name))
    else program.command(name).description(says)
  }
  await program.parseAsync([...argv], { from: 'user' })
}

function version(): string {
  const text = readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')
  return /"version": "([^"]+)"/.exec(text)?.[1] ?? 'unknown'
}
