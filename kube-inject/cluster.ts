/** The configuration of an installed Istio, read from its ConfigMaps: only when a flag asks for a cluster. */
import { request as requestHttp } from 'node:http'
import { request as requestHttps, type RequestOptions } from 'node:https'
import { text } from 'node:stream/consumers'
import type { KubeConfig } from '@kubernetes/client-node'
import type { Source } from '../core/inject/config.ts'
import { isObject } from '../core/json.ts'
import { Refusal } from '../core/problem.ts'
import { readYaml } from '../core/yaml.ts'

/** The flags that say which cluster, and where in it. */
export type ClusterFlags = {
  readonly kubeconfig?: string
  readonly context?: string
  readonly meshConfigMapName?: string
  readonly injectConfigMapName?: string
  readonly istioNamespace?: string
  readonly revision: string
}

/** The three texts; what the cluster does not have is absent. */
export type ClusterSources = {
  readonly mesh?: Source
  readonly values?: Source
  readonly injectConfig?: Source
}

/** Whether any flag asks for a cluster. */
export function asksForCluster(flags: ClusterFlags): boolean {
  const { kubeconfig, context, meshConfigMapName, injectConfigMapName } = flags
  return [kubeconfig, context, meshConfigMapName, injectConfigMapName].some(
    (flag) => flag !== undefined,
  )
}

/** Reads both ConfigMaps, by Istio's names unless flags name others. Throws a Refusal. */
export async function readClusterSources(flags: ClusterFlags): Promise<ClusterSources> {
  const { istioNamespace: namespace = 'istio-system', revision } = flags
  const suffix = revision === '' || revision === 'default' ? '' : `-${revision}`
  const connection = await connect(flags)
  const [mesh, injector] = await Promise.all([
    readConfigMap(connection, namespace, flags.meshConfigMapName ?? `istio${suffix}`),
    readConfigMap(
      connection,
      namespace,
      flags.injectConfigMapName ?? `istio-sidecar-injector${suffix}`,
    ),
  ])
  return {
    mesh: mesh.demand('mesh'),
    injectConfig: injector.demand('config'),
    values: injector.demand('values'),
  }
}

type Connection = { readonly server: URL; readonly options: RequestOptions }

/** Seconds for one answer: a cluster that does not answer must not hold a pipeline. */
const ANSWER_SECONDS = 10

async function connect({ kubeconfig, context }: ClusterFlags): Promise<Connection> {
  const { KubeConfig } = await import('@kubernetes/client-node')
  const config = new KubeConfig()
  const path = kubeconfig === undefined ? 'kubeconfig' : `--kubeconfig ${kubeconfig}`
  try {
    if (kubeconfig === undefined) config.loadFromDefault()
    else config.loadFromFile(kubeconfig)
  } catch (cause) {
    throw refused(path, cause, 'a kubeconfig file')
  }
  if (context !== undefined) {
    const known = config.getContexts().map(({ name }) => name)
    if (!known.includes(context)) {
      const want = `a context of the kubeconfig: ${known.join(', ')}`
      throw new Refusal([{ path: '--context', got: context, want }])
    }
    config.setCurrentContext(context)
  }
  return { server: serverOf(config, path), options: await optionsOf(config, path) }
}

function serverOf(config: KubeConfig, path: string): URL {
  const server = config.getCurrentCluster()?.server ?? ''
  if (URL.canParse(server)) return new URL(server.endsWith('/') ? server : `${server}/`)
  throw new Refusal([{ path, got: server, want: 'a current context whose cluster has a server' }])
}

async function optionsOf(config: KubeConfig, path: string): Promise<RequestOptions> {
  const options: RequestOptions = { headers: { accept: 'application/json' } }
  try {
    await config.applyToHTTPSOptions(options)
  } catch (cause) {
    throw refused(path, cause, 'credentials that can be read')
  }
  return options
}

type ConfigMap = { readonly demand: (key: string) => Source }

async function readConfigMap(
  { server, options }: Connection,
  namespace: string,
  name: string,
): Promise<ConfigMap> {
  const path = `ConfigMap ${namespace}/${name}`
  const parts = [namespace, name].map(encodeURIComponent)
  const url = new URL(`api/v1/namespaces/${parts[0] ?? ''}/configmaps/${parts[1] ?? ''}`, server)
  const { status, body } = await get(url, options).catch((cause: unknown) => {
    throw refused(path, cause, `an answer of ${server.origin} within ${ANSWER_SECONDS} s`)
  })
  const read = readYaml(path, body)
  const answer = read.ok && isObject(read.value) ? read.value : {}
  if (status !== 200) {
    const { message } = answer
    const got = `HTTP ${status}${typeof message === 'string' ? `: ${message}` : ''}`
    throw new Refusal([{ path, got, want: 'a ConfigMap that may be read' }])
  }
  const data = isObject(answer['data']) ? answer['data'] : {}
  return {
    demand: (key) => {
      const found = Object.hasOwn(data, key) ? data[key] : undefined
      if (typeof found === 'string') return { path: `${path}, ${key}`, text: found }
      const got = `keys ${Object.keys(data).join(', ')}`
      throw new Refusal([{ path, got, want: `the key ${key}` }])
    },
  }
}

function get(
  url: URL,
  options: RequestOptions,
): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const request = url.protocol === 'http:' ? requestHttp : requestHttps
    const signal = AbortSignal.timeout(ANSWER_SECONDS * 1000)
    const call = request(url, { ...options, signal }, (response) => {
      text(response).then((body) => {
        resolve({ status: response.statusCode ?? 0, body })
      }, reject)
    })
    call.on('error', reject)
    call.end()
  })
}

function refused(path: string, cause: unknown, want: string): Refusal {
  const got = cause instanceof Error ? cause.message : String(cause)
  return new Refusal([{ path, got, want }], { cause })
}
