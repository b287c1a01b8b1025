import { NFT_TABLES } from '../core/constants.ts'
import type { Comparison } from '../core/rules/canonical.ts'
import { compareRules, printDrift, type Drift } from '../core/rules/drift.ts'
import { load } from '../core/rules/load.ts'
import type { Plan, RuleSet } from '../core/rules/model.ts'
import { inStyle } from '../core/rules/names.ts'
import {
  nftTransactionSteps,
  printNftCleanup,
  printNftTransaction,
} from '../core/rules/nftables.ts'
import { readNft } from '../core/rules/read-nft.ts'
import { NOTHING_TO_DO, type Applied } from './apply.ts'
import { dropStaleRoutes, neededRoutes, routeLines, withRoutes } from './routes.ts'
import type { Run } from './run.ts'

/** The rules of our nftables tables. */
export async function seeNative(run: Run, nft: string): Promise<RuleSet> {
  return (await seeRuleset(run, nft)).own
}

/** The rules of our nftables tables, and whether iptables' nft backend holds chains of ours too. */
export async function seeRuleset(
  run: Run,
  nft: string,
): Promise<{ readonly own: RuleSet; readonly hasIptables: boolean }> {
  const { code, stdout, stderr } = await run(nft, ['list', 'ruleset'])
  if (code !== 0)
    throw new Error(`read the rules: nft list ruleset failed with ${code}: ${stderr.trim()}`)
  const read = readNft(stdout)
  return {
    own: read.ok ? read.value : { tables: [] },
    hasIptables: /^\s*chain ISTIO[-_]/m.test(stdout),
  }
}

/** Whether any table of ours is there, by name only. */
export async function hasNative(run: Run, nft: string): Promise<boolean> {
  const { code, stdout } = await run(nft, ['list', 'tables', 'inet'])
  const names = stdout.split('\n').map((line) => line.trim().split(' ').at(-1) ?? '')
  return code === 0 && Object.values(NFT_TABLES).some((name) => names.includes(name))
}

/** How the nftables tables differ from what the plan wants. */
export function nativeDrift(
  plan: Plan,
  found: RuleSet,
  comparison: Comparison,
): {
  readonly isClean: boolean
  readonly isSame: boolean
  readonly drift: readonly Drift[]
} {
  const states = compareRules(wantedNative(plan), found, { ...comparison, style: 'hyphen' })
  return {
    isClean: states.every(({ state }) => state === 'clean') && found.tables.length === 0,
    isSame: states.every(({ state }) => state === 'same'),
    drift: states.flatMap(({ drift }) => drift),
  }
}

/** The plan as it stands in our nftables tables, with the chain names that reading gives. */
export function wantedNative(plan: Plan): RuleSet {
  const steps = nftTransactionSteps(plan).map((step) => ({
    ...step,
    chain: inStyle(step.chain, 'hyphen'),
  }))
  const set = load(steps)
  return {
    tables: set.tables.map((table) => ({
      ...table,
      chains: table.chains.map((chain) => ({ ...chain, name: inStyle(chain.name, 'hyphen') })),
    })),
  }
}

/** Replaces our tables in one transaction, checked before: everything or nothing. */
export async function applyNative(
  run: Run,
  nft: string,
  plan: Plan,
  found: RuleSet,
  how: {
    readonly rewrites: boolean
    readonly comparison: Comparison
    readonly addresses: readonly string[]
    readonly table: number
  },
): Promise<Applied> {
  const { isSame, drift } = nativeDrift(plan, found, how.comparison)
  const needed = await neededRoutes(run, plan, how.addresses)
  const made = routeLines(needed)
  const writes = !isSame || how.rewrites
  if (!writes && made.length === 0) return NOTHING_TO_DO
  const text = printNftTransaction(plan)
  if (writes) await feed(run, nft, text, 'test the rules', ['--check'])
  await withRoutes(run, needed, async () => {
    if (writes) await feed(run, nft, text, 'write the rules', [])
  })
  const written = writes ? ['rules written, native nftables'] : []
  const dropped = await dropStaleRoutes(run, plan, [found], how.table)
  return { changed: true, lines: [...drift.map(printDrift), ...written, ...made, ...dropped] }
}

/** Removes our tables; it is no error when there are none. */
export async function cleanNative(run: Run, nft: string): Promise<void> {
  await feed(run, nft, printNftCleanup(), 'remove the rules', [])
}

async function feed(
  run: Run,
  nft: string,
  text: string,
  step: string,
  args: readonly string[],
): Promise<void> {
  const { code, stderr } = await run(nft, [...args, '-f', '-'], text)
  if (code !== 0) {
    throw new Error(`${step}: nft failed with ${code}: ${stderr.trim()}; nothing was changed`)
  }
}
