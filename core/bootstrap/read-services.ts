/** Reads ServiceEntry and DestinationRule (networking.istio.io) as far as a stand-alone proxy can follow them. */
import { readAddress, type Address } from '../cidrs.ts'
import { goJson, isArray, isObject, type Json, type JsonObject } from '../json.ts'
import { bad, good, type Problem, type Read } from '../problem.ts'
import type { Endpoint } from '../rules/trace.ts'
import type { Balancing, Service } from './services.ts'

/** Where an object came from, for problems. */
export type Given = { readonly path: string; readonly value: JsonObject }

/** The services that the objects declare; objects of other kinds are passed over. */
export function readServices(objects: readonly Given[]): Read<readonly Service[]> {
  const problems: Problem[] = []
  const ofKind = (kind: string): readonly Given[] =>
    objects.filter(({ value }) => value['kind'] === kind && isIstio(value))
  const rules = new Map<string, Balancing>()
  for (const { path, value } of ofKind('DestinationRule')) {
    const read = readBalancing(`${path}: spec.trafficPolicy.loadBalancer`, value)
    if (read.ok) rules.set(textAt(specOf(value), 'host'), read.value)
    else problems.push(...read.problems)
  }
  const services = ofKind('ServiceEntry').flatMap((given) => {
    const read = readEntry(given, rules)
    if (!read.ok) problems.push(...read.problems)
    return read.ok ? read.value : []
  })
  problems.push(...repeated(services))
  return problems.length === 0 ? good(services) : { ok: false, problems }
}

/** Envoy takes a name of a cluster once. */
function repeated(services: readonly Service[]): readonly Problem[] {
  const names = services.map(({ host, port }) => `${host}:${port}`)
  return [...new Set(names.filter((name, index) => names.indexOf(name) !== index))].map((got) => {
    return { path: 'ServiceEntry: spec.hosts', got, want: 'each host and port once' }
  })
}

/** What Istio does where no rule says otherwise. */
const USUAL: Balancing = { kind: 'simple', policy: 'LEAST_REQUEST' }
/** The least number of points on a hash ring unless the rule says. */
const RING_SIZE = 1024

function readEntry(
  { path, value }: Given,
  rules: ReadonlyMap<string, Balancing>,
): Read<readonly Service[]> {
  const spec = specOf(value)
  const problems: Problem[] = []
  const resolution = textAt(spec, 'resolution')
  if (resolution !== 'STATIC') {
    return bad(`${path}: spec.resolution`, resolution, 'STATIC: nobody resolves names here')
  }
  const addresses = listAt(spec, 'addresses').flatMap((item) => {
    const read = readAddress(
      `${path}: spec.addresses`,
      typeof item === 'string' ? item : goJson(item),
    )
    if (!read.ok) problems.push(...read.problems)
    return read.ok ? [read.value] : []
  })
  const services = listAt(spec, 'ports')
    .filter(isObject)
    .flatMap((port) =>
      listAt(spec, 'hosts').flatMap((host): Service[] => {
        if (typeof host !== 'string') return []
        const number = portAt(`${path}: spec.ports.number`, port['number'], problems)
        return [
          {
            host,
            port: number,
            protocol: HTTP.test(textAt(port, 'protocol')) ? 'http' : 'tcp',
            addresses,
            endpoints: endpointsOf(path, spec, port, number, problems),
            balancing: rules.get(host) ?? USUAL,
          },
        ]
      }),
    )
  return problems.length === 0 ? good(services) : { ok: false, problems }
}

const HTTP = /^(http|http2|grpc|grpc-web)$/i

function endpointsOf(
  path: string,
  spec: JsonObject,
  port: JsonObject,
  number: number,
  problems: Problem[],
): readonly Endpoint[] {
  return listAt(spec, 'endpoints')
    .filter(isObject)
    .flatMap((endpoint) => {
      const address: Read<Address> = readAddress(
        `${path}: spec.endpoints.address`,
        textAt(endpoint, 'address'),
      )
      if (!address.ok) {
        problems.push(...address.problems)
        return []
      }
      const own = isObject(endpoint['ports']) ? endpoint['ports'][textAt(port, 'name')] : undefined
      const target = own ?? port['targetPort'] ?? number
      return [
        {
          address: address.value.text,
          port: portAt(`${path}: spec.endpoints.ports`, target, problems),
        },
      ]
    })
}

const SIMPLE: Readonly<Record<string, Balancing>> = {
  ROUND_ROBIN: { kind: 'simple', policy: 'ROUND_ROBIN' },
  LEAST_REQUEST: USUAL,
  LEAST_CONN: USUAL,
  UNSPECIFIED: USUAL,
  RANDOM: { kind: 'simple', policy: 'RANDOM' },
  PASSTHROUGH: { kind: 'passthrough' },
}

function readBalancing(path: string, rule: JsonObject): Read<Balancing> {
  const policy = specOf(rule)['trafficPolicy']
  const balancer = isObject(policy) ? policy['loadBalancer'] : undefined
  if (!isObject(balancer)) return good(USUAL)
  const hash = balancer['consistentHash']
  if (isObject(hash)) return readHash(`${path}.consistentHash`, hash)
  if (balancer['simple'] === undefined) return good(USUAL)
  const simple = textAt(balancer, 'simple')
  const known = Object.hasOwn(SIMPLE, simple) ? SIMPLE[simple] : undefined
  return known === undefined
    ? bad(`${path}.simple`, simple, Object.keys(SIMPLE).join(', '))
    : good(known)
}

function readHash(path: string, hash: JsonObject): Read<Balancing> {
  const ring = isObject(hash['ringHash']) ? hash['ringHash'] : hash
  const size = ring['minimumRingSize']
  const by = hashPolicy(hash)
  return by === undefined
    ? bad(path, goJson(hash), 'httpHeaderName, httpQueryParameterName, httpCookie or useSourceIp')
    : good({ kind: 'hash', by, ringSize: typeof size === 'number' ? size : RING_SIZE })
}

/** One entry of Envoy's `hash_policy`. */
function hashPolicy(hash: JsonObject): JsonObject | undefined {
  const { httpHeaderName: header, httpQueryParameterName: parameter, httpCookie: cookie } = hash
  if (typeof header === 'string') return { header: { header_name: header } }
  if (typeof parameter === 'string') return { query_parameter: { name: parameter } }
  if (cookie !== undefined && isObject(cookie)) {
    const { name = '', path = '', ttl } = cookie
    return { cookie: { name, path, ...(ttl !== undefined && { ttl }) } }
  }
  return hash['useSourceIp'] === true ? { connection_properties: { source_ip: true } } : undefined
}

function isIstio(object: JsonObject): boolean {
  return textAt(object, 'apiVersion').startsWith('networking.istio.io/')
}

function specOf(object: JsonObject): JsonObject {
  return isObject(object['spec']) ? object['spec'] : {}
}

function listAt(object: JsonObject, key: string): readonly Json[] {
  const value = object[key]
  return isArray(value) ? value : []
}

function textAt(object: JsonObject, key: string): string {
  const value = object[key]
  return typeof value === 'string' ? value : ''
}

function portAt(path: string, value: Json | undefined, problems: Problem[]): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65535)
    return value
  problems.push({ path, got: goJson(value ?? null), want: 'a port from 1 to 65535' })
  return 0
}
