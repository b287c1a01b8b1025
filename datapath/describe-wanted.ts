/** The rules that a pod's wishes come to in its network, and how those that stand differ from them. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Family } from '../core/cidrs.ts'
import type { Asked, AskedRules } from '../core/describe/asked.ts'
import type { Wanted } from '../core/describe/questions.ts'
import { isHidden, oursIn, ourRules, type Seen } from '../core/describe/seen.ts'
import type { InterceptionOptions } from '../core/options/interception.ts'
import { buildPlan } from '../core/rules/build.ts'
import type { Comparison } from '../core/rules/canonical.ts'
import { compareRules, printDrift } from '../core/rules/drift.ts'
import { loadFamily } from '../core/rules/load.ts'
import type { Plan } from '../core/rules/model.ts'
import { hasOurs } from '../core/rules/ours.ts'
import { readSite, type Site } from '../core/rules/site.ts'
import { readIds } from '../iptables-init/facts.ts'
import { nativeDrift } from '../iptables-init/native.ts'
import { neededRoutes } from '../iptables-init/routes.ts'
import type { Run } from '../iptables-init/run.ts'
import type { Place } from './describe-place.ts'

/** What is wanted; nothing where the pod asks for nothing, or has no address yet. */
export async function wantedOf(
  { by, rules }: Pick<Asked, 'by' | 'rules'>,
  seen: Seen,
  run: Run,
  place: Place,
): Promise<Wanted | undefined> {
  if (rules === undefined) return undefined
  const resolvConf = (await resolvConfOf(place)) ?? resolversIn(seen)
  const [users, groups] = await Promise.all([readIds('/etc/passwd'), readIds('/etc/group')])
  const comparison = { style: rules.look.style, users, groups }
  const readings = readingsOf(by, rules.options).flatMap((options) => {
    const site = siteOf({ ...rules, options }, seen, resolvConf)
    if (site === undefined) return []
    const plan = buildPlan(options, site, rules.look)
    return [{ site, plan, drift: driftOf(plan, seen, comparison) }]
  })
  const [best] = readings.sort((a, b) => a.drift.length - b.drift.length)
  if (best === undefined) return undefined
  const { site, plan, drift } = best
  return {
    sets: { v4: loadFamily(plan, 'v4'), v6: loadFamily(plan, 'v6') },
    families: plan.families,
    resolvers: site.resolvers,
    drift,
    lacks: await lacksOf(run, plan, seen),
  }
}

/**
 * What a node may make of the same wishes, the literal one first: its runtime may not tell the resolvers,
 * and its configuration may switch IPv6 on.
 */
function readingsOf(by: Asked['by'], options: InterceptionOptions): readonly InterceptionOptions[] {
  if (by !== 'node') return [options]
  const dns = options.dns === 'servers' ? (['servers', 'all'] as const) : ([options.dns] as const)
  return [options.dualStack, true].flatMap((dualStack) =>
    dns.map((one) => ({ ...options, dualStack, dns: one })),
  )
}

function siteOf(
  { options, look }: AskedRules,
  { addresses }: Seen,
  resolvConf: string,
): Site | undefined {
  const isV18 = look.profile === '1.8'
  const site = readSite(
    // What the proxy dials from is there because of the rules, not the other way round.
    {
      addresses: addresses.filter((one) => one.replace(/\/.*$/, '') !== '::6'),
      resolvConf,
      users: {},
    },
    {
      dns: isV18 ? 'off' : options.dns,
      dualStack: !isV18 && options.dualStack,
      linkLocalCounts: isV18,
    },
  )
  return site.ok ? site.value : undefined
}

function driftOf(plan: Plan, seen: Seen, comparison: Comparison): readonly string[] {
  const families: readonly Family[] = ['v4', 'v6']
  const native = seen.standings.find(
    ({ engine, rules }) => engine === 'native nft' && hasOurs(rules),
  )
  const inNative = native === undefined ? [] : nativeDrift(plan, native.rules, comparison).drift
  return [
    ...inNative.map((one) => `native nft ${printDrift(one)}`),
    ...families.flatMap((family) => {
      const found = oursIn(seen, family).filter(({ engine }) => engine !== 'native nft')
      return found.flatMap(({ engine, rules }) =>
        compareRules(loadFamily(plan, family), rules, comparison).flatMap(
          ({ table, state, drift }) => {
            const whole = state === 'clean' ? [`- ${table} (the table)`] : drift.map(printDrift)
            return whole.map((one) => `${engine} IPv${family.slice(1)} ${one}`)
          },
        ),
      )
    }),
    ...families.flatMap((family) =>
      plan.families.includes(family) && oursIn(seen, family).length === 0 && !isHidden(seen, family)
        ? [`IPv${family.slice(1)} - (all its rules)`]
        : [],
    ),
  ]
}

async function lacksOf(run: Run, plan: Plan, seen: Seen): Promise<readonly string[]> {
  const needed = await neededRoutes(run, plan, seen.addresses).catch(() => undefined)
  if (needed === undefined) return []
  const hasV6 = oursIn(seen, 'v6').length > 0
  return [
    ...needed.routes.map(({ family, mark, table }) => {
      return `the route of TPROXY is missing: IPv${family.slice(1)} packets with mark ${mark} must be delivered locally by table ${table}, or captured connections end nowhere`
    }),
    ...(needed.needsAddress && hasV6
      ? [
          'lo lacks the address ::6, from which Envoy calls the application over IPv6: every such call fails',
        ]
      : []),
  ]
}

/** The resolvers that a process of the pod is told; nothing where none can be looked at. */
async function resolvConfOf({ processes }: Place): Promise<string | undefined> {
  for (const folder of processes) {
    const path = join(folder, 'root/etc/resolv.conf')
    const text = await readFile(path, 'utf8').catch(() => undefined)
    if (text !== undefined) return text
  }
  return undefined
}

/** Else those that the rules know. */
function resolversIn(seen: Seen): string {
  const addresses = ourRules(seen).flatMap(({ chain, rule }) =>
    /OUTPUT.DNS$/.test(chain)
      ? rule.match.flatMap((one) => (one.on === 'address' ? (one.cidr.split('/')[0] ?? []) : []))
      : [],
  )
  return [...new Set(addresses)].map((address) => `nameserver ${address}\n`).join('')
}
