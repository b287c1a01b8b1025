/** What the installer asks of the API server, with the account of its own pod. */
import { readFile } from 'node:fs/promises'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { join } from 'node:path'
import { demand, makeApi, type Api } from '../../cluster/api.ts'
import { isObject, type JsonObject } from '../../core/json.ts'
import type { Settings } from './settings.ts'

/** Where the account is, and how its server is checked. */
export type Account = Pick<
  Settings,
  'server' | 'serviceAccountDir' | 'caFile' | 'skipsTlsVerify' | 'podNamespace'
>

/**
 * The API server of this pod; undefined where it is in none. The token is read for each call, since it
 * is replaced while we run. A kubeconfig library would take as long to load as all the rest.
 */
export async function openApi(account: Account): Promise<Api | undefined> {
  const { server } = account
  if (server === undefined) return undefined
  const isPlain = server.protocol === 'http:'
  const ca = isPlain ? undefined : await readFile(account.caFile, 'utf8').catch(() => undefined)
  const rejectUnauthorized = !account.skipsTlsVerify
  // A few calls an hour: no connection is worth keeping.
  const agent = isPlain
    ? new HttpAgent()
    : new HttpsAgent({ rejectUnauthorized, ...(ca === undefined ? {} : { ca }) })
  return makeApi({
    server,
    namespace: account.podNamespace,
    options: async () => {
      const token = await mountedToken(account)
      const headers: Record<string, string> = { accept: 'application/json' }
      if (token !== undefined) headers['authorization'] = `Bearer ${token}`
      return { agent, headers }
    },
    forgetIdle: () => undefined,
    close: () => {
      agent.destroy()
    },
  })
}

/** The token that was mounted into this pod, if one was. */
export async function mountedToken(account: Account): Promise<string | undefined> {
  const text = await readFile(join(account.serviceAccountDir, 'token'), 'utf8').catch(() => '')
  return text.trim() === '' ? undefined : text.trim()
}

/** Seconds for one answer: the installer has other work, and asks again. */
export const CALL_SECONDS = 5

/** Reads one object. Throws where no answer came, and an ApiRefused where the answer is no. */
export async function getObject(api: Api, path: string): Promise<JsonObject> {
  const body = demand(await api.call({ path, seconds: CALL_SECONDS }), 200)
  if (isObject(body)) return body
  throw new Error(`${path}: got no JSON object`)
}
