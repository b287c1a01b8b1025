/** Reads ServiceEntry and DestinationRule (networking.istio.io) as far as a stand-alone proxy can follow them. */
import { readAddress, type Address } from '../cidrs.ts'
import { goJson, isArray, isObject, type Json, type JsonObject } from '../json.ts'
import { bad, good, type Problem, type Read } from '../problem.ts'
import type { Endpoint } from '../rules/trace.ts'
import type { ProxyPorts } from './proxy.ts'
import { readBalancing, USUAL } from './read-balancing.ts'
import type { Balancing, Service } from './services.ts'

/** Where an object came from, for problems. */
export type Given = { readonly path: string; readonly value: JsonObject }

/** The services that the objects declare to a proxy with these ports; objects of other kinds are passed over. */
export function readServices(
  objects: readonly Given[],
  ports: ProxyPorts,
): Read<readonly Service[]> {
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
  problems.push(...repeated(services), ...taken(services, ports))
  return problems.length === 0 ? good(services) : { ok: false, problems }
}

/** Envoy takes a name of a cluster once. */
function repeated(services: readonly Service[]): readonly Problem[] {
  const names = services.map(({ host, port }) => `${host}:${port}`)
  return [...new Set(names.filter((name, index) => names.indexOf(name) !== index))].map((got) => {
    return { path: 'ServiceEntry: spec.hosts', got, want: 'each host and port once' }
  })
}

/** HTTP of any address is taken at all addresses of its port, where Envoy must not listen already. */
function taken(services: readonly Service[], ports: ProxyPorts): readonly Problem[] {
  const { outbound, inbound, health, metrics } = ports
  const http = services.filter(({ protocol }) => protocol === 'http').map(({ port }) => port)
  return [outbound, inbound, health, metrics]
    .filter((port) => http.includes(port))
    .map((port) => {
      const want = 'another port for HTTP: the proxy itself listens there'
      return { path: 'ServiceEntry: spec.ports.number', got: `${port}`, want }
    })
}

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
  const hosts = listAt(spec, 'hosts').filter((host) => typeof host === 'string')
  for (const got of hosts.filter((host) => host === '' || host === '*')) {
    problems.push({
      path: `${path}: spec.hosts`,
      got,
      want: 'a name, or names as in *.example.com',
    })
  }
  const services = listAt(spec, 'ports')
    .filter(isObject)
    .flatMap((port) =>
      hosts.map((host): Service => {
        const number = portAt(`${path}: spec.ports.number`, port['number'], problems)
        return {
          host,
          port: number,
          protocol: HTTP.test(textAt(port, 'protocol')) ? 'http' : 'tcp',
          addresses,
          endpoints: endpointsOf(path, spec, port, number, problems),
          balancing: rules.get(host) ?? USUAL,
        }
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
