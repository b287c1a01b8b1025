import type { Server } from 'node:https'
import { finished } from 'node:stream'
import fastify, {
  LogController,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify'
import { answerReview, type Snapshot } from './answer.ts'
import type { Inject } from './injector.ts'
import { loggerOptions, type LogTarget } from './logging.ts'
import type { Metrics } from './metrics.ts'
import { printReadiness, type Readiness } from './readiness.ts'
import { describeRefusal, isJson, reasonOf, type RefusalReason } from './refusals.ts'
import type { KeyPair } from './tls/authority.ts'

/** What the server needs of the world. */
export type ServerDeps<Config> = {
  readonly inject: Inject<Config>
  /** Called once a request. */
  readonly snapshot: () => Snapshot<Config>
  readonly metrics: Metrics
  readonly readiness: () => Readiness
  /** From then on every answer closes its connection, so that clients go elsewhere. */
  readonly isDraining: () => boolean
  readonly logger: LogTarget
  readonly limits?: Partial<Limits>
}

/** What one client may take. */
export type Limits = {
  /** Bytes of a body: Istio's 6 MiB, twice what an API server takes from its clients. */
  readonly bodyBytes: number
  /** Milliseconds for a request to arrive whole: the longest timeout that a webhook can have. */
  readonly requestMs: number
  /** Milliseconds that an idle connection stays: above the 90 s of the API server's client. */
  readonly keepAliveMs: number
  /** Milliseconds between two looks for requests that take too long. */
  readonly checkMs: number
}

const LIMITS: Limits = {
  bodyBytes: 6 * 1024 * 1024,
  requestMs: 30_000,
  keepAliveMs: 120_000,
  checkMs: 5_000,
}

/** Longest path in characters that is read for environment of the proxy; Node's own limit for a head. */
const LONGEST_PATH = 16_384

/** HTTP/1.1 only: API servers speak it to webhooks, and one path is tested better than two. */
const TLS = { minVersion: 'TLSv1.2', ALPNProtocols: ['http/1.1'] } as const

const JSON_TYPE = 'application/json; charset=utf-8'
const TEXT_TYPE = 'text/plain; charset=utf-8'

/** The webhook's server. */
export type WebhookServer = FastifyInstance<Server>

/** Builds a server. It listens nowhere yet, and speaks TLS once `serveCertificate` was called. */
export function buildServer<Config>(deps: ServerDeps<Config>): WebhookServer {
  const limits = { ...LIMITS, ...deps.limits }
  const app: WebhookServer = fastify({
    https: {
      ...TLS,
      handshakeTimeout: limits.requestMs,
      headersTimeout: limits.requestMs,
      requestTimeout: limits.requestMs,
      connectionsCheckingInterval: limits.checkMs,
    },
    bodyLimit: limits.bodyBytes,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.keepAliveMs,
    // What still arrives while closing is a pod that someone waits for.
    return503OnClosing: false,
    routerOptions: { maxParamLength: LONGEST_PATH },
    logger: loggerOptions(deps.logger),
    logController: new LogController({ disableRequestLogging: true }),
    childLoggerFactory: (logger) => logger,
    frameworkErrors: (error, _request, reply) => {
      reply.raw.writeHead(error.statusCode ?? 400, { 'content-type': TEXT_TYPE })
      reply.raw.end(`${error.message}\n`)
    },
  })
  app.server.on('tlsClientError', (err) => {
    app.log.debug({ err }, 'TLS handshake failed')
  })
  // Bodies stay text until review.ts reads them: the order of checks is Istio's, the reader is ours.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => {
    done(null, body)
  })
  app.addHook('onRequest', (_request, reply, done) => {
    if (deps.isDraining()) reply.header('connection', 'close')
    done()
  })
  addInjection(app, deps, limits)
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

/** Serves this key pair from the next handshake on; connections that stand keep theirs. */
export function serveCertificate(app: WebhookServer, pair: KeyPair): void {
  app.server.setSecureContext({ ...pair, minVersion: TLS.minVersion })
}

function addInjection<Config>(app: WebhookServer, deps: ServerDeps<Config>, limits: Limits): void {
  const refuse = (reply: FastifyReply, reason: RefusalReason, err?: Error): FastifyReply => {
    const { status, text } = describeRefusal(reason, limits.bodyBytes)
    const ms = millisecondsOf(reply)
    deps.metrics.observe({ kind: 'failure', reason }, ms / 1000)
    const line = { decision: 'failure', reason, ms, ...(reason === 'internal' ? { err } : {}) }
    app.log[reason === 'internal' ? 'error' : 'warn'](line, 'request turned away')
    return reply.code(status).header('content-type', TEXT_TYPE).send(text)
  }
  const handler = (request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const body = typeof request.body === 'string' ? request.body : ''
    if (body === '') return refuse(reply, 'empty-body')
    if (!isJson(request.headers['content-type'])) return refuse(reply, 'media-type')
    const path = decodeURIComponent(request.url.split('?', 1)[0] ?? '')
    const {
      status,
      body: text,
      outcome,
      facts,
    } = answerReview(body, path, deps.inject, deps.snapshot())
    const ms = millisecondsOf(reply)
    deps.metrics.observe(outcome, ms / 1000)
    const { kind: decision, ...reason } = outcome
    app.log[status === 500 ? 'error' : 'info']({ ...facts, decision, ...reason, ms }, 'reviewed')
    return reply
      .code(status)
      .header('content-type', status === 200 ? JSON_TYPE : TEXT_TYPE)
      .send(text)
  }
  const errorHandler = (error: Error, request: FastifyRequest, reply: FastifyReply): void => {
    const reason = reasonOf(error)
    const send = (): void => void refuse(reply, reason, error)
    // A client that is still writing when the connection closes loses the answer to a reset.
    if (reason === 'too-large') finished(request.raw.resume(), send)
    else send()
  }
  app.post('/inject', { handler, errorHandler })
  app.post('/inject/*', { handler, errorHandler })
}

/** Since the head of the request came, to the microsecond. */
function millisecondsOf(reply: FastifyReply): number {
  return Math.round(reply.elapsedTime * 1000) / 1000
}
