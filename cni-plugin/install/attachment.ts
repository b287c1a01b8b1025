/** The object by which Multus finds a network of ours. */
import { demand, type Api } from '../../cluster/api.ts'
import { CALL_SECONDS } from './cluster.ts'
import type { Settings } from './settings.ts'

/**
 * Makes the NetworkAttachmentDefinition where it is missing. It is without a configuration of its own:
 * Multus then takes the file with that network's name from its directory on the node.
 */
export async function ensureAttachment(
  api: Api,
  wanted: NonNullable<Settings['networkAttachment']>,
): Promise<'made' | 'there'> {
  const { namespace, name } = wanted
  const path = `/apis/k8s.cni.cncf.io/v1/namespaces/${namespace}/network-attachment-definitions`
  const answer = await api.call({
    method: 'POST',
    path,
    body: {
      apiVersion: 'k8s.cni.cncf.io/v1',
      kind: 'NetworkAttachmentDefinition',
      metadata: { namespace, name },
    },
    seconds: CALL_SECONDS,
  })
  demand(answer, 201, 409)
  return answer.status === 201 ? 'made' : 'there'
}
