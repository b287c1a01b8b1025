/** Compares what a pod asks for with what was found, and says what does not fit, the first cause first. */
import type { Family } from '../cidrs.ts'
import { styleOf } from '../rules/canonical.ts'
import { printRule } from '../rules/iptables.ts'
import { isBuiltIn, isOurChain } from '../rules/names.ts'
import type { Asked } from './asked.ts'
import { inOrder, listed, type Contradiction } from './contradiction.ts'
import { judgeListeners } from './judge-listeners.ts'
import { judgePassages } from './judge-passages.ts'
import { lateAnnotations } from './late.ts'
import { ownAddresses, type Passage, type Wanted } from './packets.ts'
import { oursIn, type Engine, type Seen, type Standing } from './seen.ts'

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
  if (ours.length === 0 && seen.unseen.length > 0) return []
  if (ours.length === 0) return asked?.rules === undefined ? [] : [missing(asked, seen)]
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
    says: `there are rules of a sidecar in ${engines(ours)}, and pod ${pod} asks for none: ${from}`,
    remedy: 'create the pod anew; if the rules come back, ask who writes them on this node',
  }
}

function judgeWriters({ asked, seen }: Case, ours: readonly Standing[]): readonly Contradiction[] {
  const found: Contradiction[] = []
  const twice = FAMILIES.map((family) => oursIn(seen, family)).find((some) => some.length > 1)
  const double = ours.map(writtenTwice).find((one) => one !== undefined)
  const who = asked === undefined ? '' : `; the pod asks ${writerOf(asked)} only`
  const remedy =
    'let one of them write: either pods get istio-init, or the node runs the CNI plugin; then create the pod anew'
  if (twice !== undefined || double !== undefined) {
    const where =
      twice === undefined
        ? double
        : `once in ${twice.map(({ engine }) => engine).join(' and once in ')}`
    const says = `the rules stand twice, ${where ?? ''}: both an init container and a CNI plugin wrote them${asked?.twice === true ? '' : who}`
    found.push({ code: 'written-twice', says, remedy })
  }
  if (asked?.twice === true) {
    const says =
      'the pod has two writers: its container istio-init, and the node for its istio-validation or redirect plan'
    found.push({ code: 'two-writers', says, remedy })
  }
  const engine = asked?.rules?.engine
  if (engine !== undefined && !ours.some((one) => one.engine === engine)) {
    found.push({
      code: 'other-backend',
      says: `the pod asks for rules in ${engine}, and they stand in ${engines(ours)}: ${engine} shows none, though the others work`,
      remedy:
        'write them with the backend that is asked for (istio-iptables --reconcile with the same arguments removes the others), or ask for the one that this node uses',
    })
  }
  return found
}

function writerOf({ by }: Asked): string {
  return by === 'init' ? 'its init container' : 'the node'
}

/** In one engine: chains in both naming styles, or a jump that is there a second time. */
function writtenTwice({ engine, rules }: Standing): string | undefined {
  const names = rules.tables
    .flatMap(({ chains }) => chains.map(({ name }) => name))
    .filter(isOurChain)
  if (names.length > 0 && styleOf(rules) === undefined) {
    return `in ${engine} as ISTIO-… and as ISTIO_…`
  }
  for (const { chains } of rules.tables) {
    for (const chain of chains.filter(({ name }) => isBuiltIn(name))) {
      const jumps = chain.rules
        .filter(({ then }) => then.do === 'jump' && isOurChain(then.to))
        .map(printRule)
      const again = jumps.find((jump, index) => jumps.indexOf(jump) < index)
      if (again !== undefined)
        return `in ${engine}, where ${chain.name} has ${again} more than once`
    }
  }
  return undefined
}

function judgeRest(one: Case): readonly Contradiction[] {
  const { asked, wanted, seen, passages } = one
  const found: Contradiction[] = []
  for (const line of wanted?.lacks ?? []) {
    const remedy = 'create the pod anew: whoever writes the rules adds it'
    found.push({ code: 'route-missing', says: line, remedy })
  }
  if (seen.admin.kind === 'not-ready') {
    const says = `Envoy listens, but is not ready: ${seen.admin.says}`
    const remedy = 'it has no configuration yet: look at the log of istio-proxy and at istiod'
    found.push({ code: 'not-ready', says, remedy })
  }
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
  const isTaken = (family: Family): boolean =>
    passages.some(
      (one) => one.family === family && one.kind !== 'dns' && one.live.end.kind === 'captured',
    )
  const isAsked = asked?.rules?.options.dualStack === true
  if (own === undefined || isAsked || !isTaken('v4') || isTaken('v6')) return []
  const says = `IPv6 is not captured, only IPv4: the pod has ${own.text}, and what goes there or leaves from there passes the proxy by`
  const remedy =
    'set ISTIO_DUAL_STACK to true for the proxy (ProxyConfig proxyMetadata) and create the pod anew, or take IPv6 from the pod'
  return [{ code: 'ipv6-open', says, remedy }]
}

function engines(some: readonly Standing[]): string {
  return listed([...new Set(some.map(({ engine }): Engine => engine))])
}
