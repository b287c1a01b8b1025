import { Refusal } from '../core/problem.ts'
import type { Recorder } from './recorder.ts'

/** Refuses every document that injection would change, by name. */
export function makeCheck(): Recorder {
  const changed: string[] = []
  return {
    take: (_source, { where, before, text }) => {
      if (text !== before) changed.push(where)
    },
    finish: async () => {
      const got = 'no sidecar, or another one'
      const want = 'the one that kube-inject writes with these flags'
      if (changed.length > 0) throw new Refusal(changed.map((path) => ({ path, got, want })))
      return Promise.resolve()
    },
  }
}
