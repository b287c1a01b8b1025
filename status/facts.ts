/** What a cluster shows of injection, read once. */
import type { Api } from '../cluster/api.ts'
import { lookThrough, type Looked } from '../cluster/look.ts'
import { REGISTRATIONS } from '../cluster/registrations.ts'
import type { GateEntry } from '../core/gates/entry.ts'
import { readWebhooks } from '../core/gates/read-webhooks.ts'
import { sceneOf } from '../core/gates/scene.ts'
import type { JsonObject } from '../core/json.ts'
import { Refusal } from '../core/problem.ts'

/** What was read; what may not be read is no reason to say nothing about the rest. */
export type ClusterFacts = {
  /** MutatingWebhookConfigurations. */
  readonly configurations: readonly JsonObject[]
  /** Their entries, all of them. */
  readonly entries: readonly GateEntry[]
  readonly namespaces: readonly JsonObject[]
  readonly pods: readonly JsonObject[]
  /** What could not be read, each a sentence. */
  readonly unseen: readonly string[]
}

/** Reads it. Throws a Refusal where a configuration makes no sense. */
export async function readFacts(api: Api, hasPods: boolean): Promise<ClusterFacts> {
  const nothing: Looked<readonly JsonObject[]> = { kind: 'found', value: [] }
  const [configurations, namespaces, pods] = await Promise.all([
    lookThrough(api, { path: REGISTRATIONS }),
    lookThrough(api, { path: '/api/v1/namespaces' }),
    hasPods ? lookThrough(api, { path: '/api/v1/pods' }) : nothing,
  ])
  const unseen: string[] = []
  const found = (what: string, looked: Looked<readonly JsonObject[]>): readonly JsonObject[] => {
    if (looked.kind === 'found') return looked.value
    unseen.push(`${what} may not be read: ${looked.kind === 'unseen' ? looked.why : 'none'}`)
    return []
  }
  const objects = found('the installed webhooks', configurations).map((one) => ({
    ...one,
    kind: 'MutatingWebhookConfiguration',
  }))
  const read = readWebhooks(objects, 'MutatingWebhookConfigurations')
  if (!read.ok) throw new Refusal(read.problems)
  return {
    configurations: objects,
    entries: read.value,
    namespaces: found('namespaces', namespaces),
    pods: found('pods', pods),
    unseen,
  }
}

/** A pod that says nothing, in a namespace that says nothing. */
export const NOBODY = { namespace: '', namespaceLabels: {}, podLabels: {}, pod: {} }

/** Entries of injectors that are not switched off. */
export function activeOf(entries: readonly GateEntry[]): readonly GateEntry[] {
  return sceneOf(entries, NOBODY).active.map(({ entry }) => entry)
}
