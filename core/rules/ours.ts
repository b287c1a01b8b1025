import { DNS_CAPTURE_PORT, DNS_PORT, SELF_CALL_MARK } from '../constants.ts'
import type { Match, Rule, RuleSet, Table } from './model.ts'
import { isBuiltIn, isOurChain } from './names.ts'

/** Whether a table holds a chain of ours, or a jump to one. */
export function holdsOurs(table: Table): boolean {
  return table.chains.some((chain) => isOurChain(chain.name) || chain.rules.some(isOurJump))
}

/** Whether any table of a set holds rules of ours, in either naming style and of whatever release. */
export function hasOurs(set: RuleSet): boolean {
  return set.tables.some(holdsOurs)
}

/** Whether a set holds any rule or chain that somebody made, ours or not. */
export function isInUse(set: RuleSet): boolean {
  return set.tables.some((table) =>
    table.chains.some((chain) => !isBuiltIn(chain.name) || chain.rules.length > 0),
  )
}

/**
 * Whether a rule outside our chains is one that this tool or Istio's puts there. Jumps to our chains are;
 * the others are told by their shape, and only where the rule set holds a chain of ours (`hasChains`).
 */
export function isOurRule(hasChains: boolean, chain: string, rule: Rule): boolean {
  return isOurJump(rule) || (hasChains && isBuiltIn(chain) && SHAPES.some((shape) => shape(rule)))
}

function isOurJump(rule: Rule): boolean {
  return rule.then.do === 'jump' && isOurChain(rule.then.to)
}

const SHAPES: readonly ((rule: Rule) => boolean)[] = [
  // An interface that is excluded or virtual: nothing but its name, then out.
  ({ match, then }) => then.do === 'return' && is(match, ['interface']),
  // TPROXY: the mark is remembered, given back, and local traffic that has it is done.
  ({ match, then }) => then.do === 'save-mark' && is(match, ['mark', 'protocol']),
  ({ match, then }) => then.do === 'restore-mark' && is(match, ['mark', 'protocol']),
  ({ match, then }) => then.do === 'return' && is(match, ['interface', 'mark', 'protocol']),
  ({ then }) => then.do === 'mark' && then.value === SELF_CALL_MARK,
  // Release 1.8: TPROXY replies, and DNS.
  ({ match, then }) =>
    then.do === 'mark' && is(match, ['address', 'address', 'protocol']) && isLocal(match),
  ({ then }) => then.do === 'dnat' && then.to === `127.0.0.1:${DNS_CAPTURE_PORT}`,
  ({ match, then }) => then.do === 'snat' && hasPort(match, DNS_CAPTURE_PORT),
  ({ match, then }) =>
    then.do === 'return' && is(match, ['owner', 'port', 'protocol']) && hasPort(match, DNS_PORT),
]

function is(match: readonly Match[], kinds: readonly string[]): boolean {
  const found = match.map((one) => one.on).sort()
  return found.length === kinds.length && found.every((kind, index) => kind === kinds[index])
}

function isLocal(match: readonly Match[]): boolean {
  return match.every((one) => one.on !== 'address' || one.cidr === '127.0.0.1/32')
}

function hasPort(match: readonly Match[], port: number): boolean {
  return match.some((one) => one.on === 'port' && one.ports.some(({ first }) => first === port))
}
