/** Who listens in a network namespace: the kernel's own lists, /proc/net/tcp and its siblings. */
import type { Family } from '../cidrs.ts'
import type { Port } from '../ports.ts'

/** One list of the kernel. */
export type SocketList = {
  readonly name: 'tcp' | 'tcp6' | 'udp' | 'udp6'
  readonly protocol: 'tcp' | 'udp'
  readonly family: Family
}

export const SOCKET_LISTS: readonly SocketList[] = [
  { name: 'tcp', protocol: 'tcp', family: 'v4' },
  { name: 'tcp6', protocol: 'tcp', family: 'v6' },
  { name: 'udp', protocol: 'udp', family: 'v4' },
  { name: 'udp6', protocol: 'udp', family: 'v6' },
]

/** A socket that takes what is sent to its port. */
export type Listener = {
  readonly protocol: 'tcp' | 'udp'
  readonly family: Family
  /** `0.0.0.0` or `::` for every address; an IPv6 one as its eight groups in hexadecimal, leading zeros dropped. */
  readonly address: string
  readonly port: Port
  readonly uid: number
  readonly inode: string
  /** The program behind it, where its process could be looked at. */
  readonly program?: Program
}

/** A process that holds a socket. */
export type Program = { readonly pid: number; readonly gid: number; readonly name: string }

/** State of a TCP socket that listens, and of a UDP socket without a peer. */
const WAITING = { tcp: '0A', udp: '07' } as const

/** Reads one list. `isLittle`: whether the machine keeps the low byte first. */
export function readSockets(
  { protocol, family }: SocketList,
  text: string,
  isLittle: boolean,
): readonly Listener[] {
  return text
    .split('\n')
    .slice(1)
    .flatMap((line): Listener[] => {
      const [, local = '', , state, , , , uid, , inode = ''] = line.trim().split(/\s+/)
      const [hex = '', port = ''] = local.split(':')
      if (state !== WAITING[protocol] || hex === '') return []
      const address = family === 'v4' ? v4(hex, isLittle) : v6(hex, isLittle)
      return [{ protocol, family, address, port: parseInt(port, 16), uid: Number(uid), inode }]
    })
}

/** Where a packet goes when rules have sent it to a port of the pod. */
export type Goal = 'loopback' | 'pod' | 'any'

/** The listener that takes a packet; one on all of IPv6 takes IPv4 too. */
export function takerOf(
  listeners: readonly Listener[],
  protocol: 'tcp' | 'udp',
  family: Family,
  port: Port,
  goal: Goal,
): Listener | undefined {
  const here = listeners.filter((one) => one.protocol === protocol && one.port === port)
  return (
    here.find((one) => one.family === family && suits(one.address, goal)) ??
    here.find((one) => family === 'v4' && one.family === 'v6' && one.address === '::')
  )
}

/** Listeners of one address are told from each other only as far as rules do: loopback or not. */
function suits(address: string, goal: Goal): boolean {
  if (address === '0.0.0.0' || address === '::' || goal === 'any') return true
  const isLoopback = address.startsWith('127.') || address === '::1'
  return isLoopback === (goal === 'loopback')
}

function v4(hex: string, isLittle: boolean): string {
  return bytesOf(hex, isLittle).join('.')
}

/** The kernel prints four words of four bytes. */
function v6(hex: string, isLittle: boolean): string {
  const bytes = (hex.match(/.{8}/g) ?? []).flatMap((word) => bytesOf(word, isLittle))
  if (bytes.every((byte) => byte === 0)) return '::'
  if (bytes.slice(0, -1).every((byte) => byte === 0) && bytes.at(-1) === 1) return '::1'
  const groups = Array.from({ length: 8 }, (_, index) => {
    return (((bytes[index * 2] ?? 0) << 8) | (bytes[index * 2 + 1] ?? 0)).toString(16)
  })
  return groups.join(':')
}

function bytesOf(hex: string, isLittle: boolean): readonly number[] {
  const bytes = (hex.match(/../g) ?? []).map((pair) => parseInt(pair, 16))
  return isLittle ? bytes.reverse() : bytes
}
