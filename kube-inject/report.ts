import { writeStdout } from './output.ts'
import type { Recorder } from './recorder.ts'
import type { Spool } from './spool.ts'

/**
 * Prints a JSON list with a member for each document that holds something: where it is, whether it
 * changed, and for each pod or workload in it the decision, its reason, and what was added. Until all
 * is known to be right it waits in a spool that the caller closes.
 */
export function makeReport(spool: Spool): Recorder {
  spool.add('[\n')
  let separator = ''
  return {
    take: (_source, { where, before, text, objects, warnings }) => {
      if (before.trim() === '' && objects.length === 0) return
      spool.add(separator + JSON.stringify({ where, changed: before !== text, objects, warnings }))
      separator = ',\n'
    },
    finish: () => {
      spool.add('\n]\n')
      return writeStdout(spool.read(0, spool.size()))
    },
  }
}
