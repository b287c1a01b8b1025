import { createPrivateKey, X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { bad, good, type Problem, type Read } from '../../core/problem.ts'
import { keepLastGood, type Report } from '../last-good.ts'
import { watchLive, type LiveFiles } from '../source.ts'
import type { KeyPair } from './authority.ts'

/** Where a mounted certificate, with its chain, and its key lie. */
export type KeyPairFiles = { readonly cert: string; readonly key: string }

/** A key pair that fits together, and when its certificate is valid. */
export type Certified = {
  readonly pair: KeyPair
  readonly notBefore: Date
  readonly notAfter: Date
}

/** Milliseconds between two looks at a certificate that is not valid yet. */
const LOOK_MS = 1000

/**
 * The key pair in two files, kept up to date with them. While the two do not fit, as between the
 * writing of one and the other, the last pair that did stays. So it does while the newest is expired
 * or not valid yet and the last one still is; a newest that becomes valid is taken by itself.
 */
export async function watchKeyPair(
  files: KeyPairFiles,
  report: Report<Certified>,
  pollMs = LOOK_MS,
): Promise<Read<LiveFiles<Certified>>> {
  const kept = keepLastGood<Certified, undefined>(report, undefined)
  /** The newest, while it has to wait. */
  let aside: Certified | undefined

  const offer = (newest: Certified): void => {
    const problems = whyNot(newest, kept.current(), files, new Date())
    aside = problems.length === 0 ? undefined : newest
    kept.offer(problems.length === 0 ? good(newest) : { ok: false, problems })
  }
  const refused = (problems: readonly Problem[]): void => {
    // What was to be served later is no longer what the files hold.
    aside = undefined
    kept.offer({ ok: false, problems })
  }
  const read = ([cert, key]: readonly { readonly text: string }[]): Read<Certified> =>
    certify({ cert: cert?.text ?? '', key: key?.text ?? '' }, files)
  const opened = await watchLive([files.cert, files.key], read, { taken: offer, refused }, pollMs)
  if (!opened.ok) return opened
  const newest = opened.value
  const timer = setInterval(() => {
    if (aside === undefined) return
    if (whyNot(aside, kept.current(), files, new Date()).length === 0) offer(aside)
  }, pollMs)
  timer.unref()
  return good({
    current: () => kept.current() ?? newest.current(),
    onChange: kept.onChange,
    problems: kept.problems,
    close: () => {
      clearInterval(timer)
      newest.close()
    },
  })
}

/** Why the newest is not served in place of the one that is; nothing when it is to be. */
function whyNot(
  newest: Certified,
  served: Certified | undefined,
  files: KeyPairFiles,
  now: Date,
): readonly Problem[] {
  if (served === undefined || isValidAt(newest, now) || !isValidAt(served, now)) return []
  const got = `one valid from ${newest.notBefore.toISOString()} to ${newest.notAfter.toISOString()}`
  return [{ path: files.cert, got, want: 'a certificate that is valid now' }]
}

/** Whether a moment lies within the time of a certificate. */
export function isValidAt({ notBefore, notAfter }: Certified, now: Date): boolean {
  return notBefore <= now && now < notAfter
}

/** Checks that both parts are PEM and belong together; `files` names them in problems. */
export function certify(pair: KeyPair, files: KeyPairFiles): Read<Certified> {
  const certificate = attempt(() => new X509Certificate(pair.cert))
  if (certificate === undefined)
    return bad(files.cert, firstLine(pair.cert), 'a certificate in PEM')
  const key = attempt(() => createPrivateKey(pair.key))
  if (key === undefined) return bad(files.key, 'no key to be read', 'a private key in PEM')
  if (!certificate.checkPrivateKey(key)) {
    return bad(files.key, 'another key', `the key of the certificate in ${files.cert}`)
  }
  // The last word is that of the library which will serve it: chains, weak keys, weak digests.
  const refusal = refusalOf(() => createSecureContext(pair))
  if (refusal !== undefined) return bad(files.cert, refusal, 'a chain that TLS can serve')
  const { validFrom, validTo } = certificate
  return good({ pair, notBefore: new Date(validFrom), notAfter: new Date(validTo) })
}

function refusalOf(make: () => unknown): string | undefined {
  try {
    make()
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

function attempt<T>(make: () => T): T | undefined {
  try {
    return make()
  } catch {
    return undefined
  }
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? ''
}
