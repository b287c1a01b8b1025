import type { Decision } from '../core/inject/decision.ts'
import { isApplicable } from '../core/inject/patch-check.ts'
import { diff, printPatch, type Operation } from '../core/inject/patch.ts'
import { isArray, isObject, type Json, type JsonObject } from '../core/json.ts'
import type { Pod } from '../core/k8s.ts'
import { bad, formatProblem, good, type Problem, type Read } from '../core/problem.ts'
import { auditAnnotations, boundedWarnings, USUAL_OUTLETS, type Outlets } from './outlets.ts'

/** The versions of AdmissionReview that are read; an answer has the version of its question. */
export const REVIEW_VERSIONS = ['admission.k8s.io/v1', 'admission.k8s.io/v1beta1'] as const

export type ReviewVersion = (typeof REVIEW_VERSIONS)[number]

/** What an answer must repeat of its question. */
export type ReviewId = { readonly apiVersion: ReviewVersion; readonly uid: string }

/** A question that can be answered: a pod to be created. */
export type Review = ReviewId & {
  /** As it was posted. */
  readonly object: JsonObject
  /** `object` without `managedFields`: what the injection may see. Nothing in it is in a patch by that. */
  readonly pod: JsonObject
  /** Namespace of the request, which the pod itself need not name. */
  readonly namespace?: string
  readonly isDryRun: boolean
}

/** A body that was read, or how to answer one that holds no pod. */
export type ReadReview =
  | { readonly ok: true; readonly review: Review }
  | { readonly ok: false; readonly id: ReviewId; readonly problems: readonly Problem[] }

/** Levels of nesting in a body: more than any pod has, few enough for everything that recurses later. */
export const DEEPEST = 500

/** Reads the body of a request. Never throws, whatever the text is. */
export function readReview(text: string): ReadReview {
  const unknown: ReviewId = { apiVersion: 'admission.k8s.io/v1', uid: '' }
  const parsed = parse(text)
  if (!parsed.ok) return { ok: false, id: unknown, problems: parsed.problems }
  const body = parsed.value
  const version = isObject(body) ? versionOf(body) : undefined
  if (!isObject(body) || version === undefined) {
    return { ok: false, id: unknown, problems: [describeOther(body)] }
  }
  const request = body['request']
  const uid = isObject(request) ? textOf(request['uid']) : ''
  const id = { apiVersion: version, uid }
  const refuse = (path: string, got: unknown, want: string): ReadReview => {
    return { ok: false, id, problems: [{ path, got: describe(got), want }] }
  }
  if (!isObject(request)) return refuse('/request', request, 'an AdmissionRequest')
  if (isTooDeep(body, DEEPEST)) {
    return refuse('/request/object', `more than ${String(DEEPEST)} levels`, 'less nesting')
  }
  const object = request['object']
  if (!isObject(object)) return refuse('/request/object', object, 'a Pod')
  const kind = object['kind'] ?? 'Pod'
  if (kind !== 'Pod') return refuse('/request/object/kind', kind, '"Pod"')
  const namespace = textOf(request['namespace'])
  const review = { ...id, object, pod: withoutManagedFields(object) }
  const isDryRun = request['dryRun'] === true
  return {
    ok: true,
    review: { ...review, isDryRun, ...(namespace === '' ? {} : { namespace }) },
  }
}

/** The AdmissionReview that denies a pod, or a body without one, for all of its problems. */
export function denial(
  id: ReviewId,
  problems: readonly Problem[],
  warnings: readonly string[] = [],
  audit?: JsonObject,
): JsonObject {
  const status = {
    status: 'Failure',
    message: problems.map(formatProblem).join('; '),
    reason: 'BadRequest',
    code: 400,
  }
  return answer(id, { allowed: false, status }, warnings, audit)
}

/** The text of the AdmissionReview for a decision. Throws when a patch does not do what was decided. */
export function writeReview(
  review: Review,
  decision: Decision,
  outlets: Outlets = USUAL_OUTLETS,
): string {
  const warnings = outlets.warnings ? decision.warnings : []
  const audit = outlets.audit ? auditAnnotations(decision) : undefined
  switch (decision.kind) {
    case 'reject':
      return JSON.stringify(denial(review, decision.problems, warnings, audit))
    case 'skip':
      return admission(review, decision.cleaned, warnings, audit)
    case 'inject':
      return admission(review, decision, warnings, audit)
  }
}

