import { readFile } from 'node:fs/promises'
import { readAddress } from '../core/cidrs.ts'
import { readId } from '../core/ids.ts'
import type { Request } from '../core/options/argv.ts'
import { oneOf, readListenPort } from '../core/options/values.ts'
import { bad, formatProblem, good, Refusal, type Problem, type Read } from '../core/problem.ts'
import { buildPlan } from '../core/rules/build.ts'
import { loadFamily } from '../core/rules/load.ts'
import type { RuleSet } from '../core/rules/model.ts'
import { readRestore } from '../core/rules/read-iptables.ts'
import { isListing, readListing } from '../core/rules/read-listing.ts'
import { readNft } from '../core/rules/read-nft.ts'
import { trace, type Endpoint, type Packet } from '../core/rules/trace.ts'
import { makeWhy } from '../core/rules/why.ts'
import { kernelFor } from './apply-command.ts'
import { EXIT, type Job, type Streams } from './job.ts'
import { chooseTools, demandNft } from './kernel.ts'
import { seeNative, wantedNative } from './native.ts'
import { printTrace } from './print-trace.ts'

/** Tells where a packet goes: through the rules of a file, of the kernel, or those that the flags write. */
export async function traceCommand(
  request: Request,
  prepare: () => Promise<Job>,
  streams: Streams,
): Promise<number> {
  const packet = readPacket(request.trace)
  if (!packet.ok) {
    for (const problem of packet.problems) streams.log(`error: ${formatProblem(problem)}`)
    return EXIT.usage
  }
  const family = packet.value.to.address.includes(':') ? 'v6' : 'v4'
  const set = await rulesFor(request, prepare, family)
  const result = trace(set, packet.value)
  const why = makeWhy()
  if (request.run.output === 'json') {
    const hops = result.hops.map((hop) => ({
      ...hop,
      ...(hop.rule !== undefined && { why: why(hop.table, hop.chain, hop.rule) }),
    }))
    streams.out(`${JSON.stringify({ hops, end: result.end })}\n`)
  } else streams.out(printTrace(result, packet.value, why))
  return EXIT.done
}

async function rulesFor(
  request: Request,
  prepare: () => Promise<Job>,
  family: 'v4' | 'v6',
): Promise<RuleSet> {
  const file = request.trace['rules']
  if (file !== undefined) return readRules(file)
  const job = await prepare()
  const plan = buildPlan(job.options, job.site, request.look)
  if (request.trace['live'] === 'true') {
    const kernel = kernelFor(request)
    if (request.run.nativeNftables) return seeNative(kernel.run, demandNft(kernel))
    const chosen = await chooseTools(kernel, [family])
    return chosen[0]?.found ?? { tables: [] }
  }
  return request.run.nativeNftables ? wantedNative(plan) : loadFamily(plan, family)
}

async function readRules(file: string): Promise<RuleSet> {
  const text = await readFile(file === '-' ? '/dev/stdin' : file, 'utf8')
  if (isListing(text)) return readListing(text, 'nat')
  const isNft = /^\s*(table|add|insert) (table |rule |chain )?inet /m.test(text)
  const rules = isNft ? readNft(text) : readRestore(text)
  if (!rules.ok) {
    throw new Refusal(
      rules.problems.map((problem) => ({ ...problem, path: `${file}: ${problem.path}` })),
    )
  }
  return rules.value
}

function readPacket(given: Readonly<Record<string, string>>): Read<Packet> {
  const problems: Problem[] = []
  const keep = <T>(read: Read<T>, fallback: T): T => {
    if (read.ok) return read.value
    problems.push(...read.problems)
    return fallback
  }
  const from = keep(readEndpoint('--from', given['from'] ?? ''), NOWHERE)
  const to = keep(readEndpoint('--to', given['to'] ?? ''), NOWHERE)
  const protocol = keep(oneOf('tcp', 'udp')('--protocol', given['protocol'] ?? 'tcp'), 'tcp')
  const uid = given['uid'] === undefined ? undefined : keep(readId('--uid', given['uid']), 0)
  const gid = given['gid'] === undefined ? undefined : keep(readId('--gid', given['gid']), 0)
  if (from.address.includes(':') !== to.address.includes(':')) {
    problems.push({
      path: '--to',
      got: to.address,
      want: 'an address of the same family as --from',
    })
  }
  if (given['in'] !== undefined && given['out'] !== undefined) {
    problems.push({ path: '--out', got: given['out'], want: 'only one of --in and --out' })
  }
  // A packet with an owner was sent from here.
  const isSent =
    given['out'] !== undefined || (given['in'] === undefined && (uid ?? gid) !== undefined)
  const way = isSent ? { out: given['out'] ?? 'eth0' } : { in: given['in'] ?? 'eth0' }
  const owner = { ...(uid !== undefined && { uid }), ...(gid !== undefined && { gid }) }
  return problems.length === 0
    ? good({ protocol, from, to, ...owner, ...way })
    : { ok: false, problems }
}

const NOWHERE: Endpoint = { address: '0.0.0.0', port: 0 }

/** `ADDRESS:PORT`; an IPv6 address stands in brackets. */
function readEndpoint(path: string, text: string): Read<Endpoint> {
  const parts = /^(?:\[([^\]]*)\]|([^:]*)):(\d+)$/.exec(text)
  const address = readAddress(path, parts?.[1] ?? parts?.[2] ?? '')
  const port = readListenPort(path, parts?.[3] ?? '')
  return address.ok && port.ok
    ? good({ address: address.value.text, port: port.value })
    : bad(path, text, 'ADDRESS:PORT such as 10.0.0.9:40000 or [fd00::9]:40000')
}
