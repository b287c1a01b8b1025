import type { Plan } from '../core/rules/model.ts'
import { printCommands, printRestore, printStep, stepsFor } from '../core/rules/iptables.ts'
import {
  printNftables,
  printNftTransaction,
  nftSteps,
  printNftRule,
} from '../core/rules/nftables.ts'
import type { RunOptions } from '../core/options/argv.ts'

/** What a dry run prints: exactly what the commands would be fed, IPv4 first. */
export function printPlan(plan: Plan, run: RunOptions): string {
  if (run.output === 'json') return `${JSON.stringify(texts(plan))}\n`
  if (run.explain) return explain(plan, run.nativeNftables)
  if (run.nativeNftables) return printNftTransaction(plan)
  return plan.families
    .map((family) => {
      const steps = stepsFor(plan, family)
      const command = family === 'v4' ? 'iptables' : 'ip6tables'
      return run.restoreFormat ? printRestore(steps) : printCommands(steps, command)
    })
    .join('')
}

/** The trace that Istio's tool leaves of a dry run: which commands, and what they are fed. */
export function printDryRunFile(plan: Plan): string {
  const saves = plan.families.map((family) =>
    family === 'v4' ? 'iptables-save' : 'ip6tables-save',
  )
  const rules = plan.families.map((family) => printRestore(stepsFor(plan, family))).join('')
  return `iptables-save\nip6tables-save\n${rules}${saves.join('\n')}\n`
}

/** Texts by command; null where there is nothing to feed. */
function texts(plan: Plan): Readonly<Record<'v4' | 'v6' | 'nft', string | null>> {
  return {
    v4: printRestore(stepsFor(plan, 'v4')) || null,
    v6: printRestore(stepsFor(plan, 'v6')) || null,
    nft: printNftables(plan) || null,
  }
}

function explain(plan: Plan, native: boolean): string {
  if (native) {
    return nftSteps(plan)
      .map((step) =>
        line(step.rule.why, `${step.table} ${step.chain}: ${printNftRule(step.rule, step.bare)}`),
      )
      .join('')
  }
  return plan.families
    .flatMap((family) =>
      stepsFor(plan, family).map((step) => {
        return line(step.rule.why, `IPv${family.slice(1)} ${step.table} ${printStep(step)}`)
      }),
    )
    .join('')
}

function line(why: string | undefined, rule: string): string {
  return `# ${why ?? ''}\n${rule}\n`
}
