/** The repair: follows the pods of this node and sees to those that started without rules. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Registry } from 'prom-client'
import type { Api } from '../../cluster/api.ts'
import { watchObjects, type Kept } from '../../cluster/watch.ts'
import { reasonOf, type Log } from '../install/log.ts'
import type { Repair } from '../install/run.ts'
import { readOptions, type Options } from '../options.ts'
import { act, type Means } from './act.ts'
import { findBroken, type BrokenPod } from './broken.ts'
import { makeRepairMetrics } from './metrics.ts'
import type { RepairSettings } from './settings.ts'

/** What the repair works with. */
export type RunParts = {
  readonly settings: RepairSettings
  readonly api: Api
  /** The node whose pods are seen to: no other process looks at them, so there is no leader. */
  readonly node: string
  /** How rules are written on this node: settings of the installer. */
  readonly rules: Pick<Options, 'iptablesMode' | 'ipv6'>
  readonly path: string | undefined
  readonly log: Log
  readonly registry: Registry
  /** Milliseconds before the first second attempt; then twice as long each time. */
  readonly delay?: number
}

type Seen = { readonly uid: string; readonly restarts: number }

/** Attempts for one pod until something about it changes. */
const ATTEMPTS = 5
const DELAY = 500

/** Follows the pods until it is closed; in mode `off` nothing is watched. It never throws. */
export function runRepair(parts: RunParts): Repair {
  const { settings, api, node, log } = parts
  const metrics = makeRepairMetrics(parts.registry)
  if (settings.mode === 'off') return { close: () => Promise.resolve() }
  const means: Means = {
    api,
    node,
    settings,
    path: parts.path,
    log,
    conf: { options: { ...readOptions({}).options, ...parts.rules }, resolvers: undefined },
  }
  const end = new AbortController()
  /** By pod, which failure was seen to last. A pod that was helped is left alone until it is well again. */
  const done = new Map<string, Seen>()
  let broken: Kept<BrokenPod> = new Map()
  let work: Promise<void> = Promise.resolve()

  const see = async (key: string, pod: BrokenPod): Promise<void> => {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      // The newest word about the pod counts, and none means that it is well or gone.
      if (end.signal.aborted || broken.get(key)?.uid !== pod.uid) return
      const facts = { pod: key, uid: pod.uid, mode: settings.mode, attempt }
      try {
        const { result, why } = await act(broken.get(key) ?? pod, means)
        metrics.counted(settings.mode, result)
        log(result === 'fail' ? 'warn' : 'info', `broken pod: ${result}`, { ...facts, why })
        if (result === 'success') done.set(key, { uid: pod.uid, restarts: Infinity })
        return
      } catch (error) {
        const isLast = attempt === ATTEMPTS
        if (isLast) metrics.counted(settings.mode, 'fail')
        log('warn', 'broken pod: attempt failed', { ...facts, reason: reasonOf(error), isLast })
        const delay = (parts.delay ?? DELAY) * 2 ** (attempt - 1)
        if (!isLast) await sleep(delay, undefined, { signal: end.signal }).catch(() => undefined)
      }
    }
  }
  const watch = watchObjects(api, {
    path: '/api/v1/pods',
    fieldSelector: `spec.nodeName=${node}`,
    ...(settings.labelSelector === '' ? {} : { labelSelector: settings.labelSelector }),
    keep: (pod) => findBroken(pod, settings.rule),
    onFailure: (failure) => {
      if (failure === undefined) log('info', 'pods of this node can be read again')
      else log('warn', 'pods of this node cannot be read', { reason: failure.error })
    },
  })
  watch.onChange((now) => {
    broken = now
    metrics.broken(now.size)
    for (const key of done.keys()) if (!now.has(key)) done.delete(key)
    for (const [key, pod] of now) {
      const seen = done.get(key)
      if (seen?.uid === pod.uid && seen.restarts >= pod.restarts) continue
      done.set(key, { uid: pod.uid, restarts: pod.restarts })
      work = work.then(() => see(key, pod))
    }
  })
  return {
    close: async () => {
      end.abort()
      watch.close()
      await work
    },
  }
}
