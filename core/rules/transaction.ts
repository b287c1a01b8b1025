import { declared, printRule, printStep } from './iptables.ts'
import type { RuleSet, Step, Table } from './model.ts'
import { isOurChain } from './names.ts'
import { hasOurs, isOurRule } from './ours.ts'

/**
 * Restore text that turns the tables as they were found into the wanted ones: our old rules and chains go,
 * the new ones come, all in one commit a table. Rules that are not ours stay where they are. `only` names
 * the tables to touch; a table that needs nothing is left out. Empty text means nothing to do.
 */
export function printTransaction(
  wanted: readonly Step[],
  found: RuleSet,
  only: (table: string) => boolean = () => true,
): string {
  const names = [
    ...new Set([...wanted.map((step) => step.table), ...found.tables.map((one) => one.name)]),
  ]
  return names
    .sort()
    .filter(only)
    .map((name) => {
      const steps = wanted.filter((step) => step.table === name)
      const table = found.tables.find((one) => one.name === name) ?? { name, chains: [] }
      const lines = tableLines(steps, table, hasOurs(found))
      return lines.length === 0 ? '' : `*${name}\n${lines.join('\n')}\nCOMMIT\n`
    })
    .join('')
}

function tableLines(steps: readonly Step[], found: Table, hasChains: boolean): string[] {
  const made = declared(steps)
  const old = found.chains
    .map((chain) => chain.name)
    .filter((name) => isOurChain(name) && !made.includes(name))
  return [
    ...made.map((chain) => `:${chain} - [0:0]`),
    ...old.map((chain) => `-F ${chain}`),
    ...removals(found, hasChains),
    ...old.map((chain) => `-X ${chain}`),
    ...steps.map(printStep),
  ]
}

/** Deletions of our rules in chains that are not ours. Where we have no chain, only jumps are ours. */
function removals(found: Table, hasChains: boolean): string[] {
  return found.chains
    .filter((chain) => !isOurChain(chain.name))
    .flatMap((chain) =>
      chain.rules
        .filter((rule) => isOurRule(hasChains, chain.name, rule))
        .map((rule) => `-D ${chain.name} ${printRule(rule)}`),
    )
}

/** The text of some tables out of what `iptables-save` printed, fit to put them back as they were. */
export function savedTables(save: string, names: readonly string[]): string {
  return save
    .split(/^(?=\*)/m)
    .filter((section) => names.includes(/^\*\s*(\S+)/.exec(section)?.[1] ?? ''))
    .join('')
}
