import type { PeerCertificate, TLSSocket } from 'node:tls'
import type { Problem } from '../../core/problem.ts'

/** Who may call, when certificates of callers are checked. */
export type ClientCheck = {
  /** PEM file of the CAs that sign callers' certificates. */
  readonly file: string
  /** Common names or DNS names, one of which a caller must have; empty for any. */
  readonly names: readonly string[]
}

/** Why a caller is turned away; undefined when it is who it has to be. */
export function whyRefused(
  socket: Pick<TLSSocket, 'authorized' | 'authorizationError' | 'getPeerCertificate'>,
  names: readonly string[],
): Problem | undefined {
  const certificate = socket.getPeerCertificate()
  // An empty object where there is none, which the declared type does not say.
  if (Object.keys(certificate).length === 0) {
    const want = 'one that --client-ca-file verifies: configure it at the API server'
    return { path: 'client certificate', got: 'none', want }
  }
  if (!socket.authorized) {
    const got = String(socket.authorizationError)
    return { path: 'client certificate', got, want: 'one that --client-ca-file verifies' }
  }
  if (names.length === 0) return undefined
  const found = namesOf(certificate)
  if (found.some((name) => names.includes(name))) return undefined
  return { path: 'client certificate', got: found.join(', '), want: `one of ${names.join(', ')}` }
}

/** The common name and the DNS names of a certificate. */
function namesOf({ subject, subjectaltname }: PeerCertificate): readonly string[] {
  const common: string | readonly string[] | undefined = subject.CN
  const parts = (subjectaltname ?? '').split(', ')
  const alternatives = parts.filter((part) => part.startsWith('DNS:')).map((part) => part.slice(4))
  return [...(common === undefined ? [] : [common].flat()), ...alternatives]
}
