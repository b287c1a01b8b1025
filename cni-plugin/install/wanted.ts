/** What the node is to get: our entry, and credentials where it needs them. */
import type { Api } from '../../cluster/api.ts'
import { Refusal } from '../../core/problem.ts'
import { getObject } from './cluster.ts'
import { buildEntry } from './entry.ts'
import type { Entry } from './insert.ts'
import { kubeconfigPath } from './kubeconfig.ts'
import { reasonOf, type Log } from './log.ts'
import { isMuslHost, type Place } from './place.ts'
import { handsOverAnnotations, isMuslImage, readNode, RUNTIMES_THAT_HAND_OVER } from './runtime.ts'
import type { NodeFacts } from './runtime.ts'
import type { Settings } from './settings.ts'

/** Our entry; `kubeconfig` is the path of the plugin's credentials, where it asks the API server. */
export type Wanted = { readonly entry: Entry; readonly kubeconfig: string | undefined }

/** Milliseconds between two questions to an API server that does not answer. */
const ASK_AGAIN_MS = 30_000

/**
 * Works out what is wanted, anew for each pass. A node that cannot be asked is taken to have a runtime
 * that hands annotations over: an outage of the API server must not keep a node from its plugin, which
 * refuses pods by itself where the runtime hands over nothing.
 */
export function makeWanted(
  settings: Settings,
  place: Place,
  api: Api | undefined,
  log: Log,
): () => Promise<Wanted> {
  const ask = askOnce(settings, api, log)
  const viaApi = (): Wanted => {
    const kubeconfig = kubeconfigPath(settings)
    return { entry: buildEntry(settings, { kind: 'api', kubeconfig }), kubeconfig }
  }
  return async () => {
    const node = await ask()
    await refuseMusl(settings, node)
    if (settings.podSource === 'api') return viaApi()
    if (!place.isChained) {
      if (settings.podSource === 'auto') return viaApi()
      const want = 'api or auto: Multus hands no annotations over'
      throw new Refusal([{ path: 'POD_SOURCE', got: settings.podSource, want }])
    }
    if (node === undefined || handsOverAnnotations(node.runtime)) {
      return { entry: buildEntry(settings, { kind: 'annotations' }), kubeconfig: undefined }
    }
    if (settings.podSource === 'auto') return viaApi()
    const want = `${RUNTIMES_THAT_HAND_OVER.join(' or ')} or newer, or POD_SOURCE=auto`
    throw new Refusal([{ path: 'container runtime of the node', got: node.runtime, want }])
  }
}

function askOnce(
  settings: Settings,
  api: Api | undefined,
  log: Log,
): () => Promise<NodeFacts | undefined> {
  const { nodeName } = settings
  let known: NodeFacts | undefined
  let askAt = 0
  return async () => {
    if (known !== undefined || performance.now() < askAt) return known
    try {
      if (nodeName === undefined) throw new Error('NODE_NAME is not set')
      if (api === undefined) throw new Error('there is no API server to ask')
      known = readNode(await getObject(api, `/api/v1/nodes/${encodeURIComponent(nodeName)}`))
      log('info', 'node', { runtime: known.runtime, osImage: known.osImage })
    } catch (error) {
      askAt = performance.now() + ASK_AGAIN_MS
      log('warn', 'the version of the container runtime is not known', { reason: reasonOf(error) })
    }
    return known
  }
}

async function refuseMusl(settings: Settings, node: NodeFacts | undefined): Promise<void> {
  const isMusl =
    (node !== undefined && isMuslImage(node.osImage)) || (await isMuslHost(settings.hostRoot))
  if (!isMusl || !settings.installsBinary) return
  const want = 'a host with glibc: the executable does not start with musl'
  throw new Refusal([{ path: 'host', got: node?.osImage ?? 'musl’s loader in /lib', want }])
}
