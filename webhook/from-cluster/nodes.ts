import { watchObjects } from '../../cluster/watch.ts'
import { isNativeByDefault, type NodeFact } from '../../core/inject/native.ts'
import { isObject, type JsonObject } from '../../core/json.ts'
import type { IsNative } from '../injection.ts'
import type { Part } from '../part.ts'
import { partOf, watchedBy, type ClusterDeps } from './watched.ts'

/** What the nodes of the cluster can do. There may be none: then the proxy is a plain container. */
export function watchNodes(deps: ClusterDeps): Part<IsNative> {
  const path = '/api/v1/nodes'
  const watch = watchObjects(deps.api, { path, keep: readNode, ...watchedBy(deps, 'nodes') })
  return partOf('nodes', watch, nativeOn, () => {
    const native = nativeOn(watch.current())(undefined) ? 'native' : 'plain'
    return `${watch.current().size} known, sidecars are ${native}`
  })
}

/** All nodes are asked once, and not for each pod. */
function nativeOn(nodes: ReadonlyMap<string, NodeFact>): IsNative {
  const everywhere = isNativeByDefault('auto', [...nodes.values()], undefined)
  return (nodeName) => {
    const node = nodeName === undefined ? undefined : nodes.get(nodeName)
    return node === undefined ? everywhere : isNativeByDefault('auto', [node], node.name)
  }
}

function readNode({ metadata, status }: JsonObject): NodeFact | undefined {
  const name = isObject(metadata) ? metadata['name'] : undefined
  const nodeInfo = isObject(status) ? status['nodeInfo'] : undefined
  const kubeletVersion = isObject(nodeInfo) ? nodeInfo['kubeletVersion'] : undefined
  if (typeof name !== 'string') return undefined
  // A node that does not say is a node all the same, and one that is not known to be new.
  return { name, kubeletVersion: typeof kubeletVersion === 'string' ? kubeletVersion : '' }
}
