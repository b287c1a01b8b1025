import { createPrivateKey, randomBytes, webcrypto, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { bad, good, type Read } from '../../core/problem.ts'

/** A key pair with the certificate that names it. */
export type Identity = {
  readonly keys: webcrypto.CryptoKeyPair
  /** The certificate in PEM. */
  readonly certificate: string
  /** Who it belongs to, as a distinguished name. */
  readonly subject: string
}

/** What a certificate says; it is valid from a few minutes ago, for clocks that differ. */
export type Certificate = {
  readonly commonName: string
  readonly now: Date
  readonly validDays: number
}

/** Milliseconds. */
const CLOCK_SKEW = 5 * 60_000
const DAY = 24 * 60 * 60_000
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

/** A certificate authority that may sign leaves and nothing else. */
export async function makeCa(wanted: Certificate): Promise<Identity> {
  const x509 = await loadLibrary()
  const keys = await makeKeys()
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    ...common(wanted),
    name: nameOf(wanted),
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { keys, certificate: certificate.toString('pem'), subject: nameOf(wanted) }
}

/** A server's certificate for `hosts`: DNS names and IP addresses. */
export async function makeLeaf(
  ca: Identity,
  wanted: Certificate & { readonly hosts: readonly string[] },
): Promise<Identity> {
  const x509 = await loadLibrary()
  const keys = await makeKeys()
  const names = wanted.hosts.map((value) =>
    isIP(value) === 0 ? ({ type: 'dns', value } as const) : ({ type: 'ip', value } as const),
  )
  const certificate = await x509.X509CertificateGenerator.create({
    ...common(wanted),
    subject: nameOf(wanted),
    issuer: ca.subject,
    publicKey: keys.publicKey,
    signingKey: ca.keys.privateKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(names),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(ca.keys.publicKey),
    ],
  })
  return { keys, certificate: certificate.toString('pem'), subject: nameOf(wanted) }
}

/** A CA that was printed before, ours or another one's; `path` names it in problems. */
export async function readCa(path: string, cert: string, key: string): Promise<Read<Identity>> {
  const certificate = attempt(() => new X509Certificate(cert))
  if (certificate === undefined) return bad(path, 'no certificate', 'a certificate in PEM')
  if (!certificate.ca) return bad(path, 'a certificate of no CA', 'the certificate of a CA')
  const read = attempt(() => createPrivateKey(key))
  if (read === undefined) return bad(path, 'no key to be read', 'a private key in PEM')
  if (!certificate.checkPrivateKey(read)) {
    return bad(path, 'another key', 'the key of the certificate beside it')
  }
  if (read.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    return bad(path, 'a key of another kind', 'an ECDSA key on the curve P-256')
  }
  const { subtle } = webcrypto
  const privateKey = await subtle.importKey(
    'pkcs8',
    read.export({ type: 'pkcs8', format: 'der' }),
    ALGORITHM,
    true,
    ['sign'],
  )
  const spki = certificate.publicKey.export({ type: 'spki', format: 'der' })
  const publicKey = await subtle.importKey('spki', spki, ALGORITHM, true, ['verify'])
  const x509 = await loadLibrary()
  const { subject } = new x509.X509Certificate(cert)
  return good({ keys: { privateKey, publicKey }, certificate: cert, subject })
}

/** The private key of an identity, PKCS 8 in PEM. */
export async function printKey(identity: Identity): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', identity.keys.privateKey))
  const lines = der.toString('base64').replace(/.{64}(?=.)/g, '$&\n')
  return `-----BEGIN PRIVATE KEY-----\n${lines}\n-----END PRIVATE KEY-----\n`
}

function common(wanted: Certificate) {
  return {
    // Positive, never zero and at most 20 octets, as RFC 5280, 4.1.2.2 wants it.
    serialNumber: `01${randomBytes(15).toString('hex')}`,
    notBefore: new Date(wanted.now.getTime() - CLOCK_SKEW),
    notAfter: new Date(wanted.now.getTime() + wanted.validDays * DAY),
    signingAlgorithm: ALGORITHM,
  }
}

function attempt<T>(make: () => T): T | undefined {
  try {
    return make()
  } catch {
    return undefined
  }
}

function nameOf(wanted: Certificate): string {
  return `CN=${wanted.commonName}`
}

async function makeKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
}

/** Loaded where a certificate is made and nowhere else: it costs more than the rest of the start. */
async function loadLibrary() {
  // Its dependency injection wants this to be there first.
  await import('reflect-metadata')
  return import('@peculiar/x509')
}
