import { printCidr, type Family } from '../cidrs.ts'
import { DNS_PORT } from '../constants.ts'
import type { Owner } from '../ids.ts'
import { inAll, inEach, type Draft } from './draft.ts'
import type { Step } from './model.ts'
import {
  ACCEPT,
  cameBy,
  DROP,
  from,
  inState,
  jump,
  leavesBy,
  not,
  ownedBy,
  redirect,
  RETURN,
  rule,
  TCP,
  to,
  toPort,
  UDP,
} from './rule.ts'

/**
 * The rules of today's profile up to the include lists, in the order in which they are written. What must
 * not move: the pass-through source before the self-calls, these before the early return of local calls,
 * that before the return of the proxy's own traffic, and all of them before DNS and the include lists.
 */
export function buildCapture(draft: Draft, dns: () => readonly Step[]): Step[] {
  return [
    ...interfaces(draft),
    ...invalidPackets(draft),
    ...targets(draft),
    ...inbound(draft),
    ...outboundStart(draft),
    ...draft.options.proxyUids.flatMap((uid) => ownTraffic(draft, 'uid', uid)),
    ...draft.options.proxyGids.flatMap((gid) => ownTraffic(draft, 'gid', gid)),
    ...ownerGroups(draft),
    ...(draft.hasDns ? dns() : []),
    ...outboundExcludes(draft),
    ...outboundIncludes(draft),
  ]
}

function interfaces(draft: Draft): Step[] {
  const excluded = 'traffic of an excluded interface is left alone'
  const tables = draft.isTproxy ? (['nat', 'mangle'] as const) : (['nat'] as const)
  return [
    ...tables.flatMap((table) =>
      draft.options.excludeInterfaces.flatMap((name) => [
        inAll(draft, table, 'PREROUTING', rule(excluded, RETURN, cameBy(name))),
        inAll(draft, table, 'OUTPUT', rule(excluded, RETURN, leavesBy(name))),
      ]),
    ),
    ...draft.options.virtualInterfaces.map((name) => {
      const why = 'traffic of a virtual interface is not inbound traffic of the pod'
      return inAll(draft, 'nat', 'PREROUTING', rule(why, RETURN, cameBy(name)), { at: 1 })
    }),
  ]
}

/** Native nftables drops invalid TCP packets only, as Istio's does; iptables drops all invalid ones. */
function invalidPackets(draft: Draft): Step[] {
  if (!draft.options.dropInvalid) return []
  const { drop } = draft.chains
  const why = 'packets that fit no connection are dropped'
  const invalid = inState('INVALID')
  return [
    inAll(draft, 'mangle', 'PREROUTING', rule(why, jump(drop), invalid), { only: 'iptables' }),
    inAll(draft, 'mangle', 'PREROUTING', rule(why, jump(drop), TCP, invalid), { only: 'nft' }),
    inAll(draft, 'mangle', drop, rule(why, DROP)),
  ]
}

function targets(draft: Draft): Step[] {
  const { chains, options } = draft
  return [
    inAll(
      draft,
      'nat',
      chains.inbound,
      rule(
        'the tunnel port of the proxy takes its own traffic',
        RETURN,
        TCP,
        toPort(options.ports.tunnel),
      ),
    ),
    inAll(
      draft,
      'nat',
      chains.redirect,
      rule('captured outbound connections go to the proxy', redirect(options.ports.outbound), TCP),
    ),
    inAll(
      draft,
      'nat',
      chains.inRedirect,
      rule('captured inbound connections go to the proxy', redirect(options.ports.inbound), TCP),
    ),
  ]
}

function inbound(draft: Draft): Step[] {
  const { chains, options, inboundTable } = draft
  const { inboundPorts } = options
  if (inboundPorts === 'none') return []
  const ports = inboundPorts === '*' ? [[]] : inboundPorts.map((port) => [toPort(port)])
  return [
    ...(draft.isTproxy ? tproxyTargets(draft) : []),
    inAll(
      draft,
      inboundTable,
      'PREROUTING',
      rule('TCP from outside is inbound traffic', jump(chains.inbound), TCP),
    ),
    ...(inboundPorts === '*' ? options.excludeInboundPorts : []).map((port) => {
      const why = 'an excluded inbound port is left alone'
      return inAll(draft, inboundTable, chains.inbound, rule(why, RETURN, TCP, toPort(port)))
    }),
    ...ports.flatMap((port) => {
      const why = 'inbound traffic is captured'
      const known = inState('RELATED', 'ESTABLISHED')
      const again = 'a connection that is already with the proxy stays with it'
      return draft.isTproxy
        ? [
            inAll(
              draft,
              'mangle',
              chains.inbound,
              rule(again, jump(chains.divert), TCP, ...port, known),
            ),
            inAll(draft, 'mangle', chains.inbound, rule(why, jump(chains.tproxy), TCP, ...port)),
          ]
        : [inAll(draft, 'nat', chains.inbound, rule(why, jump(chains.inRedirect), TCP, ...port))]
    }),
  ]
}

