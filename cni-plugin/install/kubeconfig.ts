/** The plugin's credentials, where it has to ask the API server: a token of an account of its own. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ApiRefused, demand, type Api } from '../../cluster/api.ts'
import { isObject } from '../../core/json.ts'
import { CALL_SECONDS, mountedToken } from './cluster.ts'
import { reasonOf, type Log } from './log.ts'
import type { Settings } from './settings.ts'

/** A token that is good for some time. Times are milliseconds since 1970. */
type Token = { readonly text: string; readonly renewAt: number; readonly isOwn: boolean }

/** Where the text of the kubeconfig comes from. */
export type Kubeconfigs = {
  /** The text as it has to be now. Throws where no token can be had at all. */
  readonly text: () => Promise<string>
}

/** Where the plugin finds it. */
export function kubeconfigPath({ kubeconfigDir }: Settings): string {
  return join(kubeconfigDir, 'kubeconfig')
}

/** Seconds that a token is asked for: a node that was off for a night still has a good one. */
const TOKEN_SECONDS = 86_400
/** Milliseconds after which the mounted token is compared, and a refused request is tried again. */
const RETRY_MS = 60_000

/** Keeps a token fresh: renewed at half its life, and on each start. */
export function makeKubeconfigs(
  settings: Settings,
  api: Api | undefined,
  log: Log,
  now: () => number = Date.now,
): Kubeconfigs {
  let token: Token | undefined
  return {
    text: async () => {
      if (token === undefined || now() >= token.renewAt) token = await renewed(token)
      return printKubeconfig(settings, token.text, await readCa(settings))
    },
  }

  async function renewed(last: Token | undefined): Promise<Token> {
    const renewAt = now() + RETRY_MS
    try {
      return await requestToken(settings, api, now())
    } catch (error) {
      log('warn', 'no token for the account of the plugin', {
        serviceAccount: settings.pluginServiceAccount,
        reason: reasonOf(error),
      })
      // A token of its own that is half through is better than one that dies with this pod.
      if (last?.isOwn === true && !(error instanceof ApiRefused)) return { ...last, renewAt }
    }
    const text = await mountedToken(settings)
    if (text !== undefined) return { text, renewAt, isOwn: false }
    throw new Error(`${settings.serviceAccountDir}/token: got no token, want one for the plugin`)
  }
}

async function requestToken(settings: Settings, api: Api | undefined, now: number): Promise<Token> {
  const { podNamespace = '', pluginServiceAccount: name } = settings
  if (api === undefined) throw new Error('no API server')
  const parts = ['api', 'v1', 'namespaces', podNamespace, 'serviceaccounts', name, 'token']
  const path = `/${parts.map(encodeURIComponent).join('/')}`
  const answer = await api.call({
    method: 'POST',
    path,
    body: {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { expirationSeconds: TOKEN_SECONDS },
    },
    seconds: CALL_SECONDS,
  })
  const body = demand(answer, 201)
  const status = isObject(body) ? body['status'] : undefined
  const text = isObject(status) ? status['token'] : undefined
  const end = isObject(status) ? status['expirationTimestamp'] : undefined
  if (typeof text !== 'string' || typeof end !== 'string') {
    throw new Error(`${path}: got an answer without a token and its end`)
  }
  // The API server may grant less than was asked for.
  const life = Math.max(Date.parse(end) - now, 0)
  return { text, renewAt: now + (Number.isFinite(life) ? life / 2 : RETRY_MS), isOwn: true }
}

/** A kubeconfig as JSON, which is YAML too: the plugin has a reader for JSON anyway. */
export function printKubeconfig(settings: Settings, token: string, ca: Buffer | undefined): string {
  const { server, skipsTlsVerify } = settings
  const name = 'local'
  const tls = skipsTlsVerify
    ? { 'insecure-skip-tls-verify': true }
    : ca === undefined
      ? {}
      : { 'certificate-authority-data': ca.toString('base64') }
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster: { server: server?.href.replace(/\/$/, '') ?? '', ...tls } }],
    users: [{ name, user: { token } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    'current-context': name,
  }
  return `${JSON.stringify(config, null, 2)}\n`
}

async function readCa({ caFile, server }: Settings): Promise<Buffer | undefined> {
  if (server?.protocol === 'http:') return undefined
  return readFile(caFile).catch(() => undefined)
}
