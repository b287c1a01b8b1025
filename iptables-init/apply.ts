import type { Family } from '../core/cidrs.ts'
import type { Comparison } from '../core/rules/canonical.ts'
import { compareRules, printDrift, type Drift, type TableState } from '../core/rules/drift.ts'
import { stepsFor } from '../core/rules/iptables.ts'
import { loadFamily } from '../core/rules/load.ts'
import type { Plan, RuleSet, Step } from '../core/rules/model.ts'
import { hasOurs } from '../core/rules/ours.ts'
import { readRestore } from '../core/rules/read-iptables.ts'
import { printTransaction, savedTables } from '../core/rules/transaction.ts'
import { neededRoutes, routeLines, withRoutes } from './routes.ts'
import type { Run } from './run.ts'
import type { Chosen, Seen, Tool } from './tools.ts'

/** How the rules that stand differ from the plan, family by family. */
export type Standing = {
  readonly family: Family
  readonly chosen: Chosen
  readonly states: readonly TableState[]
  readonly drift: readonly Drift[]
}

/** What an apply may do about rules of ours that stand already. */
export type ApplyHow = {
  /** Repair what differs; otherwise a difference is refused. */
  readonly repairs: boolean
  /** Write the rules even where they are the same. */
  readonly rewrites: boolean
  /** Leave out the test where there is one restore of one table: that is all or nothing by itself. */
  readonly sparesTest?: boolean
  readonly comparison: Comparison
  /** The addresses of the machine; `::6` may be among them. */
  readonly addresses: readonly string[]
  /** The routing table of TPROXY mode. */
  readonly table: number
}

/** What an apply did: nothing to do, or lines that say what was done. */
export type Applied = { readonly changed: boolean; readonly lines: readonly string[] }

/** Compares what stands in one family with what the plan wants there. */
export function standing(
  plan: Plan,
  family: Family,
  chosen: Chosen,
  comparison: Comparison,
): Standing {
  const wanted = loadFamily(plan, family)
  const states = compareRules(wanted, chosen.found, comparison)
  const stray = chosen.stray === undefined ? [] : strayDrift(chosen.stray)
  return { family, chosen, states, drift: [...states.flatMap((state) => state.drift), ...stray] }
}

/**
 * Brings the plan about: everything is tested before anything is written; each family is one restore; a
 * failure takes back what had been done before it. Throws naming the step and the cause.
 */
export async function applyPlan(
  run: Run,
  plan: Plan,
  standings: readonly Standing[],
  how: ApplyHow,
): Promise<Applied> {
  const drifted = standings.flatMap(({ family, drift }) => drift.map((one) => ({ family, one })))
  const shown = drifted.map(({ family, one }) => `IPv${family.slice(1)} ${printDrift(one)}`)
  if (drifted.length > 0 && !how.repairs) {
    throw new Error(
      [
        'compare the rules: rules of ours are there and differ (- missing, + too much, ~ moved)',
        ...shown,
        'nothing was changed; --reconcile repairs it',
      ].join('\n'),
    )
  }
  const work = standings.flatMap((one) => transactions(plan, one, how))
  const needed = await neededRoutes(run, plan, how.addresses)
  const made = routeLines(needed)
  if (work.length === 0 && made.length === 0) return NOTHING_TO_DO
  const isOne = work.length === 1 && work.every(({ text }) => tablesIn(text).length === 1)
  if (how.sparesTest !== true || !isOne) await Promise.all(work.map((one) => testOne(run, one)))
  await withRoutes(run, needed, () => commitAll(run, work))
  const written = work.map(
    ({ tool, verb }) => `IPv${tool.family.slice(1)}: rules ${verb}, ${tool.backend}`,
  )
  return { changed: true, lines: [...shown, ...written, ...made] }
}

/** The answer when everything stands as wanted. */
export const NOTHING_TO_DO: Applied = {
  changed: false,
  lines: ['the rules are there already: nothing to do'],
}

/** Removes everything of ours from the tables of some families, whichever backend holds it. */
export async function cleanRules(run: Run, chosen: readonly Chosen[]): Promise<Applied> {
  const work = chosen.flatMap((one) => {
    return [one, ...(one.stray === undefined ? [] : [one.stray])].flatMap((seen) => removal(seen))
  })
  await Promise.all(work.map((one) => testOne(run, one)))
  await commitAll(run, work)
  return {
    changed: work.length > 0,
    lines: work.map(({ tool }) => `IPv${tool.family.slice(1)}: rules removed, ${tool.backend}`),
  }
}

