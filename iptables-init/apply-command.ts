import type { Request } from '../core/options/argv.ts'
import type { Owner } from '../core/ids.ts'
import { Refusal, type Problem } from '../core/problem.ts'
import { buildPlan } from '../core/rules/build.ts'
import type { Comparison } from '../core/rules/canonical.ts'
import type { Plan, RuleSet } from '../core/rules/model.ts'
import { hasOurs } from '../core/rules/ours.ts'
import { applyPlan, cleanRules, standing, type Applied, type ApplyHow } from './apply.ts'
import { readIds } from './facts.ts'
import { EXIT, type Job, type Streams } from './job.ts'
import { applyNative, cleanNative, hasNative, seeRuleset } from './native.ts'
import { dropStaleRoutes, marksIn, removeRoutes, removeV6Source } from './routes.ts'
import { makeQuickRun, makeRun, type Run, type RunPlace } from './run.ts'
import { chooseTool, findProgram, legacyIsEmpty, type Chosen } from './tools.ts'

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

/** The tools of the families that a plan has rules for. */
export async function chooseTools(run: Run, request: Request, plan: Plan): Promise<Chosen[]> {
  return Promise.all(plan.families.map((family) => chooseTool(run, family, choice(request))))
}

/** The nft program; refused with the reason when it is missing. */
export function demandNft(): string {
  const nft = findProgram('nft', process.env['PATH'])
  if (nft === undefined) throw new Error('find the tools: nft is not in PATH')
  return nft
}

async function apply(job: Job): Promise<Applied> {
  const { request, options, site } = job
  const run = runFor(request, makeQuickRun)
  const plan = buildPlan(options, site, request.look)
  const comparison = await comparisonFor(request)
  refuseUnknownNames(job, comparison)
  const { reconcile, forceApply } = request.run
  const repairs = reconcile || forceApply
  const how = {
    repairs,
    rewrites: forceApply,
    comparison,
    addresses: site.addresses,
    table: options.tproxy.table,
  }
  return request.run.nativeNftables
    ? applyInNft(run, request, plan, how)
    : applyInIptables(run, request, plan, how)
}

async function applyInIptables(
  run: Run,
  request: Request,
  plan: Plan,
  how: ApplyHow,
): Promise<Applied> {
  const nft = findProgram('nft', process.env['PATH'])
  const [chosen, isInNative] = await Promise.all([
    chooseTools(run, request, plan),
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
async function applyInNft(run: Run, request: Request, plan: Plan, how: ApplyHow): Promise<Applied> {
  const nft = demandNft()
  const { own, hasIptables } = await seeRuleset(run, nft)
  const others = await iptablesWithOurs(run, request, hasIptables)
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
async function iptablesWithOurs(run: Run, request: Request, hasNft: boolean): Promise<Chosen[]> {
  const families = ['v4', 'v6'] as const
  const { isLocal } = choice(request)
  const chosen = await Promise.all(
    families.map(async (family) =>
      hasNft || !(await legacyIsEmpty(run, family, isLocal))
        ? chooseTool(run, family, choice(request)).catch(() => undefined)
        : undefined,
    ),
  )
  return chosen.flatMap((one) =>
    one !== undefined && (hasOurs(one.found) || one.stray !== undefined) ? [one] : [],
  )
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

function choice(request: Request) {
  const { forceBinary, networkNamespace } = request.run
  return {
    ...(forceBinary !== undefined && { forced: forceBinary }),
    path: process.env['PATH'],
    isLocal: networkNamespace === undefined,
  }
}

function setsOf(chosen: readonly Chosen[]): RuleSet[] {
  return chosen.flatMap(({ found, stray }) => [
    found,
    ...(stray === undefined ? [] : [stray.found]),
  ])
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
