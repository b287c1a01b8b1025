/** The configuration that a webhook of ours injects with now, found by what its Deployment says. */
import type { Api } from '../cluster/api.ts'
import { foundOr, lookAt } from '../cluster/look.ts'
import { at, objectsAt, textAt, textsAt } from '../cluster/members.ts'
import { DEFAULT_REVISION } from '../core/constants.ts'
import { revisionOf, type GateEntry } from '../core/gates/entry.ts'
import type { InjectConfig, Source } from '../core/inject/config.ts'
import { ISTIO_VERSIONS } from '../core/inject/values.ts'
import type { JsonObject } from '../core/json.ts'
import { formatProblem, Refusal } from '../core/problem.ts'
import { readSourcesOf, type ClusterSources } from '../kube-inject/cluster.ts'
import { readConfig } from '../kube-inject/config.ts'

/** The configuration, or why there is none to be had. */
export type Configured =
  | { readonly kind: 'read'; readonly config: InjectConfig }
  | { readonly kind: 'unread'; readonly why: string }

/** Reads what the entry's webhook reads: Istio's ConfigMaps, and that of the release where it has one. */
export async function configOf(
  api: Api,
  entry: GateEntry,
  istioNamespace: string,
): Promise<Configured> {
  const named = revisionOf(entry.configuration) ?? DEFAULT_REVISION
  const revision = named === DEFAULT_REVISION ? '' : named
  const deployment = await deploymentOf(api, entry)
  const flag = flagsOf(deployment)
  const istioVersion = ISTIO_VERSIONS.find((one) => one === flag('istio-version')) ?? 'current'
  try {
    const own = await ownSources(api, deployment, flag)
    const [meshConfigMapName, injectConfigMapName] = [
      flag('meshConfigMapName'),
      flag('injectConfigMapName'),
    ]
    const where = {
      revision,
      istioNamespace: flag('istioNamespace') ?? istioNamespace,
      ...(meshConfigMapName === undefined ? {} : { meshConfigMapName }),
      ...(injectConfigMapName === undefined ? {} : { injectConfigMapName }),
    }
    const sources = await readSourcesOf(api, where, own)
    return { kind: 'read', config: await readConfig({ revision, istioVersion }, {}, sources) }
  } catch (cause) {
    if (!(cause instanceof Refusal)) throw cause
    return { kind: 'unread', why: cause.problems.map(formatProblem).join('; ') }
  }
}

/** The Deployment is called as the Service is, in our manifests and our chart. */
async function deploymentOf(api: Api, { client }: GateEntry): Promise<JsonObject> {
  if (client.by === 'url') return {}
  const path = `/apis/apps/v1/namespaces/${encodeURIComponent(client.namespace)}/deployments`
  return foundOr(await lookAt(api, path, client.name), {})
}

type FlagReader = (name: string) => string | undefined

/** Flags of the webhook's container, written `--name=value`. */
function flagsOf(deployment: JsonObject): FlagReader {
  const [container] = objectsAt(deployment, 'spec', 'template', 'spec', 'containers')
  const args = textsAt(container, 'args')
  return (name) => {
    const start = `--${name}=`
    return args.findLast((arg) => arg.startsWith(start))?.slice(start.length)
  }
}

/** Flags that name files, and the part of the configuration in each. */
const FILES = [
  ['values', 'valuesFile'],
  ['injectConfig', 'injectConfigFile'],
  ['mesh', 'meshConfigFile'],
  ['valuesOverlay', 'valuesOverlayFile'],
] as const

/** Files that are mounted from a ConfigMap. */
async function ownSources(
  api: Api,
  deployment: JsonObject,
  flag: FlagReader,
): Promise<ClusterSources> {
  const sources: Partial<Record<keyof ClusterSources, Source>> = {}
  for (const [part, name] of FILES) {
    const path = flag(name)
    if (path === undefined) continue
    const cut = path.lastIndexOf('/')
    const map = mountedAt(deployment, path.slice(0, cut))
    const namespace = textAt(deployment, 'metadata', 'namespace')
    const collection = `/api/v1/namespaces/${encodeURIComponent(namespace)}/configmaps`
    const looked = map === '' ? undefined : await lookAt(api, collection, map)
    const text =
      looked?.kind === 'found' ? at(looked.value, 'data', path.slice(cut + 1)) : undefined
    if (typeof text !== 'string') {
      throw new Refusal([{ path: `--${name}`, got: path, want: 'a key of a mounted ConfigMap' }])
    }
    sources[part] = { path: `ConfigMap ${namespace}/${map}`, text }
  }
  return sources
}

/** Name of the ConfigMap that is mounted at a folder; empty where there is none. */
function mountedAt(deployment: JsonObject, folder: string): string {
  const spec = at(deployment, 'spec', 'template', 'spec')
  const [container] = objectsAt(spec, 'containers')
  const mount = objectsAt(container, 'volumeMounts').find((one) => one['mountPath'] === folder)
  const volume = objectsAt(spec, 'volumes').find((one) => one['name'] === mount?.['name'])
  return textAt(volume, 'configMap', 'name')
}