/** One restore that is to be made, and the state before it. */
type Transaction = {
  readonly tool: Tool
  readonly text: string
  readonly saved: string
  readonly before: RuleSet
  readonly verb: 'written' | 'removed'
}

function transactions(
  plan: Plan,
  { family, chosen, states }: Standing,
  how: ApplyHow,
): Transaction[] {
  const touched = states
    .filter(({ state }) => how.rewrites || state !== 'same')
    .map(({ table }) => table)
  const steps: readonly Step[] = stepsFor(plan, family)
  const text = printTransaction(steps, chosen.found, (table) => touched.includes(table))
  const { tool, saved, found } = chosen
  return [
    ...(text === '' ? [] : [{ tool, text, saved, before: found, verb: 'written' as const }]),
    ...(chosen.stray === undefined ? [] : removal(chosen.stray)),
  ]
}

function removal({ tool, saved, found }: Seen): Transaction[] {
  if (!hasOurs(found)) return []
  return [{ tool, text: printTransaction([], found), saved, before: found, verb: 'removed' }]
}

function strayDrift({ tool, found }: Seen): Drift[] {
  return found.tables.flatMap((table) =>
    table.chains
      .filter((chain) => chain.rules.length > 0 && /^ISTIO[-_]/.test(chain.name))
      .map((chain): Drift => {
        return {
          kind: 'extra',
          table: `${table.name} (${tool.backend})`,
          chain: chain.name,
          rule: '',
        }
      }),
  )
}

async function testOne(run: Run, { tool, text }: Transaction): Promise<void> {
  const { code, stderr } = await run(
    tool.restore,
    [...tool.restoreArgs, '--noflush', '--test'],
    text,
  )
  if (code !== 0) {
    throw new Error(
      `test the rules: ${tool.restore} --test failed with ${code}: ${stderr.trim()}; nothing was changed`,
    )
  }
}

/** Families at once. When one fails, every family goes back to what it was. */
async function commitAll(run: Run, work: readonly Transaction[]): Promise<void> {
  const outcomes = await Promise.all(
    work.map(async ({ tool, text }) => {
      const { code, stderr } = await run(tool.restore, [...tool.restoreArgs, '--noflush'], text)
      return code === 0 ? [] : [`${tool.restore} failed with ${code}: ${stderr.trim()}`]
    }),
  )
  const causes = outcomes.flat()
  if (causes.length === 0) return
  const left = (await Promise.all(work.map((one) => putBack(run, one)))).flat()
  const end =
    left.length === 0 ? 'the rules are as they were before' : `NOT put back: ${left.join('; ')}`
  throw new Error(`write the rules: ${causes.join('; ')}; ${end}`)
}

/** Puts one family back: tables that were there get their saved text, new ones lose what is ours. */
async function putBack(run: Run, { tool, text, saved, before }: Transaction): Promise<string[]> {
  const now = await run(tool.save, [])
  const read = readRestore(now.stdout)
  if (now.code !== 0 || !read.ok)
    return [`${tool.save} failed with ${now.code}: ${now.stderr.trim()}`]
  const touched = tablesIn(text)
  const old = new Set(before.tables.map((table) => table.name))
  const changed = touched.filter((name) => tableText(before, name) !== tableText(read.value, name))
  const restores = [
    {
      args: ['--counters'],
      text: savedTables(
        saved,
        changed.filter((name) => old.has(name)),
      ),
    },
    {
      args: ['--noflush'],
      text: printTransaction([], read.value, (name) => changed.includes(name) && !old.has(name)),
    },
  ]
  const left: string[] = []
  for (const one of restores.filter(({ text: lines }) => lines !== '')) {
    const { code, stderr } = await run(tool.restore, [...tool.restoreArgs, ...one.args], one.text)
    if (code !== 0) left.push(`${tool.restore} failed with ${code}: ${stderr.trim()}`)
  }
  return left
}

/** The tables that a restore writes. */
function tablesIn(text: string): string[] {
  return [...text.matchAll(/^\*(\S+)$/gm)].flatMap(([, name]) => (name === undefined ? [] : [name]))
}

function tableText(set: RuleSet, name: string): string {
  const chains = set.tables.find((table) => table.name === name)?.chains ?? []
  const plain = chains.map((chain) => ({
    name: chain.name,
    rules: chain.rules.map(({ match, then }) => ({ match, then })),
  }))
  return JSON.stringify(
    plain.filter((chain) => chain.rules.length > 0 || /^ISTIO[-_]/.test(chain.name)),
  )
}
