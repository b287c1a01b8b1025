/** Packets that end elsewhere than they should. */
import type { TraceEnd } from '../rules/trace.ts'
import { listed, type Contradiction } from './contradiction.ts'
import { decidedBy } from './decider.ts'
import type { Case } from './judge.ts'
import { emptied, judgeEmptied } from './judge-emptied.ts'
import type { Passage } from './packets.ts'

/** Contradictions of single packets; the same one of several ports or families is told once. */
export function judgePassages(one: Case): readonly Contradiction[] {
  const { asked, passages } = one
  const lost = emptied(one)
  const missing = judgeEmptied(one, lost)
  const isTold = (passage: Passage): boolean => missing.length > 0 && lost.includes(passage)
  const loops = passages.filter(
    ({ kind, live }) => kind === 'proxy' && live.end.kind === 'captured',
  )
  const others = passages.filter((passage) => isElsewhere(passage) && !isTold(passage))
  const isHalf = (one: Passage): boolean => one.family === 'v6' && isRightInV4(passages, one)
  const half = others.filter(isHalf)
  const whole = others.filter((one) => !isHalf(one) && one.family === firstFamily(others, one))
  return [
    ...missing,
    ...loops.slice(0, 1).map((one) => circle(one, asked?.rules?.options.proxyUids ?? [])),
    ...byCause(whole).map(([first, ...alike]) => elsewhere(first, alike.length)),
    ...(half.length === 0 ? [] : [halfCaptured(half)]),
  ]
}

function isElsewhere({ kind, want, live: { end } }: Passage): boolean {
  if (end.kind === 'undecided') return false
  const isLost = end.kind === 'dropped' || end.kind === 'rewritten'
  // Whatever is wished, a call is to arrive somewhere; where the proxy's own go is told as a circle.
  if (want === undefined || kind === 'proxy') return isLost
  return !isSameEnd(want, end)
}

/** Whether there is IPv4 of the same kind, and all of it goes where it should. */
function isRightInV4(all: readonly Passage[], { kind }: Passage): boolean {
  const same = all.filter((one) => one.family === 'v4' && one.kind === kind)
  return (
    same.length > 0 &&
    same.every(({ want, live }) => want !== undefined && isSameEnd(want, live.end))
  )
}

/** IPv6 repeats what IPv4 said. */
function firstFamily(all: readonly Passage[], { kind, packet }: Passage): Passage['family'] {
  const same = all.filter((one) => one.kind === kind && one.packet.to.port === packet.to.port)
  return same.some(({ family }) => family === 'v4') ? 'v4' : 'v6'
}

function circle({ packet, live }: Passage, wanted: readonly (number | string)[]): Contradiction {
  const { uid = 0, gid } = packet
  const who = `uid ${uid}${gid === undefined ? '' : `, gid ${gid}`}`
  const port = live.end.kind === 'captured' ? live.end.port : 0
  const spared = wanted.length === 0 ? '' : `; the pod asks them to spare uid ${listed(wanted)}`
  return {
    code: 'proxy-captured',
    says: `the proxy runs as the wrong user (${who}): the rules send its own connections back to it on ${port}, in a circle${spared}`,
    remedy:
      'run istio-proxy as the uid that the rules spare (runAsUser, -u of istio-init), and create the pod anew',
  }
}

/** Packets that one rule keeps from arriving come together; all others stand alone. */
function byCause(all: readonly Passage[]): readonly (readonly [Passage, ...Passage[]])[] {
  const groups = new Map<unknown, [Passage, ...Passage[]]>()
  for (const one of all) {
    const cause = one.live.end.kind === 'dropped' ? `${one.kind}${decidedBy(one)}` : one
    const group = groups.get(cause)
    if (group === undefined) groups.set(cause, [one])
    else group.push(one)
  }
  return [...groups.values()]
}

function elsewhere(passage: Passage, alike: number): Contradiction {
  const { kind, packet, says, want, live, isNarrow } = passage
  const { port } = packet.to
  const by = decidedBy(passage)
  const end = printEndOf(live.end) + (alike === 0 ? '' : `, and so it is with ${alike} more`)
  const is =
    want === undefined
      ? `${says}: this is ${end}${by}`
      : `${says}: this should be ${printEndOf(want)}, and is ${end}${by}`
  const remedy =
    'create the pod anew, so that its rules are written as asked; then see who changed them'
  if (kind === 'dns' && want?.kind === 'captured') {
    return { code: 'dns-not-captured', says: is, remedy }
  }
  // Of a single address or user, the port says too much.
  if (isNarrow) return { code: 'goes-elsewhere', says: is, remedy }
  if (want?.kind === 'captured' && live.end.kind === 'left-alone') {
    const way = kind === 'out' ? 'outbound' : 'inbound'
    const says = `port ${port} is excluded from ${way} capture by mistake: the pod asks for it to be captured, and the rules leave it alone${by}`
    return { code: 'port-excluded', says, remedy }
  }
  if (want?.kind === 'left-alone' && live.end.kind === 'captured') {
    const says = `port ${port} is captured, and the pod asks for it to be left alone (${passage.says}): it goes to ${live.end.port}${by}`
    return { code: 'port-captured', says, remedy }
  }
  return { code: 'goes-elsewhere', says: is, remedy }
}

function halfCaptured(half: readonly Passage[]): Contradiction {
  const [first] = half
  const some = [...new Set(half.map(({ says }) => says))].slice(0, 3).join('; ')
  const end = first === undefined ? '' : printEndOf(first.live.end)
  return {
    code: 'ipv6-half',
    says: `IPv6 is only half captured: IPv4 goes as the pod asks, and of IPv6 this is ${end}: ${some}`,
    remedy:
      'create the pod anew; where ip6tables fails on this node (see the log of istio-init), load ip6_tables or use nft',
  }
}

/** Whether packets end alike. */
export function isSameEnd(a: TraceEnd, b: TraceEnd): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

/** Where a packet ends, in few words. */
export function printEndOf(end: TraceEnd): string {
  switch (end.kind) {
    case 'captured':
      return `sent to ${end.port}`
    case 'rewritten':
      return `sent to ${end.to}`
    case 'left-alone':
      return 'left alone'
    case 'dropped':
      return 'dropped'
    case 'undecided':
      return 'decided by a rule that cannot be judged from here'
    case 'endless':
      return 'sent round in a circle by the rules themselves'
  }
}
