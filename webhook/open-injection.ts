import type { FastifyBaseLogger } from 'fastify'
import type { ConfigMapPlace } from '../cluster/config-maps.ts'
import { good, type Read } from '../core/problem.ts'
import type { Config } from './config.ts'
import { watchConfigMaps } from './from-cluster/config-maps.ts'
import { watchNamespaces } from './from-cluster/namespaces.ts'
import { watchNodes } from './from-cluster/nodes.ts'
import { watchPodSecurity } from './from-cluster/pod-security.ts'
import { watchProxyConfigs } from './from-cluster/proxy-configs.ts'
import type { ClusterDeps } from './from-cluster/watched.ts'
import { compose, type Injection, type WithProxyConfigs } from './injection.ts'
import type { ReadConfig } from './injector.ts'
import type { Metrics } from './metrics.ts'
import { readNamespaces, type Namespaces } from './namespaces.ts'
import { partOfFiles, type Part } from './part.ts'
import { reporter } from './reporter.ts'
import { watchConfig, watchLive } from './source.ts'

/** How the configuration of the injection is read, and what it wants to be told about it. */
export type Readers<Injection> = {
  readonly readConfig: ReadConfig<Injection>
  readonly withProxyConfigs: WithProxyConfigs<Injection>
  /** What of a configuration was read but has no effect, each a sentence. */
  readonly warningsOf: (config: Injection) => readonly string[]
  /** Milliseconds between two looks at the files. */
  readonly pollMs?: number
}

/** The namespace annotations matter to this platform alone, and elsewhere they are not read. */
const RANGES_PLATFORM = 'openshift'

/**
 * Begins to follow everything that pods are injected by, in files and in the cluster. What is wrong
 * with files is a refusal; what is missing in the cluster is waited for.
 */
export async function openInjection<T>(
  flags: Config,
  readers: Readers<T>,
  log: FastifyBaseLogger,
  metrics: Metrics,
  cluster: ClusterDeps | undefined,
): Promise<Read<Injection<T>>> {
  const { namespacesFile, configMaps, nativeMode, platform } = flags
  const { pollMs, withProxyConfigs } = readers
  const namespaces = await openNamespaces(namespacesFile, log, metrics, pollMs)
  if (!namespaces.ok) return namespaces
  const files = namespaces.value
  const followed = configMaps === undefined ? undefined : cluster
  const config = await openConfig(flags, readers, log, metrics, followed)
  if (!config.ok) {
    files?.close()
    return config
  }
  if (followed === undefined) {
    const parts = { config: config.value, ...(files === undefined ? {} : { namespaces: files }) }
    return good(compose(parts, nativeMode, withProxyConfigs))
  }
  const known = files ?? (platform === RANGES_PLATFORM ? watchNamespaces(followed) : undefined)
  const parts = {
    config: config.value,
    proxyConfigs: watchProxyConfigs(followed),
    ...(known === undefined ? {} : { namespaces: known }),
    ...(nativeMode === 'auto' ? { nodes: watchNodes(followed) } : {}),
    ...(flags.hasPodSecurityWarnings ? { podSecurity: watchPodSecurity(followed) } : {}),
  }
  return good(compose(parts, nativeMode, withProxyConfigs))
}

async function openConfig<T>(
  flags: Config,
  readers: Readers<T>,
  log: FastifyBaseLogger,
  metrics: Metrics,
  cluster: ClusterDeps | undefined,
): Promise<Read<Part<T>>> {
  const { readConfig, warningsOf, pollMs } = readers
  const report = reporter<T>('config', log, metrics, (taken) => {
    for (const warning of warningsOf(taken)) log.warn({ warning }, 'configuration')
  })
  const places: readonly ConfigMapPlace[] = flags.configMaps ?? []
  if (cluster !== undefined) {
    return watchConfigMaps(cluster, places, flags.files, readConfig, report, pollMs)
  }
  const opened = await watchConfig(flags.files, readConfig, report, pollMs)
  return opened.ok ? good(partOfFiles('config', opened.value)) : opened
}

async function openNamespaces(
  file: string | undefined,
  log: FastifyBaseLogger,
  metrics: Metrics,
  pollMs: number | undefined,
): Promise<Read<Part<Namespaces> | undefined>> {
  if (file === undefined) return good(undefined)
  const opened = await watchLive<Namespaces>(
    [file],
    ([source]) => (source === undefined ? good(new Map()) : readNamespaces(source)),
    reporter('namespaces', log, metrics),
    pollMs,
  )
  return opened.ok ? good(partOfFiles('namespaces', opened.value)) : opened
}
