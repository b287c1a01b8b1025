import type { Family } from '../core/cidrs.ts'
import type { InterceptionOptions } from '../core/options/interception.ts'
import type { NodePlan } from '../core/options/redirect-plan.ts'
import { Refusal, type Read } from '../core/problem.ts'
import { buildPlan } from '../core/rules/build.ts'
import { canonicalText, type Comparison } from '../core/rules/canonical.ts'
import { printDrift } from '../core/rules/drift.ts'
import { loadFamily } from '../core/rules/load.ts'
import type { Plan } from '../core/rules/model.ts'
import { readSite, type Site } from '../core/rules/site.ts'
import { addressesInside } from '../iptables-init/addresses.ts'
import { applyRules, findDrift, type Found, type Kernel } from '../iptables-init/kernel.ts'
import { wantedNative } from '../iptables-init/native.ts'
import { findProgram } from '../iptables-init/tools.ts'
import { Failure } from './codes.ts'
import type { NetConf } from './netconf.ts'
import { makeNetnsRun, searchPath, withHeadStart, wordsInto, type Words } from './netns.ts'
import type { Options } from './options.ts'

/** Where rules are written and what decides how. */
export type Target = {
  readonly netns: string
  readonly conf: Pick<NetConf, 'options' | 'resolvers'>
  /** PATH of this process. */
  readonly path: string | undefined
}

/** Writes the rules of a plan into the pod. The lines say what was done, or that nothing was to do. */
export async function writeRules(target: Target, plan: NodePlan): Promise<readonly string[]> {
  const work = await prepare(target, plan, 'write')
  const { lines } = await told(() =>
    applyRules(work.kernel, work.plan, {
      ...work.how,
      // A second call finds the rules of the first; what differs, a kill has left.
      repairs: true,
      rewrites: false,
      sparesTest: true,
      table: plan.options.tproxy.table,
    }),
  )
  return [...work.warnings, ...lines]
}

/** The differences between the rules of a plan and those that stand, as lines. Changes nothing. */
export async function compareRules(target: Target, plan: NodePlan): Promise<readonly string[]> {
  const work = await prepare(target, plan, 'compare')
  const drift = await told(() => findDrift(work.kernel, work.plan, work.how))
  return drift
    .flatMap((found) => expand(found, work.plan, work.how.comparison))
    .map(
      (found) =>
        `${found.family === 'both' ? 'nft' : `IPv${found.family.slice(1)}`} ${printDrift(found)}`,
    )
}

/** Ids of names are not needed: a plan knows numbers only. */
const NO_NAMES = { users: {}, groups: {} } as const

async function prepare(target: Target, plan: NodePlan, purpose: 'write' | 'compare') {
  const { options } = target.conf
  const path = searchPath(options.toolDirs, target.path)
  const native = plan.nativeNftables || options.iptablesMode === 'native'
  const missing = missingTools(path, native, options)
  const into = wordsInto(target.netns, path)
  if (missing.length > 0 || into === undefined) throw noTools(missing, path)
  const early = native ? [] : readings(path, purpose)
  const run = withHeadStart(makeNetnsRun(into, { path, lock: target.netns }), early)
  const { iptablesMode: mode } = options
  const forced = mode === 'nft' || mode === 'legacy' ? { forced: mode } : {}
  const kernel: Kernel = { run, choice: { ...forced, path, isLocal: false } }
  const addresses = await told(() => addressesInside(run))
  const { options: seen, site, warnings } = seePod(addresses, plan, target.conf)
  return {
    kernel,
    plan: buildPlan(seen, site, plan.look),
    how: {
      comparison: { style: plan.look.style, ...NO_NAMES },
      addresses: site.addresses,
      native,
    },
    warnings,
  }
}

/** What will be read of IPv4, which every pod has rules of, whatever its addresses turn out to be. */
function readings(path: string, purpose: 'write' | 'compare'): readonly Words[] {
  const save = findProgram('iptables-nft-save', path)
  const legacy = findProgram('iptables-legacy-save', path)
  const nft = purpose === 'write' ? findProgram('nft', path) : undefined
  return [
    ...(save === undefined ? [] : [[save]]),
    ...(legacy === undefined ? [] : [['cat', '/proc/net/ip_tables_names']]),
    ...(nft === undefined ? [] : [[nft, 'list', 'tables', 'inet']]),
  ]
}

