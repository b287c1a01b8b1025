import type { Family } from '../core/cidrs.ts'
import { chainsOf, type Rule, type RuleSet } from '../core/rules/model.ts'
import { readRestore } from '../core/rules/read-iptables.ts'
import { readNft } from '../core/rules/read-nft.ts'
import type { Run } from '../iptables-init/run.ts'
import { chooseTool, findProgram } from '../iptables-init/tools.ts'
import { ROOT, type Lab } from './lab.ts'
import { ok } from './sidecar.ts'

/** Reads the rules of the pod with their counters, as one family meets them. */
export type ReadRules = (family: Family) => Promise<RuleSet>

/** How rules stand in the kernel: for iptables, in whichever backend holds ours; or in nft tables of our own. */
export async function readerOf(lab: Lab, how: 'iptables' | 'native'): Promise<ReadRules> {
  const run: Run = (file, args, stdin = '') => lab.run('pod', ROOT, file, args, { input: stdin })
  const path = process.env['PATH']
  if (how === 'native') {
    const nft = findProgram('nft', path) ?? 'nft'
    return async () => ok(readNft(await said(run, nft, ['list', 'ruleset'])))
  }
  const tools = await Promise.all(
    (['v4', 'v6'] as const).map((family) => chooseTool(run, family, { path, isLocal: false })),
  )
  return async (family) => {
    const tool = tools.find((one) => one.tool.family === family)?.tool
    return tool === undefined ? { tables: [] } : ok(readRestore(await said(run, tool.save, ['-c'])))
  }
}

async function said(run: Run, file: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run(file, args)
  if (code !== 0) throw new Error(`${file} ended with ${code}: ${stderr}`)
  return stdout
}

/** A rule that packets met between two readings. */
export type Grown = {
  readonly table: string
  readonly chain: string
  /** 1 is the first rule of the chain. */
  readonly place: number
  readonly rule: Rule
  readonly before: number
  readonly after: number
}

/** The rules whose packet counters grew, in the order in which they stand. */
export function grownRules(before: RuleSet, after: RuleSet): readonly Grown[] {
  return after.tables.flatMap((table) =>
    table.chains.flatMap((chain) =>
      chain.rules.flatMap((rule, index): Grown[] => {
        const old = chainsOf(before, table.name).find(({ name }) => name === chain.name)
        const then = old?.rules[index]?.counted?.packets ?? 0
        const now = rule.counted?.packets ?? 0
        const at = { table: table.name, chain: chain.name, place: index + 1 }
        return now === then ? [] : [{ ...at, rule, before: then, after: now }]
      }),
    ),
  )
}
