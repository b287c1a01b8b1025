import { isLoopback, printCidr, type Family } from '../cidrs.ts'
import { LOOPBACK, PASSTHROUGH_SOURCE } from '../constants.ts'
import type { InterceptionOptions } from '../options/interception.ts'
import type { Rule, Step, TableName } from './model.ts'
import { chainNames, type ChainNames, type ChainStyle } from './names.ts'
import type { Site } from './site.ts'

/** Which rules: those of today's Istio, or those of release 1.8, whose listing the documents show. */
export type RuleProfile = 'current' | '1.8'

/** What the rules look like, apart from what they do. */
export type RuleLook = { readonly profile: RuleProfile; readonly style: ChainStyle }

/** The values that the sections of a rule set share, worked out once. */
export type Draft = {
  readonly options: InterceptionOptions
  readonly site: Site
  readonly chains: ChainNames
  readonly families: readonly Family[]
  /** The table that inbound traffic is taken in. */
  readonly inboundTable: TableName
  readonly isTproxy: boolean
  readonly hasDns: boolean
  /** Whether traffic to a loopback range is to be captured, so that local calls must not return early. */
  readonly wantsLoopback: boolean
  /** What counts as loopback, and where the proxy dials the application from. */
  readonly loopback: Readonly<Record<Family, string>>
  readonly passthrough: Readonly<Record<Family, string>>
}

/** Works out what the sections share. */
export function draftOf(options: InterceptionOptions, site: Site, look: RuleLook): Draft {
  const isTproxy = options.mode === 'TPROXY'
  return {
    options,
    site,
    chains: chainNames(look.style),
    families: site.families,
    inboundTable: isTproxy ? 'mangle' : 'nat',
    isTproxy,
    hasDns: options.dns === 'all' || (options.dns === 'servers' && site.hasResolver),
    wantsLoopback:
      options.includeOutboundCidrs !== '*' &&
      options.includeOutboundCidrs.some(({ family, address }) =>
        isLoopback({ family, text: address }),
      ),
    loopback: { v4: printCidr(options.loopback), v6: LOOPBACK.v6 },
    passthrough: PASSTHROUGH_SOURCE,
  }
}

/** A step for every family that gets rules. */
export function inAll(
  draft: Draft,
  table: TableName,
  chain: string,
  rule: Rule,
  more: Partial<Step> = {},
): Step {
  return { families: draft.families, table, chain, rule, ...more }
}

/** A step each for the families that get rules; the rule names an address of its family. */
export function inEach(
  draft: Draft,
  table: TableName,
  chain: string,
  rule: (family: Family) => Rule,
  more: Partial<Step> = {},
): Step[] {
  return draft.families.map((family) => {
    return { families: [family], table, chain, rule: rule(family), ...more }
  })
}
