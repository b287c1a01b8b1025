import { printRule } from '../core/rules/iptables.ts'
import type { Rule } from '../core/rules/model.ts'
import type { Packet, Trace, TraceEnd } from '../core/rules/trace.ts'

/** A trace for people: one line for the packet, one for every rule that took it, one for the end. */
export function printTrace(
  { hops, end }: Trace,
  packet: Packet,
  why: (table: string, chain: string, rule: Rule) => string | undefined,
): string {
  const lines = hops.map((hop) => {
    const at = `  ${hop.table} ${hop.chain}`
    if (hop.rule === undefined || hop.place === undefined) return `${at}: end of the chain`
    const reason = why(hop.table, hop.chain, hop.rule)
    const { counted } = hop.rule
    const count = counted === undefined ? '' : ` [${counted.packets} packets so far]`
    return `${at} ${hop.place}: ${printRule(hop.rule)}${count}${reason === undefined ? '' : `\n    ${reason}`}`
  })
  return `${[printPacket(packet), ...lines, printEnd(end)].join('\n')}\n`
}

/** Where the packet ends, in a sentence. */
export function printEnd(end: TraceEnd): string {
  switch (end.kind) {
    case 'captured': {
      const kept = end.by === 'tproxy' ? ', its addresses kept' : ''
      return `captured by the proxy on ${end.port}${kept}`
    }
    case 'rewritten':
      return `rewritten to ${end.to}`
    case 'left-alone':
      return 'left alone: it goes where it was sent'
    case 'dropped':
      return 'dropped'
    case 'undecided':
      return 'not decided: the last rule above cannot be judged from outside the kernel'
    case 'endless':
      return 'endless: the rules jump in a circle'
  }
}

function printPacket(packet: Packet): string {
  const end = ({ address, port }: Packet['from']): string =>
    address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
  const way = 'in' in packet ? `in by ${packet.in}` : `out by ${packet.out}`
  const owner = [
    ...(packet.uid === undefined ? [] : [`uid ${packet.uid}`]),
    ...(packet.gid === undefined ? [] : [`gid ${packet.gid}`]),
  ]
  return [`${packet.protocol} ${end(packet.from)} > ${end(packet.to)}, ${way}`, ...owner].join(', ')
}
