import type { ItemChange } from './change.ts'

/** The old indexes of the items that can stay where they are: a longest run of those in old order. */
export function longestRun(items: readonly ItemChange[]): ReadonlySet<number> {
  const froms = items.flatMap((item) => (item.kind === 'kept' ? [item.from] : []))
  let best: readonly number[] = []
  const ending: (readonly number[])[] = []
  for (const [position, from] of froms.entries()) {
    let run: readonly number[] = []
    for (let before = 0; before < position; before++) {
      const candidate = ending[before] ?? []
      if ((candidate.at(-1) ?? -1) < from && candidate.length > run.length) run = candidate
    }
    ending.push([...run, from])
    if (run.length + 1 > best.length) best = [...run, from]
  }
  return new Set(best)
}
