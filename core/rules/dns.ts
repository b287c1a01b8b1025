import type { Family } from '../cidrs.ts'
import { DNS_CAPTURE_PORT, DNS_PORT, DNS_ZONES } from '../constants.ts'
import { inAll, type Draft } from './draft.ts'
import type { Match, Rule, Step, Verdict } from './model.ts'
import { from, fromPort, jump, ownedBy, redirect, rule, TCP, to, toPort, UDP } from './rule.ts'

/**
 * DNS capture: queries go to the agent. Conntrack zones keep a query of the application to the agent apart
 * from the agent's own to the real resolver, which has the same addresses and ports. The first zone that
 * a packet gets stays with it, so the proxy's rules come before the general ones.
 */
export function buildDns(draft: Draft): Step[] {
  const { chains } = draft
  const zones = 'a query and the question it stands for are tracked apart'
  return [
    inAll(draft, 'raw', 'OUTPUT', rule(zones, jump(chains.outputDns))),
    ...jumps(draft),
    ...captures(draft, TCP),
    ...captures(draft, UDP),
    ...ownZones(draft),
    ...otherZones(draft),
  ]
}

function jumps(draft: Draft): Step[] {
  const asked = draft.families.filter(
    (family) => draft.options.dns === 'all' || hasResolver(draft, family),
  )
  const why = 'DNS is answered by the agent'
  const step = (families: readonly Family[], only: 'iptables' | 'nft'): Step => {
    const chain = draft.chains.output
    return { families, only, table: 'nat', chain, rule: rule(why, jump(draft.chains.outputDns)) }
  }
  // Native nftables has one table for both families: a resolver of either makes the jump.
  return [step(asked, 'iptables'), step(draft.families, 'nft')]
}

function captures(draft: Draft, protocol: Match): Step[] {
  const why = 'DNS is answered by the agent'
  const then = redirect(DNS_CAPTURE_PORT)
  const chain = draft.chains.outputDns
  if (draft.options.dns === 'all') {
    return [inAll(draft, 'nat', chain, rule(why, then, protocol, toPort(DNS_PORT)))]
  }
  return eachResolver(draft, chain, 'nat', (server) => {
    return rule(why, then, protocol, toPort(DNS_PORT), to(server))
  })
}

function ownZones(draft: Draft): Step[] {
  const owners = [
    ...draft.options.proxyUids.map((uid) => ownedBy('uid', uid)),
    ...draft.options.proxyGids.map((gid) => ownedBy('gid', gid)),
  ]
  const chain = draft.chains.outputDns
  return owners.flatMap((own) => [
    inAll(
      draft,
      'raw',
      chain,
      rule('the agent asking a real resolver', zone('proxy'), UDP, toPort(DNS_PORT), own),
    ),
    inAll(
      draft,
      'raw',
      chain,
      rule(
        'the agent answering the application',
        zone('application'),
        UDP,
        fromPort(DNS_CAPTURE_PORT),
        own,
      ),
    ),
  ])
}

function otherZones(draft: Draft): Step[] {
  const { chains } = draft
  const asks = 'the application asking'
  const answers = 'a real resolver answering the agent'
  const hook = rule(answers, jump(chains.inbound))
  if (draft.options.dns === 'all') {
    return [
      inAll(draft, 'raw', 'PREROUTING', hook),
      inAll(draft, 'raw', chains.outputDns, rule(asks, zone('application'), UDP, toPort(DNS_PORT))),
      inAll(draft, 'raw', chains.inbound, rule(answers, zone('proxy'), UDP, fromPort(DNS_PORT))),
    ]
  }
  const asked = draft.families.filter((family) => hasResolver(draft, family))
  return [
    { families: asked, table: 'raw', chain: 'PREROUTING', rule: hook },
    ...asked.flatMap((family) =>
      serversOf(draft, family).flatMap((server): Step[] => [
        {
          families: [family],
          table: 'raw',
          chain: chains.outputDns,
          rule: rule(asks, zone('application'), UDP, toPort(DNS_PORT), to(server)),
        },
        {
          families: [family],
          table: 'raw',
          chain: chains.inbound,
          rule: rule(answers, zone('proxy'), UDP, fromPort(DNS_PORT), from(server)),
        },
      ]),
    ),
  ]
}

function eachResolver(
  draft: Draft,
  chain: string,
  table: 'nat',
  ruleFor: (server: string) => Rule,
): Step[] {
  return draft.families.flatMap((family) =>
    serversOf(draft, family).map((server): Step => {
      return { families: [family], table, chain, rule: ruleFor(server), bare: true }
    }),
  )
}

function zone(of: keyof typeof DNS_ZONES): Verdict {
  return { do: 'zone', zone: DNS_ZONES[of] }
}

function hasResolver(draft: Draft, family: Family): boolean {
  return draft.site.resolvers[family].length > 0
}

function serversOf(draft: Draft, family: Family): string[] {
  return draft.site.resolvers[family].map((server) => `${server}/${family === 'v4' ? 32 : 128}`)
}
