/** Compares what a pod asks for with what was found, and says what does not fit, the first cause first. */
import type { Family } from '../cidrs.ts'
import type { TraceEnd } from '../rules/trace.ts'
import type { Asked } from './asked.ts'
import { inOrder, listed, type Contradiction } from './contradiction.ts'
import { judgeListeners, judgeProbes } from './judge-listeners.ts'
import { judgePassages } from './judge-passages.ts'
import { enginesOf, judgeWriters } from './judge-writers.ts'
import { lateAnnotations } from './late.ts'
import type { Passage } from './packets.ts'
import { ownAddresses, type Wanted } from './questions.ts'
import { isHidden, oursIn, type Seen, type Standing } from './seen.ts'

/** Everything that a judgement is made from. Without a pod there is no `asked`. */
export type Case = {
  readonly asked: Asked | undefined
  readonly wanted: Wanted | undefined
  readonly seen: Seen
  readonly passages: readonly Passage[]
}

/** What does not fit; nothing where all does. */
export function judge(one: Case): readonly Contradiction[] {
  const { asked, seen } = one
  const ours = FAMILIES.flatMap((family) => oursIn(seen, family))
  // Where rules may stand unseen, nothing can be said to be missing.
  if (ours.length === 0 && FAMILIES.some((family) => isHidden(seen, family))) return []
  if (ours.length === 0) {
    if (asked === undefined) return []
    if (asked.rules !== undefined) return [missing(asked, seen)]
    return inOrder([...judgeProbes(one), ...judgeEnvoy(seen)])
  }
  if (asked !== undefined && asked.rules === undefined) return [unasked(asked, ours)]
  return inOrder([
    ...judgeWriters(one, ours),
    ...judgePassages(one),
    ...judgeListeners(one),
    ...judgeRest(one),
  ])
}

const FAMILIES: readonly Family[] = ['v4', 'v6']

function missing({ by, from }: Asked, { listeners }: Seen): Contradiction {
  const open = listeners.some(({ port }) => port === 15001 || port === 15006)
  const passes = open
    ? 'Envoy listens, but all traffic passes it by'
    : 'all traffic goes past the proxy'
  return {
    code: 'rules-missing',
    says: `the rules are missing: ${from} asks for them, and no engine of the kernel holds any; ${passes}`,
    remedy:
      by === 'init'
        ? 'look at the log of the container istio-init (kubectl logs POD -c istio-init), then create the pod anew'
        : 'look at the log of sidecar-cni on this node (was it there when the pod started?), then create the pod anew',
  }
}

function unasked({ from, pod }: Asked, ours: readonly Standing[]): Contradiction {
  return {
    code: 'rules-unasked',
    says: `there are rules of a sidecar in ${enginesOf(ours)}, and pod ${pod} asks for none: ${from}`,
    remedy: 'create the pod anew; if the rules come back, ask who writes them on this node',
  }
}

function judgeRest(one: Case): readonly Contradiction[] {
  const { asked, wanted, seen, passages } = one
  const found: Contradiction[] = []
  for (const line of wanted?.lacks ?? []) {
    const remedy = 'create the pod anew: whoever writes the rules adds it'
    found.push({ code: 'route-missing', says: line, remedy })
  }
  found.push(...judgeEnvoy(seen))
  const [drift, ...more] = wanted?.drift ?? []
  if (drift !== undefined) {
    const others = more.length === 0 ? '' : `, and ${more.length} more`
    const says = `the rules differ from what the pod asks for (- missing, + too much, ~ moved): ${drift}${others}`
    found.push({
      code: 'rules-differ',
      says,
      remedy: 'create the pod anew, and find who changed them',
    })
  }
  const late = asked === undefined ? [] : lateAnnotations(asked)
  if (late.length > 0) {
    const says = `changed after injection, so without effect: ${late.map(([key]) => key).join(', ')}`
    const remedy = 'create the pod anew: rules are written once, when it starts'
    found.push({ code: 'annotation-late', says, remedy })
  }
  return [...found, ...judgeExcluded(one), ...judgeOpenIpv6(asked, seen, passages)]
}

function judgeEnvoy({ admin }: Seen): readonly Contradiction[] {
  if (admin.kind !== 'not-ready') return []
  const says = `Envoy listens, but is not ready: ${admin.says}`
  const remedy = 'it has no configuration yet: look at the log of istio-proxy and at istiod'
  return [{ code: 'not-ready', says, remedy }]
}

/** Some excluded ports are common; all of them leave nothing for the proxy. */
function judgeExcluded({ asked, passages }: Case): readonly Contradiction[] {
  const ports = asked?.appPorts ?? []
  const inbound = passages.filter(
    ({ kind, packet }) => kind === 'in' && ports.includes(packet.to.port),
  )
  const isIdle = inbound.every(({ want }) => want?.kind === 'left-alone')
  if (inbound.length === 0 || !isIdle || asked?.rules?.options.inboundPorts === 'none') return []
  const says = `every port that the application declares (${listed(ports)}) is excluded from inbound capture, so the proxy sees none of its requests`
  const remedy =
    'take it out of traffic.sidecar.istio.io/excludeInboundPorts (or into includeInboundPorts), and create the pod anew'
  return [{ code: 'all-excluded', says, remedy }]
}

/** IPv6 that nobody asked to capture, beside an IPv4 that is captured. */
function judgeOpenIpv6(
  asked: Asked | undefined,
  seen: Seen,
  passages: readonly Passage[],
): readonly Contradiction[] {
  const own = ownAddresses(seen).find(({ family }) => family === 'v6')
  const ends = (family: Family, kind: TraceEnd['kind']): boolean =>
    passages.some(
      (one) => one.family === family && one.kind !== 'dns' && one.live.end.kind === kind,
    )
  const isAsked = asked?.rules?.options.dualStack === true
  const isOpen = !ends('v6', 'captured') && !ends('v6', 'undecided')
  if (own === undefined || isAsked || !ends('v4', 'captured') || !isOpen) return []
  if (isHidden(seen, 'v6')) return []
  const says = `IPv6 is not captured, only IPv4: the pod has ${own.text}, and what goes there or leaves from there passes the proxy by`
  const remedy =
    'set ISTIO_DUAL_STACK to true for the proxy (ProxyConfig proxyMetadata) and create the pod anew, or take IPv6 from the pod'
  return [{ code: 'ipv6-open', says, remedy }]
}
