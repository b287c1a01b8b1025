/** Tables of nftables that other people made: they are not traced, so what could change a packet's way is named. */
import { NFT_TABLES } from '../constants.ts'
import { isBuiltIn } from './names.ts'

/** Tables that iptables keeps in nftables; its own programs read them. */
const OF_IPTABLES = ['filter', 'nat', 'mangle', 'raw', 'security']

/** Statements after which a packet does not arrive, or arrives elsewhere. */
const TURNS = /\b(drop|reject|redirect|dnat|tproxy|notrack|queue|synproxy|fwd|xt target)\b/

/**
 * The foreign tables in what `nft list ruleset` prints that may drop or redirect what a pod sends or gets: for
 * each a few words, such as `table ip x (chain pre at prerouting: redirect)`. A table that only counts, accepts
 * or marks is passed over, as is one to which no packet comes (no base chain, or dormant).
 */
export function foreignTables(ruleset: string): readonly string[] {
  return ruleset
    .split(/^(?=table )/m)
    .map((text) => text.replace(/"[^"\n]*"/g, '""').replace(/^\s*#.*$/gm, ''))
    .flatMap((text) => {
      const [, family = '', name = ''] = /^table (\S+) (\S+) /.exec(text) ?? []
      const chains = baseChains(text)
      if (!isAsked(family) || isOwn(family, name, chains)) return []
      const [turn] = TURNS.exec(text) ?? []
      const [first] = chains
      if (turn === undefined || first === undefined) return []
      return [`table ${family} ${name} (chain ${first.name} at ${first.hook}: ${turn})`]
    })
}

function isAsked(family: string): boolean {
  return ['ip', 'ip6', 'inet', 'netdev'].includes(family)
}

/** A chain that packets come to by themselves. Nothing is forwarded in a pod. */
type Base = { readonly name: string; readonly hook: string }

function baseChains(table: string): readonly Base[] {
  if (/^\s+flags [^\n]*\bdormant\b/m.test(table)) return []
  const found = table.matchAll(/^\s+chain (\S+) \{\s+type \S+ hook (\S+) /gm)
  return [...found]
    .map(([, name = '', hook = '']) => ({ name, hook }))
    .filter(({ hook }) => hook !== 'forward')
}

function isOwn(family: string, name: string, chains: readonly Base[]): boolean {
  if (family === 'inet') return Object.values<string>(NFT_TABLES).includes(name)
  const isOfIptables = family !== 'netdev' && OF_IPTABLES.includes(name)
  return isOfIptables && chains.every((chain) => isBuiltIn(chain.name))
}
