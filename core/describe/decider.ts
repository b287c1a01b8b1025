/** Which rule decided about a packet. */
import { printRule } from '../rules/iptables.ts'
import { isOurChain } from '../rules/names.ts'
import { isNotrack, isReject, type Hop } from '../rules/trace.ts'
import type { Passage } from './packets.ts'

/** The hop that made a packet end where it ends; undefined where nothing took it at all. */
export function deciderOf({ live, want, packet }: Passage): Hop | undefined {
  const { end, hops } = live
  switch (end.kind) {
    case 'captured':
      return hops.findLast(({ rule }) => rule?.then.do === end.by)
    case 'rewritten':
    case 'dropped':
    case 'undecided':
    case 'endless':
      return hops.at(-1)
    case 'left-alone': {
      // Only the table that should have taken it can have let it go.
      const table = want?.kind === 'captured' && want.by === 'tproxy' ? 'mangle' : 'nat'
      const hook = 'in' in packet ? 'PREROUTING' : 'OUTPUT'
      const last = hops.findLast((hop) => {
        return hop.table === table && hop.hook === hook && (letsGo(hop) || leadsToOurs(hop))
      })
      const untracked = hops.find(({ rule }) => rule !== undefined && isNotrack(rule.then))
      if (untracked !== undefined && table === 'nat') return untracked
      // A chain of ours that came to its end took nothing.
      return last === undefined || leadsToOurs(last) ? undefined : last
    }
  }
}

function letsGo({ rule }: Hop): boolean {
  return rule?.then.do === 'return' || rule?.then.do === 'accept'
}

function leadsToOurs({ rule }: Hop): boolean {
  return rule?.then.do === 'jump' && isOurChain(rule.then.to)
}

/** The same in brackets, for people; nothing where no rule did. */
export function decidedBy(passage: Passage): string {
  const hop = deciderOf(passage)
  if (hop === undefined) return ''
  const { source = '', table, hook, chain, place, rule } = hop
  const isDrop = rule !== undefined && (rule.then.do === 'drop' || isReject(rule.then))
  const isPolicy = passage.live.end.kind === 'dropped' && !isDrop
  return isPolicy || rule === undefined || place === undefined
    ? ` (${source} ${table} ${hook}: policy DROP)`
    : ` (${source} ${table} ${chain} ${place}: ${printRule(rule)})`
}
