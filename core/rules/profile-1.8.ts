import { networkOf, printCidr, type Family } from '../cidrs.ts'
import { DNS_CAPTURE_PORT, DNS_PORT, LOOPBACK, SSH_PORT } from '../constants.ts'
import type { Owner } from '../ids.ts'
import type { Draft } from './draft.ts'
import type { Rule, Step, TableName } from './model.ts'
import {
  ACCEPT,
  cameBy,
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
 * The rules of Istio 1.8, whose listing the documents show. Each family has its own list: TPROXY, DNS and
 * included outbound ports exist for IPv4 only. It exempts SSH, and its outbound hook takes TCP only.
 */
export function buildProfile18(draft: Draft): Step[] {
  return draft.families.flatMap((family) => buildFamily(draft, family))
}

type Emit = (table: TableName, chain: string, rule: Rule, at?: number) => Step

function buildFamily(draft: Draft, family: Family): Step[] {
  const emit: Emit = (table, chain, one, at) => {
    return { families: [family], only: 'iptables', table, chain, rule: one, ...(at && { at }) }
  }
  const { options, chains } = draft
  const hasDns = options.dns !== 'off' && family === 'v4'
  return [
    ...options.virtualInterfaces.map((name) =>
      emit(
        'nat',
        'PREROUTING',
        rule('a virtual interface is not inbound', RETURN, cameBy(name)),
        1,
      ),
    ),
    emit(
      'nat',
      chains.inbound,
      rule(
        'the tunnel port of the proxy takes its own traffic',
        RETURN,
        TCP,
        toPort(options.ports.tunnel),
      ),
    ),
    ...(hasDns
      ? [
          emit(
            'nat',
            chains.redirect,
            rule(
              'DNS over TCP is answered by the agent',
              redirect(DNS_CAPTURE_PORT),
              TCP,
              toPort(DNS_PORT),
            ),
          ),
        ]
      : []),
    emit(
      'nat',
      chains.redirect,
      rule('captured outbound connections go to the proxy', redirect(options.ports.outbound), TCP),
    ),
    emit(
      'nat',
      chains.inRedirect,
      rule('captured inbound connections go to the proxy', redirect(options.ports.inbound), TCP),
    ),
    ...inbound(draft, family, emit),
    ...outbound(draft, family, emit),
    ...(hasDns ? dns(draft, emit) : []),
    ...(draft.isTproxy && family === 'v4'
      ? [
          emit(
            'mangle',
            'OUTPUT',
            rule(
              'replies of captured connections are delivered locally',
              { do: 'mark', value: options.tproxy.mark },
              TCP,
              from(LOOPBACK.v4),
              not(to(LOOPBACK.v4)),
            ),
          ),
        ]
      : []),
  ]
}

function inbound(draft: Draft, family: Family, emit: Emit): Step[] {
  const { options, chains } = draft
  const { inboundPorts } = options
  if (inboundPorts === 'none') return []
  const isTproxy = draft.isTproxy && family === 'v4'
  const table = isTproxy ? 'mangle' : 'nat'
  const excluded = [{ first: SSH_PORT, last: SSH_PORT }, ...options.excludeInboundPorts]
  const ports = inboundPorts === '*' ? [[]] : inboundPorts.map((port) => [toPort(port)])
  const captured = 'inbound traffic is captured'
  return [
    ...(isTproxy ? tproxyTargets(draft, emit) : []),
    emit(
      table,
      'PREROUTING',
      rule('TCP from outside is inbound traffic', jump(chains.inbound), TCP),
    ),
    ...(inboundPorts === '*' ? excluded : []).map((port) => {
      const why = 'an excluded inbound port is left alone'
      return emit(table, chains.inbound, rule(why, RETURN, TCP, toPort(port)))
    }),
    ...ports.flatMap((port) => {
      const known = inState('RELATED', 'ESTABLISHED')
      const again = 'a connection that is already with the proxy stays with it'
      return isTproxy
        ? [
            emit(table, chains.inbound, rule(again, jump(chains.divert), TCP, ...port, known)),
            emit(table, chains.inbound, rule(captured, jump(chains.tproxy), TCP, ...port)),
          ]
        : [emit(table, chains.inbound, rule(captured, jump(chains.inRedirect), TCP, ...port))]
    }),
  ]
}

function tproxyTargets(draft: Draft, emit: Emit): Step[] {
  const { chains, options } = draft
  const { mark } = options.tproxy
  const keep = 'packets of captured connections are delivered locally'
  return [
    emit('mangle', chains.divert, rule(keep, { do: 'mark', value: mark })),
    emit('mangle', chains.divert, rule(keep, ACCEPT)),
    emit(
      'mangle',
      chains.tproxy,
      rule(
        'captured inbound connections go to the proxy, their addresses kept',
        { do: 'tproxy', port: options.ports.outbound, mark },
        not(to(LOOPBACK.v4)),
        TCP,
      ),
    ),
  ]
}

function outbound(draft: Draft, family: Family, emit: Emit): Step[] {
  const { options, chains } = draft
  return [
    emit(
      'nat',
      'OUTPUT',
      rule('TCP that the pod sends is outbound traffic', jump(chains.output), TCP),
    ),
    ...options.excludeOutboundPorts.map((port) => {
      const why = 'an excluded outbound port is left alone'
      return emit('nat', chains.output, rule(why, RETURN, TCP, toPort(port)))
    }),
    emit(
      'nat',
      chains.output,
      rule(
        'the proxy dials the application from here: capturing it again would never end',
        RETURN,
        leavesBy('lo'),
        from(draft.passthrough[family]),
      ),
    ),
    ...options.proxyUids.flatMap((uid) => ownTraffic(draft, family, emit, 'uid', uid)),
    ...options.proxyGids.flatMap((gid) => ownTraffic(draft, family, emit, 'gid', gid)),
    emit(
      'nat',
      chains.output,
      rule('loopback traffic is left alone', RETURN, to(LOOPBACK[family])),
    ),
    ...networks(options.excludeOutboundCidrs, family).map((cidr) =>
      emit(
        'nat',
        chains.output,
        rule('an excluded outbound range is left alone', RETURN, to(cidr)),
      ),
    ),
    ...(family === 'v4' ? options.includeOutboundPorts : []).map((port) => {
      const why = 'an included outbound port is captured wherever it leads'
      return emit('nat', chains.output, rule(why, jump(chains.redirect), TCP, toPort(port)))
    }),
    ...included(draft, family, emit),
  ]
}

function ownTraffic(
  draft: Draft,
  family: Family,
  emit: Emit,
  who: 'uid' | 'gid',
  id: Owner,
): Step[] {
  const { chains } = draft
  const own = ownedBy(who, id)
  const returnsEarly = family === 'v6' || !draft.wantsLoopback
  return [
    emit(
      'nat',
      chains.output,
      rule(
        'the proxy calling its own pod is served by its inbound side',
        jump(chains.inRedirect),
        leavesBy('lo'),
        not(to(LOOPBACK[family])),
        own,
      ),
    ),
    ...(returnsEarly
      ? [
          emit(
            'nat',
            chains.output,
            rule(
              'the application calling its own pod is left alone',
              RETURN,
              leavesBy('lo'),
              not(own),
            ),
          ),
        ]
      : []),
    emit('nat', chains.output, rule("never capture the proxy's own traffic", RETURN, own)),
  ]
}

function included(draft: Draft, family: Family, emit: Emit): Step[] {
  const { options, chains } = draft
  const take = jump(chains.redirect)
  const captured = 'outbound traffic is captured'
  const routed = 'what comes by a virtual interface is outbound traffic'
  const { includeOutboundCidrs } = options
  if (includeOutboundCidrs === '*') {
    // This release returns IPv6 of a virtual interface where it captures IPv4.
    const then = family === 'v4' ? take : RETURN
    return [
      emit('nat', chains.output, rule(captured, take)),
      ...options.virtualInterfaces.map((name) =>
        emit('nat', 'PREROUTING', rule(routed, then, cameBy(name)), 1),
      ),
    ]
  }
  const cidrs = networks(includeOutboundCidrs, family)
  if (cidrs.length === 0) return []
  return [
    ...cidrs.flatMap((cidr) => [
      ...options.virtualInterfaces.map((name) =>
        emit('nat', 'PREROUTING', rule(routed, take, cameBy(name), to(cidr)), 1),
      ),
      emit('nat', chains.output, rule(captured, take, to(cidr))),
    ]),
    emit('nat', chains.output, rule('what is not listed is left alone', RETURN)),
  ]
}

function dns(draft: Draft, emit: Emit): Step[] {
  const { options } = draft
  const owners = [
    ...options.proxyUids.map((uid) => ownedBy('uid', uid)),
    ...options.proxyGids.map((gid) => ownedBy('gid', gid)),
  ]
  const why = 'DNS over UDP is answered by the agent'
  return [
    ...owners.map((own) =>
      emit(
        'nat',
        'OUTPUT',
        rule("the agent's own queries are left alone", RETURN, UDP, toPort(DNS_PORT), own),
      ),
    ),
    emit(
      'nat',
      'OUTPUT',
      rule(why, { do: 'dnat', to: `127.0.0.1:${DNS_CAPTURE_PORT}` }, UDP, toPort(DNS_PORT)),
    ),
    emit(
      'nat',
      'POSTROUTING',
      rule(why, { do: 'snat', to: '127.0.0.1' }, UDP, toPort(DNS_CAPTURE_PORT)),
    ),
  ]
}

/** This release wrote the network, without host bits. */
function networks(cidrs: readonly Parameters<typeof printCidr>[0][], family: Family): string[] {
  return cidrs.filter((cidr) => cidr.family === family).map((cidr) => printCidr(networkOf(cidr)))
}
