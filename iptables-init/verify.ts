import { buildPlan } from '../core/rules/build.ts'
import { printDrift } from '../core/rules/drift.ts'
import { comparisonFor, kernelFor } from './apply-command.ts'
import type { Job, Streams } from './job.ts'
import { findDrift, type Found } from './kernel.ts'

/** Exit statuses of `verify`. */
const SAME = 0
const DIFFERS = 1
const UNKNOWN = 2

/** Compares what stands in the kernel with what the flags would write. Changes nothing. */
export async function verifyCommand(job: Job, streams: Streams): Promise<number> {
  const { output } = job.request.run
  try {
    const drift = await driftOf(job)
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

async function driftOf({ request, options, site }: Job): Promise<Found[]> {
  return findDrift(kernelFor(request), buildPlan(options, site, request.look), {
    comparison: await comparisonFor(request),
    addresses: site.addresses,
    native: request.run.nativeNftables,
  })
}
