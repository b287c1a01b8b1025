import { makeGrouping } from '../core/preview/groups.ts'
import { writeStdout } from '../kube-inject/output.ts'
import type { Spool } from '../kube-inject/spool.ts'
import type { Reporter } from './reporter.ts'

/** Prints one JSON object: every workload with its effect, then how many there are of each. */
export function makeJson(spool: Spool): Reporter {
  const grouping = makeGrouping()
  let separator = '{"workloads":[\n'
  return {
    take: ({ owner, effect }) => {
      const { kind: _kind, ...details } = effect
      const { kind, namespace, name } = owner
      const place = { kind, ...(namespace === undefined ? {} : { namespace }), name }
      spool.add(`${separator}${JSON.stringify({ ...place, effect: effect.kind, ...details })}`)
      separator = ',\n'
      grouping.add('', effect)
    },
    finish: async (unsent) => {
      const counts = JSON.stringify({ ...grouping.counts(), unsent })
      const isEmpty = spool.size() === 0
      spool.add(`${isEmpty ? separator : '\n'}],"summary":${counts}}\n`)
      await writeStdout(spool.read(0, spool.size()))
    },
  }
}
