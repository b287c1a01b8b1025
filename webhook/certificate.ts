/** What is served, from wherever it comes, and how well it is known. */
import { X509Certificate } from 'node:crypto'
import { good, type Read } from '../core/problem.ts'
import { waitingFor, watchLeaves, type Leaves } from './authority/leaves.ts'
import type { CertificateSource } from './certificate-flags.ts'
import { watchedBy, type ClusterDeps } from './from-cluster/watched.ts'
import type { Metrics } from './metrics.ts'
import { describe } from './part.ts'
import type { Check } from './readiness.ts'
import { watchLive, type LiveFiles, type Report } from './source.ts'
import { makeThrowaway, publishFile } from './tls/authority.ts'
import { certify, isValidAt, watchKeyPair, type Certified } from './tls/reload.ts'

/** The served certificate; undefined before there is one. */
export type Certificate = Pick<
  LiveFiles<Certified | undefined>,
  'current' | 'onChange' | 'problems' | 'close'
> & {
  /** The leaves of the own CA, where that is what is served. */
  readonly leaves: Leaves | undefined
}

/** What opening needs of the world. */
export type CertificateDeps = {
  readonly report: Report<Certified>
  readonly metrics: Metrics
  readonly cluster: ClusterDeps | undefined
  /** Where the Secret of an own CA lies. */
  readonly namespace: string
  readonly pollMs?: number
}

/** Opens the source; what the cluster lacks is waited for. */
export async function openCertificate(
  source: CertificateSource,
  deps: CertificateDeps,
): Promise<Read<Certificate>> {
  const opened = await open(source, deps)
  return opened.ok ? good({ leaves: undefined, ...opened.value }) : opened
}

/** Ready while it is valid; what is wrong with a newer one is in the detail. */
export function checkCertificate(certificate: Certificate, now: Date): Check {
  const name = 'certificate'
  const certified = certificate.current()
  if (certified === undefined) {
    const [{ path, want } = { path: '', want: 'a certificate' }] = certificate.problems()
    return { name, isReady: false, detail: `none yet: ${path}: want ${want}` }
  }
  const { notBefore, notAfter } = certified
  const times =
    now < notBefore
      ? `not valid before ${notBefore.toISOString()}`
      : `valid until ${notAfter.toISOString()}`
  const isReady = isValidAt(certified, now)
  return { name, isReady, detail: describe(times, certificate.problems()) }
}

async function open(
  source: CertificateSource,
  { report, metrics, cluster, namespace, pollMs }: CertificateDeps,
): Promise<Read<Omit<Certificate, 'leaves'> & Partial<Pick<Certificate, 'leaves'>>>> {
  switch (source.from) {
    case 'files':
      return watchKeyPair(source.files, report, pollMs)
    case 'own-ca':
      return openThrowaway(source, report)
    case 'secret': {
      const secret = { namespace, name: source.name }
      // Flags that ask for a Secret open a connection; without it there is nothing to ask.
      if (cluster === undefined) return { ok: false, problems: [waitingFor(secret)] }
      const watching = watchedBy(cluster, 'own-ca')
      const leaves = watchLeaves(cluster.api, secret, source.hosts, report, watching)
      leaves.onSecret(() => {
        const ca = leaves.authority()?.ca.cert
        if (ca !== undefined) metrics.caExpires(new Date(new X509Certificate(ca).validTo))
      })
      return good({ ...leaves, leaves })
    }
  }
}

async function openThrowaway(
  { hosts, caFile }: CertificateSource & { readonly from: 'own-ca' },
  report: Report<Certified>,
): Promise<Read<LiveFiles<Certified>>> {
  const { pair, ca } = await makeThrowaway(hosts, new Date())
  if (caFile !== undefined) {
    try {
      await publishFile(caFile, ca)
    } catch (error) {
      const got = error instanceof Error ? error.message : String(error)
      const want = 'a file that can be written'
      return { ok: false, problems: [{ path: `--ca-file ${caFile}`, got, want }] }
    }
  }
  const made = certify(pair, { cert: 'own certificate', key: 'own key' })
  return watchLive<Certified>([], () => made, report)
}
