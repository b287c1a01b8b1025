import { randomBytes, X509Certificate } from 'node:crypto'
import { bad, good, type Read } from '../../core/problem.ts'
import type { KeyPair } from '../tls/authority.ts'
import { certify, type Certified } from '../tls/reload.ts'
import { makeCa, makeLeaf, printKey, readCa } from '../tls/x509.ts'
import { CA_DAYS, LEAF_DAYS } from './rotation.ts'

/** Milliseconds. */
const DAY = 24 * 60 * 60_000

/** A new CA. No two have the same name, so that nobody tries one's key on the other's leaves. */
export async function makeAuthority(now: Date): Promise<KeyPair> {
  const commonName = `sidecar-injector CA ${randomBytes(4).toString('hex')}`
  const ca = await makeCa({ commonName, now, validDays: CA_DAYS })
  return { cert: `${ca.certificate.trimEnd()}\n`, key: await printKey(ca) }
}

/** A new server's certificate of a CA, for DNS names and addresses, checked as it will be served. */
export async function makeServing(
  path: string,
  ca: KeyPair,
  hosts: readonly string[],
  now: Date,
): Promise<Read<Certified>> {
  const signer = await readCa(path, ca.cert, ca.key)
  if (!signer.ok) return signer
  const root = new X509Certificate(ca.cert)
  const daysLeft = (new Date(root.validTo).getTime() - now.getTime()) / DAY
  if (daysLeft <= 0) return bad(path, `valid to ${root.validTo}`, 'a CA that is valid')
  const leaf = await makeLeaf(signer.value, {
    commonName: 'sidecar-injector',
    hosts,
    now,
    validDays: Math.min(LEAF_DAYS, daysLeft),
  })
  const made = new X509Certificate(leaf.certificate)
  if (!made.checkIssued(root) || !made.verify(root.publicKey)) {
    return bad(path, 'leaves that it does not verify', 'a CA whose name and key can be used')
  }
  const pair = { cert: `${leaf.certificate.trimEnd()}\n`, key: await printKey(leaf) }
  const certified = certify(pair, { cert: `leaf of ${path}`, key: `key of ${path}` })
  return certified.ok ? good(certified.value) : certified
}
