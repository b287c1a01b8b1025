import { NFT_TABLES } from '../constants.ts'
import { printPortRange } from '../ports.ts'
import type { Match, Plan, Rule, Step, TableName, Verdict } from './model.ts'
import { isBuiltIn } from './names.ts'
import { family, RETURN, rule } from './rule.ts'

/** Base chains of our tables: what they hang in, and when they run. */
export const NFT_HOOKS = {
  nat: {
    PREROUTING: 'type nat hook prerouting priority -100',
    OUTPUT: 'type nat hook output priority -100',
  },
  mangle: {
    PREROUTING: 'type filter hook prerouting priority -150',
    OUTPUT: 'type route hook output priority -150',
  },
  raw: {
    PREROUTING: 'type filter hook prerouting priority -300',
    OUTPUT: 'type filter hook output priority -300',
  },
} as const

/** The order in which Istio declares the chains of a table. */
const ORDER = {
  nat: ['inbound', 'redirect', 'in-redirect', 'output', 'output-dns'],
  mangle: ['divert', 'tproxy', 'inbound', 'drop'],
  raw: ['inbound', 'output-dns'],
} as const

const TABLES = ['nat', 'mangle', 'raw'] as const

/** The steps that native nftables takes, in order. */
export function nftSteps(plan: Plan): Step[] {
  return plan.steps.filter((step) => step.only !== 'iptables' && step.families.length > 0)
}

/** The rules as Istio's own nftables mode writes them; empty when there are none. */
export function printNftables(plan: Plan): string {
  return TABLES.flatMap((table) => {
    const steps = nftSteps(plan).filter((step) => step.table === table)
    return steps.length === 0 ? [] : printTable(table, steps)
  })
    .map((line) => `${line}\n`)
    .join('')
}

/**
 * The whole transaction: what was there goes first, so that nothing stale stays; a chain that is only
 * jumped to is made; and where IPv6 gets no rules, IPv6 packets return at once, because the tables see both.
 */
export function printNftTransaction(plan: Plan): string {
  return [
    printNftCleanup(),
    TABLES.flatMap((table) => missingChains(plan, table)).join(''),
    printNftables(plan),
    guards(plan)
      .map((step) => `${printNftStep(step, 'insert')}\n`)
      .join(''),
  ].join('')
}

/** Removes our tables whether or not they are there. */
export function printNftCleanup(): string {
  return TABLES.map((table) => NFT_TABLES[table])
    .map((name) => `add table inet ${name}\ndelete table inet ${name}\n`)
    .join('')
}

/** Every step of the transaction, guards included, in the order in which nftables sees them. */
export function nftTransactionSteps(plan: Plan): Step[] {
  return [...nftSteps(plan), ...guards(plan)]
}

/** The name of a chain in our nftables tables: `istio-inbound`, `prerouting`. */
export function nftChain(name: string): string {
  return name.toLowerCase().replaceAll('_', '-')
}

/** The words of a rule after its chain. */
export function printNftRule(one: Rule, bare = false): string {
  const isZone = one.then.do === 'zone'
  const protocol = protocolOf(one)
  const hasPort = one.match.some((match) => match.on === 'port')
  const isPrefixed = protocol !== undefined && !(hasPort && (protocol === 'udp' || bare))
  const words = [...one.match]
    .filter((match) => match.on !== 'protocol')
    .sort((a, b) => rank(a, isZone) - rank(b, isZone))
    .map((match) => ({ rank: rank(match, isZone), text: printNftMatch(match, protocol, isZone) }))
  const prefix = isPrefixed ? [{ rank: 1.5, text: `meta l4proto ${protocol}` }] : []
  const all = [...words, ...prefix].sort((a, b) => a.rank - b.rank).map(({ text }) => text)
  return [...all, printNftVerdict(one)].join(' ')
}

function printTable(table: TableName, steps: readonly Step[]): string[] {
  const name = NFT_TABLES[table]
  const chains = new Set(steps.map((step) => nftChain(step.chain)))
  const counts = new Map<string, number>()
  const hooks = Object.entries(NFT_HOOKS[table]).filter(([chain]) => chains.has(nftChain(chain)))
  return [
    `add table inet ${name}`,
    `flush table inet ${name}`,
    ...hooks.map(([chain, hook]) => `add chain inet ${name} ${nftChain(chain)} { ${hook} ; }`),
    ...ORDER[table]
      .filter((chain) => chains.has(`istio-${chain}`))
      .map((chain) => `add chain inet ${name} istio-${chain}`),
    ...steps.flatMap((step) => {
      const count = counts.get(step.chain) ?? 0
      counts.set(step.chain, count + 1)
      return [printNftStep(step, step.at === undefined || step.at > count ? 'add' : 'place')]
    }),
  ]
}

