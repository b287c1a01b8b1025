import { writeFile } from 'node:fs/promises'
import type { Family } from '../core/cidrs.ts'
import type { Owner } from '../core/ids.ts'
import type { Port } from '../core/ports.ts'
import { buildPlan } from '../core/rules/build.ts'
import { loadFamily } from '../core/rules/load.ts'
import type { Plan, RuleSet } from '../core/rules/model.ts'
import { trace, type Packet } from '../core/rules/trace.ts'
import { standing } from './apply.ts'
import { comparisonFor, kernelFor } from './apply-command.ts'
import { checkGuard } from './guard.ts'
import type { Job, Streams } from './job.ts'
import { chooseTools } from './kernel.ts'
import { answerWith, ask, type Listener } from './probe.ts'

/** Where a container leaves the reason of its end for Kubernetes to show. */
const TERMINATION_LOG = '/dev/termination-log'

/** Addresses that nobody has (RFC 5737, RFC 3849): only a rule can answer for them. */
const NOBODY = { v4: '192.0.2.2', v6: '2001:db8::2' } as const
const PROXY_SIDE = { v4: '127.0.0.6', v6: '::6' } as const
const HOST = { v4: '127.0.0.1', v6: '::1' } as const

/** Who runs this check. */
export type Identity = { readonly uid: number; readonly gid: number }

/** One connection to make, and where the rules must send it. */
export type Probe = {
  readonly family: Family
  readonly way: 'inbound' | 'outbound'
  readonly to: string
  readonly port: Port
  readonly expected: Port
}

/**
 * Checks with connections that the rules work, per family, in the direction that this user can test: the
 * proxy's own calls come back to its inbound side, everybody else's go to its outbound side. The other
 * direction is named as not testable. Returns whether everything that could be tested works.
 */
export async function validate(job: Job, streams: Streams): Promise<boolean> {
  const forged = checkGuard(job.request.run)
  if (forged.length > 0) return fail(forged, streams)
  const identity = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
  const plan = buildPlan(job.options, job.site, job.request.look)
  const { probes, untestable } = planProbes(plan, job, identity)
  for (const line of untestable) streams.log(`validation: ${line}`)
  const problems =
    probes.length === 0
      ? [`nothing to test as uid ${identity.uid}, gid ${identity.gid}: ${untestable.join('; ')}`]
      : (await Promise.all(probes.map((probe) => tryProbe(job, probe)))).flat()
  for (const line of await readable(job, plan)) streams.log(`validation: ${line}`)
  if (problems.length === 0) {
    for (const { family, way, expected } of probes) {
      streams.log(`validation: IPv${family.slice(1)} ${way}: captured on ${expected}`)
    }
    return true
  }
  return fail([...problems, ...untestable], streams)
}

/** Tells the log and Kubernetes why. */
async function fail(reasons: readonly string[], streams: Streams): Promise<false> {
  const text = [
    'iptables validation failed; workload is not ready for the mesh.',
    ...reasons.map((reason) => `- ${reason}`),
  ].join('\n')
  streams.log(text)
  await writeFile(TERMINATION_LOG, `${text}\n`, { flag: 'r+' }).catch(() => undefined)
  return false
}

/** The connections that tell whether the rules work, as far as this user's packets meet them. */
export function planProbes(
  plan: Plan,
  job: Pick<Job, 'options' | 'request'>,
  identity: Identity,
): { readonly probes: readonly Probe[]; readonly untestable: readonly string[] } {
  const { options, request } = job
  const isProxy = holds(options.proxyUids, identity.uid) || holds(options.proxyGids, identity.gid)
  const who = `uid ${identity.uid}, gid ${identity.gid}`
  const probes: Probe[] = []
  const untestable: string[] = []
  for (const family of plan.families) {
    const set = loadFamily(plan, family)
    const name = `IPv${family.slice(1)}`
    const found = candidates(job, family).flatMap(({ way, to }) => {
      const packet = packetTo(family, to, request.run.probePort, identity)
      const expected = capturedBy(set, packet)
      return expected === undefined
        ? []
        : [{ family, way, to, port: request.run.probePort, expected }]
    })
    const [probe] = found
    if (probe === undefined) untestable.push(`${name}: no connection of ${who} would be captured`)
    else probes.push(probe)
    untestable.push(
      isProxy
        ? `${name} outbound: not testable as ${who}, the proxy's own traffic is never captured`
        : `${name} inbound: not testable as ${who}, only the proxy's calls to itself meet that rule`,
    )
  }
  return { probes, untestable }
}

/** Connections worth trying, the proxy's side first. An included range offers its second address. */
function candidates(
  job: Pick<Job, 'options'>,
  family: Family,
): { way: Probe['way']; to: string }[] {
  const { includeOutboundCidrs: included } = job.options
  const ranges = included === '*' ? [] : included.filter((cidr) => cidr.family === family)
  return [
    { way: 'inbound', to: PROXY_SIDE[family] },
    { way: 'outbound', to: NOBODY[family] },
    ...ranges.map((cidr) => ({ way: 'outbound' as const, to: cidr.address })),
  ]
}

function packetTo(family: Family, to: string, port: Port, identity: Identity): Packet {
  const isLocal = to === PROXY_SIDE[family]
  return {
    protocol: 'tcp',
    from: { address: isLocal ? HOST[family] : NOBODY[family], port: 40000 },
    to: { address: to, port },
    out: isLocal ? 'lo' : 'eth0',
    ...identity,
  }
}

function capturedBy(set: RuleSet, packet: Packet): Port | undefined {
  const { end } = trace(set, packet)
  return end.kind === 'captured' && end.by === 'redirect' ? end.port : undefined
}

async function tryProbe(job: Job, probe: Probe): Promise<string[]> {
  const { family, way, to, port, expected } = probe
  const name = `IPv${family.slice(1)} ${way}`
  const opened = await answerWith(HOST[family], expected)
  if (!opened.ok) return [`${name}: cannot listen on ${HOST[family]}:${expected}: ${opened.cause}`]
  const listener: Listener = opened.listener
  const from = to === PROXY_SIDE[family] ? HOST[family] : undefined
  const { answer, cause } = await ask(
    { to, port, from, token: listener.token },
    job.request.run.probeTimeout,
  )
  await listener.close()
  if (answer) return []
  return [
    `${name}: a connection to ${to} port ${port} did not reach the proxy's port ${expected}: ${cause}`,
  ]
}

/** What the rules in the kernel say, for whoever may read them; nothing otherwise. */
async function readable(job: Job, plan: Plan): Promise<string[]> {
  if (job.request.run.nativeNftables) return []
  try {
    const comparison = await comparisonFor(job.request)
    const chosen = await chooseTools(kernelFor(job.request), plan.families)
    return chosen.map((one) => {
      const { states } = standing(plan, one.tool.family, one, comparison)
      const isSame = states.every(({ state }) => state === 'same')
      const seen = isSame ? 'as these flags write them' : 'different from what these flags write'
      return `IPv${one.tool.family.slice(1)}: the rules in the kernel are ${seen}`
    })
  } catch {
    return []
  }
}

function holds(owners: readonly Owner[], id: number): boolean {
  return owners.includes(id)
}
