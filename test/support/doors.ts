/** One pod through both doors: as a manifest has it, and as its controller creates it before the webhook. */
import fastJsonPatch, { type Operation } from 'fast-json-patch'
import type { InjectConfig } from '../../core/inject/config.ts'
import { injectPod } from '../../core/inject/inject.ts'
import { isObject, type Json, type JsonObject } from '../../core/json.ts'
import { PRESETS } from '../../kube-inject/pod-template-path.ts'
import { listItems, workloadOf, WORKLOADS, type Workload } from '../../kube-inject/workloads.ts'
import { answerReview } from '../../webhook/answer.ts'

/** Every kind that is known by any flag. */
export const workloads: readonly Workload[] = [...Object.values(PRESETS).flat(), ...WORKLOADS]

/** A pod or pod template of a manifest, and the object that it is in. */
export type Found = { readonly pod: JsonObject; readonly object: JsonObject; readonly kind: string }

/** The pods and pod templates of a document, in their order. */
export function podsIn(value: Json): readonly Found[] {
  if (!isObject(value)) return []
  const items = listItems(value)
  if (items !== undefined) return items.flatMap(podsIn)
  const workload = workloadOf(value, workloads)
  if (workload === undefined) return []
  return at(value, workload.template).map((pod) => ({ pod, object: value, kind: workload.kind }))
}

function at(value: Json | undefined, path: readonly string[]): readonly JsonObject[] {
  const [step, ...rest] = path
  if (step === undefined) return isObject(value) ? [value] : []
  if (step === '*') return (value as readonly Json[]).flatMap((item) => at(item, rest))
  return at(isObject(value) ? value[step] : undefined, rest)
}

/**
 * What the webhook makes of a pod, or of a pod that its controller makes of a template. Objects that do
 * not say go to the namespace `shop`. What the controller wrote is taken away again. Nothing when it is
 * denied.
 */
export function byWebhook(
  { pod, object, kind }: Found,
  config: InjectConfig,
): JsonObject | undefined {
  const metadata = mapAt(object, 'metadata')
  const isPod = kind === 'Pod'
  const given = isPod
    ? pod
    : { ...pod, metadata: { ...mapAt(pod, 'metadata'), ...ownedBy(object) } }
  const labels = isPod ? {} : hashLabel(kind)
  const created = withLabels(given, labels)
  const namespace = metadata['namespace'] ?? 'shop'
  const review = {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: { uid: 'u', namespace, operation: 'CREATE', object: { kind: 'Pod', ...created } },
  }
  const answer = answerReview(JSON.stringify(review), '/inject', injectPod, {
    config,
    isNative: () => false,
    annotationsOf: () => undefined,
  })
  const { response } = JSON.parse(answer.body) as {
    response: { allowed: boolean; patch?: string }
  }
  if (!response.allowed) return undefined
  const operations = Buffer.from(response.patch ?? 'W10=', 'base64').toString()
  const { newDocument } = fastJsonPatch.applyPatch(
    structuredClone(created),
    JSON.parse(operations) as Operation[],
  )
  return isPod ? newDocument : withoutOwner(newDocument, labels)
}

const HASH = '5d4f8c7b9d'

/** The names that controllers give: a ReplicaSet between a Deployment and its pods, a Job below a CronJob. */
function ownedBy(object: JsonObject): JsonObject {
  const name = textAt(mapAt(object, 'metadata'), 'name')
  const kind = textAt(object, 'kind')
  const made =
    kind === 'Deployment'
      ? { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: `${name}-${HASH}` }
      : kind === 'CronJob'
        ? { apiVersion: 'batch/v1', kind: 'Job', name: `${name}-29384756` }
        : { apiVersion: textAt(object, 'apiVersion'), kind, name }
  return {
    generateName: `${made.name}-`,
    ownerReferences: [{ ...made, uid: 'u', controller: true }],
  }
}

function hashLabel(kind: string): JsonObject {
  return kind === 'Deployment' ? { 'pod-template-hash': HASH } : {}
}

function withLabels(pod: JsonObject, added: JsonObject): JsonObject {
  if (Object.keys(added).length === 0) return pod
  const metadata = mapAt(pod, 'metadata')
  return { ...pod, metadata: { ...metadata, labels: { ...mapAt(metadata, 'labels'), ...added } } }
}

function withoutOwner(pod: JsonObject, labels: JsonObject): JsonObject {
  const { generateName: _, ownerReferences: __, ...metadata } = mapAt(pod, 'metadata')
  const kept = Object.entries(mapAt(metadata, 'labels')).filter(([key]) => !(key in labels))
  const own = kept.length === 0 ? {} : { labels: Object.fromEntries(kept) }
  const { labels: ___, ...others } = metadata
  return { ...pod, metadata: { ...others, ...own } }
}

function mapAt(value: JsonObject, key: string): JsonObject {
  const member = value[key]
  return isObject(member) ? member : {}
}

function textAt(value: JsonObject, key: string): string {
  const member = value[key]
  if (typeof member !== 'string') throw new Error(`${key}: got nothing, want text`)
  return member
}
