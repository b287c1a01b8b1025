/** Declarations of the operator against what his templates bring into pods that say nothing. */
import { Refusal, type Problem } from '../problem.ts'
import type { InjectConfig } from './config.ts'
import { rehearsed, unfenced } from './fence-usual.ts'
import { injectPod } from './inject.ts'

/** What templates bring although their declaration does not say so: each with the template and the difference. */
export function checkDeclarations(config: InjectConfig): readonly Problem[] {
  if (!config.isFenced) return []
  const own = [...config.declarations].filter(([, { isBuiltIn }]) => !isBuiltIn)
  const plain = unfenced(config)
  return own.flatMap(([name, declared]) => {
    const set = { names: [name], declaration: declared.read(), isForeign: false }
    try {
      const strange = rehearsed(set, (request) => injectPod(request, plain))
      return distinct(strange.map(({ problem }) => problem)).map((problem) => ({
        ...problem,
        path: `template ${name}: ${problem.path}`,
      }))
    } catch (cause) {
      if (cause instanceof Refusal) return cause.problems
      throw cause
    }
  })
}

function distinct(problems: readonly Problem[]): readonly Problem[] {
  return [...new Map(problems.map((problem) => [problem.path, problem])).values()]
}
