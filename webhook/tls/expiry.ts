import type { Live } from '../source.ts'
import type { Watch } from '../files.ts'
import type { Certified } from './reload.ts'

/** Says that a certificate ends soon, or has ended. */
export type ExpiryWarning = {
  readonly hasEnded: boolean
  readonly notAfter: Date
  /** Whole days left, below zero since it ended. */
  readonly days: number
}

/** Milliseconds. */
const DAY = 24 * 60 * 60_000
/** Days before its end in which a certificate is warned about. */
const AHEAD_DAYS = 30
/** Milliseconds between two looks, and two warnings about one certificate. */
const LOOK_MS = 60 * 60_000
const REPEAT_MS = DAY

/** What is to be said about a certificate now; undefined while it has long to go. */
export function expiryWarning({ notAfter }: Certified, now: Date): ExpiryWarning | undefined {
  const left = notAfter.getTime() - now.getTime()
  if (left >= AHEAD_DAYS * DAY) return undefined
  return { hasEnded: left <= 0, notAfter, days: Math.floor(left / DAY) }
}

/** Warns about the served certificate, at once and then once a day, as long as it is due. */
export function watchExpiry(
  certificate: Pick<Live<Certified | undefined>, 'current' | 'onChange'>,
  warn: (warning: ExpiryWarning) => void,
  clock: () => Date = () => new Date(),
  lookMs = LOOK_MS,
): Watch {
  let last: { readonly certified: Certified; readonly at: number } | undefined
  const look = (): void => {
    const certified = certificate.current()
    const now = clock()
    const warning = certified && expiryWarning(certified, now)
    if (certified === undefined || warning === undefined) return
    if (last?.certified === certified && now.getTime() - last.at < REPEAT_MS) return
    last = { certified, at: now.getTime() }
    warn(warning)
  }
  look()
  certificate.onChange(look)
  const timer = setInterval(look, lookMs)
  timer.unref()
  return {
    close: () => {
      clearInterval(timer)
    },
  }
}
