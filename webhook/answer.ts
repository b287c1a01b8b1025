import type { Decision, InjectRequest } from '../core/inject/decision.ts'
import { ownerOf, type Owner } from '../core/inject/owner.ts'
import { readUrlEnvs } from '../core/inject/url-envs.ts'
import { describeReason } from '../core/inject/why.ts'
import { isObject } from '../core/json.ts'
import type { StringMap } from '../core/k8s.ts'
import { formatProblem } from '../core/problem.ts'
import { happeningOf, isSurprising, type PodFate } from './events/reasons.ts'
import type { Happening } from './events.ts'
import type { Inject } from './injector.ts'
import type { Outcome } from './metrics.ts'
import type { Outlets } from './outlets.ts'
import { podSecurityWarning, type StrictLevel } from './pod-security.ts'
import { denial, readReview, writeReview } from './review.ts'

/** What one request is answered from. Nothing here changes while it is answered. */
export type Snapshot<Config> = {
  readonly config: Config
  /** Whether the proxy is a native sidecar, by the node that the pod is bound to, if any. */
  readonly isNative: (nodeName: string | undefined) => boolean
  /** Annotations of a namespace, undefined when it is not known. */
  readonly annotationsOf: (namespace: string) => StringMap | undefined
  /** A level of PodSecurity that the namespace enforces and that refuses the init container. */
  readonly strictLevelOf?: (namespace: string) => StrictLevel | undefined
}

/** An answer and what to say about it: neither a pod's text nor a secret is in `facts`. */
export type Answer = {
  /** 200 with an AdmissionReview, or 500 when the fault is ours: then `failurePolicy` decides. */
  readonly status: 200 | 500
  readonly body: string
  readonly outcome: Outcome
  readonly facts: Facts
  /** What a user should know of it; never of a dry run. */
  readonly happening?: Happening
}

/** What the log tells about one request. */
export type Facts = {
  readonly uid: string
  readonly namespace?: string
  /** `Kind/name` of the pod's owner. */
  readonly workload?: string
  readonly dryRun?: true
  /** What a pod was refused for. */
  readonly problems?: string
  /** A fault of ours, with its stack. */
  readonly err?: unknown
}

/** Answers the body of a request to `path`, which is decoded. Never throws. */
export function answerReview<Config>(
  body: string,
  path: string,
  inject: Inject<Config>,
  snapshot: Snapshot<Config>,
  outlets?: Outlets,
): Answer {
  const read = readReview(body)
  if (!read.ok) {
    const review = denial(read.id, read.problems)
    const outcome = { kind: 'failure', reason: 'unreadable' } as const
    const problems = read.problems.map((problem) => problem.path).join(', ')
    const facts = { uid: read.id.uid, problems }
    return { status: 200, body: JSON.stringify(review), outcome, facts }
  }
  const { review } = read
  const owner = ownerOf(review.pod['metadata'], review.namespace)
  const workload = `${owner.kind}/${owner.name}`
  const facts: Facts = {
    uid: review.uid,
    workload,
    ...(owner.namespace === undefined ? {} : { namespace: owner.namespace }),
    ...(review.isDryRun ? { dryRun: true } : {}),
  }
  const place = { namespace: review.namespace, workload, metadata: review.pod['metadata'] }
  const toldOf = (fate: PodFate): Pick<Answer, 'happening'> => {
    const happening = review.isDryRun ? undefined : happeningOf(fate, place)
    return happening === undefined ? {} : { happening }
  }
  try {
    const decision = inject(requestOf(review, owner, path, snapshot), snapshot.config)
    switch (decision.kind) {
      case 'inject': {
        const told = explained(decision, review.namespace, snapshot)
        const text = writeReview(review, told, outlets)
        return { status: 200, body: text, outcome: { kind: 'success' }, facts }
      }
      case 'skip': {
        const { reason } = decision
        const body = writeReview(review, warned(decision), outlets)
        const outcome = { kind: 'skip', reason } as const
        return {
          status: 200,
          body,
          outcome,
          facts,
          ...toldOf({ kind: 'skipped', reason, text: describeReason(decision) }),
        }
      }
      case 'reject': {
        const body = writeReview(review, decision, outlets)
        const problems = decision.problems.map((problem) => problem.path).join(', ')
        const outcome = { kind: 'failure', reason: 'refused' } as const
        const text = decision.problems.map(formatProblem).join('; ')
        const told = toldOf({ kind: 'refused', text })
        return { status: 200, body, outcome, facts: { ...facts, problems }, ...told }
      }
    }
  } catch (err) {
    const text = messageOf(err)
    const body = `sidecar-injector: a fault of its own, not of the pod: ${text}\n`
    const outcome = { kind: 'failure', reason: 'internal' } as const
    const told = toldOf({ kind: 'failed', text })
    return { status: 500, body, outcome, facts: { ...facts, err }, ...told }
  }
}

/** Who creates a pod that its namespace will refuse is told what would help. */
function explained<Config>(
  decision: Injected,
  namespace: string | undefined,
  { strictLevelOf }: Snapshot<Config>,
): Injected {
  const level = namespace === undefined ? undefined : strictLevelOf?.(namespace)
  if (namespace === undefined || level === undefined) return decision
  const warning = podSecurityWarning(decision.pod, namespace, level)
  return warning === undefined
    ? decision
    : { ...decision, warnings: [...decision.warnings, warning] }
}

type Injected = Extract<Decision, { readonly kind: 'inject' }>

type Skip = Extract<Decision, { readonly kind: 'skip' }>

/** Who creates a pod by hand is told at once that it gets no sidecar, where that is a surprise. */
function warned(skip: Skip): Skip {
  if (!isSurprising(skip.reason)) return skip
  return { ...skip, warnings: [...skip.warnings, `no sidecar: ${describeReason(skip)}`] }
}

function requestOf<Config>(
  review: { readonly pod: InjectRequest['pod']; readonly namespace?: string },
  owner: Owner,
  path: string,
  snapshot: Snapshot<Config>,
): InjectRequest {
  const namespace = review.namespace ?? owner.namespace
  const annotations = namespace === undefined ? undefined : snapshot.annotationsOf(namespace)
  return {
    pod: review.pod,
    owner,
    nativeSidecars: snapshot.isNative(nodeNameOf(review.pod)),
    door: 'webhook',
    proxyEnvs: readUrlEnvs(path),
    ...(namespace === undefined ? {} : { namespace }),
    ...(annotations === undefined ? {} : { namespaceAnnotations: annotations }),
  }
}

/** Few pods are bound when they are created; those that are run on that node or nowhere. */
function nodeNameOf(pod: InjectRequest['pod']): string | undefined {
  const spec = isObject(pod) ? pod['spec'] : undefined
  const name = isObject(spec) ? spec['nodeName'] : undefined
  return typeof name === 'string' && name !== '' ? name : undefined
}

const LONGEST_MESSAGE = 500

/** One line, so that the API server can show it to whoever created the pod. */
function messageOf(err: unknown): string {
  const text = err instanceof Error ? err.message : String(err)
  return text.replace(/\s+/g, ' ').slice(0, LONGEST_MESSAGE)
}
