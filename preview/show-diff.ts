import { isObject } from '../core/json.ts'
import type { Pod } from '../core/k8s.ts'
import type { Outcome } from '../core/preview/effect.ts'
import { makeGrouping } from '../core/preview/groups.ts'
import { formatProblem } from '../core/problem.ts'
import { printYaml } from '../core/yaml.ts'
import { writeStdout } from '../kube-inject/output.ts'
import type { Spool } from '../kube-inject/spool.ts'
import { coloured, printUnified, runsBetween } from '../kube-inject/unified-diff.ts'
import type { Compared } from './compared.ts'
import { nameOf, type Reporter } from './reporter.ts'
import { summaryOf } from './show-human.ts'

/** Prints every pod that changes as a unified diff; who would be refused, and the sum, goes to `tell`. */
export function makeDiff(
  spool: Spool,
  isTerminal: boolean,
  tell: (line: string) => void,
): Reporter {
  const grouping = makeGrouping()
  return {
    take: (compared) => {
      const { effect, owner } = compared
      grouping.add('', effect)
      if ('problems' in effect) {
        const lines = effect.problems.map(formatProblem)
        for (const line of lines) tell(`${nameOf(compared)}: ${effect.kind}: ${line}`)
        return
      }
      if (effect.kind === 'same') return
      const [before, after] = textsOf(compared)
      const file = [owner.namespace ?? '', owner.kind, `${owner.name}.yaml`].filter(
        (part) => part !== '',
      )
      const diff = printUnified(file.join('/'), runsBetween(before, after))
      spool.add(isTerminal ? coloured(diff) : diff)
    },
    finish: async (unsent) => {
      await writeStdout(spool.read(0, spool.size()))
      tell(summaryOf(grouping.counts(), unsent))
    },
  }
}

/** The pod now and next; one that is left alone is what the other side found. */
function textsOf({ now, next }: Compared): readonly [string, string] {
  const found = [now, next].map(podBefore).find((pod) => pod !== undefined)
  return [printed(podOf(now) ?? found), printed(podOf(next) ?? found)]
}

function podOf(outcome: Outcome): Pod | undefined {
  if (outcome.kind === 'inject') return outcome.pod
  return outcome.kind === 'skip' ? outcome.cleaned?.pod : undefined
}

function podBefore(outcome: Outcome): Pod | undefined {
  return outcome.kind === 'inject' ? outcome.before : undefined
}

function printed(pod: Pod | undefined): string {
  return isObject(pod) ? printYaml(pod) : ''
}