/** Everything that the rules depend on: what the plan says, and what the pod turns out to be. */
type Seen = {
  readonly options: InterceptionOptions
  readonly site: Site
  readonly warnings: readonly string[]
}

/** An address that is nobody's, so that a pod which has none yet gets the rules of IPv4. */
const NO_ADDRESS = '0.0.0.0'

function seePod(
  addresses: readonly string[],
  { options, look }: NodePlan,
  { options: { ipv6 }, resolvers }: Target['conf'],
): Seen {
  const isV18 = look.profile === '1.8'
  const knows = isV18 || options.dns !== 'servers' || resolvers !== undefined
  const dns = knows ? options.dns : 'all'
  const resolvConf = (resolvers ?? []).map((server) => `nameserver ${server}`).join('\n')
  const siteWith = (found: readonly string[]): Read<Site> =>
    readSite(
      { addresses: found, resolvConf, users: {} },
      {
        dns: isV18 ? 'off' : dns,
        dualStack: !isV18 && (options.dualStack || ipv6 === 'on'),
        linkLocalCounts: isV18,
      },
    )
  const read = siteWith(addresses)
  const site = read.ok ? read : siteWith([NO_ADDRESS])
  if (!site.ok) throw new Refusal(site.problems)
  const families = ipv6 === 'off' ? (['v4'] as const) : site.value.families
  return {
    options: { ...options, dns },
    site: { ...site.value, families, addresses },
    warnings: [
      ...(knows ? [] : [UNKNOWN_RESOLVERS]),
      ...(read.ok ? [] : ['the pod has no address yet: only IPv4 gets rules']),
      ...site.value.warnings,
    ],
  }
}

const UNKNOWN_RESOLVERS =
  'the runtime does not say which resolvers the pod has: DNS capture takes all of port 53'

/** The programs that writing rules takes and that are not in `path`. */
export function missingTools(
  path: string,
  native: boolean,
  { iptablesMode: mode }: Pick<Options, 'iptablesMode'>,
): readonly string[] {
  const has = (name: string): boolean => findProgram(name, path) !== undefined
  const pair = (family: Family, backend: string): boolean => {
    const name = family === 'v4' ? 'iptables' : 'ip6tables'
    return has(`${name}${backend}-save`) && has(`${name}${backend}-restore`)
  }
  const backends = mode === 'nft' || mode === 'legacy' ? [`-${mode}`] : ['-nft', '-legacy', '']
  const missing: string[] = []
  if (!has('ip')) missing.push('ip')
  if (!has('nsenter') && !has('ip')) missing.push('nsenter')
  if (native && !has('nft')) missing.push('nft')
  if (!native && !backends.some((backend) => pair('v4', backend))) {
    missing.push(backends.map((backend) => `iptables${backend}-save and -restore`).join(' or '))
  }
  return missing
}

/** Names what is missing and where it was looked for. */
export function noTools(missing: readonly string[], path: string): Failure {
  const names = missing.length > 0 ? missing.join(', ') : 'nsenter'
  return new Failure('tools', `not found on this node: ${names}`, `searched: ${path}`)
}

/** What a program or the kernel refused, as an answer to the runtime. */
async function told<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof Failure) throw error
    const text = error instanceof Error ? error.message : String(error)
    const hint = MISSING_TABLE.test(text) ? `; ${MODULES}` : ''
    const [first = ''] = text.split('\n')
    throw new Failure('rules', first, `${text}${hint}`, { cause: error })
  }
}

const MISSING_TABLE =
  /can't initialize|Table does not exist|No chain\/target\/match|Extension .* not supported/
const MODULES =
  'the kernel may lack modules: load xt_REDIRECT, xt_owner, xt_conntrack and iptable_nat or nft_chain_nat'

/** A table that is missing as a whole, told rule by rule. */
function expand(found: Found, plan: Plan, comparison: Comparison): readonly Found[] {
  if (found.chain !== 'all') return [found]
  const set = found.family === 'both' ? wantedNative(plan) : loadFamily(plan, found.family)
  const tables = set.tables.filter(({ name }) => found.table === 'all' || name === found.table)
  return tables.flatMap((table) =>
    table.chains.flatMap((chain) =>
      chain.rules.map((rule) => ({
        ...found,
        table: table.name,
        chain: chain.name,
        rule: canonicalText(rule, comparison),
      })),
    ),
  )
}
