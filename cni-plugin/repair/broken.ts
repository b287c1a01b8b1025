/** Which pods started without rules, told by what the kubelet says about them. */
import { createHash } from 'node:crypto'
import {
  REDIRECT_PLAN_ANNOTATION,
  REDIRECT_PLAN_DIGEST_ENV,
  STATUS_ANNOTATION,
} from '../../core/constants.ts'
import { isArray, isObject, type Json, type JsonObject } from '../../core/json.ts'
import type { BrokenRule } from './settings.ts'

/** A pod whose validation found no rules. */
export type BrokenPod = {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly resourceVersion: string
  readonly ips: readonly string[]
  /** How often the validation was started again: a new number is a new failure. */
  readonly restarts: number
}

/**
 * What is broken about a pod; undefined for all that are well, going away, finished, or no affair of
 * ours. The validation's current end counts as well as its last one: so the first failure is enough.
 */
export function findBroken(pod: JsonObject, rule: BrokenRule): BrokenPod | undefined {
  const metadata = objectAt(pod, 'metadata')
  const { namespace, name, uid, resourceVersion, deletionTimestamp } = metadata
  const status = objectAt(pod, 'status')
  if (typeof namespace !== 'string' || typeof name !== 'string' || typeof uid !== 'string') {
    return undefined
  }
  if (deletionTimestamp !== undefined) return undefined
  if (status['phase'] === 'Succeeded' || status['phase'] === 'Failed') return undefined
  if (objectAt(pod, 'spec')['hostNetwork'] === true) return undefined
  if (objectAt(metadata, 'annotations')[STATUS_ANNOTATION] === undefined) return undefined
  const checked = listAt(status, 'initContainerStatuses').find(
    (one) => one['name'] === rule.container,
  )
  if (checked === undefined || !hasFailed(checked, rule)) return undefined
  const restarts = checked['restartCount']
  return {
    namespace,
    name,
    uid,
    resourceVersion: typeof resourceVersion === 'string' ? resourceVersion : '',
    ips: ipsOf(status),
    restarts: typeof restarts === 'number' ? restarts : 0,
  }
}

function hasFailed(container: JsonObject, rule: BrokenRule): boolean {
  const current = endOf(container, 'state')
  if (current !== undefined && (current['exitCode'] === 0 || current['reason'] === 'Completed')) {
    return false
  }
  return [current, endOf(container, 'lastState')].some((end) => {
    if (end === undefined) return false
    const { exitCode, message } = end
    const isCode = rule.exitCode === 0 ? exitCode !== 0 : exitCode === rule.exitCode
    const said = typeof message === 'string' ? message.trim() : ''
    return isCode && (rule.message === '' || said === rule.message)
  })
}

function endOf(container: JsonObject, name: 'state' | 'lastState'): JsonObject | undefined {
  const end = objectAt(container, name)['terminated']
  return isObject(end) ? end : undefined
}

function ipsOf(status: JsonObject): readonly string[] {
  const all = [status['podIP'], ...listAt(status, 'podIPs').map(({ ip }) => ip)]
  return [...new Set(all.filter((ip) => typeof ip === 'string' && ip !== ''))].map(String)
}

/**
 * Whether the pod's plan is the one that injection wrote (guard 3). A pod without a guard was not injected
 * by us and has no plan of ours. Rules of a plan that somebody changed must not be written.
 */
export function hasIntactPlan(pod: JsonObject): boolean {
  const digests = listAt(objectAt(pod, 'spec'), 'initContainers')
    .flatMap((container) => listAt(container, 'env'))
    .filter(({ name }) => name === REDIRECT_PLAN_DIGEST_ENV)
    .map(({ value }) => value)
  if (digests.length === 0) return true
  const text = objectAt(objectAt(pod, 'metadata'), 'annotations')[REDIRECT_PLAN_ANNOTATION]
  const found = createHash('sha256').update(typeof text === 'string' ? text : '')
  const digest = found.digest('hex')
  return digests.every((each) => each === digest)
}

function objectAt(object: JsonObject, name: string): JsonObject {
  const value: Json | undefined = Object.hasOwn(object, name) ? object[name] : undefined
  return isObject(value) ? value : {}
}

function listAt(object: JsonObject, name: string): readonly JsonObject[] {
  const value = object[name]
  return isArray(value) ? value.filter(isObject) : []
}
