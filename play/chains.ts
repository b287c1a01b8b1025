/** Chains as boxes: where each stands, and which rule of one leads to which other. */
import type { Hop, Trace } from '../core/rules/trace.ts'
import { printRule } from '../core/rules/iptables.ts'
import type { RuleSet } from '../core/rules/model.ts'

/** One rule in its box. */
export type Row = {
  readonly text: string
  readonly why: string
  /** Name by which a trace finds it. */
  readonly id: string
  /** The chain that it jumps to, where it does. */
  readonly to?: string
}

/** One chain; `x` and `y` of its upper left corner, in pixels. */
export type Box = {
  readonly table: string
  readonly name: string
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
  readonly rows: readonly Row[]
}

/** The picture of a rule set. */
export type Picture = {
  readonly boxes: readonly Box[]
  readonly width: number
  readonly height: number
}

export const ROW_HEIGHT = 20
export const HEAD_HEIGHT = 26
const CHARACTER = 7.3
const PADDING = 10
const GAP = 34

/** Lays the chains out: those where packets begin at the left, each further jump one column to the right. */
export function pictureOf(set: RuleSet): Picture {
  const boxes: Box[] = []
  let top = 0
  let width = 0
  for (const { name: table, chains } of set.tables) {
    const filled = chains.filter(({ rules }) => rules.length > 0)
    const columns = columnsOf(
      filled.map(({ name, rules }) => ({
        name,
        to: rules.flatMap(({ then }) => (then.do === 'jump' ? [then.to] : [])),
      })),
    )
    let x = 0
    let lowest = top
    for (const column of columns) {
      let y = top
      let widest = 0
      for (const name of column) {
        const rules = filled.find((chain) => chain.name === name)?.rules ?? []
        const rows = rules.map((rule, index): Row => ({
          text: printRule(rule),
          why: rule.why ?? '',
          id: idOf(table, name, index + 1),
          ...(rule.then.do === 'jump' ? { to: rule.then.to } : {}),
        }))
        const longest = Math.max(
          name.length + table.length + 3,
          ...rows.map(({ text }) => text.length),
        )
        const box = {
          ...{ table, name, x, y, rows },
          width: Math.ceil(longest * CHARACTER) + 2 * PADDING,
          height: HEAD_HEIGHT + Math.max(1, rows.length) * ROW_HEIGHT + 6,
        }
        boxes.push(box)
        y += box.height + GAP
        widest = Math.max(widest, box.width)
      }
      x += widest + 2 * GAP
      lowest = Math.max(lowest, y)
    }
    width = Math.max(width, x - 2 * GAP)
    top = lowest
  }
  return { boxes, width, height: Math.max(0, top - GAP) }
}

/** The rules that a packet met, by their names, in its order. */
export function metBy({ hops }: Trace): readonly string[] {
  return hops.flatMap(({ table, chain, place }: Hop) =>
    place === undefined ? [] : [idOf(table, chain, place)],
  )
}

function idOf(table: string, chain: string, place: number): string {
  return `${table} ${chain} ${String(place)}`
}

type Link = { readonly name: string; readonly to: readonly string[] }

/** Chains by how many jumps lead to them at most. */
function columnsOf(links: readonly Link[]): readonly (readonly string[])[] {
  const depth = new Map<string, number>()
  const place = (name: string, at: number): void => {
    if ((depth.get(name) ?? -1) >= at || at > links.length) return
    depth.set(name, at)
    for (const to of links.find((link) => link.name === name)?.to ?? []) {
      if (links.some((link) => link.name === to)) place(to, at + 1)
    }
  }
  const targets = new Set(links.flatMap(({ to }) => to))
  for (const { name } of links) if (!targets.has(name)) place(name, 0)
  const last = Math.max(-1, ...depth.values())
  return Array.from({ length: last + 1 }, (_, column) =>
    links.map(({ name }) => name).filter((name) => depth.get(name) === column),
  )
}
