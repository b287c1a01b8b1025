import { isArray, isObject } from '../core/json.ts'
import type { Run } from './run.ts'

/** The addresses of all interfaces where programs run. */
export async function addressesInside(run: Run): Promise<string[]> {
  const { code, stdout, stderr } = await run('ip', ['-json', 'address'])
  if (code !== 0) throw new Error(`read addresses: ip -json address failed: ${stderr.trim()}`)
  const links = parseJson(stdout)
  return (isArray(links) ? links : []).flatMap((link) => {
    const infos = isObject(link) ? link['addr_info'] : undefined
    return (isArray(infos) ? infos : []).flatMap((info) => {
      const local = isObject(info) ? info['local'] : undefined
      return typeof local === 'string' ? [local] : []
    })
  })
}

/** The value of a text; undefined where it is no JSON. */
export function parseJson(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    return value
  } catch {
    return undefined
  }
}
