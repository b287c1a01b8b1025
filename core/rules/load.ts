import type { Family } from '../cidrs.ts'
import { declared, stepsFor } from './iptables.ts'
import type { Chain, Plan, Rule, RuleSet, Step } from './model.ts'

/** The rules of one family as they stand once the steps have been taken, as iptables orders them. */
export function loadFamily(plan: Plan, family: Family): RuleSet {
  return load(stepsFor(plan, family))
}

/** The rules as they stand once the steps have been taken in empty tables. */
export function load(steps: readonly Step[]): RuleSet {
  const tables = [...new Set(steps.map((step) => step.table))].sort()
  return {
    tables: tables.map((name) => {
      const own = steps.filter((step) => step.table === name)
      const chains = [...new Set([...own.map((step) => step.chain), ...declared(own)])]
      return { name, chains: chains.map((chain) => loadChain(own, chain)) }
    }),
  }
}

function loadChain(steps: readonly Step[], name: string): Chain {
  const rules: Rule[] = []
  for (const step of steps) {
    if (step.chain !== name) continue
    rules.splice(step.at === undefined ? rules.length : step.at - 1, 0, step.rule)
  }
  return { name, rules }
}
