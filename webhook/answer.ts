import type { InjectRequest } from '../core/inject/decision.ts'
import { ownerOf, type Owner } from '../core/inject/owner.ts'
import { readUrlEnvs } from '../core/inject/url-envs.ts'
import type { StringMap } from '../core/k8s.ts'
import type { Inject } from './injector.ts'
import type { Outcome } from './metrics.ts'
import { denial, readReview, writeReview } from './review.ts'

/** What one request is answered from. Nothing here changes while it is answered. */
export type Snapshot<Config> = {
  readonly config: Config
  readonly nativeSidecars: boolean
  /** Annotations of a namespace, undefined when it is not known. */
  readonly annotationsOf: (namespace: string) => StringMap | undefined
}

/** An answer and what to say about it: neither a pod's text nor a secret is in `facts`. */
export type Answer = {
  /** 200 with an AdmissionReview, or 500 when the fault is ours: then `failurePolicy` decides. */
  readonly status: 200 | 500
  readonly body: string
  readonly outcome: Outcome
  readonly facts: Facts
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
  const facts: Facts = {
    uid: review.uid,
    workload: `${owner.kind}/${owner.name}`,
    ...(owner.namespace === undefined ? {} : { namespace: owner.namespace }),
    ...(review.isDryRun ? { dryRun: true } : {}),
  }
  try {
    const decision = inject(requestOf(review, owner, path, snapshot), snapshot.config)
    const text = JSON.stringify(writeReview(review, decision))
    switch (decision.kind) {
      case 'inject':
        return { status: 200, body: text, outcome: { kind: 'success' }, facts }
      case 'skip':
        return {
          status: 200,
          body: text,
          outcome: { kind: 'skip', reason: decision.reason },
          facts,
        }
      case 'reject': {
        const problems = decision.problems.map((problem) => problem.path).join(', ')
        const outcome = { kind: 'failure', reason: 'refused' } as const
        return { status: 200, body: text, outcome, facts: { ...facts, problems } }
      }
    }
  } catch (err) {
    const text = `sidecar-injector: a fault of its own, not of the pod: ${messageOf(err)}\n`
    const outcome = { kind: 'failure', reason: 'internal' } as const
    return { status: 500, body: text, outcome, facts: { ...facts, err } }
  }
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
    nativeSidecars: snapshot.nativeSidecars,
    door: 'webhook',
    proxyEnvs: readUrlEnvs(path),
    ...(namespace === undefined ? {} : { namespace }),
    ...(annotations === undefined ? {} : { namespaceAnnotations: annotations }),
  }
}

const LONGEST_MESSAGE = 500

/** One line, so that the API server can show it to whoever created the pod. */
function messageOf(err: unknown): string {
  const text = err instanceof Error ? err.message : String(err)
  return text.replace(/\s+/g, ' ').slice(0, LONGEST_MESSAGE)
}
