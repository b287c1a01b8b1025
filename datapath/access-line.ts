/** Reads a line of Istio's default access-log format back into its fields. */

/** The fields in the order of the format (core/bootstrap/access-log.ts). */
const FIELDS = [
  'startTime',
  'request',
  'responseCode',
  'responseFlags',
  'responseCodeDetails',
  'connectionTerminationDetails',
  'upstreamTransportFailureReason',
  'bytesReceived',
  'bytesSent',
  'duration',
  'upstreamServiceTime',
  'forwardedFor',
  'userAgent',
  'requestId',
  'authority',
  'upstreamHost',
  'upstreamCluster',
  'upstreamLocalAddress',
  'downstreamLocalAddress',
  'downstreamRemoteAddress',
  'requestedServerName',
  'routeName',
] as const

/** One line: the text of each field, without brackets and quotes. */
export type AccessLine = Readonly<Record<(typeof FIELDS)[number], string>>

/** The fields of a line; nothing where it is none of that format. */
export function readAccessLine(line: string): AccessLine | undefined {
  const words = line.match(/\[[^\]]*\](?=\s|$)|"[^"]*"|\S+/g) ?? []
  if (words.length !== FIELDS.length) return undefined
  const bare = words.map((word, index) =>
    index === 0 || word.startsWith('"') ? word.slice(1, -1) : word,
  )
  const entries = FIELDS.map((name, index) => [name, bare[index] ?? ''] as const)
  const read: Partial<Record<(typeof FIELDS)[number], string>> = Object.fromEntries(entries)
  return isWhole(read) ? read : undefined
}

function isWhole(read: Partial<AccessLine>): read is AccessLine {
  return FIELDS.every((name) => read[name] !== undefined)
}
