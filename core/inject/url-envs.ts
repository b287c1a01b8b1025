import type { StringMap } from '../k8s.ts'

/** Parameters with a name of their own; every other one becomes an environment name in upper case. */
const ENV_BY_PARAMETER: StringMap = {
  cluster: 'ISTIO_META_CLUSTER_ID',
  net: 'ISTIO_META_NETWORK',
}

/** Older form: `/inject/:ENV:name=value:ENV:name=value`, names as they are. */
const ENV_MARK = ':ENV:'

/**
 * Environment of the proxy that a webhook's path asks for: `/inject/<key>/<value>/...`, decoded.
 * `--slash--` in a value stands for a slash. Parts without a key or a value are left out.
 */
export function readUrlEnvs(path: string): StringMap {
  const [, , ...parts] = path.replace(/\/$/, '').split('/')
  const rest = parts.join('/')
  return Object.fromEntries(rest.startsWith(ENV_MARK) ? readMarked(rest) : readPairs(parts))
}

function readPairs(parts: readonly string[]): Map<string, string> {
  const envs = new Map<string, string>()
  for (let index = 0; index + 1 < parts.length; index += 2) {
    const key = parts[index] ?? ''
    const value = parts[index + 1] ?? ''
    if (key !== '') envs.set(nameOf(key), value.replaceAll('--slash--', '/'))
  }
  return envs
}

function nameOf(key: string): string {
  return (Object.hasOwn(ENV_BY_PARAMETER, key) && ENV_BY_PARAMETER[key]) || key.toUpperCase()
}

function readMarked(rest: string): Map<string, string> {
  const envs = new Map<string, string>()
  for (const part of rest.split(ENV_MARK)) {
    const equals = part.indexOf('=')
    if (equals > 0) envs.set(part.slice(0, equals), part.slice(equals + 1))
  }
  return envs
}
