import ipaddr from 'ipaddr.js'
import { bad, good, type Problem, type Read } from './problem.ts'

/** The two address families. A family has its own addresses, its own commands and its own rules. */
export type Family = 'v4' | 'v6'

/** An address without a prefix length, in canonical text (RFC 5952; IPv4 in four decimal octets). */
export type Address = { readonly family: Family; readonly text: string }

/** A network: canonical address, host bits as they were written, and the number of network bits. */
export type Cidr = { readonly family: Family; readonly address: string; readonly bits: number }

const CIDR = 'an address range such as 10.0.0.0/8 or fd00::/8'
const ADDRESS = 'an IPv4 or IPv6 address'
const WIDTH = { v4: 32, v6: 128 } as const

/** Reads one address. No zone, no leading zeros, no blanks: what one reader takes, every tool takes. */
export function readAddress(path: string, text: string): Read<Address> {
  const family = familyOf(text)
  return family === undefined
    ? bad(path, text, ADDRESS)
    : good({ family, text: canonical(family, text) })
}

/** Reads one `address/bits`. Host bits are kept: `10.1.2.3/8` stays as it was written. */
export function readCidr(path: string, text: string): Read<Cidr> {
  const slash = text.indexOf('/')
  const family = slash < 0 ? undefined : familyOf(text.slice(0, slash))
  const bits = /^(0|[1-9]\d{0,2})$/.exec(text.slice(slash + 1))?.[1]
  if (family === undefined || bits === undefined) return bad(path, text, CIDR)
  if (Number(bits) > WIDTH[family]) {
    return bad(path, text, `${CIDR}, with at most ${WIDTH[family]} network bits`)
  }
  return good({ family, address: canonical(family, text.slice(0, slash)), bits: Number(bits) })
}

/**
 * Reads a comma-separated list of ranges as the annotation table accepts it: no blanks, no empty items,
 * order and repeats kept. Empty text is the empty list. `*` is no range; see `readCidrsOrAll`.
 */
export function readCidrs(path: string, text: string): Read<readonly Cidr[]> {
  return text === '' ? good([]) : readEach(path, text.split(','))
}

/** Reads a list as `readCidrs` does, or the exact text `*`, which stands for every address. */
export function readCidrsOrAll(path: string, text: string): Read<'*' | readonly Cidr[]> {
  return text === '*' ? good('*') : readCidrs(path, text)
}

/** Reads a list as the flags accept it: like `readCidrs`, but empty items are dropped. */
export function readCidrFlag(path: string, text: string): Read<readonly Cidr[]> {
  return readEach(
    path,
    text.split(',').filter((item) => item !== ''),
  )
}

/** The text of a range, host bits as they were written. */
export function printCidr(cidr: Cidr): string {
  return `${cidr.address}/${cidr.bits}`
}

/** The same range with the host bits cleared, as the kernel stores it. */
export function networkOf(cidr: Cidr): Cidr {
  const bytes = bytesOf(cidr.family, cidr.address).map((byte, index) => {
    return byte & (0xff00 >> Math.min(8, Math.max(0, cidr.bits - index * 8)))
  })
  return { ...cidr, address: canonicalBytes(bytes) }
}

/** Whether an address lies in a range. An address of the other family never does. */
export function containsAddress(cidr: Cidr, address: string): boolean {
  if (familyOf(address) !== cidr.family) return false
  const host = canonical(cidr.family, address)
  return networkOf({ ...cidr, address: host }).address === networkOf(cidr).address
}

/** Whether an address is one that a host talks to itself with: 127.0.0.0/8 or ::1. */
export function isLoopback(address: Address): boolean {
  return address.family === 'v4' ? address.text.startsWith('127.') : address.text === '::1'
}

/** Whether an address works only on its link: 169.254.0.0/16, fe80::/10, or link-local multicast. */
export function isLinkLocal(address: Address): boolean {
  return address.family === 'v4'
    ? /^(169\.254|224\.0\.0)\./.test(address.text)
    : /^(fe[89ab][0-9a-f]|ff[0-9a-f]2):/.test(address.text)
}

/** An IPv4 address that was written as IPv4-in-IPv6 becomes plain IPv4; others stay. */
export function unmapped(address: Address): Address {
  const inner = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(address.text)?.[1]
  return inner === undefined ? address : { family: 'v4', text: inner }
}

function readEach(path: string, items: readonly string[]): Read<readonly Cidr[]> {
  const cidrs: Cidr[] = []
  const problems: Problem[] = []
  for (const item of items) {
    const cidr = readCidr(path, item)
    if (cidr.ok) cidrs.push(cidr.value)
    else problems.push(...cidr.problems)
  }
  return problems.length === 0 ? good(cidrs) : { ok: false, problems }
}

const OCTETS = /^(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2})){3}$/

/** The grammar that the library is too lenient for: it takes `10/8`, octal, hex and long groups. */
function familyOf(text: string): Family | undefined {
  if (isV4(text)) return 'v4'
  return isV6(text) ? 'v6' : undefined
}

function isV4(text: string): boolean {
  return OCTETS.test(text) && text.split('.').every((octet) => Number(octet) <= 255)
}

function isV6(text: string): boolean {
  const halves = text.split('::')
  if (halves.length > 2) return false
  const groups = halves.flatMap((half) => (half === '' ? [] : half.split(':')))
  const last = groups.at(-1) ?? ''
  const hasV4 = last.includes('.')
  if (hasV4 && (!isV4(last) || text.endsWith('::'))) return false
  const plain = hasV4 ? groups.slice(0, -1) : groups
  if (!plain.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return false
  const count = plain.length + (hasV4 ? 2 : 0)
  return halves.length === 2 ? count <= 7 : count === 8
}

function canonical(family: Family, text: string): string {
  return family === 'v4' ? text : canonicalBytes(bytesOf(family, text))
}

function canonicalBytes(bytes: number[]): string {
  const address = ipaddr.fromByteArray(bytes)
  if (address.kind() === 'ipv4') return address.toString()
  const isMapped =
    bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255
  return isMapped
    ? `::ffff:${bytes.slice(12).join('.')}`
    : ipaddr.IPv6.parse(address.toString()).toRFC5952String()
}

/** The bytes of a checked address. The library misreads `::1.2.3.4`, so it gets hexadecimal groups. */
function bytesOf(family: Family, text: string): number[] {
  const hex = text.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (...parts: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = parts.slice(1, 5).map(Number)
    return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`
  })
  return ipaddr.parse(family === 'v4' ? text : hex).toByteArray()
}
