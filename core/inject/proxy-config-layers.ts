import { goJson, isObject, type Json } from '../json.ts'
import type { StringMap } from '../k8s.ts'
import { bad, good, type Problem, type Read } from '../problem.ts'
import { mergeProxyConfig, type ProxyConfig, type ProxyConfigLayer } from './proxy-config.ts'
import { IMAGE, INT32_VALUE, map, message, TEXT, type Fields } from './proxy-config-fields.ts'
import { readFields, textOf, textsOf, valueAt } from './proxy-config-read.ts'

/** A ProxyConfig resource of the cluster (networking.istio.io/v1beta1). */
export type ProxyConfigResource = {
  readonly name: string
  readonly namespace: string
  /** Creation time as the API writes it, RFC 3339: of several resources of one level the oldest counts. */
  readonly created: string
  /** Undefined selects every pod of the namespace; an empty map selects none, as in Istio. */
  readonly matchLabels: StringMap | undefined
  /** Worker threads, environment and image are all that a resource can say. */
  readonly layer: ProxyConfigLayer
}

/** What says something about the proxy of one pod. */
export type ProxyConfigSources = {
  /** MeshConfig.defaultConfig, built-in defaults included. */
  readonly mesh: ProxyConfig
  /** The annotation `proxy.istio.io/config`; undefined when the pod has none. */
  readonly annotation: ProxyConfigLayer | undefined
  /** All resources of the cluster; none for kube-inject. */
  readonly resources: readonly ProxyConfigResource[]
  readonly rootNamespace: string
  /** The pod's namespace and labels. */
  readonly namespace: string
  readonly labels: StringMap
}

/** The three configurations of one pod. Who takes which is told at each. */
export type ProxyConfigs = {
  /**
   * The mesh's alone. In Istio's webhook the status port of metrics, of the probe dump and of the probe
   * rewrite comes from here; in kube-inject from `annotated`.
   */
  readonly mesh: ProxyConfig
  /** The mesh's with the annotation: orders containers (hold), in both doors. */
  readonly annotated: ProxyConfig
  /** With resources too: the templates, image type, mode. Without resources it equals `annotated`. */
  readonly effective: ProxyConfig
}

/**
 * Lays the sources over each other, lowest first: mesh, the root namespace's resource, the namespace's
 * resource, the annotation, the resource that selects the pod's labels.
 */
export function effectiveProxyConfig(sources: ProxyConfigSources): ProxyConfigs {
  const { mesh, annotation, namespace, rootNamespace } = sources
  const below = [
    oldest(sources.resources, rootNamespace, isForAll),
    namespace === rootNamespace ? undefined : oldest(sources.resources, namespace, isForAll),
    annotation,
    oldest(sources.resources, namespace, (resource) => selects(resource, sources.labels)),
  ]
  return {
    mesh,
    annotated: annotation === undefined ? mesh : mergeProxyConfig(mesh, annotation),
    effective: below
      .filter((layer) => layer !== undefined)
      .reduce<ProxyConfig>(mergeProxyConfig, mesh),
  }
}

function oldest(
  resources: readonly ProxyConfigResource[],
  namespace: string,
  isMeant: (resource: ProxyConfigResource) => boolean,
): ProxyConfigLayer | undefined {
  return resources
    .filter((resource) => resource.namespace === namespace && isMeant(resource))
    .reduce<ProxyConfigResource | undefined>(older, undefined)?.layer
}

/** Times of the API are UTC to the second, so text order is time order; names break ties. */
function older(a: ProxyConfigResource | undefined, b: ProxyConfigResource): ProxyConfigResource {
  if (a === undefined) return b
  if (a.created !== b.created) return a.created < b.created ? a : b
  return a.name <= b.name ? a : b
}

function isForAll(resource: ProxyConfigResource): boolean {
  return resource.matchLabels === undefined
}

function selects({ matchLabels = {} }: ProxyConfigResource, labels: StringMap): boolean {
  const wanted = Object.entries(matchLabels)
  return wanted.length > 0 && wanted.every(([key, value]) => labels[key] === value)
}

/** Reads a resource as the API server returns it. */
export function readProxyConfigResource(path: string, json: Json): Read<ProxyConfigResource> {
  if (!isObject(json)) return bad(path, goJson(json), 'a ProxyConfig resource')
  const problems: Problem[] = []
  const read = readFields(`${path}: `, json, RESOURCE_FIELDS, problems)
  if (problems.length > 0) return { ok: false, problems }
  const said = {
    concurrency: valueAt(read, ['spec', 'concurrency']),
    proxyMetadata: valueAt(read, ['spec', 'environmentVariables']),
    image: valueAt(read, ['spec', 'image']),
  }
  const fields = Object.entries(said).filter(([, value]) => value !== undefined)
  const selector = valueAt(read, ['spec', 'selector'])
  return good({
    name: textOf(valueAt(read, ['metadata', 'name'])),
    namespace: textOf(valueAt(read, ['metadata', 'namespace'])),
    created: textOf(valueAt(read, ['metadata', 'creationTimestamp'])),
    matchLabels: selector === undefined ? undefined : textsOf(valueAt(selector, ['matchLabels'])),
    layer: { fields: Object.fromEntries(fields) },
  })
}

/** What is read of a resource: the fields of its spec are those of the ProxyConfig that they become. */
const RESOURCE_FIELDS: Fields = {
  metadata: message({ name: TEXT, namespace: TEXT, creationTimestamp: TEXT }),
  spec: message({
    selector: message({ matchLabels: map(TEXT) }),
    concurrency: INT32_VALUE,
    environmentVariables: map(TEXT),
    image: IMAGE,
  }),
}
