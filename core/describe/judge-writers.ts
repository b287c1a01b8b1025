/** Who wrote the rules, and where. */
import { styleOf } from '../rules/canonical.ts'
import { printRule } from '../rules/iptables.ts'
import { isBuiltIn, isOurChain } from '../rules/names.ts'
import type { Asked } from './asked.ts'
import { listed, type Contradiction } from './contradiction.ts'
import type { Case } from './judge.ts'
import { oursIn, type Standing } from './seen.ts'

/** Rules that stand twice, or in another engine than asked. `ours` are the standings that hold any. */
export function judgeWriters(
  { asked, seen }: Case,
  ours: readonly Standing[],
): readonly Contradiction[] {
  const found: Contradiction[] = []
  const twice = (['v4', 'v6'] as const)
    .map((family) => oursIn(seen, family))
    .find((some) => some.length > 1)
  const double = ours.map(writtenTwice).find((one) => one !== undefined)
  const who = asked === undefined ? '' : `; the pod asks ${writerOf(asked)} only`
  const remedy =
    'let one of them write: either pods get istio-init, or the node runs the CNI plugin; then create the pod anew'
  if (twice !== undefined || double !== undefined) {
    const where =
      twice === undefined
        ? double
        : `once in ${twice.map(({ engine }) => engine).join(' and once in ')}`
    const says = `the rules stand twice, ${where ?? ''}: as when an init container and a CNI plugin both write them${asked?.twice === true ? '' : who}`
    found.push({ code: 'written-twice', says, remedy })
  }
  if (asked?.twice === true) {
    const says =
      'the pod has two writers: its container istio-init, and the node for its istio-validation or redirect plan'
    found.push({ code: 'two-writers', says, remedy })
  }
  const engine = asked?.rules?.engine
  const isSeen = seen.standings.some((one) => one.engine === engine)
  const mayStand = !isSeen && seen.unseen.some(({ families }) => families.length > 0)
  if (engine !== undefined && !mayStand && !ours.some((one) => one.engine === engine)) {
    found.push({
      code: 'other-backend',
      says: `the pod asks for rules in ${engine}, and they stand in ${enginesOf(ours)}: ${engine} shows none, though the others work`,
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

/** The engines of some standings, in words. */
export function enginesOf(some: readonly Standing[]): string {
  return listed([...new Set(some.map(({ engine }) => engine))])
}
