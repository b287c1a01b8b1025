import type { FastifyBaseLogger } from 'fastify'
import { formatProblem, good, type Read } from '../core/problem.ts'
import type { Snapshot } from './answer.ts'
import type { CertificateSource, Config } from './config.ts'
import type { ReadConfig } from './injector.ts'
import type { Metrics, ReloadedThing } from './metrics.ts'
import { readNamespaces, type Namespaces } from './namespaces.ts'
import type { Check } from './readiness.ts'
import { watchConfig, watchLive, type LiveFiles, type Report } from './source.ts'
import { makeThrowaway, publishFile } from './tls/authority.ts'
import { certify, watchKeyPair, type Certified } from './tls/reload.ts'

/** Everything that is read from files and may be replaced while the webhook runs. */
export type LiveSources<Injection> = {
  readonly config: LiveFiles<Injection>
  readonly namespaces: LiveFiles<Namespaces>
  readonly certificate: LiveFiles<Certified>
}

/** How the configuration of the injection is read, and what it wants to be told about it. */
export type Readers<Injection> = {
  readonly readConfig: ReadConfig<Injection>
  /** What of a configuration was read but has no effect, each a sentence. */
  readonly warningsOf: (config: Injection) => readonly string[]
  /** Milliseconds between two looks at the files. */
  readonly pollMs?: number
}

/** Reads all files for the first time and begins to watch them. */
export async function openSources<Injection>(
  flags: Config,
  readers: Readers<Injection>,
  log: FastifyBaseLogger,
  metrics: Metrics,
): Promise<Read<LiveSources<Injection>>> {
  const { readConfig, warningsOf, pollMs } = readers
  const config = await watchConfig(
    flags.files,
    readConfig,
    reporter<Injection>('config', log, metrics, (taken) => {
      for (const warning of warningsOf(taken)) log.warn({ warning }, 'configuration')
    }),
    pollMs,
  )
  if (!config.ok) return config
  const { namespacesFile } = flags
  const namespaces = await watchLive<Namespaces>(
    namespacesFile === undefined ? [] : [namespacesFile],
    ([source]) => (source === undefined ? good(new Map()) : readNamespaces(source)),
    reporter('namespaces', log, metrics),
    pollMs,
  )
  if (!namespaces.ok) {
    config.value.close()
    return namespaces
  }
  const report = reporter<Certified>('certificate', log, metrics, ({ notAfter }) => {
    metrics.certificateExpires(notAfter)
  })
  const certificate = await openCertificate(flags.certificate, report, pollMs)
  if (!certificate.ok) {
    config.value.close()
    namespaces.value.close()
    return certificate
  }
  return good({
    config: config.value,
    namespaces: namespaces.value,
    certificate: certificate.value,
  })
}

/** What one request is answered from. */
export function snapshotOf<Injection>(
  sources: LiveSources<Injection>,
  nativeSidecars: boolean,
): Snapshot<Injection> {
  const namespaces = sources.namespaces.current()
  return {
    config: sources.config.current(),
    nativeSidecars,
    annotationsOf: (namespace) => namespaces.get(namespace),
  }
}

/** What readiness says about the sources; a refused update does not make the last good one bad. */
export function checkSources(sources: LiveSources<unknown>, now: Date): readonly Check[] {
  const { notAfter } = sources.certificate.current()
  const expiry = `valid until ${notAfter.toISOString()}`
  return [
    { name: 'config', isReady: true, detail: describe(sources.config, 'read') },
    { name: 'namespaces', isReady: true, detail: describe(sources.namespaces, 'read') },
    {
      name: 'certificate',
      isReady: now < notAfter,
      detail: describe(sources.certificate, expiry),
    },
  ]
}

function describe(source: LiveFiles<unknown>, whenGood: string): string {
  const problems = source.problems()
  if (problems.length === 0) return whenGood
  return `the last good one serves, the newest was refused: ${problems.map(formatProblem).join('; ')}`
}

async function openCertificate(
  source: CertificateSource,
  report: Report<Certified>,
  pollMs?: number,
): Promise<Read<LiveFiles<Certified>>> {
  if (source.from === 'files') return watchKeyPair(source.files, report, pollMs)
  const { pair, ca } = await makeThrowaway(source.hosts, new Date())
  if (source.caFile !== undefined) {
    try {
      await publishFile(source.caFile, ca)
    } catch (error) {
      const got = error instanceof Error ? error.message : String(error)
      const want = 'a file that can be written'
      return { ok: false, problems: [{ path: `--ca-file ${source.caFile}`, got, want }] }
    }
  }
  const made = certify(pair, { cert: 'own certificate', key: 'own key' })
  return watchLive<Certified>([], () => made, report)
}

function reporter<T>(
  what: ReloadedThing,
  log: FastifyBaseLogger,
  metrics: Metrics,
  also?: (taken: T) => void,
): Report<T> {
  return {
    taken: (value) => {
      metrics.reloaded(what, true)
      log.info({ what }, 'read')
      also?.(value)
    },
    refused: (problems) => {
      metrics.reloaded(what, false)
      const lines = problems.map(formatProblem)
      log.error({ what, problems: lines }, 'refused, the last good one goes on serving')
    },
  }
}
