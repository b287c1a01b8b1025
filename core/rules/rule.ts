import type { Family } from '../cidrs.ts'
import type { Owner } from '../ids.ts'
import { singlePort, type Port, type PortRange } from '../ports.ts'
import type { End, Match, Rule, Verdict } from './model.ts'

/** Puts a rule together: the reason first, then the verdict, then the conditions in the order of printing. */
export function rule(why: string, then: Verdict, ...match: readonly Match[]): Rule {
  return { match, then, why }
}

/** A condition turned round. */
export function not(match: Match): Match {
  switch (match.on) {
    case 'interface':
    case 'address':
    case 'port':
    case 'owner':
    case 'mark':
      return { ...match, not: true }
    case 'protocol':
    case 'family':
    case 'conntrack':
    case 'other':
      throw new Error(`a rule of ours never negates ${match.on}`)
  }
}

export const TCP: Match = { on: 'protocol', is: 'tcp' }
export const UDP: Match = { on: 'protocol', is: 'udp' }
export const RETURN: Verdict = { do: 'return' }
export const ACCEPT: Verdict = { do: 'accept' }
export const DROP: Verdict = { do: 'drop' }

/** Only packets of one family; for tables that see both. */
export function family(is: Family): Match {
  return { on: 'family', is }
}

/** Packets that come in by an interface. */
export function cameBy(name: string): Match {
  return { on: 'interface', way: 'in', name }
}

/** Packets that leave by an interface. */
export function leavesBy(name: string): Match {
  return { on: 'interface', way: 'out', name }
}

/** Packets from an address range. */
export function from(cidr: string): Match {
  return { on: 'address', end: 'source', cidr }
}

/** Packets to an address range. */
export function to(cidr: string): Match {
  return { on: 'address', end: 'destination', cidr }
}

/** Packets to one of some ports. */
export function toPort(...ports: readonly (Port | PortRange)[]): Match {
  return port('destination', ports)
}

/** Packets from one of some ports. */
export function fromPort(...ports: readonly (Port | PortRange)[]): Match {
  return port('source', ports)
}

/** Packets of sockets that a user or a group owns. */
export function ownedBy(who: 'uid' | 'gid', id: Owner): Match {
  return { on: 'owner', who, id }
}

/** Packets, or connections, that carry a firewall mark. */
export function marked(of: 'packet' | 'connection', value: number): Match {
  return { on: 'mark', of, value }
}

/** Packets whose connection is in one of some states, as conntrack sees it. */
export function inState(...states: readonly string[]): Match {
  return { on: 'conntrack', states }
}

/** On to another chain; what returns from it goes on after the jump. */
export function jump(chain: string): Verdict {
  return { do: 'jump', to: chain }
}

/** To a port of this host, the original destination being remembered. */
export function redirect(port: Port): Verdict {
  return { do: 'redirect', port }
}

function port(end: End, ports: readonly (Port | PortRange)[]): Match {
  return {
    on: 'port',
    end,
    ports: ports.map((one) => (typeof one === 'number' ? singlePort(one) : one)),
  }
}
