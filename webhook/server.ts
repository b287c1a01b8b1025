import type { Server } from 'node:https'
import { finished } from 'node:stream'
import fastify, { LogController, type FastifyInstance, type FastifyReply } from 'fastify'
import { makeClientCheck } from './client-check.ts'
import { makeLoad } from './concurrency.ts'
import type { Happening } from './events.ts'
import { serveFromFirstByte } from './first-byte.ts'
import { watchHandshakes } from './handshakes.ts'
import { addInjection, type InjectionDeps } from './injection-route.ts'
import { LIMITS, type Limits } from './limits.ts'
import { loggerOptions, type LogTarget } from './logging.ts'
import { printReadiness, type Readiness } from './readiness.ts'
import type { KeyPair } from './tls/authority.ts'
import { makeTurnAway } from './turn-away.ts'

/** What the server needs of the world. */
export type ServerDeps<Config> = Pick<
  InjectionDeps<Config>,
  'inject' | 'rulesOf' | 'snapshot' | 'metrics' | 'outlets'
> & {
  /** Hears what a user should know; without it nobody does. */
  readonly record?: (happening: Happening) => void
  readonly readiness: () => Readiness
  /** From then on every answer closes its connection, so that clients go elsewhere. */
  readonly isDraining: () => boolean
  readonly logger: LogTarget
  readonly limits?: Partial<Limits>
  /** Names of those who may call, empty for all whom the CAs verify; undefined for everybody. */
  readonly clients?: { readonly names: readonly string[] } | undefined
}

/** Longest path in characters that is read for environment of the proxy; Node's own limit for a head. */
const LONGEST_PATH = 16_384

/** HTTP/1.1 only: API servers speak it to webhooks, and one path is tested better than two. */
const TLS = { minVersion: 'TLSv1.2', ALPNProtocols: ['http/1.1'] } as const

const TEXT_TYPE = 'text/plain; charset=utf-8'

/** The webhook's server. */
export type WebhookServer = FastifyInstance<Server>

/** Builds a server. It listens nowhere yet, and speaks TLS once `serveCertificate` was called. */
export function buildServer<Config>(deps: ServerDeps<Config>): WebhookServer {
  const limits = { ...LIMITS, ...deps.limits }
  const turnAway = makeTurnAway({ metrics: deps.metrics, bodyBytes: limits.bodyBytes })
  const sendElsewhere = (reply: FastifyReply): void => {
    if (deps.isDraining()) reply.header('connection', 'close')
  }
  const app: WebhookServer = fastify({
    https: {
      ...TLS,
      // Whether it is a good one is asked where an answer can say so (client-check.ts).
      ...(deps.clients === undefined ? {} : { requestCert: true, rejectUnauthorized: false }),
      handshakeTimeout: limits.requestMs,
      headersTimeout: limits.requestMs,
      requestTimeout: limits.requestMs,
      connectionsCheckingInterval: limits.checkMs,
    },
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.keepAliveMs,
    // What still arrives while closing is a pod that someone waits for.
    return503OnClosing: false,
    routerOptions: { maxParamLength: LONGEST_PATH },
    logger: loggerOptions(deps.logger),
    logController: new LogController({ disableRequestLogging: true }),
    childLoggerFactory: (logger) => logger,
    // The router cannot read the path: a registration that has such a one calls nobody else.
    frameworkErrors: (_error, request, reply) => {
      sendElsewhere(reply)
      finished(request.raw.resume(), () => {
        turnAway(reply, 'bad-path')
      })
    },
  })
  serveFromFirstByte(app.server, limits.keepAliveMs)
  watchHandshakes(app.server, app.log, deps.metrics)
  app.server.maxConnections = limits.connections
  // Bodies stay text until review.ts reads them: the order of checks is Istio's, the reader is ours.
  app.removeAllContentTypeParsers()
  app.addHook('onRequest', (_request, reply, done) => {
    sendElsewhere(reply)
    done()
  })
  const load = makeLoad(limits)
  const { readiness } = deps
  deps.metrics.gauge({
    inFlight: load.requests,
    bodyBytes: load.heldBytes,
    isReady: () => readiness().isReady,
  })
  const { record = () => undefined, clients, metrics } = deps
  const guard = clients && makeClientCheck({ ...clients, metrics })
  addInjection(app, { ...deps, record, load, bodyBytes: limits.bodyBytes, turnAway, guard })
  app.get('/ready', (_request, reply) => {
    const { status, text } = printReadiness(deps.readiness())
    return reply.code(status).header('content-type', TEXT_TYPE).send(text)
  })
  app.setNotFoundHandler((_request, reply) => {
    const text = 'want POST /inject or /inject/<key>/<value>/..., or GET /ready\n'
    return reply.code(404).header('content-type', TEXT_TYPE).send(text)
  })
  return app
}

/**
 * Serves this key pair from the next handshake on; connections that stand keep theirs. `clientCas`,
 * PEM, verify the certificates of callers, where those are asked for.
 */
export function serveCertificate(app: WebhookServer, pair: KeyPair, clientCas?: string): void {
  const callers = clientCas === undefined ? {} : { ca: clientCas }
  app.server.setSecureContext({ ...pair, ...callers, minVersion: TLS.minVersion })
}
