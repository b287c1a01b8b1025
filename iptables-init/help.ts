import { Command, Option } from 'commander'
import type { Command as Name } from '../core/options/argv.ts'
import { ENVIRONMENT, FLAGS, TRACE_FLAGS, type Flag } from '../core/options/flags.ts'

const ABOUT = {
  apply: 'Writes the rules that hand a pod’s traffic to its proxy. Also: verify, trace.',
  verify:
    'Compares the rules in the kernel with what the flags would write. 0 same, 1 differs, 2 unknown.',
  trace: 'Tells where a packet goes and through which rules.',
} as const

/** The help of a command, made from the table of flags. */
export function printHelp(name: Name): string {
  const program = new Command(name === 'apply' ? 'istio-iptables' : `istio-iptables ${name}`)
  program.description(ABOUT[name]).helpOption(false).usage('[flags]')
  const flags: readonly Flag[] = name === 'trace' ? [...TRACE_FLAGS, ...FLAGS] : FLAGS
  for (const flag of flags) if (flag.ignored !== true) program.addOption(optionOf(flag))
  const variables = ENVIRONMENT.map(([variable, byDefault, help]) => {
    return `  ${variable.padEnd(36)} ${help} (default ${JSON.stringify(byDefault)})`
  })
  program.addHelpText('after', `\nEnvironment only:\n${variables.join('\n')}`)
  let text = ''
  program.configureOutput({
    writeOut: (part) => {
      text += part
    },
  })
  program.outputHelp()
  return text
}

function optionOf(flag: Flag): Option {
  const short = flag.short === undefined ? '' : `-${flag.short}, `
  const value = flag.kind === 'switch' ? '' : ` <${flag.kind === 'text' ? 'value' : flag.kind}>`
  const env = flag.env === undefined || flag.env.length === 0 ? '' : ` (env ${flag.env.join(', ')})`
  const byDefault =
    flag.default === undefined || flag.default === '' ? '' : ` (default ${flag.default})`
  return new Option(`${short}--${flag.name}${value}`, `${flag.help}${byDefault}${env}`)
}
