import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { bad, good, type Read } from '../core/problem.ts'

/** Certificates that are trusted as they are, as text that holds nothing else. */
export type Bundle = {
  /** PEM. */
  readonly text: string
  readonly certificates: readonly X509Certificate[]
}

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g

/** What a server that checks nobody may use its certificate for (RFC 5280, 4.2.1.12). */
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
const ANY_USE = '2.5.29.37.0'

/** Longest chain that is followed; real ones have two or three certificates. */
const LONGEST_CHAIN = 10

/** The certificates of a PEM text; a key or a comment beside them is left out. `path` names the text. */
export function readBundle(path: string, text: string): Read<Bundle> {
  const blocks = text.match(PEM_CERTIFICATE) ?? []
  const want = 'certificates in PEM'
  if (blocks.length === 0) return bad(path, 'none', want)
  const certificates = blocks.map(readCertificate)
  const read = certificates.filter((certificate) => certificate !== undefined)
  if (read.length < blocks.length) {
    const index = certificates.indexOf(undefined)
    return bad(path, `block ${index + 1} that cannot be read`, want)
  }
  return good({ text: blocks.map((block) => `${block}\n`).join(''), certificates: read })
}

/**
 * Why an API server that trusts `trusted` would not accept the served certificate as that of `host`,
 * a DNS name or an IP address; undefined when it would. `served` is the certificate with its chain,
 * in PEM. The rules are those of Go's verifier: any certificate of the bundle is an anchor, names
 * are those in the SAN, validity counts for each certificate.
 */
export function whyUnverified(
  served: string,
  trusted: Bundle,
  host: string,
  now: Date,
): string | undefined {
  const chain = (served.match(PEM_CERTIFICATE) ?? []).map(readCertificate)
  const [leaf, ...rest] = chain.filter((certificate) => certificate !== undefined)
  if (leaf === undefined) return 'no certificate is served'
  if (!isNamed(leaf, host)) return `the served certificate is not for ${host}`
  if (!isValid(leaf, now)) return 'the served certificate is not valid now'
  if (!isForServers(leaf)) return 'the served certificate is not for servers'
  const isTrusted = isAnchored(leaf, rest, trusted.certificates, now, LONGEST_CHAIN)
  return isTrusted ? undefined : 'no certificate of the bundle signed the served one'
}

/** Whether a valid certificate leads to an anchor, over certificates that may sign. */
function isAnchored(
  certificate: X509Certificate,
  between: readonly X509Certificate[],
  anchors: readonly X509Certificate[],
  now: Date,
  steps: number,
): boolean {
  if (anchors.some(({ raw }) => raw.equals(certificate.raw))) return true
  const signers = (those: readonly X509Certificate[]) =>
    those.filter((one) => one.ca && isValid(one, now) && isSignedBy(certificate, one))
  if (signers(anchors).length > 0) return true
  if (steps === 0) return false
  return signers(between).some((one) => isAnchored(one, between, anchors, now, steps - 1))
}

function isSignedBy(certificate: X509Certificate, signer: X509Certificate): boolean {
  return certificate.checkIssued(signer) && certificate.verify(signer.publicKey)
}

/** Whether a moment lies between the two ends of a certificate. */
export function isValid(certificate: X509Certificate, now: Date): boolean {
  return new Date(certificate.validFrom) <= now && now <= new Date(certificate.validTo)
}

function isNamed(certificate: X509Certificate, host: string): boolean {
  if (isIP(host) !== 0) return certificate.checkIP(host) !== undefined
  // The common name counts for nobody who reads certificates today.
  return certificate.checkHost(host, { subject: 'never' }) !== undefined
}

function isForServers({ keyUsage }: { readonly keyUsage?: readonly string[] }): boolean {
  // Absent where there is no such extension, which the class's declared type does not say.
  if (keyUsage === undefined) return true
  return keyUsage.includes(SERVER_AUTH) || keyUsage.includes(ANY_USE)
}

function readCertificate(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem)
  } catch {
    return undefined
  }
}
