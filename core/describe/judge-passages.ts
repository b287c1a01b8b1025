/** Packets that end elsewhere than they should. */
import { printRule } from '../rules/iptables.ts'
import type { TraceEnd } from '../rules/trace.ts'
import { listed, type Contradiction } from './contradiction.ts'
import type { Case } from './judge.ts'
import type { Passage } from './packets.ts'

/** Contradictions of single packets; the same one of several ports or families is told once. */
export function judgePassages({ asked, passages }: Case): readonly Contradiction[] {
  const loops = passages.filter(
    ({ kind, live }) => kind === 'proxy' && live.end.kind === 'captured',
  )
  const others = passages.filter(({ kind, want, live }) => {
    return (
      kind !== 'proxy' &&
      want !== undefined &&
      !isSameEnd(want, live.end) &&
      live.end.kind !== 'undecided'
    )
  })
  const isHalf = (one: Passage): boolean =>
    one.family === 'v6' && !others.some(({ family, kind }) => family === 'v4' && kind === one.kind)
  const half = others.filter(isHalf)
  const whole = others.filter((one) => !isHalf(one) && one.family === firstFamily(others, one))
  return [
    ...loops.slice(0, 1).map((one) => circle(one, asked?.rules?.options.proxyUids ?? [])),
    ...whole.map(elsewhere),
    ...(half.length === 0 ? [] : [halfCaptured(half)]),
  ]
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

function elsewhere(passage: Passage): Contradiction {
  const { kind, packet, says, want, live } = passage
  const { port } = packet.to
  const by = decidedBy(passage)
  const should = `${says}: this should be ${want === undefined ? 'something else' : printEndOf(want)}`
  const remedy =
    'create the pod anew, so that its rules are written as asked; then see who changed them'
  if (kind === 'dns' && want?.kind === 'captured') {
    const says = `${should}, and is ${printEndOf(live.end)}${by}`
    return { code: 'dns-not-captured', says, remedy }
  }
  if (want?.kind === 'captured' && live.end.kind === 'left-alone') {
    const way = kind === 'out' ? 'outbound' : 'inbound'
    const says = `port ${port} is excluded from ${way} capture by mistake: the pod asks for it to be captured, and the rules leave it alone${by}`
    return { code: 'port-excluded', says, remedy }
  }
  if (want?.kind === 'left-alone' && live.end.kind === 'captured') {
    const says = `port ${port} is captured, and the pod asks for it to be left alone (${passage.says}): it goes to ${live.end.port}${by}`
    return { code: 'port-captured', says, remedy }
  }
  return { code: 'goes-elsewhere', says: `${should}, and is ${printEndOf(live.end)}${by}`, remedy }
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

/** The rule that decided, in brackets; nothing where none did. */
function decidedBy({ live }: Passage): string {
  const hop = live.hops.findLast(({ rule }) => rule !== undefined && rule.then.do !== 'jump')
  if (hop?.rule === undefined || hop.place === undefined) return ''
  const where = `${live.engine ?? ''} ${hop.table} ${hop.chain} ${hop.place}`
  return ` (${where}: ${printRule(hop.rule)})`
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
