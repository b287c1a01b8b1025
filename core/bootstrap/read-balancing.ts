/** Reads how a DestinationRule (networking.istio.io) spreads calls: its `trafficPolicy.loadBalancer`. */
import { message, TEXT, type Fields, type ScalarType } from '../inject/proxy-config-fields.ts'
import { numberOf, readFields, textOf, valueAt } from '../inject/proxy-config-read.ts'
import { goJson, isObject, type Json, type JsonObject } from '../json.ts'
import { bad, good, type Problem, type Read } from '../problem.ts'
import type { Balancing, HashTable } from './services.ts'

/** What Istio does where no rule says otherwise. */
export const USUAL: Balancing = { kind: 'simple', policy: 'LEAST_REQUEST' }

/** Reads the balancing of a whole rule; `path` is that of its `loadBalancer`. */
export function readBalancing(path: string, rule: JsonObject): Read<Balancing> {
  const balancer = valueAt(rule, ['spec', 'trafficPolicy', 'loadBalancer'])
  if (!isObject(balancer)) return good(USUAL)
  const hash = balancer['consistentHash']
  if (isObject(hash)) return readHash(`${path}.consistentHash`, hash)
  if (balancer['simple'] === undefined) return good(USUAL)
  const simple = textOf(balancer['simple'])
  const known = Object.hasOwn(SIMPLE, simple) ? SIMPLE[simple] : undefined
  return known === undefined
    ? bad(`${path}.simple`, simple, Object.keys(SIMPLE).join(', '))
    : good(known)
}

const SIMPLE: Readonly<Record<string, Balancing>> = {
  ROUND_ROBIN: { kind: 'simple', policy: 'ROUND_ROBIN' },
  LEAST_REQUEST: USUAL,
  LEAST_CONN: USUAL,
  UNSPECIFIED: USUAL,
  RANDOM: { kind: 'simple', policy: 'RANDOM' },
  PASSTHROUGH: { kind: 'passthrough' },
}

/** Points on a hash ring, and places in a table of Maglev: Envoy takes no more. */
const RING_SIZE: ScalarType = { kind: 'integer', low: 0, high: 8_388_608 }
const TABLE_SIZE: ScalarType = { kind: 'integer', low: 0, high: 5_000_011 }

const HASH_FIELDS: Fields = {
  httpHeaderName: TEXT,
  httpCookie: message({ name: TEXT, path: TEXT, ttl: { kind: 'duration' } }),
  useSourceIp: { kind: 'flag' },
  httpQueryParameterName: TEXT,
  ringHash: message({ minimumRingSize: RING_SIZE }),
  maglev: message({ tableSize: TABLE_SIZE }),
  minimumRingSize: RING_SIZE,
}

function readHash(path: string, json: JsonObject): Read<Balancing> {
  const problems: Problem[] = []
  const hash = readFields(`${path}.`, json, HASH_FIELDS, problems)
  if (problems.length > 0) return { ok: false, problems }
  const by = readPolicy(path, hash)
  const table = readTable(path, hash)
  if (by.ok && table.ok) return good({ kind: 'hash', by: by.value, table: table.value })
  return { ok: false, problems: [by, table].flatMap((one) => (one.ok ? [] : one.problems)) }
}

/** One entry of Envoy's `hash_policy`. */
function readPolicy(path: string, hash: JsonObject): Read<JsonObject> {
  const { httpHeaderName: header, httpQueryParameterName: parameter, httpCookie: cookie } = hash
  const named = (field: string, name: Json | undefined, policy: JsonObject): Read<JsonObject> => {
    const text = textOf(name)
    return /^[^\0\r\n]+$/.test(text) ? good(policy) : bad(`${path}.${field}`, text, 'a name')
  }
  if (header !== undefined) {
    return named('httpHeaderName', header, { header: { header_name: header } })
  }
  if (parameter !== undefined) {
    return named('httpQueryParameterName', parameter, { query_parameter: { name: parameter } })
  }
  if (isObject(cookie)) {
    const { name, path: below = '', ttl } = cookie
    if (textOf(ttl).startsWith('-')) {
      return bad(`${path}.httpCookie.ttl`, textOf(ttl), 'a duration that is not negative')
    }
    const policy = { cookie: { name, path: below, ...(ttl !== undefined && { ttl }) } }
    return named('httpCookie.name', name, policy)
  }
  return hash['useSourceIp'] === true
    ? good({ connection_properties: { source_ip: true } })
    : bad(path, goJson(hash), 'httpHeaderName, httpQueryParameterName, httpCookie or useSourceIp')
}

/** Sizes where the rule names none, or 0. */
const USUAL_SIZE = { ring: 1024, maglev: 65_537 } as const

function readTable(path: string, hash: JsonObject): Read<HashTable> {
  if (hash['ringHash'] === undefined && isObject(hash['maglev'])) {
    const size = numberOf(hash['maglev']['tableSize']) ?? 0
    if (size === 0) return good({ kind: 'maglev', size: USUAL_SIZE.maglev })
    return isPrime(size)
      ? good({ kind: 'maglev', size })
      : bad(`${path}.maglev.tableSize`, `${size}`, 'a prime number')
  }
  const ring = isObject(hash['ringHash']) ? hash['ringHash'] : hash
  const size = numberOf(ring['minimumRingSize']) ?? 0
  return good({ kind: 'ring', size: size === 0 ? USUAL_SIZE.ring : size })
}

function isPrime(number: number): boolean {
  for (let divisor = 2; divisor * divisor <= number; divisor++) {
    if (number % divisor === 0) return false
  }
  return number > 1
}
