/** Rules that stand and do nothing: their chains are empty, or nothing leads into them. */
import type { Contradiction } from './contradiction.ts'
import { deciderOf } from './decider.ts'
import type { Case } from './judge.ts'
import type { Passage } from './packets.ts'

/** A direction of the pod's traffic. */
const WAYS = { out: 'outbound', in: 'inbound' } as const
type Way = keyof typeof WAYS

/** The passages of whole directions that no rule decides about, though all of them should be captured. */
export function emptied({ passages }: Case): readonly Passage[] {
  const due = passages.filter(({ kind, want }) => isWay(kind) && want?.kind === 'captured')
  const lost = due.filter((one) => one.live.end.kind === 'left-alone' && !deciderOf(one))
  const isLike = (one: Passage, { family, kind }: Passage): boolean =>
    one.family === family && one.kind === kind
  return lost.filter((one) => {
    return due.every((other) => !isLike(one, other) || lost.includes(other))
  })
}

/** What is said of them: nothing where only IPv6 is without rules, which is told as such. */
export function judgeEmptied(one: Case, lost: readonly Passage[]): readonly Contradiction[] {
  const ways = (['out', 'in'] as const).filter((way) => {
    return lost.some(({ kind, family }) => kind === way && family === firstFamily(one, way))
  })
  const [way] = ways
  if (way === undefined) return []
  const families = new Set(one.passages.map(({ family }) => family))
  const gone = [...new Set(lost.map(({ family }) => family))]
  const which = [
    ...(gone.length < families.size ? gone.map((family) => `IPv${family.slice(1)} `) : []),
    ...(ways.length < Object.keys(WAYS).length ? [`${WAYS[way]} `] : []),
  ].join('')
  return [
    {
      code: 'rules-missing',
      says: `the ${which}rules are missing: the chains of a sidecar are there, but empty, or nothing leads into them, so all ${which}traffic goes past the proxy`,
      remedy:
        'create the pod anew, so that its rules are written again; then see who flushed them (iptables -F)',
    },
  ]
}

function firstFamily({ passages }: Case, way: Way): Passage['family'] {
  return passages.some(({ family, kind }) => kind === way && family === 'v4') ? 'v4' : 'v6'
}

function isWay(kind: Passage['kind']): kind is Way {
  return Object.hasOwn(WAYS, kind)
}
