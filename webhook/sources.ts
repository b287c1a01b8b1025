import type { FastifyBaseLogger } from 'fastify'
import { readBundle, type Bundle } from '../cluster/verify.ts'
import { good, type Problem, type Read } from '../core/problem.ts'
import { checkCertificate, openCertificate, type Certificate } from './certificate.ts'
import type { Config } from './config.ts'
import type { Watch } from './files.ts'
import type { ClusterDeps } from './from-cluster/watched.ts'
import type { Injection } from './injection.ts'
import type { Metrics } from './metrics.ts'
import { openInjection, type Readers } from './open-injection.ts'
import type { Check } from './readiness.ts'
import { reporter } from './reporter.ts'
import { watchLive, type LiveFiles, type Report } from './source.ts'
import type { Certified } from './tls/reload.ts'

/** Everything that is read and may be replaced while the webhook runs. */
export type LiveSources<T> = {
  readonly injection: Injection<T>
  readonly certificate: Certificate
  /** The CA that the leader publishes, where it is in a file that somebody keeps. */
  readonly caFile: LiveFiles<Bundle | undefined>
  /** What certificates of callers are verified with; undefined where everybody may call. */
  readonly clientCas: LiveFiles<Bundle | undefined>
}

/** Reads everything for the first time and begins to watch it; what the cluster lacks is waited for. */
export async function openSources<T>(
  flags: Config,
  readers: Readers<T>,
  log: FastifyBaseLogger,
  metrics: Metrics,
  cluster: ClusterDeps | undefined,
): Promise<Read<LiveSources<T>>> {
  const injection = await openInjection(flags, readers, log, metrics, cluster)
  if (!injection.ok) return injection
  const opened: Watch[] = [injection.value]
  const fail = (problems: readonly Problem[]): Read<LiveSources<T>> => {
    for (const one of opened) one.close()
    return { ok: false, problems }
  }
  const report = reporter<Certified>('certificate', log, metrics, ({ notAfter }) => {
    metrics.certificateExpires(notAfter)
  })
  const certificate = await openCertificate(flags.certificate, {
    report,
    metrics,
    cluster,
    namespace: flags.podNamespace,
    ...(readers.pollMs === undefined ? {} : { pollMs: readers.pollMs }),
  })
  if (!certificate.ok) return fail(certificate.problems)
  opened.push(certificate.value)
  const openFile = (what: 'ca-file' | 'client-ca-file', file: string | undefined) => {
    return openBundle(file, reporter<Bundle | undefined>(what, log, metrics), readers.pollMs)
  }
  const published = flags.certificate.from === 'files' ? flags.certificate.caFile : undefined
  const caFile = await openFile('ca-file', published)
  if (!caFile.ok) return fail(caFile.problems)
  opened.push(caFile.value)
  const clientCas = await openFile('client-ca-file', flags.clients?.file)
  if (!clientCas.ok) return fail(clientCas.problems)
  return good({
    injection: injection.value,
    certificate: certificate.value,
    caFile: caFile.value,
    clientCas: clientCas.value,
  })
}

/** Certificates to trust, kept up to date with their file; without a file there are none. */
async function openBundle(
  file: string | undefined,
  report: Report<Bundle | undefined>,
  pollMs: number | undefined,
): Promise<Read<LiveFiles<Bundle | undefined>>> {
  if (file === undefined) {
    const nobody = { taken: () => undefined, refused: () => undefined }
    return watchLive<Bundle | undefined>([], () => good(undefined), nobody)
  }
  return watchLive([file], ([found]) => readBundle(file, found?.text ?? ''), report, pollMs)
}

/** What readiness says about the sources; a refused update does not make the last good one bad. */
export function checkSources(sources: LiveSources<unknown>, now: Date): readonly Check[] {
  return [...sources.injection.checks(), checkCertificate(sources.certificate, now)]
}
