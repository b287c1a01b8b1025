import { isArray, isObject, type Json, type JsonObject } from '../core/json.ts'
import { bad, good, type Read } from '../core/problem.ts'
import { findVersion, isAtLeast, type CniVersion } from './versions.ts'

/**
 * The result to print: the one of the plugin before us, key by key as it came, with our version. Only where
 * its version has another shape is it converted. Without one, a result that says nothing.
 */
export function passOn(previous: JsonObject | undefined, version: CniVersion): Read<JsonObject> {
  if (previous === undefined) {
    return good({ cniVersion: version, ...(!isAtLeast(version, '1.0.0') && { dns: {} }) })
  }
  const said = previous['cniVersion'] ?? version
  const from = typeof said === 'string' ? findVersion(said) : undefined
  if (from === undefined) {
    return bad('prevResult.cniVersion', JSON.stringify(said), 'a version of the CNI specification')
  }
  const shape = { from: shapeOf(from), to: shapeOf(version) }
  if (shape.from === shape.to) return good(withVersion(previous, version))
  if (shape.from === 'families') return good(withVersion(toLists(previous, shape.to), version))
  if (shape.to === 'families') return toFamilies(previous, version)
  return good(withVersion(reshape(previous, shape.from, shape.to), version))
}

/** The forms that a result had over the years: an address per family, lists with and without version, more members. */
type Shape = 'families' | 'versioned' | 'plain' | 'rich'

function shapeOf(version: CniVersion): Shape {
  if (!isAtLeast(version, '0.3.0')) return 'families'
  if (!isAtLeast(version, '1.0.0')) return 'versioned'
  return isAtLeast(version, '1.1.0') ? 'rich' : 'plain'
}

function withVersion(result: JsonObject, version: CniVersion): JsonObject {
  return Object.hasOwn(result, 'cniVersion')
    ? { ...result, cniVersion: version }
    : { cniVersion: version, ...result }
}

/** Members that came with 1.1.0; older versions do not know them. */
const NEW_IN_1_1 = {
  interfaces: ['mtu', 'socketPath', 'pciID'],
  routes: ['mtu', 'advmss', 'priority', 'table', 'scope'],
} as const

/** Between the forms with lists: everything stays where it is, but for what a form does not have. */
function reshape(result: JsonObject, from: Shape, to: Shape): JsonObject {
  const losesNew = from === 'rich'
  return mapMembers(result, (name, value) => {
    if (name === 'ips') {
      if (to === 'versioned') return mapItems(value, withFamily)
      return from === 'versioned' ? mapItems(value, (item) => without(item, ['version'])) : value
    }
    if (!losesNew || (name !== 'interfaces' && name !== 'routes')) return value
    return mapItems(value, (item) => without(item, NEW_IN_1_1[name]))
  })
}

function withFamily(item: JsonObject): JsonObject {
  return { version: isV4(item['address']) ? '4' : '6', ...without(item, ['version']) }
}

/** From an address per family to lists: interfaces are not known there. */
function toLists(result: JsonObject, to: Shape): JsonObject {
  const families = [
    ['4', result['ip4']],
    ['6', result['ip6']],
  ] as const
  const found = families.flatMap(([version, value]) =>
    isObject(value) ? [{ version, value }] : [],
  )
  const ips = found.map(({ version, value }) => ({
    ...(to === 'versioned' && { version }),
    ...only(value, [
      ['ip', 'address'],
      ['gateway', 'gateway'],
    ]),
  }))
  const routes = found.flatMap(({ value }) => (isArray(value['routes']) ? value['routes'] : []))
  const rest = without(result, ['ip4', 'ip6'])
  return { ...rest, ips, ...(routes.length > 0 && { routes: routes.filter(isObject) }) }
}

/** From lists to the first address of each family; a result without any has no such form. */
function toFamilies(result: JsonObject, version: CniVersion): Read<JsonObject> {
  const ips = items(result['ips'])
  const routes = items(result['routes'])
  const family = (isRight: (address: Json | undefined) => boolean): JsonObject | undefined => {
    const ip = ips.find(({ address }) => isRight(address))
    if (ip === undefined) return undefined
    const own = routes.filter(({ dst }) => isRight(dst)).map((route) => pickRoute(route))
    const address = only(ip, [
      ['address', 'ip'],
      ['gateway', 'gateway'],
    ])
    return { ...address, ...(own.length > 0 && { routes: own }) }
  }
  const ip4 = family(isV4)
  const ip6 = family(isV6)
  if (ip4 === undefined && ip6 === undefined) {
    return bad(
      'prevResult.ips',
      JSON.stringify(result['ips'] ?? null),
      `an address, which ${version} needs: no valid IP addresses`,
    )
  }
  return good({
    cniVersion: version,
    ...(ip4 !== undefined && { ip4 }),
    ...(ip6 !== undefined && { ip6 }),
    dns: isObject(result['dns']) ? result['dns'] : {},
  })
}

function pickRoute(route: JsonObject): JsonObject {
  return only(route, [
    ['dst', 'dst'],
    ['gw', 'gw'],
  ])
}

function isV4(address: unknown): boolean {
  return typeof address === 'string' && !address.includes(':')
}

function isV6(address: unknown): boolean {
  return typeof address === 'string' && address.includes(':')
}

function items(value: Json | undefined): readonly JsonObject[] {
  return isArray(value) ? value.filter(isObject) : []
}

function mapItems(
  value: Json | undefined,
  change: (item: JsonObject) => JsonObject,
): Json | undefined {
  return isArray(value) ? value.map((item) => (isObject(item) ? change(item) : item)) : value
}

function mapMembers(
  object: JsonObject,
  change: (name: string, value: Json | undefined) => Json | undefined,
): JsonObject {
  return Object.fromEntries(
    Object.entries(object).map(([name, value]) => [name, change(name, value)]),
  )
}

function without(object: JsonObject, names: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)))
}

/** Some members under new names; absent ones stay absent. */
function only(object: JsonObject, names: readonly (readonly [string, string])[]): JsonObject {
  return Object.fromEntries(
    names.flatMap(([from, to]) => (object[from] === undefined ? [] : [[to, object[from]]])),
  )
}
