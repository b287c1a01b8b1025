import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { isArray, isObject, type Json, type JsonObject } from '../core/json.ts'

/** How to reach the API server and how to prove who we are. The token is nobody else's to see. */
export type Credentials = {
  readonly server: URL
  readonly token: string | undefined
  /** PEM; undefined trusts what the system trusts. */
  readonly ca: string | undefined
  readonly cert: string | undefined
  readonly key: string | undefined
  /** Name that the server's certificate must have, where it is not the address. */
  readonly serverName: string | undefined
  readonly isInsecure: boolean
}

/**
 * Reads a kubeconfig, which our installer writes as JSON, and the files that it names. Throws an error with
 * words for people that never hold what was read.
 */
export function readKubeconfig(path: string): Credentials {
  const json = parse(path)
  const context = named(json, 'contexts', json['current-context'], 'context')
  const cluster = named(json, 'clusters', context?.['cluster'], 'cluster')
  const user = named(json, 'users', context?.['user'], 'user') ?? {}
  const server = cluster?.['server']
  if (typeof server !== 'string' || !URL.canParse(server) || !server.startsWith('https://')) {
    throw new Error(`${path}: got no current context whose cluster has an https server`)
  }
  const at = (object: JsonObject | undefined, name: string): string | undefined =>
    inlineOrFile(path, object, name)
  const token = text(user['token']) ?? fileAt(path, user['tokenFile'])
  return {
    server: new URL(server.endsWith('/') ? server : `${server}/`),
    token: token?.trim(),
    ca: at(cluster, 'certificate-authority'),
    cert: at(user, 'client-certificate'),
    key: at(user, 'client-key'),
    serverName: text(cluster?.['tls-server-name']),
    isInsecure: cluster?.['insecure-skip-tls-verify'] === true,
  }
}

/** Why the API server could not be asked with this kubeconfig, without asking; undefined where nothing is wrong. */
export function credentialTrouble(path: string, now: number): string | undefined {
  try {
    const { token } = readKubeconfig(path)
    const end = token === undefined ? undefined : expiryOf(token)
    if (end === undefined || end * 1_000 > now) return undefined
    return `${path}: the token ended at ${new Date(end * 1_000).toISOString()}; is the installer running?`
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** When a service account token ends, seconds since 1970; undefined for what does not say. */
export function expiryOf(token: string): number | undefined {
  const payload = token.split('.')[1] ?? ''
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))
    const end = isObject(claims) ? claims['exp'] : undefined
    return typeof end === 'number' ? end : undefined
  } catch {
    return undefined
  }
}

function parse(path: string): JsonObject {
  const content = readFile(path)
  try {
    const json: unknown = JSON.parse(content)
    if (isObject(json)) return json
  } catch {
    // Told below, without the parser's words, which may quote the token.
  }
  throw new Error(`${path}: got no JSON object, want the kubeconfig that the installer writes`)
}

function named(
  json: JsonObject,
  list: string,
  name: Json | undefined,
  member: string,
): JsonObject | undefined {
  const items = json[list]
  const found = (isArray(items) ? items.filter(isObject) : []).find((item) => item['name'] === name)
  const value = found?.[member]
  return isObject(value) ? value : undefined
}

/** `NAME-data` in base64, or the content of the file that `NAME` is the path of. */
function inlineOrFile(
  path: string,
  object: JsonObject | undefined,
  name: string,
): string | undefined {
  const data = text(object?.[`${name}-data`])
  if (data !== undefined) return Buffer.from(data, 'base64').toString('utf8')
  return fileAt(path, object?.[name])
}

/** Paths are relative to the folder of the kubeconfig, as kubectl has it. */
function fileAt(path: string, file: Json | undefined): string | undefined {
  const name = text(file)
  return name === undefined ? undefined : readFile(resolve(dirname(path), name))
}

function readFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown'
    throw new Error(`${path}: cannot be read (${code})`, { cause })
  }
}

function text(value: Json | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