function printNftStep(step: Step, how: 'add' | 'insert' | 'place'): string {
  const verb = how === 'add' ? 'add' : 'insert'
  const index = how === 'place' && step.at !== undefined ? ` index ${step.at - 1}` : ''
  const place = `${verb} rule inet ${NFT_TABLES[step.table]} ${nftChain(step.chain)}${index}`
  return `${place} ${printNftRule(step.rule, step.bare)}`
}

function missingChains(plan: Plan, table: TableName): string[] {
  const steps = nftSteps(plan).filter((step) => step.table === table)
  const filled = new Set(steps.map((step) => step.chain))
  const targets = steps.flatMap(({ rule }) => (rule.then.do === 'jump' ? [rule.then.to] : []))
  const missing = [...new Set(targets)].filter((chain) => !filled.has(chain) && !isBuiltIn(chain))
  if (missing.length === 0) return []
  const name = NFT_TABLES[table]
  return [
    `add table inet ${name}\n`,
    ...missing.map((chain) => `add chain inet ${name} ${nftChain(chain)}\n`),
  ]
}

function guards(plan: Plan): Step[] {
  if (plan.families.includes('v6')) return []
  const why = 'IPv6 is not captured in this pod'
  const steps = nftSteps(plan)
  return TABLES.flatMap((table) =>
    (['PREROUTING', 'OUTPUT'] as const)
      .filter((chain) => steps.some((step) => step.table === table && step.chain === chain))
      .map((chain): Step => {
        return {
          families: ['v4', 'v6'],
          table,
          chain,
          at: 1,
          rule: rule(why, RETURN, family('v6')),
        }
      }),
  )
}

/** The order in which Istio writes conditions for nftables; zones put the port before the address. */
function rank(match: Match, isZone: boolean): number {
  switch (match.on) {
    case 'family':
      return 0
    case 'interface':
      return 1
    case 'protocol':
      return 1.5
    case 'conntrack':
      return 2
    case 'address':
      return isZone ? 4.5 : 3
    case 'port':
      return 4
    case 'mark':
      return 5
    case 'owner':
      return 6
    case 'other':
      return 7
  }
}

function printNftMatch(match: Match, protocol: 'tcp' | 'udp' | undefined, isZone: boolean): string {
  const not = 'not' in match ? '!= ' : ''
  switch (match.on) {
    case 'protocol':
      return `meta l4proto ${match.is}`
    case 'family':
      return `meta nfproto ${match.is === 'v4' ? 'ipv4' : 'ipv6'}`
    case 'interface':
      return `${match.way === 'in' ? 'iifname' : 'oifname'} ${not}${printName(match.name)}`
    case 'address': {
      const family = match.cidr.includes(':') ? 'ip6' : 'ip'
      return `${family} ${match.end === 'source' ? 'saddr' : 'daddr'} ${not}${match.cidr}`
    }
    case 'port': {
      const ports = match.ports.map((port) => printPortRange(port))
      const set = ports.length === 1 ? ports.join('') : `{ ${ports.join(', ')} }`
      return `${protocol ?? 'th'} ${match.end === 'source' ? 'sport' : 'dport'} ${not}${set}`
    }
    case 'owner':
      return `${isZone ? 'meta ' : ''}sk${match.who} ${not}${match.id}`
    case 'mark':
      return `${match.of === 'packet' ? 'mark' : 'ct mark'} ${not}${match.value}`
    case 'conntrack':
      return `ct state ${match.states.join(',').toLowerCase()}`
    case 'other':
      return match.words.join(' ')
  }
}

/** iptables' "any rest" is `*` here, and only inside quotes. */
function printName(name: string): string {
  return name.endsWith('+') ? `"${name.slice(0, -1)}*"` : name
}

function printNftVerdict(one: Rule): string {
  const then: Verdict = one.then
  switch (then.do) {
    case 'return':
    case 'accept':
    case 'drop':
      return `counter ${then.do}`
    case 'jump':
      return `counter jump ${nftChain(then.to)}`
    case 'redirect':
      return `counter redirect to :${then.port}`
    case 'tproxy': {
      const isV6 = one.match.some((match) => match.on === 'address' && match.cidr.includes(':'))
      return `tproxy ${isV6 ? 'ip6' : 'ip'} to :${then.port} meta mark set ${then.mark} counter accept`
    }
    case 'mark':
      return `counter meta mark set ${then.value}`
    case 'save-mark':
      return 'counter ct mark set mark'
    case 'restore-mark':
      return 'counter meta mark set ct mark'
    case 'zone':
      return `counter ct zone set ${then.zone}`
    case 'dnat':
    case 'snat':
      return `counter ${then.do} ip to ${then.to}`
    case 'other':
      return then.words.join(' ')
  }
}

function protocolOf(one: Rule): 'tcp' | 'udp' | undefined {
  for (const match of one.match) if (match.on === 'protocol') return match.is
  return undefined
}
