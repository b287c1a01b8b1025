import { bad, good, type Read } from '../problem.ts'

/** A span of time in nanoseconds, negative or not: a 64-bit number, as the API keeps it. */
export type Duration = bigint

const WANT = 'a duration such as 45s, 1m30s or 500ms'
const LONGEST = 2n ** 63n - 1n
const SECOND = 1_000_000_000n

/** Nanoseconds of each unit. */
const UNITS: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  µs: 1_000n,
  μs: 1_000n,
  ms: 1_000_000n,
  s: SECOND,
  m: 60n * SECOND,
  h: 3600n * SECOND,
}

const PART = /(\d*)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h)/g

/**
 * Reads a duration as Go's time.ParseDuration does: a sign, then decimal numbers, each with a unit, without
 * blanks; `0` needs no unit. Digits below a nanosecond are dropped.
 */
export function readDuration(path: string, text: string): Read<Duration> {
  const unsigned = text.replace(/^[-+]/, '')
  if (unsigned === '0') return good(0n)
  const parts = [...unsigned.matchAll(PART)]
  const isWhole = parts.map(([part]) => part).join('') === unsigned && parts.length > 0
  if (!isWhole) return bad(path, text, WANT)
  let sum = 0n
  for (const [, whole = '', fraction = '', unit = ''] of parts) {
    if (whole === '' && fraction === '') return bad(path, text, WANT)
    const size = UNITS[unit] ?? 0n
    sum += BigInt(whole || '0') * size
    sum += (BigInt(fraction || '0') * size) / 10n ** BigInt(fraction.length)
  }
  if (sum > LONGEST) return bad(path, text, `${WANT}, of at most 292 years`)
  return good(text.startsWith('-') ? -sum : sum)
}

/** The duration in seconds with 0, 3, 6 or 9 decimals, as protocol buffers write it: `1.500s`. */
export function printDuration(duration: Duration): string {
  const size = duration < 0n ? -duration : duration
  const decimals = String(size % SECOND)
    .padStart(9, '0')
    .replace(/(000)+$/, '')
  const sign = duration < 0n ? '-' : ''
  return `${sign}${size / SECOND}${decimals === '' ? '' : `.${decimals}`}s`
}
