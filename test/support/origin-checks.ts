/** What must hold of the origins of every injection. */
import { type Explained } from '../../core/origins/origins.ts'
import { isSame, type Json } from '../../core/json.ts'
import { nodesOf, replay } from './replay.ts'

/**
 * The fields that differ and have no origin, and what replaying gives: told as sentences, none when all
 * is well. Fields are compared place by place, list items by their numbers, with nothing paired.
 */
export function originFaults({ decision, origins }: Explained): readonly string[] {
  if (decision.kind !== 'inject') return origins.length === 0 ? [] : ['origins without injection']
  const before = JSON.parse(JSON.stringify(decision.before)) as Json
  const after = JSON.parse(JSON.stringify(decision.pod)) as Json
  const old = new Map(nodesOf(before))
  const now = new Map(nodesOf(after))
  const set = new Set(
    origins.flatMap(({ change, path }) =>
      change === 'added' || change === 'changed' ? [path] : [],
    ),
  )
  const moved = origins.flatMap((one) => (one.change === 'moved' ? [one] : []))
  const removed = origins.flatMap(({ change, path }) => (change === 'removed' ? [path] : []))
  const faults: string[] = []
  for (const [path, value] of now) {
    if (set.has(path)) continue
    const move = moved
      .filter((one) => isWithin(path, one.path))
      .sort((a, b) => b.path.length - a.path.length)[0]
    const from = move === undefined ? path : move.was + path.slice(move.path.length)
    if (!isSame(old.get(from), value)) faults.push(`${path} differs and has no origin`)
  }
  const kept = new Set(
    [...now.keys()].map((path) => {
      const move = moved
        .filter((one) => isWithin(path, one.path))
        .sort((a, b) => b.path.length - a.path.length)[0]
      return move === undefined ? path : move.was + path.slice(move.path.length)
    }),
  )
  for (const path of old.keys()) {
    if (
      !kept.has(path) &&
      !removed.some((gone) => isWithin(path, gone)) &&
      !isReplaced(path, set)
    ) {
      faults.push(`${path} is gone and has no origin`)
    }
  }
  const again = replay(before, origins)
  if (!isSame(again, after)) faults.push('replaying the origins gives another pod')
  for (const { path, text, template } of origins) {
    if (text === '') faults.push(`${path}: no text`)
    if (template !== undefined && template.line < 1) faults.push(`${path}: no line`)
  }
  return faults
}

function isWithin(path: string, place: string): boolean {
  return path === place || path.startsWith(`${place}/`)
}

/** Whether something above it was replaced by a value of another kind. */
function isReplaced(path: string, set: ReadonlySet<string>): boolean {
  for (let at = path; at !== ''; at = at.slice(0, at.lastIndexOf('/'))) {
    if (set.has(at)) return true
  }
  return false
}
