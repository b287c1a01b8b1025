import { REPAIR_SETTINGS } from '../repair/settings.ts'
import { flagOf } from './setting.ts'
import { PLATFORMS } from './platform.ts'
import { SETTINGS } from './table.ts'

/** The help of the program. */
export function printHelp(): string {
  const rows = SETTINGS.map((setting) => {
    const value = setting.kind === 'switch' ? '' : ' <value>'
    const byDefault = setting.default === '' ? '' : ` (default ${setting.default})`
    return `  ${`${flagOf(setting)}${value}`.padEnd(38)} ${setting.help}${byDefault}\n`
  })
  return [
    'Usage: install-cni [install | uninstall | detect] [flags]\n\n',
    'install     put the CNI plugin on this node, and keep it there (the default)\n',
    'uninstall   take it off this node, and end\n',
    'detect      print where the CNI files of this node are\n\n',
    'Each flag has an environment variable: --node-name is NODE_NAME.\n\n',
    ...rows,
    '\nEnvironment only:\n',
    ...REPAIR_SETTINGS.map(({ env, default: byDefault, help }) => {
      return `  ${env.padEnd(43)} ${help}${byDefault === '' ? '' : ` (default ${byDefault})`}\n`
    }),
  ].join('')
}

/** The tables of the reference page, by their headings. */
export function pageTables(): Readonly<Record<'Settings' | 'Repair' | 'Platforms', string>> {
  return {
    Settings: table(
      ['flag', 'environment', 'default', 'meaning'],
      SETTINGS.map((setting) => [
        code(flagOf(setting)),
        code(setting.env),
        code(setting.default),
        setting.help,
      ]),
    ),
    Repair: table(
      ['environment', 'default', 'meaning'],
      REPAIR_SETTINGS.map(({ env, default: byDefault, help }) => [
        code(env),
        code(byDefault),
        help,
      ]),
    ),
    Platforms: table(
      ['platform', 'executables', 'configuration', 'told by', 'note'],
      PLATFORMS.map(({ name, binDir, netDir, mark, note }) => {
        return [code(name), code(binDir), code(netDir), code(mark ?? ''), note]
      }),
    ),
  }
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

function code(text: string): string {
  return text === '' ? '' : `\`${text}\``
}
