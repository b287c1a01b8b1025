import type { Container, Pod } from '../../k8s.ts'
import type { Policy } from './level.ts'
import { rulesOf, visited } from './rules.ts'

/** One rule that a pod breaks: in the pod as a whole, and in which containers, with what they say. */
export type Violation = {
  /** What the API server calls it. */
  readonly reason: string
  /** What the pod itself says that is forbidden; empty when only containers do. */
  readonly pod: readonly string[]
  readonly containers: readonly { readonly name: string; readonly said: readonly string[] }[]
}

/** Every rule of a policy that a pod breaks; the API server lets in what breaks none. */
export function violationsOf(pod: Pod, policy: Policy): readonly Violation[] {
  const { spec } = pod
  if (spec === undefined) return []
  const annotations = pod.metadata?.annotations ?? {}
  return rulesOf(policy).flatMap((rule) => {
    const whole = rule.pod?.(spec, annotations) ?? []
    const judge = (container: Container) => rule.container?.(container, spec) ?? []
    const containers = visited(pod)
      .map((container) => ({ name: container.name, said: judge(container) }))
      .filter(({ said }) => said.length > 0)
    if (whole.length + containers.length === 0) return []
    return [{ reason: rule.reason, pod: whole, containers }]
  })
}
