import { PROXY_CONTAINER } from '../constants.ts'
import { isSame, sortedEntries } from '../json.ts'
import { byName, type Container, type EnvVar, type Pod, type StringMap } from '../k8s.ts'
import { isInjected, withLabels } from './status.ts'

/** Environment variable of the proxy: the cluster that the pod runs in. */
export const CLUSTER_ENV = 'ISTIO_META_CLUSTER_ID'
/** Environment variable of the proxy: the network that the pod sits in. */
export const NETWORK_ENV = 'ISTIO_META_NETWORK'
/** Environment variable of the proxy of Istio 1.8: the annotations of the pod, JSON. */
export const ANNOTATIONS_ENV = 'ISTIO_METAJSON_ANNOTATIONS'
/** Label: the network that the pod sits in; it wins over the webhook's path and the values. */
export const NETWORK_LABEL = 'topology.istio.io/network'

/** Where cluster and network may be told, beside the pod's own label. */
export type LocationFacts = {
  /** Environment variables from the path of the webhook's URL. */
  readonly pathEnvs: StringMap
  /** values: `global.multiCluster.clusterName`; empty when not set. */
  readonly clusterName: string
  /** values: `global.network`; empty when not set. */
  readonly network: string
}

/** Where a pod runs: empty texts where nobody said. */
export type Location = {
  readonly cluster: string
  readonly network: string
  /** The variables of the path, with cluster and network added where they are known. */
  readonly envs: StringMap
}

/**
 * The cluster: path, then values. The network: the pod's label, then path, then values. An empty text
 * counts as not said.
 */
export function readLocation(labels: StringMap, facts: LocationFacts): Location {
  const { pathEnvs } = facts
  const cluster = firstSaid(pathEnvs[CLUSTER_ENV], facts.clusterName)
  const network = firstSaid(labels[NETWORK_LABEL], pathEnvs[NETWORK_ENV], facts.network)
  const envs = {
    ...pathEnvs,
    ...(cluster !== '' && { [CLUSTER_ENV]: cluster }),
    ...(network !== '' && { [NETWORK_ENV]: network }),
  }
  return { cluster, network, envs }
}

/**
 * Gives the proxy the variables of `Location.envs`: each is taken out where it stands and all are put
 * at the end as plain values, sorted by name. A known network also becomes the pod's label.
 */
export function setClusterEnvs(pod: Pod, envs: StringMap): Pod {
  const added = sortedEntries(envs).map(([name, value]) => ({ name, value }))
  if (added.length === 0) return pod
  const placed = withProxyEnv(pod, (env) => [
    ...env.filter(({ name }) => !Object.hasOwn(envs, name)),
    ...added,
  ])
  const network = envs[NETWORK_ENV] ?? ''
  return network === '' ? placed : withLabels(placed, { [NETWORK_LABEL]: network })
}

/**
 * The proxy with what an earlier injection wrote into these variables, whatever the user's own proxy said
 * about them before: that was taken into account then.
 */
export function keepWrittenEnvs(pod: Pod, before: Pod, names: readonly string[]): Pod {
  if (!isInjected(before)) return pod
  const written = (findProxy(before)?.env ?? []).filter(({ name }) => names.includes(name))
  if (written.length === 0) return pod
  return withProxyEnv(pod, (env) => env.map((item) => byName(written, item.name) ?? item))
}

/**
 * The proxy with its variables in the order that an earlier injection gave them; a new one stays behind its
 * neighbour. Otherwise those that are appended in steps would change places with each other in every pass.
 */
export function keepEnvOrder(pod: Pod, before: Pod): Pod {
  if (!isInjected(before)) return pod
  const places = new Map(findProxy(before)?.env?.map(({ name }, place) => [name, place]))
  return withProxyEnv(pod, (env) => {
    let last = -1
    const ranked = env.map((item) => {
      last = places.get(item.name) ?? last
      return { item, rank: last }
    })
    return ranked.sort((a, b) => a.rank - b.rank).map(({ item }) => item)
  })
}

/** The proxy of a pod: a regular container of that name, else an init container. */
export function findProxy(pod: Pod): Container | undefined {
  return (
    byName(pod.spec?.containers, PROXY_CONTAINER) ??
    byName(pod.spec?.initContainers, PROXY_CONTAINER)
  )
}

/** The pod with another environment of its proxy; the same pod when nothing changes or there is no proxy. */
export function withProxyEnv(pod: Pod, change: (env: readonly EnvVar[]) => readonly EnvVar[]): Pod {
  const { spec } = pod
  const proxy = findProxy(pod)
  if (spec === undefined || proxy === undefined) return pod
  const env = change(proxy.env ?? [])
  if (isSame(env, proxy.env ?? [])) return pod
  const put = (list: readonly Container[]) =>
    list.map((container) => (container === proxy ? { ...proxy, env: [...env] } : container))
  return byName(spec.containers, PROXY_CONTAINER) === proxy
    ? { ...pod, spec: { ...spec, containers: put(spec.containers) } }
    : { ...pod, spec: { ...spec, initContainers: put(spec.initContainers ?? []) } }
}

/** The environment with one plain variable at its end, and no other of that name. */
export function appendEnv(env: readonly EnvVar[], name: string, value: string): readonly EnvVar[] {
  return [...env.filter((item) => item.name !== name), { name, value }]
}

function firstSaid(...texts: readonly (string | undefined)[]): string {
  return texts.find((text) => text !== undefined && text !== '') ?? ''
}
