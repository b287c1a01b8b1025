/** Reads a line of the access log back, in whichever format the mesh asked for. */
import type { AccessLog } from '../core/bootstrap/access-log.ts'
import { isObject } from '../core/json.ts'
import { readYaml } from '../core/yaml.ts'

/** Names for what is judged, and the operators of a format that print it. */
const OPERATORS = {
  path: 'REQ(X-ENVOY-ORIGINAL-PATH?:PATH)',
  status: 'RESPONSE_CODE',
  flags: 'RESPONSE_FLAGS',
  requestId: 'REQ(X-REQUEST-ID)',
  upstreamHost: 'UPSTREAM_HOST',
  upstreamCluster: 'UPSTREAM_CLUSTER_RAW',
  upstreamLocalAddress: 'UPSTREAM_LOCAL_ADDRESS',
  downstreamLocalAddress: 'DOWNSTREAM_LOCAL_ADDRESS',
  downstreamRemoteAddress: 'DOWNSTREAM_REMOTE_ADDRESS',
  routeName: 'ROUTE_NAME',
} as const

/** As Envoy spells one: a name, an argument, a greatest length. */
const OPERATOR = /%([A-Z_0-9]+(?:\([^)]*\))?(?::\d+)?)%/

/** What one line says; absent: its format does not ask for it. `-`: Envoy had nothing to say. */
export type AccessLine = { readonly [Name in keyof typeof OPERATORS]?: string }

/** The judged fields of a line; nothing where it is none of that format. */
export function readAccessLine(format: AccessLog['format'], line: string): AccessLine | undefined {
  const values = format.encoding === 'TEXT' ? readText(format.text, line) : readFields(format, line)
  if (values === undefined) return undefined
  return Object.fromEntries(
    Object.entries(OPERATORS).flatMap(([name, operator]) => {
      const value = values.get(operator)
      return value === undefined ? [] : [[name, value]]
    }),
  )
}

/** The text of each operator; it ends where the text that stands behind the operator begins. */
function readText(format: string, line: string): ReadonlyMap<string, string> | undefined {
  // Odd places are operators.
  const parts = format.replace(/\n$/, '').split(OPERATOR)
  const pattern = parts.map((part, index) => {
    if (index % 2 === 0) return literal(part)
    const [end = ''] = parts[index + 1] ?? ''
    return end === '' ? '(.*)' : `([^${literal(end)}]*)`
  })
  const found = new RegExp(`^${pattern.join('')}$`).exec(line)
  if (found === null) return undefined
  const operators = parts.filter((_, index) => index % 2 === 1)
  return new Map(operators.map((operator, index) => [operator, found[index + 1] ?? '']))
}

function literal(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, String.raw`\$&`)
}

/** The value of each field that is one operator; an empty one is null. */
function readFields(
  { fields }: Extract<AccessLog['format'], { readonly encoding: 'JSON' }>,
  line: string,
): ReadonlyMap<string, string> | undefined {
  const read = line.startsWith('{') ? readYaml('line', line) : undefined
  if (read?.ok !== true || !isObject(read.value)) return undefined
  const { value } = read
  const names = Object.keys(fields)
  if (Object.keys(value).length !== names.length) return undefined
  if (!names.every((name) => value[name] !== undefined)) return undefined
  return new Map(
    names.flatMap((name): [string, string][] => {
      const [field, said] = [fields[name], value[name]]
      const [, operator] = typeof field === 'string' ? (ONE_OPERATOR.exec(field) ?? []) : []
      if (operator === undefined || (typeof said === 'object' && said !== null)) return []
      return [[operator, said === null ? '-' : String(said)]]
    }),
  )
}

const ONE_OPERATOR = new RegExp(`^${OPERATOR.source}$`)
