import { readFile } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { isArray, isObject } from '../core/json.ts'
import { bad, good, type Read } from '../core/problem.ts'
import type { HostFacts } from '../core/rules/site.ts'
import { addressesInside, parseJson } from './addresses.ts'
import type { Run } from './run.ts'

/** Reads the facts that a test or a dry run was given: JSON with `addresses`, `resolv_conf` and `users`. */
export async function readFactsFile(path: string): Promise<Read<HostFacts>> {
  const text = await readOptional(path)
  if (text === undefined) return bad('--host-facts', path, 'a readable file')
  const json = parseJson(text)
  const users = isObject(json) && isObject(json['users']) ? json['users'] : {}
  if (!isObject(json) || !isArray(json['addresses'])) {
    return bad('--host-facts', path, 'a JSON object with addresses, resolv_conf and users')
  }
  const resolvConf = json['resolv_conf']
  return good({
    addresses: json['addresses'].filter((address) => typeof address === 'string'),
    ...(typeof resolvConf === 'string' && { resolvConf }),
    users: Object.fromEntries(
      Object.entries(users).flatMap(([name, uid]) =>
        typeof uid === 'number' ? [[name, uid]] : [],
      ),
    ),
  })
}

/** Reads the facts of this machine, or of a network namespace: then `ip` is asked inside it. */
export async function readHostFacts(run: Run | undefined): Promise<HostFacts> {
  const resolvConf = await readOptional('/etc/resolv.conf')
  return {
    addresses: run === undefined ? localAddresses() : await addressesInside(run),
    ...(resolvConf !== undefined && { resolvConf }),
    users: await readIds('/etc/passwd'),
  }
}

/** Ids by name, from a file in the form of `/etc/passwd` or `/etc/group`; nothing when there is no file. */
export async function readIds(path: string): Promise<Record<string, number>> {
  const lines = ((await readOptional(path)) ?? '').split('\n')
  return Object.fromEntries(
    lines.flatMap((line): [string, number][] => {
      const [name, , id] = line.split(':')
      return name !== undefined && id !== undefined && /^\d+$/.test(id) ? [[name, Number(id)]] : []
    }),
  )
}

function localAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((addresses) =>
    (addresses ?? []).map(({ address }) => address.replace(/%.*$/, '')),
  )
}

async function readOptional(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch(() => undefined)
}
