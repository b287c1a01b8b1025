/** What a SIGTERM means: a new version of us comes, or we are taken off the node. */
import { setTimeout as sleep } from 'node:timers/promises'
import { ApiRefused, type Api } from '../../cluster/api.ts'
import { isObject, type JsonObject } from '../../core/json.ts'
import { wantsNode } from './affinity.ts'
import { getObject } from './cluster.ts'
import { reasonOf } from './log.ts'
import { readNode } from './runtime.ts'
import type { Settings } from './settings.ts'

/** Whether to leave the node as it is, and what told so. */
export type Farewell = { readonly kind: 'keep' | 'clean'; readonly because: string }

/** Milliseconds before a refused account is asked about again. */
const AGAIN_MS = 1000

/**
 * Asks the API server about our own DaemonSet. Who cannot tell keeps: without our entry pods start without
 * redirection, with it they go on as before. An account without rights, or that is no account any more,
 * was taken away by the uninstall.
 */
export async function decideFarewell(
  settings: Settings,
  api: Api | undefined,
  again = AGAIN_MS,
): Promise<Farewell> {
  const { podNamespace, daemonSet } = settings
  if (api === undefined || podNamespace === undefined || daemonSet === undefined) {
    return {
      kind: 'keep',
      because: 'POD_NAMESPACE and DAEMONSET_NAME do not say what to ask about',
    }
  }
  const [namespace, name] = [podNamespace, daemonSet].map(encodeURIComponent)
  const path = `/apis/apps/v1/namespaces/${namespace}/daemonsets/${name}`
  const found = await askTwice(api, path, again)
  if (found instanceof ApiRefused) {
    const isGone = [401, 403, 404].includes(found.status)
    return { kind: isGone ? 'clean' : 'keep', because: found.message }
  }
  if (found instanceof Error) return { kind: 'keep', because: reasonOf(found) }
  const { metadata } = found
  if (isObject(metadata) && typeof metadata['deletionTimestamp'] === 'string') {
    return { kind: 'clean', because: `DaemonSet ${daemonSet} is being deleted` }
  }
  if (!(await isWantedHere(settings, api, found))) {
    return { kind: 'clean', because: `DaemonSet ${daemonSet} does not want this node` }
  }
  return { kind: 'keep', because: `DaemonSet ${daemonSet} is there` }
}

/** A 401 may be the hiccup of one API server: such a one counts when it comes twice. */
async function askTwice(api: Api, path: string, again: number): Promise<JsonObject | Error> {
  const ask = (): Promise<JsonObject | Error> => {
    return getObject(api, path).catch((error: unknown) => {
      return error instanceof Error ? error : new Error(reasonOf(error))
    })
  }
  const first = await ask()
  if (!(first instanceof ApiRefused) || first.status !== 401) return first
  await sleep(again)
  return ask()
}

async function isWantedHere(
  { nodeName }: Settings,
  api: Api,
  daemonSet: JsonObject,
): Promise<boolean> {
  if (nodeName === undefined) return true
  try {
    const node = await getObject(api, `/api/v1/nodes/${encodeURIComponent(nodeName)}`)
    return wantsNode(daemonSet, { name: nodeName, labels: readNode(node).labels })
  } catch {
    return true
  }
}
