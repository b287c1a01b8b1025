import type { Family } from '../cidrs.ts'
import type { Owner } from '../ids.ts'
import type { Port, PortRange } from '../ports.ts'

/** The tables that rules of ours live in. A table that is read may have any name. */
export type TableName = 'mangle' | 'nat' | 'raw'

/** Where a packet is in its way through the kernel. */
export type Hook = 'PREROUTING' | 'INPUT' | 'FORWARD' | 'OUTPUT' | 'POSTROUTING'

/** One condition on a packet. `not` turns it round. Addresses are `address/bits` texts. */
export type Match =
  | { readonly on: 'protocol'; readonly is: 'tcp' | 'udp' }
  | { readonly on: 'family'; readonly is: Family }
  | {
      readonly on: 'interface'
      readonly way: 'in' | 'out'
      readonly name: string
      readonly not?: true
    }
  | { readonly on: 'address'; readonly end: End; readonly cidr: string; readonly not?: true }
  | {
      readonly on: 'port'
      readonly end: End
      readonly ports: readonly PortRange[]
      readonly not?: true
    }
  | { readonly on: 'owner'; readonly who: 'uid' | 'gid'; readonly id: Owner; readonly not?: true }
  | {
      readonly on: 'mark'
      readonly of: 'packet' | 'connection'
      readonly value: number
      readonly not?: true
    }
  | { readonly on: 'conntrack'; readonly states: readonly string[] }
  /** Words of a rule that is not ours, as they were read. */
  | { readonly on: 'other'; readonly words: readonly string[] }

/** Which end of a packet. */
export type End = 'source' | 'destination'

/** What happens to a packet that meets every condition of a rule. */
export type Verdict =
  | { readonly do: 'return' }
  | { readonly do: 'accept' }
  | { readonly do: 'drop' }
  | { readonly do: 'jump'; readonly to: string }
  | { readonly do: 'redirect'; readonly port: Port }
  | { readonly do: 'tproxy'; readonly port: Port; readonly mark: number }
  | { readonly do: 'mark'; readonly value: number }
  | { readonly do: 'save-mark' }
  | { readonly do: 'restore-mark' }
  | { readonly do: 'zone'; readonly zone: number }
  | { readonly do: 'dnat'; readonly to: string }
  | { readonly do: 'snat'; readonly to: string }
  /** A target that is not ours, as it was read; empty when the rule only counts. */
  | { readonly do: 'other'; readonly words: readonly string[] }

/** Conditions, all of which must hold, then the verdict. `why` is for people: `--explain` and the tracer. */
export type Rule = {
  readonly match: readonly Match[]
  readonly then: Verdict
  readonly why?: string
  /** Packets and bytes that met the rule, where the source told. */
  readonly counted?: { readonly packets: number; readonly bytes: number }
}

/** A chain as it stands: rules in the order in which packets meet them. `policy` only on built-in chains. */
export type Chain = {
  readonly name: string
  readonly policy?: string
  readonly rules: readonly Rule[]
}

/** A table as it stands. */
export type Table = { readonly name: string; readonly chains: readonly Chain[] }

/** Every table of one family (iptables), or of both at once (native nftables). */
export type RuleSet = { readonly tables: readonly Table[] }

/**
 * One rule being put into a chain: at the end, or before the rule at place `at` (1 is the first). A step
 * belongs to one family or both, and to one backend or both; `bare` drops a redundant word in nft.
 */
export type Step = {
  readonly families: readonly Family[]
  readonly only?: 'iptables' | 'nft'
  readonly table: TableName
  readonly chain: string
  readonly at?: number
  readonly rule: Rule
  readonly bare?: true
}

/** A route that TPROXY needs: packets with the mark are delivered locally, by a routing table of its own. */
export type MarkRoute = { readonly family: Family; readonly mark: number; readonly table: number }

/** All that an apply has to bring about. */
export type Plan = {
  /** Families that get rules; IPv4 always, IPv6 where the pod has it. */
  readonly families: readonly Family[]
  readonly steps: readonly Step[]
  readonly routes: readonly MarkRoute[]
  /** Whether `::6` must be on the loopback interface, for the proxy to dial from. */
  readonly needsV6Source: boolean
}

/** The chains of a table in a set; none when there is no such table. */
export function chainsOf(set: RuleSet, table: string): readonly Chain[] {
  return set.tables.find((one) => one.name === table)?.chains ?? []
}
