import type { Decision, InjectRequest } from '../core/inject/decision.ts'
import { injectPod } from '../core/inject/inject.ts'
import type { NodeFact } from '../core/inject/native.ts'
import type { Owner } from '../core/inject/owner.ts'
import type { Json } from '../core/json.ts'
import { effectOf, type Effect, type Outcome } from '../core/preview/effect.ts'
import { Refusal, type Problem } from '../core/problem.ts'
import { objectChange, type Setting } from '../kube-inject/inject-document.ts'
import type { Notes } from '../kube-inject/pod-change.ts'
import { WORKLOADS, type Workload } from '../kube-inject/workloads.ts'
import type { Flags } from './command.ts'
import type { Side } from './configs.ts'

/** One pod, or pod template, under both configurations. */
export type Compared = {
  readonly owner: Owner
  readonly now: Outcome
  readonly next: Outcome
  readonly effect: Effect
}

/** Compares what both configurations make of the pods in one object, which may be a list. */
export type Compare = (object: Json, where: string) => readonly Problem[]

/** Kinds that hold pods, by the flags. */
export function workloadsOf(flags: Flags): readonly Workload[] {
  return [...flags.podTemplatePath, ...WORKLOADS]
}

/**
 * A comparison that shows every pod to `take`, except those that `isSent` says the injector never hears
 * of. It returns what keeps an object from being looked at.
 */
export function makeCompare(
  flags: Flags,
  { now, next }: { readonly now: Side; readonly next: Side },
  {
    nodes,
    isSent,
    take,
  }: {
    readonly nodes: readonly NodeFact[]
    readonly isSent: (request: InjectRequest) => boolean
    readonly take: (compared: Compared) => void
  },
): Compare {
  const [nativeNow, nativeNext] = [now.isNative(nodes), next.isNative(nodes)]
  const look = (asked: InjectRequest): void => {
    const request = requestOf(asked, flags.as)
    if (!isSent(request)) return
    const was = outcomeOf({ ...request, nativeSidecars: nativeNow }, now)
    const is = outcomeOf({ ...request, nativeSidecars: nativeNext }, next)
    take({ owner: request.owner, now: was, next: is, effect: effectOf(was, is) })
  }
  const setting: Setting = {
    // The way to the pods is kube-inject's; nothing is changed on it.
    inject: (request) => {
      look(request)
      return LEFT_ALONE
    },
    nativeSidecars: false,
    workloads: workloadsOf(flags),
    ...(flags.namespace === undefined ? {} : { namespace: flags.namespace }),
  }
  return (object, where) => {
    const notes: Notes = { where, objects: [], warnings: [], problems: [] }
    objectChange(object, setting, notes)
    return notes.problems
  }
}

const LEFT_ALONE: Decision = { kind: 'reject', problems: [], warnings: [] }

/** The webhook is told the namespace of every pod, and decides by it. */
function requestOf(asked: InjectRequest, door: InjectRequest['door']): InjectRequest {
  const { namespace } = asked.owner
  if (door === 'kube-inject') return asked
  return { ...asked, door, ...(namespace === undefined ? {} : { namespace }) }
}

/** What the webhook would answer with 500 is the fault of the configuration, one pod at a time. */
function outcomeOf(request: InjectRequest, { config }: Side): Outcome {
  try {
    return injectPod(request, config)
  } catch (cause) {
    if (cause instanceof Refusal) return { kind: 'fault', problems: cause.problems }
    const got = cause instanceof Error ? cause.message : String(cause)
    const want = 'a configuration that injects this pod'
    return { kind: 'fault', problems: [{ path: 'configuration', got, want }] }
  }
}
