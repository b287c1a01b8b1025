/**
 * The redirect plan of an injected pod. It is read out of the finished container that checks the rules, with
 * the reader of that very container, so that the node writes what the container expects.
 */
import {
  INIT_CONTAINER,
  REDIRECT_PLAN_ANNOTATION,
  REDIRECT_PLAN_DIGEST_ENV,
  REDIRECT_PLAN_ENV,
  VALIDATION_CONTAINER,
} from '../constants.ts'
import { byName, type Container, type EnvVar, type Pod } from '../k8s.ts'
import { readArgv, resolveProxyUser, type Environment } from '../options/argv.ts'
import { readRedirectPlan } from '../options/redirect-plan-read.ts'
import { printRedirectPlan, type RedirectPlan } from '../options/redirect-plan.ts'
import { good, type Read } from '../problem.ts'
import { containersIn, mapContainers } from './order.ts'
import { withAnnotations } from './status.ts'

/** What a plan depends on besides the pod. */
export type PlanFacts = {
  /** Empty for the default revision. */
  readonly revision: string
  /** SHA-256 of a text, in hexadecimal. */
  readonly digest: (text: string) => string
}

/** The pod without a plan: nobody but injection may say what a node does. Without one it is the same pod. */
export function withoutPlan(pod: Pod): Pod {
  const annotations = pod.metadata?.annotations
  if (annotations === undefined || !Object.hasOwn(annotations, REDIRECT_PLAN_ANNOTATION)) return pod
  const kept = Object.entries(annotations).filter(([key]) => key !== REDIRECT_PLAN_ANNOTATION)
  return { ...pod, metadata: { ...pod.metadata, annotations: Object.fromEntries(kept) } }
}

/**
 * The injected pod with its plan, and with what its validation compares: the plan as the annotation has it
 * then, and the digest of the one written now. A container's environment cannot be changed later, an
 * annotation can. Refused where the plan is beyond what nodes read.
 */
export function withPlan(pod: Pod, facts: PlanFacts): Read<Pod> {
  const plan = planOf(pod, facts.revision === '' ? 'default' : facts.revision)
  if (!plan.ok) return plan
  const text = printRedirectPlan(plan.value)
  const read = readRedirectPlan(REDIRECT_PLAN_ANNOTATION, text)
  if (!read.ok) return read
  const told = withAnnotations(pod, { [REDIRECT_PLAN_ANNOTATION]: text })
  if (plan.value.apply !== 'cni') return good(told)
  const guard = guardOf(facts.digest(text))
  return good(
    mapContainers(told, 'initContainers', VALIDATION_CONTAINER, (container) => {
      const own = (container.env ?? []).filter(({ name }) => byName(guard, name) === undefined)
      return { ...container, env: [...own, ...guard] }
    }),
  )
}

/** Whoever writes the rules: a container of that name in the pod, else the node where one checks for it. */
function planOf(pod: Pod, revision: string): Read<RedirectPlan> {
  const inits = containersIn(pod, 'initContainers')
  const validation = byName(inits, VALIDATION_CONTAINER)
  if (byName(inits, INIT_CONTAINER) !== undefined) return good({ apply: 'init', revision })
  if (validation === undefined) return good({ apply: 'none', revision })
  const read = readArgv(validation.args ?? [], environmentOf(validation))
  if (!read.ok) {
    const name = (path: string): string => `${VALIDATION_CONTAINER}: ${path}`
    const problems = read.problems.map((one) => ({ ...one, path: name(one.path) }))
    return { ok: false, problems }
  }
  const { look, run } = read.value
  return good({
    apply: 'cni',
    options: resolveProxyUser(read.value, {}),
    look,
    nativeNftables: run.nativeNftables,
    hostUsers: pod.spec?.hostUsers !== false,
    revision,
  })
}

/** Variables with a text of their own; what others refer to is known only where the pod runs. */
function environmentOf({ env }: Container): Environment {
  return Object.fromEntries((env ?? []).map(({ name, value }) => [name, value]))
}

function guardOf(digest: string): readonly EnvVar[] {
  const fieldPath = `metadata.annotations['${REDIRECT_PLAN_ANNOTATION}']`
  return [
    { name: REDIRECT_PLAN_ENV, valueFrom: { fieldRef: { fieldPath } } },
    { name: REDIRECT_PLAN_DIGEST_ENV, value: digest },
  ]
}
