import type { Request } from '../core/options/argv.ts'
import type { Owner } from '../core/ids.ts'
import { Refusal, type Problem } from '../core/problem.ts'
import { buildPlan } from '../core/rules/build.ts'
import type { Comparison } from '../core/rules/canonical.ts'
import { cleanRules, type Applied } from './apply.ts'
import { readIds } from './facts.ts'
import { EXIT, type Job, type Streams } from './job.ts'
import { applyRules, setsOf, type Kernel } from './kernel.ts'
import { cleanNative, hasNative } from './native.ts'
import { marksIn, removeRoutes, removeV6Source } from './routes.ts'
import { makeQuickRun, makeRun, type Run, type RunPlace } from './run.ts'
import { chooseTool, findProgram, type Choice } from './tools.ts'

/** Writes, repairs or removes the rules, then checks them with connections if asked. */
export async function applyCommand(
  request: Request,
  prepare: () => Promise<Job>,
  streams: Streams,
): Promise<number> {
  const { run: settings } = request
  if (settings.cleanupOnly) {
    report(await cleanup(request), streams)
    return EXIT.done
  }
  const job = await prepare()
  if (!settings.skipRuleApply) report(await apply(job), streams)
  if (!settings.runValidation) return EXIT.done
  const { validate } = await import('./validate.ts')
  return (await validate(job, streams)) ? EXIT.done : EXIT.invalid
}

/** The runner for a request: in its namespace, and for a CNI plugin with a lock of the namespace's own. */
export function runFor(request: Request, make: (place: RunPlace) => Run = makeRun): Run {
  const { networkNamespace: inside, cniMode } = request.run
  if (inside === undefined) return make({})
  return make({ networkNamespace: inside, ...(cniMode && { env: { XTABLES_LOCKFILE: inside } }) })
}

/** What comparing rules needs of the host: the ids that names stand for. */
export async function comparisonFor(request: Request): Promise<Comparison> {
  const [users, groups] = await Promise.all([readIds('/etc/passwd'), readIds('/etc/group')])
  return { style: request.look.style, users, groups }
}

/** The rules that a request is about. */
export function kernelFor(request: Request, make: (place: RunPlace) => Run = makeRun): Kernel {
  return { run: runFor(request, make), choice: choice(request) }
}

async function apply(job: Job): Promise<Applied> {
  const { request, options, site } = job
  const plan = buildPlan(options, site, request.look)
  const comparison = await comparisonFor(request)
  refuseUnknownNames(job, comparison)
  const { reconcile, forceApply, nativeNftables } = request.run
  return applyRules(kernelFor(request, makeQuickRun), plan, {
    repairs: reconcile || forceApply,
    rewrites: forceApply,
    comparison,
    addresses: site.addresses,
    table: options.tproxy.table,
    native: nativeNftables,
  })
}

/** Removes what is there, whatever flags wrote it; there may be nothing. */
async function cleanup(request: Request): Promise<Applied> {
  const run = runFor(request)
  const nft = findProgram('nft', process.env['PATH'])
  const tools = await Promise.allSettled(
    (['v4', 'v6'] as const).map((family) => chooseTool(run, family, choice(request))),
  )
  const [first] = tools
  if (first?.status === 'rejected' && nft === undefined) throw asError(first.reason)
  const chosen = tools.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  const cleaned = await cleanRules(run, chosen)
  const lines = [...cleaned.lines]
  if (nft !== undefined && (await hasNative(run, nft))) {
    await cleanNative(run, nft)
    lines.push('rules removed, native nftables')
  }
  const { mark, table } = request.options.tproxy
  if (findProgram('ip', process.env['PATH']) !== undefined) {
    const marks = [...new Set([mark, ...marksIn(setsOf(chosen))])]
    if ((await removeRoutes(run, ['v4', 'v6'], { marks, table })) > 0)
      lines.push('routes of TPROXY removed')
    await removeV6Source(run)
  }
  return {
    changed: lines.length > 0,
    lines: lines.length > 0 ? lines : ['nothing of ours was there'],
  }
}

function choice(request: Request): Choice {
  const { forceBinary, networkNamespace } = request.run
  return {
    ...(forceBinary !== undefined && { forced: forceBinary }),
    path: process.env['PATH'],
    isLocal: networkNamespace === undefined,
  }
}

/** A name that the host does not know would only fail in the middle of a restore. */
function refuseUnknownNames({ options, request }: Job, known: Comparison): void {
  const unknown = (
    path: string,
    owners: readonly Owner[],
    ids: Readonly<Record<string, number>>,
  ): Problem[] =>
    owners
      .filter((owner): owner is string => typeof owner === 'string' && !Object.hasOwn(ids, owner))
      .map((got) => ({ path, got, want: 'a name that this host knows, or a number' }))
  const groups = request.gidsFollowUids ? '--proxy-gid (from --proxy-uid)' : '--proxy-gid'
  const included = options.ownerGroups === '*' ? [] : options.ownerGroups
  const problems = [
    ...unknown('--proxy-uid', options.proxyUids, known.users),
    ...unknown(groups, options.proxyGids, known.groups),
    ...unknown('ISTIO_OUTBOUND_OWNER_GROUPS', included, known.groups),
    ...unknown('ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE', options.excludeOwnerGroups, known.groups),
  ]
  if (problems.length > 0) throw new Refusal(problems)
}

function report(applied: Applied, streams: Streams): void {
  for (const line of applied.lines) streams.log(line)
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason))
}
