import { canonicalText, styleOf, type Comparison } from './canonical.ts'
import type { Rule, RuleSet, Table } from './model.ts'
import { inStyle, isBuiltIn, isOurChain } from './names.ts'
import { hasOurs, holdsOurs, isOurRule } from './ours.ts'

/** One way in which the rules that stand differ from the rules that are wanted. */
export type Drift = {
  readonly kind: 'missing' | 'extra' | 'reordered'
  readonly table: string
  readonly chain: string
  /** The rule as one line; empty when the chain itself is what is missing or too much. */
  readonly rule: string
}

/** How one table stands: nothing of ours there, all as wanted, or different in some way. */
export type TableState = {
  readonly table: string
  readonly state: 'clean' | 'same' | 'different'
  readonly drift: readonly Drift[]
}

/**
 * Compares what is wanted with what was found, table by table. In our chains everything counts, the order
 * too; in built-in chains only our rules do, and their order among each other. Rules that are named in the
 * other style are the same rules.
 */
export function compareRules(wanted: RuleSet, found: RuleSet, how: Comparison): TableState[] {
  const style = { ...how, style: styleOf(wanted) ?? how.style }
  const names = [...new Set([...wanted.tables, ...found.tables].map((table) => table.name))].sort()
  return names.flatMap((name): TableState[] => {
    const want = wanted.tables.find((table) => table.name === name) ?? { name, chains: [] }
    const have = found.tables.find((table) => table.name === name) ?? { name, chains: [] }
    const drift = compareTable(want, have, style, hasOurs(found))
    const isWanted = want.chains.length > 0
    if (isWanted && drift.length === 0) return [{ table: name, state: 'same', drift }]
    if (!holdsOurs(have)) return isWanted ? [{ table: name, state: 'clean', drift: [] }] : []
    return [{ table: name, state: drift.length === 0 ? 'same' : 'different', drift }]
  })
}

/** The differences between two tables, in the order of their chains. */
function compareTable(wanted: Table, found: Table, how: Comparison, hasChains: boolean): Drift[] {
  const want = lines(wanted, wanted, how, true)
  const have = lines(found, wanted, how, hasChains)
  const chains = [...new Set([...want.keys(), ...have.keys()])]
  return chains.flatMap((chain): Drift[] => {
    const a = want.get(chain)
    const b = have.get(chain)
    const at = { table: wanted.name, chain }
    if (a === undefined && (b ?? []).length === 0) {
      return isBuiltIn(chain) ? [] : [{ kind: 'extra', ...at, rule: '' }]
    }
    if (b === undefined && (a ?? []).length === 0) return [{ kind: 'missing', ...at, rule: '' }]
    return compareLines(a ?? [], b ?? []).map((one) => ({ ...one, ...at }))
  })
}

/** Our rules of a table by chain, as lines. Built-in chains appear only if they hold a rule of ours. */
function lines(
  table: Table,
  wanted: Table,
  how: Comparison,
  hasChains: boolean,
): Map<string, readonly string[]> {
  const texts = new Map<string, readonly string[]>()
  for (const chain of table.chains) {
    const expected = wanted.chains.find((one) => one.name === chain.name)?.rules ?? []
    const known = new Set(expected.map((rule) => canonicalText(rule, how)))
    const isOurs = (rule: Rule): boolean =>
      isOurChain(chain.name) ||
      isOurRule(hasChains, chain.name, rule) ||
      known.has(canonicalText(rule, how))
    const own = chain.rules.filter(isOurs).map((rule) => canonicalText(rule, how))
    const name = inStyle(chain.name, how.style)
    if (own.length > 0 || isOurChain(chain.name))
      texts.set(name, [...(texts.get(name) ?? []), ...own])
  }
  return texts
}

type LineDrift = { readonly kind: Drift['kind']; readonly rule: string }

/** What turns one list into the other; a line that is both missing and too much has moved. */
function compareLines(wanted: readonly string[], found: readonly string[]): LineDrift[] {
  const kept = commonLines(wanted, found)
  const missing = without(wanted, kept)
  const extra = without(found, kept)
  const moved = extra.filter((line) => missing.includes(line))
  return [
    ...without(missing, moved).map((rule): LineDrift => ({ kind: 'missing', rule })),
    ...without(extra, moved).map((rule): LineDrift => ({ kind: 'extra', rule })),
    ...moved.map((rule): LineDrift => ({ kind: 'reordered', rule })),
  ]
}

/** The lines less one of each of some others. */
function without(lines: readonly string[], others: readonly string[]): string[] {
  const left = [...others]
  return lines.filter((line) => {
    const at = left.indexOf(line)
    if (at < 0) return true
    left.splice(at, 1)
    return false
  })
}

/** A longest list of lines that both have in the same order. */
function commonLines(a: readonly string[], b: readonly string[]): string[] {
  let head = 0
  while (head < a.length && head < b.length && a[head] === b[head]) head++
  if (head === a.length || head === b.length) return a.slice(0, head)
  const rows = a.length - head
  const columns = b.length - head
  const best = Array.from({ length: rows + 1 }, () => new Array<number>(columns + 1).fill(0))
  const at = (row: number, column: number): number => best[row]?.[column] ?? 0
  for (let row = rows - 1; row >= 0; row--) {
    for (let column = columns - 1; column >= 0; column--) {
      const isSame = a[head + row] === b[head + column]
      const value = isSame
        ? at(row + 1, column + 1) + 1
        : Math.max(at(row + 1, column), at(row, column + 1))
      best[row]?.splice(column, 1, value)
    }
  }
  const common = a.slice(0, head)
  for (let row = 0, column = 0; row < rows && column < columns;) {
    const line = a[head + row]
    if (line !== undefined && line === b[head + column]) {
      common.push(line)
      row++
      column++
    } else if (at(row + 1, column) >= at(row, column + 1)) row++
    else column++
  }
  return common
}

/** One line for people: `- nat ISTIO-OUTPUT: rule` is missing, `+` is too much, `~` has moved. */
export function printDrift(drift: Drift): string {
  const mark = { missing: '-', extra: '+', reordered: '~' }[drift.kind]
  return `${mark} ${drift.table} ${drift.chain}${drift.rule === '' ? ' (the chain)' : `: ${drift.rule}`}`
}