function tproxyTargets(draft: Draft): Step[] {
  const { chains, options, loopback } = draft
  const { mark } = options.tproxy
  const keep = 'packets of captured connections are delivered locally'
  return [
    inAll(draft, 'mangle', chains.divert, rule(keep, { do: 'mark', value: mark })),
    inAll(draft, 'mangle', chains.divert, rule(keep, ACCEPT)),
    ...inEach(draft, 'mangle', chains.tproxy, (family) =>
      rule(
        'captured inbound connections go to the proxy, their addresses kept',
        { do: 'tproxy', port: options.ports.inbound, mark },
        not(to(loopback[family])),
        TCP,
      ),
    ),
  ]
}

function outboundStart(draft: Draft): Step[] {
  const { chains, options } = draft
  const excluded = 'an excluded outbound port is left alone'
  return [
    inAll(
      draft,
      'nat',
      'OUTPUT',
      rule('all that the pod sends is outbound traffic', jump(chains.output)),
    ),
    ...options.excludeOutboundPorts.flatMap((port) => [
      inAll(draft, 'nat', chains.output, rule(excluded, RETURN, TCP, toPort(port)), { bare: true }),
      inAll(draft, 'nat', chains.output, rule(excluded, RETURN, UDP, toPort(port)), { bare: true }),
    ]),
    ...inEach(draft, 'nat', chains.output, (family) =>
      rule(
        'the proxy dials the application from here: capturing it again would never end',
        RETURN,
        leavesBy('lo'),
        from(draft.passthrough[family]),
      ),
    ),
  ]
}

/** The three rules that keep the proxy out of its own capture, for one user or group. */
function ownTraffic(draft: Draft, who: 'uid' | 'gid', id: Owner): Step[] {
  const { chains, options, loopback, hasDns } = draft
  const own = ownedBy(who, id)
  // Istio excepts DNS from the self-calls of users only.
  const open = hasDns && who === 'uid' ? [DNS_PORT, options.ports.tunnel] : [options.ports.tunnel]
  const local = hasDns ? [TCP, not(toPort(DNS_PORT))] : []
  return [
    ...inEach(draft, 'nat', chains.output, (family) =>
      rule(
        'the proxy calling its own pod is served by its inbound side',
        jump(chains.inRedirect),
        leavesBy('lo'),
        not(to(loopback[family])),
        TCP,
        not(toPort(...open)),
        own,
      ),
    ),
    ...(draft.wantsLoopback
      ? []
      : [
          inAll(
            draft,
            'nat',
            chains.output,
            rule(
              'the application calling its own pod is left alone',
              RETURN,
              leavesBy('lo'),
              ...local,
              not(own),
            ),
          ),
        ]),
    inAll(draft, 'nat', chains.output, rule("never capture the proxy's own traffic", RETURN, own)),
  ]
}

function ownerGroups(draft: Draft): Step[] {
  const { chains, options } = draft
  const { ownerGroups: included } = options
  if (included === '*') {
    return options.excludeOwnerGroups.map((gid) => {
      const why = 'outbound traffic of an excluded group is left alone'
      return inAll(draft, 'nat', chains.output, rule(why, RETURN, ownedBy('gid', gid)))
    })
  }
  const why = 'outbound traffic of groups that are not listed is left alone'
  const others = included.map((gid) => not(ownedBy('gid', gid)))
  return [inAll(draft, 'nat', chains.output, rule(why, RETURN, ...others))]
}

function outboundExcludes(draft: Draft): Step[] {
  const { chains, options, loopback } = draft
  return [
    ...inEach(draft, 'nat', chains.output, (family) =>
      rule('loopback traffic is left alone', RETURN, to(loopback[family])),
    ),
    ...draft.families.flatMap((family) =>
      rangesOf(options.excludeOutboundCidrs, family).map((cidr): Step => {
        const why = 'an excluded outbound range is left alone'
        return {
          families: [family],
          table: 'nat',
          chain: chains.output,
          rule: rule(why, RETURN, to(cidr)),
        }
      }),
    ),
  ]
}

function outboundIncludes(draft: Draft): Step[] {
  const { chains, options } = draft
  const take = jump(chains.redirect)
  const captured = 'outbound traffic is captured'
  const routed = 'what comes by a virtual interface is outbound traffic'
  const { includeOutboundCidrs: included, virtualInterfaces } = options
  const head = { at: 1 } as const
  return [
    ...options.includeOutboundPorts.map((port) => {
      const why = 'an included outbound port is captured wherever it leads'
      return inAll(draft, 'nat', chains.output, rule(why, take, TCP, toPort(port)), { bare: true })
    }),
    ...(included === '*'
      ? [
          inAll(draft, 'nat', chains.output, rule(captured, take)),
          ...virtualInterfaces.map((name) =>
            inAll(draft, 'nat', 'PREROUTING', rule(routed, take, cameBy(name)), head),
          ),
        ]
      : draft.families.flatMap((family) =>
          rangesOf(included, family).flatMap((cidr): Step[] => [
            ...virtualInterfaces.map((name): Step => {
              const virtual = rule(routed, take, cameBy(name), to(cidr))
              return {
                families: [family],
                table: 'nat',
                chain: 'PREROUTING',
                rule: virtual,
                ...head,
              }
            }),
            {
              families: [family],
              table: 'nat',
              chain: chains.output,
              rule: rule(captured, take, to(cidr)),
            },
          ]),
        )),
  ]
}

function rangesOf(
  cidrs: readonly { readonly family: Family; readonly address: string; readonly bits: number }[],
  family: Family,
): string[] {
  return cidrs.filter((cidr) => cidr.family === family).map(printCidr)
}