/** A pod as it came, and as it is to be. */
type Change = { readonly before: Pod; readonly pod: Pod }

/** Lets the pod in, with what is to be changed. */
function admission(
  review: Review,
  change: Change | undefined,
  warnings: readonly string[],
  audit: JsonObject | undefined,
): string {
  const operations = change === undefined ? [] : diff(change.before, change.pod)
  if (change === undefined || operations.length === 0) {
    return JSON.stringify(answer(review, { allowed: true }, warnings, audit))
  }
  checkPatch(review, change, operations)
  const verdict = { allowed: true, patch: '', patchType: 'JSONPatch' }
  const text = JSON.stringify(answer(review, verdict, warnings, audit))
  const patch = Buffer.from(printPatch(operations)).toString('base64')
  // By far the longest member, and there is nothing in it to escape: it is put in last.
  return text.replace('"patch":""', `"patch":"${patch}"`)
}

function answer(
  id: ReviewId,
  verdict: JsonObject,
  warnings: readonly string[],
  audit: JsonObject | undefined,
): JsonObject {
  const { apiVersion, uid } = id
  const told = {
    ...(warnings.length === 0 ? {} : { warnings: boundedWarnings(warnings) }),
    ...(audit === undefined ? {} : { auditAnnotations: audit }),
  }
  return { apiVersion, kind: 'AdmissionReview', response: { uid, ...verdict, ...told } }
}

/** The API server applies the patch to the object that it sent, so that is what must take it. */
function checkPatch(
  review: Review,
  decision: { readonly before: unknown; readonly pod: unknown },
  operations: readonly Operation[],
): void {
  if (!isApplicable(decision.before, operations, decision.pod)) {
    throw new Error('patch: got another pod by applying it, want the injected one')
  }
  if (!holdsAll(review.object, decision.before)) {
    throw new Error('patch: got one for a pod that was not posted, want one for the posted pod')
  }
}

/**
 * Whether `posted` has every map, list and member of `understood`, which may spell scalars another
 * way and lack what was null: what can be patched in one then can be in the other.
 */
function holdsAll(posted: unknown, understood: unknown): boolean {
  if (posted === understood) return true
  if (isArray(understood)) {
    return (
      isArray(posted) &&
      posted.length === understood.length &&
      understood.every((item, index) => holdsAll(posted[index], item))
    )
  }
  if (!isObject(understood)) return posted !== undefined && !isArray(posted) && !isObject(posted)
  if (!isObject(posted)) return false
  return Object.keys(understood).every((key) => {
    return Object.hasOwn(posted, key) && holdsAll(posted[key], understood[key])
  })
}

function parse(text: string): Read<unknown> {
  try {
    return good(JSON.parse(text))
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return bad('body', reason, 'an AdmissionReview in JSON')
  }
}

function versionOf(body: JsonObject): ReviewVersion | undefined {
  if (body['kind'] !== 'AdmissionReview') return undefined
  return REVIEW_VERSIONS.find((version) => version === body['apiVersion'])
}

function describeOther(body: unknown): Problem {
  const got = isObject(body)
    ? `${textOf(body['apiVersion'])} ${textOf(body['kind'])}`.trim() || 'a map without a kind'
    : describe(body)
  return { path: 'body', got, want: `an AdmissionReview of ${REVIEW_VERSIONS.join(' or ')}` }
}

function withoutManagedFields(object: JsonObject): JsonObject {
  const metadata = object['metadata']
  if (!isObject(metadata) || metadata['managedFields'] === undefined) return object
  const entries = Object.entries(metadata).filter(([key]) => key !== 'managedFields')
  return { ...object, metadata: Object.fromEntries(entries) }
}

/** Goes no deeper than `left` levels itself. */
function isTooDeep(value: Json | undefined, left: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (left === 0) return true
  if (isArray(value)) return value.some((item) => isTooDeep(item, left - 1))
  for (const key in value) if (isTooDeep(value[key], left - 1)) return true
  return false
}

function describe(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (typeof value === 'string') return value
  if (isArray(value)) return 'a list'
  return isObject(value) ? 'a map' : JSON.stringify(value)
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
