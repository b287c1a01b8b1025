/**
 * The injection fence: an injected pod has more than its original only by what the templates declare, and by
 * what the operator's templates, values and mesh bring into every pod. A pod's text that gets something else
 * through a template is refused, with the difference.
 */
import type { Problem } from '../problem.ts'
import type { InjectConfig } from './config.ts'
import { together } from './fence-declaration.ts'
import { findStrange, type Fenced } from './fence-find.ts'
import { rehearsed, type Rehearse, type Templates } from './fence-usual.ts'

/** Everything that a pod got and that nobody gave it; none where the fence is switched off. */
export function checkFence(
  parts: Pick<Fenced, 'before' | 'after' | 'user'>,
  names: readonly string[],
  config: InjectConfig,
  rehearse: Rehearse,
): readonly Problem[] {
  if (!config.isFenced) return []
  const known = knownOf(names, config)
  const strange = findStrange({ ...parts, ...known })
  if (strange.length === 0) return []
  known.usual ??= new Set(rehearsed(known, rehearse).flatMap(({ ids }) => ids))
  const { usual } = known
  return strange
    .filter(({ ids }) => !ids.some((id) => usual.has(id)))
    .slice(0, MOST_TOLD)
    .map(({ problem }) => problem)
}

/** One is enough to refuse; the rest helps to see what happened. */
const MOST_TOLD = 20

/** What is known of a set of templates. */
type Known = Templates & {
  /** Ids of what they bring into pods that ask for nothing; worked out where a pod makes one ask. */
  usual?: ReadonlySet<string>
}

const MEMORY = new WeakMap<InjectConfig, Map<string, Known>>()
/** Pods choose sets of templates by an annotation, so memory has an end. */
const KEPT_SETS = 64

function knownOf(names: readonly string[], config: InjectConfig): Known {
  const sets = MEMORY.get(config) ?? new Map<string, Known>()
  MEMORY.set(config, sets)
  const key = names.length === 1 ? (names[0] ?? '') : [...names].sort().join()
  const old = sets.get(key)
  if (old !== undefined) return old
  const declared = names.map((name) => config.declarations.get(name))
  const known: Known = {
    names,
    declaration: together(declared.flatMap((each) => each?.read() ?? [])),
    isForeign: declared.some((each) => each?.isBuiltIn !== true),
  }
  const [oldest] = sets.keys()
  if (sets.size >= KEPT_SETS && oldest !== undefined) sets.delete(oldest)
  sets.set(key, known)
  return known
}
