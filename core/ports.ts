import { bad, good, type Problem, type Read } from './problem.ts'

/** A TCP or UDP port, 0 to 65535. */
export type Port = number

const PORT = 'a port from 0 to 65535'

/**
 * Reads one port as the annotation table accepts it: decimal digits, blanks around them trimmed.
 * 0 is accepted here; what it means is the caller's affair.
 */
export function readPort(path: string, text: string): Read<Port> {
  const trimmed = text.trim()
  const port = /^\d+$/.test(trimmed) ? Number(trimmed) : NaN
  return port <= 65535 ? good(port) : bad(path, text, PORT)
}

/**
 * Reads a comma-separated port list as the annotation table accepts it: items trimmed, none empty,
 * repeats kept, in order. Blank text is the empty list.
 */
export function readPorts(path: string, text: string): Read<readonly Port[]> {
  if (text.trim() === '') return good([])
  const ports: Port[] = []
  const problems: Problem[] = []
  for (const item of text.split(',')) {
    const port = readPort(path, item)
    if (port.ok) ports.push(port.value)
    else problems.push({ path, got: item, want: `${PORT}, in a list separated by commas` })
  }
  return problems.length === 0 ? good(ports) : { ok: false, problems }
}

/** Consecutive ports; a single port has both ends equal. */
export type PortRange = { readonly first: Port; readonly last: Port }

/** What a list of ports held, and whether port 0, which no packet has, was left out of it. */
export type PortRanges = { readonly ranges: readonly PortRange[]; readonly hadZero: boolean }

const RANGE = 'a port from 1 to 65535, or a range of them such as 8000-8100'

/** The range that holds one port. */
export function singlePort(port: Port): PortRange {
  return { first: port, last: port }
}

/**
 * Reads a comma-separated list of ports and ranges (`8000-8100` or `8000:8100`) as the flags accept it:
 * items trimmed, empty ones dropped, order and repeats kept. Port 0 is left out and reported.
 */
export function readPortRanges(path: string, text: string): Read<PortRanges> {
  const ranges: PortRange[] = []
  const problems: Problem[] = []
  let hadZero = false
  for (const item of text.split(',').map((part) => part.trim())) {
    if (item === '') continue
    const range = readRange(item)
    if (range === undefined) problems.push({ path, got: item, want: RANGE })
    else if (range.last === 0) hadZero = true
    else ranges.push(range)
  }
  return problems.length === 0 ? good({ ranges, hadZero }) : { ok: false, problems }
}

/** Reads one port that something listens on: 1 to 65535, decimal, trimmed. */
export function readListenPort(path: string, text: string): Read<Port> {
  const port = readPort(path, text)
  return port.ok && port.value > 0 ? port : bad(path, text, 'a port from 1 to 65535')
}

/** The text of a range: `80` or `8000-8100`; iptables wants `:` between the ends. */
export function printPortRange(range: PortRange, between: '-' | ':' = '-'): string {
  return range.first === range.last ? `${range.first}` : `${range.first}${between}${range.last}`
}

function readRange(item: string): PortRange | undefined {
  const ends = /^(\d+)(?:\s*[-:]\s*(\d+))?$/.exec(item)
  const first = Number(ends?.[1])
  const last = Number(ends?.[2] ?? ends?.[1])
  if (!(first <= last && last <= 65535)) return undefined
  return first > 0 || last === 0 ? { first, last } : undefined
}
