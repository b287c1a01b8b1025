import type { Family } from '../core/cidrs.ts'
import { isArray, isObject } from '../core/json.ts'
import type { MarkRoute, Plan, RuleSet } from '../core/rules/model.ts'
import type { Run } from './run.ts'

/** What the proxy dials IPv6 applications from; IPv4 needs no address, all of 127.0.0.0/8 is there. */
const V6_SOURCE = '::6'

/** What a plan needs besides its rules and does not find. */
export type NeededRoutes = { readonly routes: readonly MarkRoute[]; readonly needsAddress: boolean }

/** The routes of a plan that are missing in part or whole, and whether `::6` is. `addresses` are the host's. */
export async function neededRoutes(
  run: Run,
  plan: Plan,
  addresses: readonly string[],
): Promise<NeededRoutes> {
  const has = addresses.some((address) => address.replace(/\/.*$/, '') === V6_SOURCE)
  const missing = await Promise.all(
    plan.routes.map(async (route) => {
      const [rules, isLocal] = await Promise.all([
        markRules(run, route.family),
        hasLocalRoute(run, route),
      ])
      return isLocal && rules.some((rule) => isSameRule(rule, route)) ? [] : [route]
    }),
  )
  return { routes: missing.flat(), needsAddress: plan.needsV6Source && !has }
}

/** Makes what is needed, then commits the rules; when that fails, takes back what was made. */
export async function withRoutes<T>(
  run: Run,
  needed: NeededRoutes,
  commit: () => Promise<T>,
): Promise<T> {
  const undo: Undo[] = []
  try {
    if (needed.needsAddress) await addV6Source(run, undo)
    for (const route of needed.routes) await addRoute(run, route, undo)
    return await commit()
  } catch (error) {
    const left = await takeBack(run, undo)
    if (left.length === 0) throw error
    const cause = error instanceof Error ? error.message : String(error)
    throw new Error(`${cause}\nnot taken back: ${left.join('; ')}`, { cause: error })
  }
}

/** Lines that say what was made. */
export function routeLines({ routes, needsAddress }: NeededRoutes): string[] {
  return [
    ...routes.map(({ family, mark, table }) => {
      return `IPv${family.slice(1)}: packets with mark ${mark} are delivered locally, table ${table}`
    }),
    ...(needsAddress ? [`IPv6: address ${V6_SOURCE} added to lo`] : []),
  ]
}

/** How to take back one thing that was done. */
type Undo = { readonly what: string; readonly args: readonly string[] }

/** Puts `::6` on the loopback interface. Being there already is fine. */
async function addV6Source(run: Run, undo: Undo[]): Promise<void> {
  const { code, stderr } = await run('ip', [
    '-6',
    'address',
    'add',
    `${V6_SOURCE}/128`,
    'dev',
    'lo',
  ])
  if (code === 0) {
    const args = ['-6', 'address', 'del', `${V6_SOURCE}/128`, 'dev', 'lo']
    undo.push({ what: `address ${V6_SOURCE}`, args })
  } else if (!/exists|already assigned/.test(stderr)) {
    throw new Error(`add address ${V6_SOURCE}: ip failed with ${code}: ${stderr.trim()}`)
  }
}

/** Adds what a route lacks: the rule for the mark, and the local route in its table. Never a second time. */
async function addRoute(run: Run, route: MarkRoute, undo: Undo[]): Promise<void> {
  const rules = await markRules(run, route.family)
  const rule = ['fwmark', `${route.mark}`, 'lookup', `${route.table}`]
  if (!rules.some((one) => isSameRule(one, route))) {
    await change(run, route.family, ['rule', 'add', ...rule])
    undo.push({ what: 'routing rule', args: [flag(route.family), 'rule', 'del', ...rule] })
  }
  if (await hasLocalRoute(run, route)) return
  const local = ['local', 'default', 'dev', 'lo', 'table', `${route.table}`]
  await change(run, route.family, ['route', 'add', ...local])
  undo.push({ what: 'route', args: [flag(route.family), 'route', 'del', ...local] })
}

/**
 * Removes routing rules that TPROXY left: those with one of some marks whose table delivers everything
 * locally, and that route. Other rules stay. Returns how many rules and routes went.
 */
export async function removeRoutes(
  run: Run,
  families: readonly Family[],
  left: { readonly marks: readonly number[]; readonly table: number },
): Promise<number> {
  const counts = await Promise.all(families.map((family) => removeFamilyRoutes(run, family, left)))
  return counts.reduce((sum, count) => sum + count, 0)
}

