/** What was found in a pod's network namespace; nothing in it is a wish. */
import type { Family } from '../cidrs.ts'
import type { Rule, RuleSet } from '../rules/model.ts'
import { isOurChain } from '../rules/names.ts'
import { hasOurs } from '../rules/ours.ts'
import { traceSources, type Packet, type Trace } from '../rules/trace.ts'
import type { Listener } from './sockets.ts'

/** The programs through which rules can stand; `iptables` is one that does not say its backend. */
export type Engine = 'native nft' | 'iptables-nft' | 'iptables-legacy' | 'iptables'

/** The rules of one engine with their counters, for the families that it was asked about. */
export type Standing = {
  readonly engine: Engine
  readonly families: readonly Family[]
  readonly rules: RuleSet
}

/** What Envoy says of itself on its admin port. */
export type Admin =
  | { readonly kind: 'ready' }
  | { readonly kind: 'not-ready'; readonly says: string }
  | { readonly kind: 'silent'; readonly why: string }

/** Everything that was looked at. */
export type Seen = {
  /** Addresses of all interfaces. */
  readonly addresses: readonly string[]
  /** In the order in which the kernel asks them. */
  readonly standings: readonly Standing[]
  readonly listeners: readonly Listener[]
  readonly admin: Admin
  readonly unseen: readonly Unseen[]
}

/** What could not be looked at. */
export type Unseen = {
  /** What, and why: a sentence. */
  readonly says: string
  /** The families whose rules it may hold; none where it holds no rules of ours. */
  readonly families: readonly Family[]
}

/** Whether rules of ours may stand for a family where nobody could look: then nothing is known of it. */
export function isHidden(seen: Seen, family: Family): boolean {
  const mayStand = seen.unseen.some(({ families }) => families.includes(family))
  return mayStand && oursIn(seen, family).length === 0
}

/** The standings that hold rules of ours for a family. */
export function oursIn({ standings }: Seen, family: Family): readonly Standing[] {
  return standings.filter(({ families, rules }) => families.includes(family) && hasOurs(rules))
}

/** Follows a packet through the rules that stand, of all engines. */
export function traceLive({ standings }: Seen, packet: Packet): Trace {
  const family = packet.to.address.includes(':') ? 'v6' : 'v4'
  const asked = standings.filter(({ families }) => families.includes(family))
  return traceSources(
    asked.map(({ engine, rules }) => ({ name: engine, rules })),
    packet,
  )
}

/** A rule of ours and where it stands. */
export type Counted = {
  readonly engine: Engine
  readonly families: readonly Family[]
  readonly table: string
  readonly chain: string
  readonly place: number
  readonly rule: Rule
}

/** Every rule in a chain of ours, or that jumps to one. */
export function ourRules({ standings }: Seen): readonly Counted[] {
  return standings.flatMap(({ engine, families, rules }) =>
    rules.tables.flatMap(({ name: table, chains }) =>
      chains.flatMap(({ name: chain, rules: list }) =>
        list.flatMap((rule, index): Counted[] => {
          const leads = rule.then.do === 'jump' && isOurChain(rule.then.to)
          return isOurChain(chain) || leads
            ? [{ engine, families, table, chain, place: index + 1, rule }]
            : []
        }),
      ),
    ),
  )
}
