import { createPrivateKey, X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { bad, good, type Read } from '../../core/problem.ts'
import { watchLive, type LiveFiles, type Report } from '../source.ts'
import type { KeyPair } from './authority.ts'

/** Where a mounted certificate, with its chain, and its key lie. */
export type KeyPairFiles = { readonly cert: string; readonly key: string }

/** A key pair that fits together, and when its certificate stops being valid. */
export type Certified = { readonly pair: KeyPair; readonly notAfter: Date }

/**
 * The key pair in two files, kept up to date with them. While the two do not fit, as between the
 * writing of one and the other, the last pair that did stays.
 */
export async function watchKeyPair(
  files: KeyPairFiles,
  report: Report<Certified>,
  pollMs?: number,
): Promise<Read<LiveFiles<Certified>>> {
  const read = ([cert, key]: readonly { readonly text: string }[]): Read<Certified> =>
    certify({ cert: cert?.text ?? '', key: key?.text ?? '' }, files)
  return watchLive([files.cert, files.key], read, report, pollMs)
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
  return good({ pair, notAfter: new Date(certificate.validTo) })
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