async function removeFamilyRoutes(
  run: Run,
  family: Family,
  left: { readonly marks: readonly number[]; readonly table: number },
): Promise<number> {
  const rules = (await markRules(run, family)).filter(({ mark }) => left.marks.includes(mark))
  const tables = [...new Set([left.table, ...rules.map(({ table }) => table)])]
  const ours: number[] = []
  for (const table of tables) if (await hasLocalRoute(run, { family, table })) ours.push(table)
  const stale = rules.filter(({ table }) => table === left.table || ours.includes(table))
  for (const { mark, table } of stale) {
    await change(run, family, ['rule', 'del', 'fwmark', `${mark}`, 'lookup', `${table}`])
  }
  for (const table of ours) {
    await change(run, family, [
      'route',
      'del',
      'local',
      'default',
      'dev',
      'lo',
      'table',
      `${table}`,
    ])
  }
  return stale.length + ours.length
}

/** The marks that TPROXY rules set, as they were found. */
export function marksIn(sets: readonly RuleSet[]): number[] {
  const rules = sets.flatMap((set) =>
    set.tables.flatMap(({ chains }) => chains.flatMap((one) => one.rules)),
  )
  return [...new Set(rules.flatMap(({ then }) => (then.do === 'tproxy' ? [then.mark] : [])))]
}

/** Removes the routes of TPROXY rules that were found, when the plan has none any more. Lines for the log. */
export async function dropStaleRoutes(
  run: Run,
  plan: Plan,
  found: readonly RuleSet[],
  table: number,
): Promise<string[]> {
  const marks = marksIn(found)
  if (plan.routes.length > 0 || marks.length === 0) return []
  return (await removeRoutes(run, plan.families, { marks, table })) > 0
    ? ['routes of TPROXY removed']
    : []
}

/** Takes `::6` off the loopback interface, if it is there. */
export async function removeV6Source(run: Run): Promise<void> {
  const { code, stderr } = await run('ip', [
    '-6',
    'address',
    'del',
    `${V6_SOURCE}/128`,
    'dev',
    'lo',
  ])
  if (code !== 0 && !/Cannot assign|not found|No such/.test(stderr)) {
    throw new Error(`remove address ${V6_SOURCE}: ip failed with ${code}: ${stderr.trim()}`)
  }
}

/** Takes back what was done, last first. Returns what could not be taken back. */
async function takeBack(run: Run, undo: readonly Undo[]): Promise<string[]> {
  const left: string[] = []
  for (const { what, args } of [...undo].reverse()) {
    const { code, stderr } = await run('ip', args)
    if (code !== 0) left.push(`${what}: ${stderr.trim()}`)
  }
  return left
}

type MarkRule = { readonly mark: number; readonly table: number }

function isSameRule(rule: MarkRule, route: MarkRoute): boolean {
  return rule.mark === route.mark && rule.table === route.table
}

async function markRules(run: Run, family: Family): Promise<MarkRule[]> {
  const { code, stdout, stderr } = await run('ip', [flag(family), '-json', '-N', 'rule', 'show'])
  if (code !== 0) throw new Error(`read routing rules: ip failed with ${code}: ${stderr.trim()}`)
  return list(stdout).flatMap((rule) => {
    const mark = Number(rule['fwmark'] ?? NaN)
    const table = Number(rule['table'] ?? NaN)
    return Number.isInteger(mark) && Number.isInteger(table) ? [{ mark, table }] : []
  })
}

/** A table that nobody has used yet is an error for `ip`; it has no route. */
async function hasLocalRoute(
  run: Run,
  { family, table }: Pick<MarkRoute, 'family' | 'table'>,
): Promise<boolean> {
  const { code, stdout } = await run('ip', [
    flag(family),
    '-json',
    'route',
    'show',
    'table',
    `${table}`,
  ])
  if (code !== 0) return false
  return list(stdout).some(
    (route) => route['type'] === 'local' && route['dst'] === 'default' && route['dev'] === 'lo',
  )
}

async function change(run: Run, family: Family, args: readonly string[]): Promise<void> {
  const { code, stderr } = await run('ip', [flag(family), ...args])
  if (code !== 0 && !stderr.includes('File exists')) {
    throw new Error(`set up routes: ip ${args.join(' ')} failed with ${code}: ${stderr.trim()}`)
  }
}

function flag(family: Family): string {
  return family === 'v4' ? '-4' : '-6'
}

function list(text: string): Record<string, unknown>[] {
  try {
    const value: unknown = JSON.parse(text === '' ? '[]' : text)
    return isArray(value) ? value.filter(isObject) : []
  } catch {
    return []
  }
}
