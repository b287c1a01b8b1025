/** The packets that every sidecar's rules must know: where each should end, where it ends, and who takes it there. */
import type { Family } from '../cidrs.ts'
import { trace, type Trace, type TraceEnd } from '../rules/trace.ts'
import type { Asked } from './asked.ts'
import { ownAddresses, questionsOf, type Question, type Wanted } from './questions.ts'
import { isHidden, traceLive, type Seen } from './seen.ts'
import { takerOf, type Listener } from './sockets.ts'

/** A packet and what becomes of it. */
export type Passage = Question & {
  readonly family: Family
  /** Where it should end; absent where nobody said what is wanted. */
  readonly want?: TraceEnd
  readonly live: Trace
  /** Who takes it where it ends, if that is in the pod. */
  readonly taker?: Listener
}

const LOOPBACK = { v4: '127.0.0.1', v6: '::1' } as const

/** Follows every packet, family by family as far as the pod has addresses and its rules could be looked at. */
export function passages(
  asked: Asked | undefined,
  wanted: Wanted | undefined,
  seen: Seen,
): readonly Passage[] {
  const known = ownAddresses(seen).filter(({ family }) => !isHidden(seen, family))
  return known.flatMap(({ family, text }) => {
    const questions = questionsOf(family, text, { asked, wanted, seen })
    return questions.map((one): Passage => {
      const live = traceLive(seen, one.packet)
      const want = wanted === undefined ? undefined : trace(wanted.sets[family], one.packet).end
      const taker = takenBy(seen, one, likelyEnd({ live, want }))
      return {
        ...one,
        family,
        ...(want !== undefined && { want }),
        live,
        ...(taker !== undefined && { taker }),
      }
    })
  })
}

/** Where a packet ends; where a rule decides that cannot be judged, where it should. */
export function likelyEnd(one: {
  readonly live: Trace
  readonly want?: TraceEnd | undefined
}): TraceEnd {
  const { live, want } = one
  return live.end.kind === 'undecided' ? (want ?? live.end) : live.end
}

function takenBy(seen: Seen, { packet }: Question, end: TraceEnd): Listener | undefined {
  const family = packet.to.address.includes(':') ? 'v6' : 'v4'
  const isIn = 'in' in packet
  if (end.kind === 'captured') {
    const goal = end.by === 'tproxy' ? 'any' : isIn ? 'pod' : 'loopback'
    return takerOf(seen.listeners, packet.protocol, family, end.port, goal)
  }
  const isHere = isIn || packet.to.address === LOOPBACK[family]
  return end.kind === 'left-alone' && isHere
    ? takerOf(seen.listeners, packet.protocol, family, packet.to.port, 'pod')
    : undefined
}
