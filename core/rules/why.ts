import { DNS_CAPTURE_PORT, DNS_PORT, INBOUND_TUNNEL_PORT, SSH_PORT } from '../constants.ts'
import { DEFAULT_INTERCEPTION, type InterceptionOptions } from '../options/interception.ts'
import { singlePort } from '../ports.ts'
import { buildPlan, type RuleProfile } from './build.ts'
import type { Match, Rule } from './model.ts'
import { inStyle } from './names.ts'

/**
 * The reason of a rule that was read back: that of the rule of ours which has the same shape in the same
 * chain, whatever its ports and addresses. Undefined for a rule that is not ours.
 */
export function makeWhy(): (table: string, chain: string, rule: Rule) => string | undefined {
  const reasons = new Map<string, string>()
  for (const [options, profile] of SAMPLES) {
    const plan = buildPlan({ ...EVERYTHING, ...options }, SITE, { profile, style: 'hyphen' })
    for (const { table, chain, rule } of plan.steps) {
      const key = shape(table, chain, rule)
      if (rule.why !== undefined && !reasons.has(key)) reasons.set(key, rule.why)
    }
  }
  return (table, chain, rule) =>
    rule.why ?? reasons.get(shape(table, inStyle(chain, 'hyphen'), rule))
}

const SITE = {
  families: ['v4', 'v6'],
  hostFamily: 'v4',
  resolvers: { v4: ['192.0.2.53'], v6: ['2001:db8::53'] },
  addresses: [],
  hasResolver: true,
  warnings: [],
} as const

const PORT = [singlePort(80)]
const RANGES = [
  { family: 'v4', address: '192.0.2.0', bits: 24 },
  { family: 'v6', address: '2001:db8::', bits: 32 },
] as const

/** Options that use every feature that does not shut out another. */
const EVERYTHING: InterceptionOptions = {
  ...DEFAULT_INTERCEPTION,
  inboundPorts: '*',
  excludeInboundPorts: PORT,
  includeOutboundCidrs: RANGES,
  excludeOutboundCidrs: RANGES,
  includeOutboundPorts: PORT,
  excludeOutboundPorts: PORT,
  excludeInterfaces: ['eth1'],
  excludeOwnerGroups: [1],
  dropInvalid: true,
}

const SAMPLES: readonly (readonly [Partial<InterceptionOptions>, RuleProfile])[] = [
  [{}, 'current'],
  [{ inboundPorts: PORT, ownerGroups: [1, 2], includeOutboundCidrs: '*' }, 'current'],
  [{ dns: 'servers' }, 'current'],
  [{ dns: 'all' }, 'current'],
  [{ mode: 'TPROXY' }, 'current'],
  [{ mode: 'TPROXY', inboundPorts: PORT }, 'current'],
  [{ excludeInterfaces: [], virtualInterfaces: ['net1'] }, 'current'],
  [{ dns: 'all' }, '1.8'],
  [{ mode: 'TPROXY', includeOutboundCidrs: '*' }, '1.8'],
]

function shape(table: string, chain: string, rule: Rule): string {
  const conditions = rule.match.map(shapeOf).sort()
  const then = rule.then.do === 'jump' ? `jump ${inStyle(rule.then.to, 'hyphen')}` : rule.then.do
  return [table, chain, then, ...conditions].join(' ')
}

function shapeOf(match: Match): string {
  const not = 'not' in match ? '!' : ''
  switch (match.on) {
    case 'protocol':
      return match.is
    case 'interface':
      return `${not}${match.way}:${match.name === 'lo' ? 'lo' : 'any'}`
    case 'address':
      return `${not}${match.end}:${LOCAL.test(match.cidr) ? match.cidr : 'any'}`
    case 'port':
      return `${not}${match.end}-port:${match.ports.map(({ first }) => (KNOWN.has(first) ? first : 'any')).join()}`
    case 'owner':
      return `${not}${match.who}`
    case 'mark':
      return `${not}${match.of}-mark`
    case 'family':
    case 'conntrack':
    case 'other':
      return match.on
  }
}

/** Ports that have a meaning of their own. */
const KNOWN = new Set<number>([DNS_PORT, DNS_CAPTURE_PORT, SSH_PORT, INBOUND_TUNNEL_PORT])

const LOCAL = /^(127\.0\.0\.[16]\/32|::[16]\/128)$/
