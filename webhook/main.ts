import { hostname } from 'node:os'
import { setImmediate as untilRead, setTimeout as sleep } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import { collectDefaultMetrics, Registry } from 'prom-client'
import { makeApi } from '../cluster/api.ts'
import { connect } from '../cluster/connect.ts'
import { good, type Read } from '../core/problem.ts'
import { followConnections } from './closing.ts'
import type { Config } from './config.ts'
import { startDuties } from './duties.ts'
import { makeEvents, NO_EVENTS, type Events } from './events.ts'
import type { Inject } from './injector.ts'
import { listenOn } from './listen.ts'
import { makeMetrics } from './metrics.ts'
import { buildMonitoring } from './monitoring.ts'
import { combine, type Readiness } from './readiness.ts'
import type { Readers } from './open-injection.ts'
import { NotReady } from './refusals.ts'
import { rehearsed } from './rehearsal.ts'
import { buildServer, type WebhookServer } from './server.ts'
import { keepServing } from './serving.ts'
import type { Rules } from './stencil/holes.ts'
import { checkSources, openSources, type LiveSources } from './sources.ts'

/** What the webhook is made of besides its flags. */
export type Parts<Injection> = Readers<Injection> & {
  readonly inject: Inject<Injection>
  /** How reviews are taken apart for stencils; without it each pod is injected by itself. */
  readonly rulesOf?: (config: Injection) => Rules | undefined
  /** Where log lines go; standard output by default. */
  readonly stream?: { readonly write: (line: string) => void }
  /** Of this program, for the metrics. */
  readonly version?: string
  /** Milliseconds for all that is under way once the port is closed. */
  readonly hardStopMs?: number
}

/** A webhook that serves. */
export type Running = {
  readonly port: number
  readonly monitoringPort: number
  /** Drains and closes; resolves when the last answer is out, or at the hard stop. */
  readonly stop: (why: string) => Promise<void>
}

/** Below the 30 s that a pod is given to end, with room for the drain delay before it. */
const HARD_STOP_MS = 20_000

/** Part of this time in which a connection that is silent may still begin with a request. */
const SILENT = 0.1

/**
 * Starts both servers, or says what is wrong with the files or ports that they need. Throws a Refusal
 * where the flags name a cluster and there are no credentials for it.
 */
export async function startWebhook<Injection>(
  config: Config,
  parts: Parts<Injection>,
): Promise<Read<Running>> {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const metrics = makeMetrics(registry)
  metrics.built({
    version: parts.version ?? '',
    istio_version: config.istioVersion,
    revision: config.revision,
    node: process.version,
  })
  const phase = { isDraining: false }
  const readiness = (): Readiness => {
    const drain = phase.isDraining ? 'this replica is stopping' : 'no'
    const draining = { name: 'draining', isReady: !phase.isDraining, detail: drain }
    return combine([...checkSources(sources, new Date()), draining])
  }
  const { stream } = parts
  const app: WebhookServer = buildServer<Injection>({
    inject: parts.inject,
    ...(config.hasStencils && parts.rulesOf !== undefined ? { rulesOf: parts.rulesOf } : {}),
    // Called only while listening, when the sources below are open.
    snapshot: () => {
      const snapshot = sources.injection.current()
      if (snapshot === undefined) throw new NotReady()
      return snapshot
    },
    metrics,
    readiness,
    isDraining: () => phase.isDraining,
    record: (happening) => {
      events.record(happening)
    },
    outlets: config.outlets,
    limits: config.limits,
    clients: config.clients,
    logger: { level: config.logLevel, ...(stream === undefined ? {} : { stream }) },
  })
  const api = config.cluster === undefined ? undefined : makeApi(await connect(config.cluster))
  const events: Events =
    api === undefined || !config.hasEvents
      ? NO_EVENTS
      : makeEvents(api, hostname(), {
          counted: metrics.eventCounted,
          failed: (why) => {
            app.log.warn({ why }, 'Events are not taken')
          },
        })
  const cluster = api && { api, log: app.log, metrics, events }
  const opened: Read<LiveSources<Injection>> = await openSources(
    config,
    { ...parts, readConfig: rehearsed(parts.readConfig, parts.inject) },
    app.log,
    metrics,
    cluster,
  )
  if (!opened.ok) {
    await events.close()
    api?.close()
    return opened
  }
  const sources = opened.value
  const serving = keepServing(app, sources)
  const duties = startDuties(config, sources, cluster)
  const monitoring = buildMonitoring({ registry, readiness, logger: app.log })
  const closing = [followConnections(app), followConnections(monitoring)]
  const close = async (): Promise<void> => {
    const ms = parts.hardStopMs ?? HARD_STOP_MS
    await within(ms, app.log, async (hardStop) => {
      for (const closeServer of closing) await closeServer(ms * SILENT, hardStop)
      await duties.close()
    })
    for (const source of [serving, ...Object.values(sources)]) source.close()
    api?.close()
  }

  const { address } = config
  const watched = await listenOn(monitoring, '--monitoring-port', config.monitoringPort, address)
  const served = await listenOn(app, '--port', config.port, address)
  if (!watched.ok || !served.ok) {
    await close()
    const problems = [watched, served].flatMap((port) => (port.ok ? [] : port.problems))
    return { ok: false, problems }
  }
  const ports = { port: served.value, monitoringPort: watched.value }
  app.log.info({ ...ports, revision: config.revision }, 'webhook listening')
  return good({
    ...ports,
    stop: async (why) => {
      app.log.info({ why, drainMs: config.drainMs }, 'webhook stopping')
      phase.isDraining = true
      // Another one takes over at once, not after the time of a lease.
      void duties.close()
      await sleep(config.drainMs)
      // Timers come before sockets: a request that waits there unread would be taken for an idle connection and cut.
      await untilRead()
      await close()
      app.log.info('webhook stopped')
    },
  })
}

/** Waits for a work, and no longer than to the hard stop: then whoever has no answer loses the connection. */
async function within(
  ms: number,
  log: Pick<FastifyBaseLogger, 'error'>,
  work: (hardStop: AbortSignal) => Promise<void>,
): Promise<void> {
  const hardStop = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      log.error('connections cut at the hard stop')
      hardStop.abort()
      resolve()
    }, ms)
  })
  await Promise.race([work(hardStop.signal), late])
  clearTimeout(timer)
}
