import { networkOf, printCidr, readCidr } from '../cidrs.ts'
import { printRule } from './iptables.ts'
import type { Match, Rule, RuleSet } from './model.ts'
import { inStyle, isOurChain, type ChainStyle } from './names.ts'

/** What is needed to compare rules with what the kernel prints. */
export type Comparison = {
  readonly style: ChainStyle
  /** Ids by name: the kernel knows numbers only. */
  readonly users: Readonly<Record<string, number>>
  readonly groups: Readonly<Record<string, number>>
}

/**
 * A rule as one line that equal rules share: conditions in one order, networks without host bits, names of
 * users as numbers, chains in one style, no reason and no counters.
 */
export function canonicalText(rule: Rule, how: Comparison): string {
  return printRule(canonicalRule(rule, how))
}

/** A rule in the form that the kernel gives it. */
export function canonicalRule(rule: Rule, how: Comparison): Rule {
  const match = rule.match
    .flatMap((one) => canonicalMatch(one, how))
    .map((one) => ({ one, key: [place(one), JSON.stringify(one)].join(' ') }))
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(({ one }) => one)
  const { then } = rule
  return { match, then: then.do === 'jump' ? { ...then, to: inStyle(then.to, how.style) } : then }
}

/** The style in which a rule set names our chains; undefined when it has none, or both styles at once. */
export function styleOf(set: RuleSet): ChainStyle | undefined {
  const names = set.tables
    .flatMap((table) => table.chains.map((chain) => chain.name))
    .filter(isOurChain)
  if (names.length === 0) return undefined
  if (names.every((name) => inStyle(name, 'hyphen') === name)) return 'hyphen'
  return names.every((name) => inStyle(name, 'underscore') === name) ? 'underscore' : undefined
}

function canonicalMatch(match: Match, how: Comparison): Match[] {
  switch (match.on) {
    case 'address': {
      const cidr = readCidr('rule', match.cidr)
      if (!cidr.ok) return [match]
      // A range of every address is no condition; the kernel drops it.
      if (cidr.value.bits === 0 && match.not !== true) return []
      return [{ ...match, cidr: printCidr(networkOf(cidr.value)) }]
    }
    case 'owner': {
      const known = match.who === 'uid' ? how.users : how.groups
      const id =
        typeof match.id === 'string' && Object.hasOwn(known, match.id) ? known[match.id] : undefined
      return [id === undefined ? match : { ...match, id }]
    }
    case 'conntrack':
      return [{ ...match, states: [...match.states].map((state) => state.toUpperCase()).sort() }]
    case 'protocol':
    case 'family':
    case 'interface':
    case 'port':
    case 'mark':
    case 'other':
      return [match]
  }
}

const PLACES = [
  'family',
  'address',
  'interface',
  'protocol',
  'port',
  'conntrack',
  'mark',
  'owner',
  'other',
]

function place(match: Match): number {
  return PLACES.indexOf(match.on)
}
