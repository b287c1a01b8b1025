import { MIRROR_ANNOTATION } from '../inject/decide.ts'
import { isObject, type JsonObject } from '../json.ts'
import type { GateCondition } from './entry.ts'

/** Whether something holds; `unknown` where only the API server can tell. */
export type Answer = 'yes' | 'no' | 'unknown'

/**
 * Judges a condition on a pod that is created. CEL is not evaluated: the texts that our own manifests
 * use are known by heart, any other is unknown.
 */
export function judgeCondition({ expression }: GateCondition, pod: JsonObject): Answer {
  const known = CONDITIONS.find((each) => each.expression === expression.trim())
  if (known === undefined) return 'unknown'
  return known.holds(pod) ? 'yes' : 'no'
}

/** What stands in the pod that makes a known condition fail, in words; undefined for any other. */
export function whyNot({ expression }: GateCondition): string | undefined {
  return CONDITIONS.find((each) => each.expression === expression.trim())?.against
}

/** The conditions of deploy/base. */
const CONDITIONS: readonly {
  readonly expression: string
  readonly holds: (pod: JsonObject) => boolean
  readonly against: string
}[] = [
  {
    expression: '!object.spec.?hostNetwork.orValue(false)',
    holds: ({ spec }) => !isObject(spec) || spec['hostNetwork'] !== true,
    against: 'the pod has hostNetwork: true',
  },
  {
    expression: `!("${MIRROR_ANNOTATION}" in object.metadata.?annotations.orValue({}))`,
    holds: ({ metadata }) =>
      !isObject(metadata) ||
      !isObject(metadata['annotations']) ||
      metadata['annotations'][MIRROR_ANNOTATION] === undefined,
    against: `the pod has the annotation ${MIRROR_ANNOTATION}: it is the image of a static pod`,
  },
]
