/** A pod injected anew: what injection would make of it now, whether it was injected before or not. */
import { STATUS_ANNOTATION } from '../core/constants.ts'
import type { InjectConfig } from '../core/inject/config.ts'
import type { Decision, InjectRequest } from '../core/inject/decision.ts'
import { injectPod } from '../core/inject/inject.ts'
import { readPod } from '../core/inject/pod-shape.ts'
import { isInjected, readStatus } from '../core/inject/status.ts'
import { uninjectPod } from '../core/inject/uninject.ts'
import type { Pod } from '../core/k8s.ts'
import { isObject, type JsonObject } from '../core/json.ts'

/** What became of a pod now, and what it carried. */
export type Again = {
  /** From the pod as it is, with its old injection, to the one with the new. */
  readonly decision: Decision
  /** Undefined for a pod that was not injected. */
  readonly carried: Carried | undefined
}

/** What a pod says of its injection: the hash of the configuration, where the injector wrote one. */
export type Carried = { readonly version: string | undefined }

/** What both pods are brought to before they are compared. */
export type Shape = (pod: JsonObject) => JsonObject

/** Takes an old injection out and injects again, as the webhook would. */
export function injectAgain(request: InjectRequest, config: InjectConfig, shape: Shape): Again {
  const asked: InjectRequest = { ...request, door: 'webhook' }
  const read = readPod('', request.pod)
  if (!read.ok || !isInjected(read.value)) {
    return { decision: shaped(injectPod(asked, config), shape), carried: undefined }
  }
  const inject = (pod: Pod): Decision => {
    return shaped(injectPod({ ...asked, pod: jsonOf(pod) }, config), shape)
  }
  const plain = uninjectPod(read.value, (candidate) => {
    const decision = inject(candidate)
    return decision.kind === 'inject' ? decision.pod : undefined
  })
  if (!plain.ok) {
    const decision: Decision = { kind: 'reject', problems: plain.problems, warnings: [] }
    return { decision, carried: undefined }
  }
  const { status } = readStatus(read.value.metadata?.annotations?.[STATUS_ANNOTATION])
  const carried = { version: status.version }
  const decision = inject(plain.value.pod)
  return {
    carried,
    decision: decision.kind === 'inject' ? { ...decision, before: read.value } : decision,
  }
}

function shaped(decision: Decision, shape: Shape): Decision {
  if (decision.kind !== 'inject') return decision
  const read = readPod('', shape(jsonOf(decision.pod)))
  return read.ok ? { ...decision, pod: read.value } : decision
}

function jsonOf(pod: unknown): JsonObject {
  return isObject(pod) ? pod : {}
}
