/** Workloads with the same effect put together, so that five hundred of them are told once. */
import { formatProblem } from '../problem.ts'
import type { Json } from '../json.ts'
import type { Effect } from './effect.ts'
import type { FieldChange } from './fields.ts'

/** Workloads that the new configuration does the same to. */
export type Group = {
  readonly kind: Exclude<Effect['kind'], 'same'>
  /** Why they gain or lose injection, or are refused; one line each. */
  readonly reasons: readonly string[]
  readonly fields: readonly FieldGroup[]
  /** Names of the workloads, as they were given. */
  readonly names: readonly string[]
}

/** One field that changes in all workloads of a group. */
export type FieldGroup = Pick<FieldChange, 'kind' | 'path'> & {
  /** What it changes from and to, the first few that differ; each with its number of workloads. */
  readonly values: readonly Values[]
  /** Workloads in which it changes from or to yet something else. */
  readonly others: number
}

/** One old and new value of a field; absent where it was not there. */
export type Values = { readonly before?: Json; readonly after?: Json; readonly count: number }

/** How many workloads each effect has. */
export type Counts = Readonly<Record<Effect['kind'], number>>

/** Collects effects. What it keeps grows with the groups, and by one name for each workload. */
export type Grouping = {
  readonly add: (name: string, effect: Effect) => void
  /** The groups: refused ones first, then those with most workloads. */
  readonly groups: () => readonly Group[]
  readonly counts: () => Counts
}

/** Different values of one field that are told; the name of a workload in it makes each different. */
const MOST_VALUES = 3

/** An empty grouping. */
export function makeGrouping(): Grouping {
  const found = new Map<string, Draft>()
  const counts = {
    same: 0,
    changes: 0,
    gains: 0,
    loses: 0,
    refused: 0,
    'still-refused': 0,
    accepted: 0,
  }
  return {
    add: (name, effect) => {
      counts[effect.kind]++
      if (effect.kind === 'same') return
      const fields = 'fields' in effect ? effect.fields : []
      const reasons = reasonsOf(effect)
      const places = fields.map(({ kind, path }) => [kind, path])
      const key = JSON.stringify([effect.kind, reasons, places])
      const draft = found.get(key) ?? newDraft(effect.kind, reasons, fields)
      found.set(key, draft)
      draft.names.push(name)
      for (const [index, field] of fields.entries()) tally(draft.fields[index], field)
    },
    groups: () => [...found.values()].toSorted(byWeight),
    counts: () => counts,
  }
}

type FieldDraft = Pick<FieldChange, 'kind' | 'path'> & {
  readonly values: ValuesDraft[]
  others: number
}
type ValuesDraft = Values & { readonly text: string; count: number }
type Draft = Group & { readonly fields: FieldDraft[]; readonly names: string[] }

function newDraft(
  kind: Group['kind'],
  reasons: readonly string[],
  fields: readonly FieldChange[],
): Draft {
  const empty = fields.map(({ kind, path }) => ({ kind, path, values: [], others: 0 }))
  return { kind, reasons, fields: empty, names: [] }
}

function tally(draft: FieldDraft | undefined, field: FieldChange): void {
  if (draft === undefined) return
  const { kind: _kind, path: _path, ...values } = field
  const text = JSON.stringify(values)
  const known = draft.values.find((one) => one.text === text)
  if (known !== undefined) known.count++
  else if (draft.values.length < MOST_VALUES) draft.values.push({ ...values, text, count: 1 })
  else draft.others++
}

function reasonsOf(effect: Exclude<Effect, { kind: 'same' }>): readonly string[] {
  switch (effect.kind) {
    case 'changes':
      return []
    case 'gains':
    case 'loses':
      return [effect.why]
    case 'refused':
    case 'still-refused':
    case 'accepted':
      return effect.problems.map(formatProblem)
  }
}

/** What stops a rollout comes first. */
const WEIGHTS = ['refused', 'loses', 'gains', 'changes', 'accepted', 'still-refused'] as const

function byWeight(a: Group, b: Group): number {
  return WEIGHTS.indexOf(a.kind) - WEIGHTS.indexOf(b.kind) || b.names.length - a.names.length
}
