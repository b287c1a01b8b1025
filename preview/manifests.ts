import { Refusal, type Problem } from '../core/problem.ts'
import { parseDocuments } from '../core/yaml.ts'
import { openSources } from '../kube-inject/sources.ts'
import type { Compare } from './compared.ts'

/** Compares every document of the files, one by one. All problems are thrown together as one Refusal. */
export async function compareManifests(names: readonly string[], compare: Compare): Promise<void> {
  const problems: Problem[] = []
  for (const { name, text } of await openSources(names)) {
    let number = 0
    for (const document of parseDocuments(name, text)) {
      if (!document.ok) problems.push(...document.problems)
      else if (document.value.root !== undefined) {
        number++
        const { line, value } = document.value
        if (value !== null) {
          problems.push(...compare(value, `${name}:${line}: document ${number}`))
        }
      }
    }
  }
  if (problems.length > 0) throw new Refusal(problems)
}
