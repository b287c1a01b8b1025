import type { Family } from '../cidrs.ts'
import type { InterceptionOptions } from '../options/interception.ts'
import { buildCapture } from './capture.ts'
import { buildDns } from './dns.ts'
import { draftOf, type Draft, type RuleLook } from './draft.ts'
import type { MarkRoute, Plan } from './model.ts'
import { buildProfile18 } from './profile-1.8.ts'
import type { Site } from './site.ts'
import { buildTproxyExtras } from './tproxy.ts'

export type { RuleLook, RuleProfile } from './draft.ts'

/** Builds everything an apply has to bring about. Equal input gives an equal plan. */
export function buildPlan(options: InterceptionOptions, site: Site, look: RuleLook): Plan {
  const draft = draftOf(options, site, look)
  const isV18 = look.profile === '1.8'
  const steps = isV18
    ? buildProfile18(draft)
    : [...buildCapture(draft, () => buildDns(draft)), ...buildTproxyExtras(draft)]
  return {
    families: site.families,
    steps,
    routes: isV18 ? routesOf(draft, ['v4']) : routesOf(draft, site.families),
    needsV6Source: site.families.includes('v6'),
  }
}

function routesOf(draft: Draft, families: readonly Family[]): MarkRoute[] {
  if (!draft.isTproxy || draft.options.inboundPorts === 'none') return []
  return families.map((family) => ({ family, ...draft.options.tproxy }))
}
