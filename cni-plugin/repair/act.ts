/** What is done about one broken pod, by the mode. */
import { ApiRefused, demand, MERGE_PATCH, type Api } from '../../cluster/api.ts'
import { isObject, type JsonObject } from '../../core/json.ts'
import { writeRules, type Target } from '../apply.ts'
import { decideByPod } from '../derive.ts'
import { reasonOf, type Log } from '../install/log.ts'
import { findBroken, hasIntactPlan, type BrokenPod } from './broken.ts'
import { writeEvent, type Note } from './event.ts'
import { holdNetns } from './hold-netns.ts'
import type { Result } from './metrics.ts'
import type { RepairSettings } from './settings.ts'

/** What an act works with. */
export type Means = {
  readonly api: Api
  readonly node: string
  readonly settings: RepairSettings
  /** How rules are written on this node. */
  readonly conf: Target['conf']
  /** PATH, where the tools of this image are. */
  readonly path: string | undefined
  readonly log: Log
}

/** How it ended, in a sentence for the log. */
export type Outcome = { readonly result: Result; readonly why: string }

/** Sees to one pod. Rejects where trying again may help. */
export async function act(pod: BrokenPod, means: Means): Promise<Outcome> {
  switch (means.settings.mode) {
    case 'off':
      return skipped('the repair is off')
    case 'label':
      return labelPod(pod, means)
    case 'delete':
      return deletePod(pod, means)
    case 'repair':
      return repairPod(pod, means)
  }
}

/** Writes the rules from outside; the pod goes on at the next start of its validation. */
async function repairPod(pod: BrokenPod, means: Means): Promise<Outcome> {
  const found = await stillBroken(pod, means)
  if (found === undefined) return skipped(NOT_ANY_MORE)
  if (!hasIntactPlan(found)) {
    await told(pod, means, {
      reason: 'ChangedRedirectPlan',
      action: 'Repairing',
      message:
        'its redirect plan was changed after injection, so no rules were written: delete the pod',
      isGood: false,
    })
    return { result: 'fail', why: 'its redirect plan was changed after injection' }
  }
  const { decision } = decideByPod(found, {})
  if (decision.kind === 'skip') return skipped(decision.reason)
  if (decision.kind === 'refuse') return { result: 'fail', why: decision.message }
  const held = await holdNetns(means.settings.hostProc, pod)
  if (typeof held === 'string') throw new Error(held)
  try {
    // While the namespace was looked for, the address may have become another pod's.
    if ((await stillBroken(pod, means)) === undefined) return skipped(NOT_ANY_MORE)
    const lines = await writeRules(
      { netns: held.path, conf: means.conf, path: means.path },
      decision.plan,
    )
    await told(pod, means, {
      reason: 'RepairedBrokenPod',
      action: 'Repairing',
      message: 'the pod had started before the node could write its rules; they are written now',
      isGood: true,
    })
    return { result: 'success', why: lines.join('; ') }
  } finally {
    await held.release()
  }
}

/** Deletes just this pod, as it was seen: whoever owns it makes another one. */
async function deletePod(pod: BrokenPod, means: Means): Promise<Outcome> {
  const { uid, resourceVersion } = pod
  const answer = await means.api.call({
    method: 'DELETE',
    path: pathOf(pod),
    body: { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid, resourceVersion } },
  })
  if (answer.status === 404) return skipped('it is gone')
  // 409: it has changed since it was seen; the next attempt takes it as the watch has it then.
  demand(answer, 200, 202)
  await told(pod, means, {
    reason: 'DeletedBrokenPod',
    action: 'Deleting',
    message: 'the pod had started before the node could write its rules; it was deleted',
    isGood: false,
  })
  return { result: 'success', why: 'deleted' }
}

/** Labels the pod, for whoever acts on it. By its status, which fewer rights allow. */
async function labelPod(pod: BrokenPod, means: Means): Promise<Outcome> {
  const { key, value } = means.settings.label
  const found = await stillBroken(pod, means)
  if (found === undefined) return skipped(NOT_ANY_MORE)
  const metadata = isObject(found['metadata']) ? found['metadata'] : {}
  const labels = isObject(metadata['labels']) ? metadata['labels'] : {}
  if (Object.hasOwn(labels, key)) return skipped('it has the label')
  const answer = await means.api.call({
    method: 'PATCH',
    path: `${pathOf(pod)}/status`,
    body: { metadata: { uid: pod.uid, labels: { [key]: value } } },
    contentType: MERGE_PATCH,
  })
  if (answer.status === 404 || answer.status === 409) return skipped('it is gone')
  demand(answer, 200)
  await told(pod, means, {
    reason: 'LabeledBrokenPod',
    action: 'Labeling',
    message: `the pod had started before the node could write its rules; it has the label ${key} now`,
    isGood: false,
  })
  return { result: 'success', why: 'labelled' }
}

const NOT_ANY_MORE = 'it is gone or well'

/** The very same pod, read now, if it is still broken. */
async function stillBroken(pod: BrokenPod, means: Means): Promise<JsonObject | undefined> {
  const answer = await means.api.call({ path: pathOf(pod) })
  if (answer.status === 404) return undefined
  const body = demand(answer, 200)
  if (!isObject(body)) throw new ApiRefused(answer)
  const now = findBroken(body, means.settings.rule)
  const isSame = now?.uid === pod.uid && now.ips.join() === pod.ips.join()
  return isSame ? body : undefined
}

/** That an Event cannot be written is no reason not to help the pod. */
async function told(pod: BrokenPod, { api, node, log }: Means, note: Note): Promise<void> {
  await writeEvent(api, pod, note, node, new Date()).catch((error: unknown) => {
    log('warn', 'no Event', { pod: `${pod.namespace}/${pod.name}`, reason: reasonOf(error) })
  })
}

function pathOf({ namespace, name }: BrokenPod): string {
  return `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}`
}

function skipped(why: string): Outcome {
  return { result: 'skip', why }
}
