import { demand, type Api } from '../cluster/api.ts'
import { isArray, isObject, type JsonObject } from '../core/json.ts'
import type { Workload } from '../kube-inject/workloads.ts'

/** A kind that the API server knows, and where its objects are. */
export type Kind = {
  readonly workload: Workload
  readonly apiVersion: string
  /** Path of its objects: all, or those of a namespace. */
  readonly path: (namespace: string | undefined) => string
}

/** The kinds of workloads that a cluster knows, in their order, in the versions that it prefers. */
export async function knownKinds(
  api: Api,
  workloads: readonly Workload[],
): Promise<readonly Kind[]> {
  const preferred = versionsOf(demand(await api.call({ path: '/apis' }), 200))
  const kinds: Kind[] = []
  const resources = new Map<string, readonly JsonObject[]>()
  for (const workload of workloads) {
    const apiVersion = workload.group === '' ? 'v1' : preferred.get(workload.group)
    if (apiVersion === undefined) continue
    const root = workload.group === '' ? '/api/v1' : `/apis/${apiVersion}`
    const known = resources.get(root) ?? (await resourcesAt(api, root))
    resources.set(root, known)
    // What has a slash is a part of a resource, such as its status.
    const plural = known
      .filter(({ kind, namespaced }) => kind === workload.kind && namespaced === true)
      .map(({ name }) => name)
      .find((name) => typeof name === 'string' && !name.includes('/'))
    if (typeof plural !== 'string') continue
    const path = (namespace: string | undefined): string =>
      namespace === undefined
        ? `${root}/${plural}`
        : `${root}/namespaces/${encodeURIComponent(namespace)}/${plural}`
    kinds.push({ workload, apiVersion, path })
  }
  return kinds
}

/** The preferred version of each group, as in `apps/v1`. */
function versionsOf(body: unknown): ReadonlyMap<string, string> {
  return new Map(
    listIn(body, 'groups').flatMap(({ name, preferredVersion }) => {
      const version = isObject(preferredVersion) ? preferredVersion['groupVersion'] : undefined
      return typeof name === 'string' && typeof version === 'string' ? [[name, version]] : []
    }),
  )
}

async function resourcesAt(api: Api, path: string): Promise<readonly JsonObject[]> {
  return listIn(demand(await api.call({ path }), 200), 'resources')
}

function listIn(body: unknown, name: string): readonly JsonObject[] {
  const list: unknown = isObject(body) ? body[name] : undefined
  return isArray(list) ? list.filter(isObject) : []
}
