import { writeStdout } from './output.ts'
import type { Recorder } from './recorder.ts'

/**
 * Prints a JSON list with a member for each document that holds something: where it is, whether it
 * changed, and for each pod or workload in it the decision, its reason, and what was added.
 */
export function makeReport(): Recorder {
  const entries: string[] = []
  return {
    take: (_source, { where, before, text, objects, warnings }) => {
      if (before.trim() === '' && objects.length === 0) return
      entries.push(JSON.stringify({ where, changed: before !== text, objects, warnings }))
    },
    finish: () => writeStdout([Buffer.from(`[\n${entries.join(',\n')}\n]\n`, 'utf8')]),
  }
}
