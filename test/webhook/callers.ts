/** Certificates of those who call, as an API server would be given one. */
import { randomBytes, webcrypto } from 'node:crypto'
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'

/** A certificate and its key, PEM. */
export type Caller = { readonly cert: string; readonly key: string }

/** A CA for callers, PEM, and what makes one more caller. */
export type CallerCa = {
  readonly ca: string
  readonly issue: (commonName: string, dnsNames?: readonly string[]) => Promise<Caller>
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const DAY = 86_400_000

/** Makes a CA whose certificates are for clients. */
export async function makeCallerCa(): Promise<CallerCa> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const common = () => ({
    serialNumber: `01${randomBytes(15).toString('hex')}`,
    notBefore: new Date(Date.now() - DAY),
    notAfter: new Date(Date.now() + DAY),
    signingAlgorithm: ALGORITHM,
  })
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    ...common(),
    name: 'CN=callers',
    keys,
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  })
  return {
    ca: root.toString('pem'),
    issue: async (commonName, dnsNames = []) => {
      const own = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
      const names = dnsNames.map((value) => ({ type: 'dns', value }) as const)
      const certificate = await x509.X509CertificateGenerator.create({
        ...common(),
        subject: `CN=${commonName}`,
        issuer: root.subject,
        publicKey: own.publicKey,
        signingKey: keys.privateKey,
        extensions: [
          new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth]),
          ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)]),
        ],
      })
      const key = await webcrypto.subtle.exportKey('pkcs8', own.privateKey)
      return {
        cert: certificate.toString('pem'),
        key: x509.PemConverter.encode(key, 'PRIVATE KEY'),
      }
    },
  }
}
