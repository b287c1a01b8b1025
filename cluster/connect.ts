/** How to reach an API server: a kubeconfig, or the files that a pod is given. */
import { existsSync } from 'node:fs'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent, type AgentOptions, type RequestOptions } from 'node:https'
import type { KubeConfig } from '@kubernetes/client-node'
import { Refusal } from '../core/problem.ts'

/** The flags that say which cluster. */
export type ConnectFlags = {
  /** Path of a kubeconfig; without it what kubectl would take, and in a pod the pod's own account. */
  readonly kubeconfig?: string
  readonly context?: string
}

/** An API server and how to prove to it who we are. */
export type Connection = {
  /** Ends in a slash, so that relative paths stay below it. */
  readonly server: URL
  /** Namespace of the context, or of the pod that this runs in; undefined when neither says. */
  readonly namespace: string | undefined
  /** Options of one request. Tokens are read again when their file changes, so ask for each request. */
  readonly options: () => Promise<RequestOptions>
  /** Closes the connections that no request uses. */
  readonly forgetIdle: () => void
  /** Closes all connections. */
  readonly close: () => void
}

/** Reads the credentials. Throws a Refusal that names the file, or the flag, at fault. */
export async function connect({ kubeconfig, context }: ConnectFlags): Promise<Connection> {
  const { KubeConfig } = await import('@kubernetes/client-node')
  const config = new KubeConfig()
  const path = kubeconfig === undefined ? 'kubeconfig' : `--kubeconfig ${kubeconfig}`
  try {
    if (kubeconfig !== undefined) config.loadFromFile(kubeconfig)
    // A context is one of a kubeconfig's, also where the pod has an account.
    else if (isInPod() && process.env['KUBECONFIG'] === undefined && context === undefined) {
      config.loadFromCluster()
    } else config.loadFromDefault()
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
  const server = serverOf(config, path)
  const agent = agentOf(server, await optionsOf(config, path))
  return {
    server,
    namespace: config.getContextObject(config.getCurrentContext())?.namespace,
    options: async () => {
      const { headers, auth } = await optionsOf(config, path)
      return { agent, ...(headers === undefined ? {} : { headers }), ...(auth ? { auth } : {}) }
    },
    forgetIdle: () => {
      for (const sockets of Object.values(agent.freeSockets)) {
        for (const socket of sockets ?? []) socket.destroy()
      }
    },
    close: () => {
      agent.destroy()
    },
  }
}

const ACCOUNT_TOKEN = '/var/run/secrets/kubernetes.io/serviceaccount/token'

function isInPod(): boolean {
  return process.env['KUBERNETES_SERVICE_HOST'] !== undefined && existsSync(ACCOUNT_TOKEN)
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

/**
 * Connections are kept and reused; certificates belong to them, tokens to each request. Node sets TCP
 * keep-alive on those of such an agent, so that the kernel ends one whose other side is gone.
 */
function agentOf(server: URL, options: RequestOptions): HttpAgent | HttpsAgent {
  if (server.protocol === 'http:') return new HttpAgent({ keepAlive: true })
  const { ca, cert, key, passphrase, pfx, rejectUnauthorized, servername } = options
  const tls: AgentOptions = { ca, cert, key, passphrase, pfx, rejectUnauthorized, servername }
  const given = Object.entries(tls).filter(([, value]) => value !== undefined)
  return new HttpsAgent({ keepAlive: true, ...Object.fromEntries(given) })
}

function refused(path: string, cause: unknown, want: string): Refusal {
  const got = cause instanceof Error ? cause.message : String(cause)
  return new Refusal([{ path, got, want }], { cause })
}
