import { ENVIRONMENT, FLAGS, TRACE_FLAGS, type Flag } from './flags.ts'

/** The tables of the reference page for `istio-iptables`, as Markdown, by their headings. */
export function flagTables(): Readonly<
  Record<'Flags' | 'Environment only' | 'Flags of trace', string>
> {
  return {
    Flags: table(['flag', 'short', 'environment', 'default', 'meaning'], FLAGS.map(flagRow)),
    'Environment only': table(
      ['variable', 'default', 'meaning'],
      ENVIRONMENT.map(([name, byDefault, help]) => [code(name), code(byDefault), help]),
    ),
    'Flags of trace': table(
      ['flag', 'short', 'environment', 'default', 'meaning'],
      TRACE_FLAGS.map(flagRow),
    ),
  }
}

function flagRow(flag: Flag): string[] {
  const short = flag.short === undefined ? '' : code(`-${flag.short}`)
  const env = (flag.env ?? []).map(code).join(', ')
  return [code(`--${flag.name}`), short, env, code(flag.default ?? ''), flag.help]
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

function code(text: string): string {
  return text === '' ? '' : `\`${text}\``
}
