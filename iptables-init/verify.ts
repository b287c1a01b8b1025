import { buildPlan } from '../core/rules/build.ts'
import { printDrift, type Drift } from '../core/rules/drift.ts'
import { standing } from './apply.ts'
import { chooseTools, comparisonFor, demandNft, runFor } from './apply-command.ts'
import type { Job, Streams } from './job.ts'
import { nativeDrift, seeNative } from './native.ts'
import { neededRoutes } from './routes.ts'

/** Exit statuses of `verify`. */
const SAME = 0
const DIFFERS = 1
const UNKNOWN = 2

/** One difference, and where it stands. */
type Found = Drift & { readonly family: 'v4' | 'v6' | 'both' }

/** Compares what stands in the kernel with what the flags would write. Changes nothing. */
export async function verifyCommand(job: Job, streams: Streams): Promise<number> {
  const { output } = job.request.run
  try {
    const drift = await findDrift(job)
    if (output === 'json') streams.out(`${JSON.stringify({ same: drift.length === 0, drift })}\n`)
    else
      for (const one of drift)
        streams.out(`${one.family === 'both' ? 'nft' : one.family} ${printDrift(one)}\n`)
    streams.log(drift.length === 0 ? 'the rules are as wanted' : `${drift.length} differences`)
    return drift.length === 0 ? SAME : DIFFERS
  } catch (error) {
    streams.log(`error: ${error instanceof Error ? error.message : String(error)}`)
    return UNKNOWN
  }
}

async function findDrift(job: Job): Promise<Found[]> {
  const { request, options, site } = job
  const run = runFor(request)
  const plan = buildPlan(options, site, request.look)
  const comparison = await comparisonFor(request)
  const needed = await neededRoutes(run, plan, site.addresses)
  const routes = needed.routes.map(({ family, mark, table }): Found => {
    const rule = `fwmark ${mark} lookup ${table}, local default dev lo`
    return { family, kind: 'missing', table: 'route', chain: `${table}`, rule }
  })
  if (request.run.nativeNftables) {
    const { drift, isClean } = nativeDrift(plan, await seeNative(run, demandNft()), comparison)
    const absent: Drift = { kind: 'missing', table: 'all', chain: 'all', rule: '' }
    return [
      ...(isClean ? [absent] : drift).map((one): Found => ({ ...one, family: 'both' })),
      ...routes,
    ]
  }
  const chosen = await chooseTools(run, request, plan)
  const rules = chosen.flatMap((one) => {
    const { family } = one.tool
    const { states, drift } = standing(plan, family, one, comparison)
    const clean = states.filter(({ state }) => state === 'clean')
    return [
      ...clean.map(({ table }): Found => ({
        family,
        kind: 'missing',
        table,
        chain: 'all',
        rule: '',
      })),
      ...drift.map((found): Found => ({ ...found, family })),
    ]
  })
  return [...rules, ...routes]
}
