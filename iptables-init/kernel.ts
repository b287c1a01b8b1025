import type { Family } from '../core/cidrs.ts'
import type { Comparison } from '../core/rules/canonical.ts'
import type { Drift } from '../core/rules/drift.ts'
import type { Plan, RuleSet } from '../core/rules/model.ts'
import { hasOurs } from '../core/rules/ours.ts'
import { applyPlan, cleanRules, standing, type Applied, type ApplyHow } from './apply.ts'
import {
  applyNative,
  cleanNative,
  hasNative,
  nativeDrift,
  seeNative,
  seeRuleset,
} from './native.ts'
import { dropStaleRoutes, neededRoutes } from './routes.ts'
import type { Run } from './run.ts'
import { chooseTool, findProgram, legacyIsEmpty, type Choice, type Chosen } from './tools.ts'

/** The rules of one network namespace: how programs run there, and which are taken. */
export type Kernel = { readonly run: Run; readonly choice: Choice }

/** The tools of some families. */
export async function chooseTools(
  { run, choice }: Kernel,
  families: readonly Family[],
): Promise<Chosen[]> {
  return Promise.all(families.map((family) => chooseTool(run, family, choice)))
}

/** The nft program; refused with the reason when it is missing. */
export function demandNft({ choice }: Pick<Kernel, 'choice'>): string {
  const nft = findProgram('nft', choice.path)
  if (nft === undefined) throw new Error('find the tools: nft is not in PATH')
  return nft
}

/** Brings a plan about, in iptables or in tables of nft that are our own; what the other holds of ours goes. */
export async function applyRules(
  kernel: Kernel,
  plan: Plan,
  how: ApplyHow & { readonly native: boolean },
): Promise<Applied> {
  return how.native ? applyInNft(kernel, plan, how) : applyInIptables(kernel, plan, how)
}

async function applyInIptables(kernel: Kernel, plan: Plan, how: ApplyHow): Promise<Applied> {
  const { run, choice } = kernel
  const nft = findProgram('nft', choice.path)
  const [chosen, isInNative] = await Promise.all([
    chooseTools(kernel, plan.families),
    nft === undefined ? false : hasNative(run, nft),
  ])
  if (isInNative && !how.repairs) {
    throw new Error(
      'compare the rules: native nftables tables of ours are there; nothing was changed; --reconcile removes them',
    )
  }
  const standings = chosen.map((one) => standing(plan, one.tool.family, one, how.comparison))
  const applied = await applyPlan(run, plan, standings, how)
  const lines = [...applied.lines]
  if (isInNative && nft !== undefined) {
    await cleanNative(run, nft)
    lines.push('rules removed, native nftables')
  }
  if (how.repairs) lines.push(...(await dropStaleRoutes(run, plan, setsOf(chosen), how.table)))
  return { changed: applied.changed || isInNative, lines }
}

/** Rules of ours in iptables would take the packets a second time: they go, or they stop us. */
async function applyInNft(kernel: Kernel, plan: Plan, how: ApplyHow): Promise<Applied> {
  const { run } = kernel
  const nft = demandNft(kernel)
  const { own, hasIptables } = await seeRuleset(run, nft)
  const others = await iptablesWithOurs(kernel, hasIptables)
  if (others.length > 0 && !how.repairs) {
    throw new Error(
      'compare the rules: iptables rules of ours are there; nothing was changed; --reconcile removes them',
    )
  }
  const applied = await applyNative(run, nft, plan, own, how)
  const cleaned = await cleanRules(run, others)
  return {
    changed: applied.changed || cleaned.changed,
    lines: [...applied.lines, ...cleaned.lines],
  }
}

/** The iptables backends that hold rules of ours; asked only where there may be some. */
async function iptablesWithOurs({ run, choice }: Kernel, hasNft: boolean): Promise<Chosen[]> {
  const families = ['v4', 'v6'] as const
  const chosen = await Promise.all(
    families.map(async (family) =>
      hasNft || !(await legacyIsEmpty(run, family, choice.isLocal))
        ? chooseTool(run, family, choice).catch(() => undefined)
        : undefined,
    ),
  )
  return chosen.flatMap((one) =>
    one !== undefined && (hasOurs(one.found) || one.stray !== undefined) ? [one] : [],
  )
}

/** The rules that were found, of every backend. */
export function setsOf(chosen: readonly Chosen[]): RuleSet[] {
  return chosen.flatMap(({ found, stray }) => [
    found,
    ...(stray === undefined ? [] : [stray.found]),
  ])
}

/** One difference, and where it stands. A whole table that is missing has the chain `all` and no rule. */
export type Found = Drift & { readonly family: 'v4' | 'v6' | 'both' }

/** How the rules and routes that stand differ from a plan. Changes nothing. */
export async function findDrift(
  kernel: Kernel,
  plan: Plan,
  how: Pick<ApplyHow, 'comparison' | 'addresses'> & { readonly native: boolean },
): Promise<Found[]> {
  const { run } = kernel
  const needed = await neededRoutes(run, plan, how.addresses)
  const routes = needed.routes.map(({ family, mark, table }): Found => {
    const rule = `fwmark ${mark} lookup ${table}, local default dev lo`
    return { family, kind: 'missing', table: 'route', chain: `${table}`, rule }
  })
  const rules = how.native
    ? await driftInNft(kernel, plan, how.comparison)
    : await driftInIptables(kernel, plan, how.comparison)
  return [...rules, ...routes]
}

async function driftInNft(kernel: Kernel, plan: Plan, comparison: Comparison): Promise<Found[]> {
  const found = await seeNative(kernel.run, demandNft(kernel))
  const { drift, isClean } = nativeDrift(plan, found, comparison)
  const absent: Drift = { kind: 'missing', table: 'all', chain: 'all', rule: '' }
  return [...(isClean ? [absent] : drift).map((one): Found => ({ ...one, family: 'both' }))]
}

async function driftInIptables(
  kernel: Kernel,
  plan: Plan,
  comparison: Comparison,
): Promise<Found[]> {
  const chosen = await chooseTools(kernel, plan.families)
  return chosen.flatMap((one) => {
    const { family } = one.tool
    const { states, drift } = standing(plan, family, one, comparison)
    const clean = states.filter(({ state }) => state === 'clean')
    return [
      ...clean.map(({ table }): Found => {
        return { family, kind: 'missing', table, chain: 'all', rule: '' }
      }),
      ...drift.map((found): Found => ({ ...found, family })),
    ]
  })
}
