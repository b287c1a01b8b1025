import {
  INIT_CONTAINER,
  PROXY_CONTAINER,
  REDIRECT_PLAN_ANNOTATION,
  STATUS_ANNOTATION,
} from '../core/constants.ts'
import { readStatus } from '../core/inject/status.ts'
import type { StringMap } from '../core/k8s.ts'
import type { NodePlan, RedirectPlan } from '../core/options/redirect-plan.ts'
import { readRedirectPlan } from '../core/options/redirect-plan-read.ts'
import type { FailureKind } from './codes.ts'
import type { GivenAnnotations } from './netconf.ts'
import type { Options } from './options.ts'
import { summarize } from './protocol.ts'
import type { PodName } from './runtime-args.ts'
import type { SkipReason } from './skips.ts'

/** What is to be done about one pod. A refusal may still be settled by asking the API server. */
export type Decision =
  | { readonly kind: 'apply'; readonly plan: NodePlan }
  | { readonly kind: 'skip'; readonly reason: SkipReason }
  | Refused

/** Nothing may be done: what went wrong, in words for the events of the pod. */
export type Refused = {
  readonly kind: 'refuse'
  readonly as: FailureKind
  readonly message: string
  readonly details?: string
}

/** What kubelet adds to the annotations of every pod that it hands to a runtime. */
const KUBELET_ANNOTATION = 'kubernetes.io/config.source'

/** The pods that nothing is done about whatever they carry; undefined for all others. */
export function skipByName(pod: PodName, options: Options): SkipReason | undefined {
  if (pod.namespace === '' || pod.name === '') return 'not-kubernetes'
  if (options.excludeNamespaces.includes(pod.namespace)) return 'excluded-namespace'
  const { agentNamespace, agentPodPrefix } = options
  const isOwn = agentPodPrefix !== '' && pod.name.startsWith(agentPodPrefix)
  return isOwn && pod.namespace === agentNamespace ? 'own-pod' : undefined
}

/** Decides by what the runtime handed over (decisions, CNI 3). */
export function decideByAnnotations(given: GivenAnnotations): Decision {
  if (given.kind === 'absent') {
    return {
      kind: 'refuse',
      as: 'noAnnotations',
      message:
        'runtime passes no pod annotations; needs containerd >= 1.5 or CRI-O >= 1.29, or pod_source=api',
    }
  }
  if (given.kind === 'empty' || !Object.hasOwn(given.map, KUBELET_ANNOTATION)) {
    return { kind: 'skip', reason: 'no-kubelet' }
  }
  const planned = decideByPlan(given.map)
  if (planned !== undefined) return planned
  const skipped = skipByStatus(given.map)
  if (skipped !== undefined) return { kind: 'skip', reason: skipped }
  return {
    kind: 'refuse',
    as: 'annotation',
    message: `injected without ${REDIRECT_PLAN_ANNOTATION} (old webhook, or edited): create the pod again`,
  }
}

/** What the redirect plan of a pod says; undefined where there is none. */
export function decideByPlan(annotations: StringMap): Decision | undefined {
  const text = textOf(annotations, REDIRECT_PLAN_ANNOTATION)
  if (text === undefined) return undefined
  const plan = readRedirectPlan(REDIRECT_PLAN_ANNOTATION, text)
  return plan.ok
    ? obey(plan.value)
    : { kind: 'refuse', as: 'annotation', ...summarize(plan.problems) }
}

function obey(plan: RedirectPlan): Decision {
  switch (plan.apply) {
    case 'init':
      return { kind: 'skip', reason: 'rules-by-init' }
    case 'none':
      return { kind: 'skip', reason: 'plan-none' }
    case 'cni':
      return plan.hostUsers ? { kind: 'apply', plan } : HAS_OWN_USERS
  }
}

/** Rules that match users cannot be written from outside into the namespace of other users (xt_owner). */
export const HAS_OWN_USERS: Refused = {
  kind: 'refuse',
  as: 'annotation',
  message: 'hostUsers: false is not supported: rules for users cannot be written from outside',
}

function skipByStatus(annotations: StringMap): SkipReason | undefined {
  const text = textOf(annotations, STATUS_ANNOTATION)
  if (text === undefined) return 'not-injected'
  const { status } = readStatus(text)
  const names = [...status.initContainers, ...status.containers]
  if (names.includes(INIT_CONTAINER)) return 'rules-by-init'
  return names.includes(PROXY_CONTAINER) ? undefined : 'no-proxy'
}

/** The text under a key that anybody may have chosen: `constructor` is a legal one. */
export function textOf(annotations: StringMap, key: string): string | undefined {
  return Object.hasOwn(annotations, key) ? annotations[key] : undefined
}
