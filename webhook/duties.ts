/** What one of the replicas does for all: the own CA, and the caBundle of our configurations. */
import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import type { FastifyBaseLogger } from 'fastify'
import type { Api } from '../cluster/api.ts'
import { REGISTRATIONS } from '../cluster/registrations.ts'
import type { Bundle } from '../cluster/verify.ts'
import { watchObjects } from '../cluster/watch.ts'
import { bad, formatProblem, good, type Read } from '../core/problem.ts'
import { keepAuthority } from './authority/keeper.ts'
import type { AuthoritySecret, Leaves } from './authority/leaves.ts'
import type { Certificate } from './certificate.ts'
import type { LeaseChoice } from './certificate-flags.ts'
import type { Config } from './config.ts'
import { keepBundles, type BundleSource } from './ca-bundle.ts'
import type { PatchReport } from './ca-bundle/patcher.ts'
import { labelSelectorOf } from './ca-bundle/registrations.ts'
import { standForLeader, whileLeading } from './leader.ts'
import { watchedBy, type ClusterDeps } from './from-cluster/watched.ts'
import type { Metrics } from './metrics.ts'
import type { LiveFiles } from './source.ts'
import type { LiveSources } from './sources.ts'

/** The CA that API servers are told to trust: in a file that somebody keeps, or our own. */
type Trust =
  | { readonly from: 'file'; readonly bundle: LiveFiles<Bundle | undefined> }
  | {
      readonly from: 'secret'
      readonly secret: AuthoritySecret
      readonly leaves: Leaves
      /** Milliseconds in which every API server sees a new bundle. */
      readonly delayMs: number
    }

type DutyDeps = {
  readonly cluster: ClusterDeps
  /** Of the Lease. */
  readonly namespace: string
  readonly lease: LeaseChoice
  /** Empty for the default revision. */
  readonly revision: string
  readonly trust: Trust
  readonly certificate: Certificate
}

/** Duties that are done whenever this replica leads. */
export type Duties = {
  /** Ends them and gives the lease back; a second call waits for the first. */
  readonly close: () => Promise<void>
}

const NO_DUTIES: Duties = { close: () => Promise.resolve() }

/** Stands for leader where the flags ask for something that a leader does. */
export function startDuties(
  config: Pick<Config, 'certificate' | 'lease' | 'podNamespace' | 'revision'>,
  sources: Pick<LiveSources<unknown>, 'certificate' | 'caFile'>,
  cluster: ClusterDeps | undefined,
): Duties {
  const { lease, revision, podNamespace: namespace } = config
  const { certificate } = sources
  const trust = trustOf(config, sources)
  if (cluster === undefined || lease === undefined || trust === undefined) return NO_DUTIES
  return takeUp({ cluster, namespace, lease, revision, trust, certificate })
}

function trustOf(
  { certificate, podNamespace: namespace }: Pick<Config, 'certificate' | 'podNamespace'>,
  sources: Pick<LiveSources<unknown>, 'certificate' | 'caFile'>,
): Trust | undefined {
  switch (certificate.from) {
    case 'files':
      return { from: 'file', bundle: sources.caFile }
    case 'own-ca':
      return undefined
    case 'secret': {
      const { leaves } = sources.certificate
      const { name, delayMs } = certificate
      return leaves && { from: 'secret', secret: { namespace, name }, leaves, delayMs }
    }
  }
}

function takeUp(deps: DutyDeps): Duties {
  const { cluster, namespace, lease, revision, trust, certificate } = deps
  const { api, metrics, log } = cluster
  const identity = `${hostname()}_${randomUUID()}`
  const leader = standForLeader({
    api,
    namespace,
    name: lease.name,
    identity,
    seconds: lease.seconds,
    failed: (why) => {
      log.error({ lease: lease.name, why }, 'the lease can be neither read nor written')
    },
  })
  const guarded = whileLeading(api, leader)
  const duty = keepBundles({
    api: guarded,
    revision,
    leader,
    source: sourceOf(deps, guarded),
    served: () => certificate.current()?.pair.cert,
    report: reportTo(metrics, log),
    refused: (problems) => {
      metrics.bundlePatch.failed('', 'load_ca_bundle_failure')
      log.error({ problems: problems.map(formatProblem) }, 'no CA to publish')
    },
    broke: (err) => {
      log.error({ err }, 'keeping the caBundle broke')
    },
  })
  metrics.leads(false)
  leader.onChange((isLeading) => {
    metrics.leads(isLeading)
    log.info({ lease: lease.name, identity, isLeading }, 'leader election')
    duty.poke()
  })
  certificate.onChange(duty.poke)
  if (trust.from === 'file') trust.bundle.onChange(duty.poke)
  else trust.leaves.onSecret(duty.poke)
  const watch = watchRegistrations(cluster, revision, duty.poke)
  let ended: Promise<void> | undefined
  const end = async (): Promise<void> => {
    watch.close()
    await duty.close()
    await leader.close()
  }
  return { close: () => (ended ??= end()) }
}

/** Only a sign that something changed: what is there is read anew before it is written. */
function watchRegistrations(cluster: ClusterDeps, revision: string, changed: () => void) {
  const watch = watchObjects<string>(cluster.api, {
    path: REGISTRATIONS,
    labelSelector: labelSelectorOf(revision),
    keep: (object) => JSON.stringify(object),
    ...watchedBy(cluster, 'webhook-configurations'),
  })
  watch.onChange(changed)
  return watch
}

function sourceOf(deps: DutyDeps, api: Pick<Api, 'call'>): BundleSource {
  const { trust, cluster } = deps
  const { log } = cluster
  if (trust.from === 'file') {
    const { bundle } = trust
    const load = (): Promise<Read<Bundle>> => {
      // The last good one, where the newest was refused: then the log has said so.
      const last = bundle.current()
      return Promise.resolve(last === undefined ? bad('--ca-file', '', 'a file') : good(last))
    }
    return { load, advance: () => Promise.resolve({ isDone: true, waitMs: undefined }) }
  }
  const { secret, leaves, delayMs } = trust
  return keepAuthority({
    api,
    secret,
    delayMs,
    labels: { 'app.kubernetes.io/name': 'sidecar-injector' },
    known: leaves.authority,
    did: (step, why) => {
      log.info({ secret: secret.name, step, why }, 'own CA')
    },
    failed: (step, why) => {
      log.error({ secret: secret.name, step, why }, 'own CA: not done yet')
    },
  })
}

function reportTo(metrics: Metrics, log: FastifyBaseLogger): PatchReport {
  /** What was said of a configuration last: the same is not said at every look. */
  const said = new Map<string, string>()
  const isNew = (name: string, line: string): boolean => {
    if (said.get(name) === line) return false
    said.set(name, line)
    return true
  }
  return {
    attempted: metrics.bundlePatch.attempted,
    retried: metrics.bundlePatch.retried,
    failed: (name, reason, why) => {
      metrics.bundlePatch.failed(name, reason)
      if (!isNew(name, `${reason} ${why}`)) return
      log.error({ configuration: name, reason, why }, 'caBundle not written')
    },
    patched: (name, entries) => {
      said.delete(name)
      log.info({ configuration: name, entries }, 'caBundle written')
    },
    foreign: (name) => {
      if (!isNew(name, 'foreign')) return
      log.warn({ configuration: name }, "cert-manager's annotation is there: caBundle left alone")
    },
  }
}
