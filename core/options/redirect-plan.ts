/**
 * The redirect plan: one annotation that tells a node everything it needs to write a pod's rules, so that
 * the plugin there asks nobody. Written by injection, read by the plugin, its repair and its checks.
 */
import { printCidr } from '../cidrs.ts'
import type { Owner } from '../ids.ts'
import type { Json, JsonObject } from '../json.ts'
import { printPortRange, type PortRange } from '../ports.ts'
import type { RuleLook } from '../rules/build.ts'
import { DEFAULT_INTERCEPTION, type InterceptionOptions } from './interception.ts'

/** The format that is written. A reader refuses a newer one, and goes on reading older ones. */
export const PLAN_VERSION = 1

/** Who writes the rules of a pod: the node (`cni`), the pod's own init container, or nobody. */
export type RedirectPlan = NodePlan | { readonly apply: 'init' | 'none'; readonly revision: string }

/** The rules that a node is to write: the input of the rule builder, in full. */
export type NodePlan = {
  readonly apply: 'cni'
  readonly options: InterceptionOptions
  readonly look: RuleLook
  /** Whether nft and tables of our own are asked for, instead of iptables. */
  readonly nativeNftables: boolean
  /** False for a pod in a user namespace of its own, where owners have other numbers than on the node. */
  readonly hostUsers: boolean
  /** Revision of the injector, for logs. */
  readonly revision: string
}

/** How rules look unless a plan says otherwise. */
export const DEFAULT_LOOK: RuleLook = { profile: 'current', style: 'hyphen' }

/**
 * The annotation's text. Reading it gives the same plan, mode NONE apart, whose rules are those of REDIRECT.
 * Whether the plan is within the limits of readers only `readRedirectPlan` says.
 */
export function printRedirectPlan(plan: RedirectPlan): string {
  const { apply, revision } = plan
  if (plan.apply !== 'cni') return JSON.stringify({ v: PLAN_VERSION, apply, rev: revision })
  const { options, look, nativeNftables, hostUsers } = plan
  const { ports, inboundPorts, includeOutboundCidrs } = options
  return JSON.stringify({
    v: PLAN_VERSION,
    apply,
    mode: options.mode === 'TPROXY' ? 'TPROXY' : 'REDIRECT',
    uid: options.proxyUids,
    gid: options.proxyGids,
    port: { out: ports.outbound, in: ports.inbound, tun: ports.tunnel },
    out: {
      cidr: includeOutboundCidrs === '*' ? ['*'] : includeOutboundCidrs.map(printCidr),
      xcidr: options.excludeOutboundCidrs.map(printCidr),
      ports: printPorts(options.includeOutboundPorts),
      xports: printPorts(options.excludeOutboundPorts),
    },
    in: {
      ports:
        inboundPorts === 'none' || inboundPorts === '*' ? [inboundPorts] : printPorts(inboundPorts),
      xports: printPorts(options.excludeInboundPorts),
    },
    ifs: { reroute: options.virtualInterfaces, exclude: options.excludeInterfaces },
    dns: options.dns,
    dual: options.dualStack,
    dropInvalid: options.dropInvalid,
    hostUsers,
    ...printRare(options),
    ...(nativeNftables && { nft: true }),
    ...(isDefaultLook(look) ? {} : { look: { profile: look.profile, style: look.style } }),
    rev: revision,
  })
}

/** Settings that hardly any pod has; each is left out where it has its default. */
function printRare({
  ownerGroups,
  excludeOwnerGroups,
  loopback,
  tproxy,
}: InterceptionOptions): JsonObject {
  const usual = DEFAULT_INTERCEPTION
  const groups: readonly Owner[] = ownerGroups === '*' ? ['*'] : ownerGroups
  const hasGroups = ownerGroups !== '*' || excludeOwnerGroups.length > 0
  const isMarked = tproxy.mark !== usual.tproxy.mark || tproxy.table !== usual.tproxy.table
  return {
    ...(hasGroups && { group: { capture: groups, leave: excludeOwnerGroups } }),
    ...(printCidr(loopback) !== printCidr(usual.loopback) && { loopback: printCidr(loopback) }),
    ...(isMarked && { tproxy: { mark: tproxy.mark, table: tproxy.table } }),
  }
}

function printPorts(ranges: readonly PortRange[]): readonly Json[] {
  return ranges.map((range) => (range.first === range.last ? range.first : printPortRange(range)))
}

function isDefaultLook({ profile, style }: RuleLook): boolean {
  return profile === DEFAULT_LOOK.profile && style === DEFAULT_LOOK.style
}
