/** Values of flags that several subcommands have. Wrong ones are thrown as commander wants them. */
import { InvalidArgumentError } from 'commander'
import type { StringMap } from '../core/k8s.ts'
import { formatProblem } from '../core/problem.ts'
import { readWorkload } from './pod-template-path.ts'
import type { Workload } from './workloads.ts'

/** One more name for `--filename`; `-` is standard input, which can be read once. */
export function readName(name: string, before: readonly string[] = []): readonly string[] {
  if (name === '-' && before.includes('-')) {
    throw new InvalidArgumentError('standard input can be read only once')
  }
  return [...before, name]
}

/** Labels as `key=text`, comma separated; empty text is none. */
export function readLabels(text: string): StringMap {
  const labels: Record<string, string> = {}
  for (const pair of text === '' ? [] : text.split(',')) {
    const [, key, value] = /^([^=\s]+)=([^=\s]*)$/.exec(pair) ?? []
    if (key === undefined || value === undefined) {
      throw new InvalidArgumentError(`got ${JSON.stringify(pair)}, want key=text`)
    }
    labels[key] = value
  }
  return labels
}

/** One more kind for `--pod-template-path`. */
export function readWorkloads(text: string, before: readonly Workload[]): readonly Workload[] {
  const read = readWorkload(text)
  if (!read.ok) throw new InvalidArgumentError(read.problems.map(formatProblem).join('; '))
  return [...before, ...read.value]
}
