import type { Lab } from './lab.ts'

/** What a pod's namespace holds: rules of every backend by family and table, routing rules, `::6`. */
export type Snapshot = Readonly<Record<string, string>>

const SAVES = ['iptables-nft', 'ip6tables-nft', 'iptables-legacy', 'ip6tables-legacy'] as const

/** Takes down everything that an apply may change. Counters and dates are left out, empty tables too. */
export function snapshot(lab: Lab): Snapshot {
  const state: Record<string, string> = {}
  for (const tool of SAVES) {
    const { stdout } = lab.run('pod', `${tool}-save`, [])
    for (const section of stdout.split(/^(?=\*)/m).filter((one) => one.startsWith('*'))) {
      const lines = section.split('\n').map((line) => line.replace(/ \[\d+:\d+\]$/, ''))
      const kept = lines.filter((line) => /^(-A|:ISTIO)/.test(line))
      if (kept.length > 0) state[`${tool} ${lines[0] ?? ''}`] = kept.join('\n')
    }
  }
  const ruleset = lab.run('pod', 'nft', ['list', 'ruleset', 'inet']).stdout
  if (ruleset !== '') state['nft'] = ruleset.replace(/ packets \d+ bytes \d+/g, '')
  const words = (...args: readonly string[]): string => lab.run('pod', 'ip', args).stdout
  state['routing rules'] = `${words('-4', 'rule')}${words('-6', 'rule')}`
  state['loopback'] = words('-6', '-brief', 'address', 'show', 'lo').trim()
  return state
}
