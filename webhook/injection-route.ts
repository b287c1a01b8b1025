/** One request to inject, from its head to its answer. */
import type { IncomingMessage } from 'node:http'
import type { Server } from 'node:https'
import { finished } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { answerReview, type Answer, type Snapshot } from './answer.ts'
import { readBody } from './body.ts'
import { makeTurns } from './concurrency-turns.ts'
import type { Load, Place } from './concurrency.ts'
import type { Happening } from './events.ts'
import type { Inject } from './injector.ts'
import type { Metrics } from './metrics.ts'
import type { Outlets } from './outlets.ts'
import { makeQuick } from './quick.ts'
import { describeRefusal, isJson, reasonOf, timeoutOf, type RefusalReason } from './refusals.ts'
import type { Rules } from './stencil/holes.ts'
import { makeBucket } from './token-bucket.ts'

/** What answering needs of the world. */
export type InjectionDeps<Config> = {
  readonly inject: Inject<Config>
  /** How reviews are taken apart for stencils; without it each pod is injected by itself. */
  readonly rulesOf?: (config: Config) => Rules | undefined
  /** Called once a request; throws NotReady while there is nothing to answer from. */
  readonly snapshot: () => Snapshot<Config>
  readonly metrics: Metrics
  /** Hears what a user should know. */
  readonly record: (happening: Happening) => void
  /** What answers tell besides the verdict. */
  readonly outlets?: Outlets
  readonly load: Load
  /** Bytes that one body may have. */
  readonly bodyBytes: number
}

const JSON_TYPE = 'application/json; charset=utf-8'
const TEXT_TYPE = 'text/plain; charset=utf-8'

/** Part of a timeout after which work would be for nobody: the answer still has to travel. */
const LATE = 0.9

/** Log lines about refusals under overload: some at once, then one a second. The metric counts all. */
const OVERLOAD_LINES = { burst: 10, everyMs: 1000 }

/** Adds `/inject` and everything below it. */
export function addInjection<Config>(
  app: FastifyInstance<Server>,
  deps: InjectionDeps<Config>,
): void {
  const { load, metrics, bodyBytes } = deps
  const places = new WeakMap<IncomingMessage, Place>()
  const inTurn = makeTurns()
  const lines = makeBucket(OVERLOAD_LINES, performance.now())
  const inFull = (body: string, path: string, snapshot: Snapshot<Config>): Answer =>
    answerReview(body, path, deps.inject, snapshot, deps.outlets)
  const { rulesOf } = deps
  const answering =
    rulesOf === undefined
      ? inFull
      : makeQuick({
          answer: inFull,
          rulesOf,
          answered: metrics.answeredFromStencil,
          closed: (err) => {
            metrics.stencilsClosed()
            app.log.error({ err }, 'no pod is answered from a stencil any more')
          },
        })

  const refuse = (reply: FastifyReply, reason: RefusalReason, error?: unknown): void => {
    const { status, text } = describeRefusal(reason, bodyBytes)
    const ms = millisecondsOf(reply)
    metrics.observe({ kind: 'failure', reason }, ms / 1000)
    const isFlood = reason === 'overloaded' || reason === 'late'
    if (!isFlood || lines.take(performance.now()) === 0) {
      const isOurs = reason === 'internal'
      const line = { decision: 'failure', reason, ms, ...(isOurs ? { err: error } : {}) }
      app.log[isOurs ? 'error' : 'warn'](line, 'request turned away')
    }
    // API servers ask once more then, within the timeout of the request.
    if (status === 503) reply.header('retry-after', '1')
    reply.code(status).header('content-type', TEXT_TYPE).send(text)
  }
  /** A client that is still writing when the connection closes would lose the answer to a reset. */
  const refuseAfterBody = (request: FastifyRequest, reply: FastifyReply, error: unknown): void => {
    finished(request.raw.resume(), () => {
      refuse(reply, reasonOf(error), error)
    })
  }
  const review = (request: FastifyRequest, reply: FastifyReply, body: string): void => {
    if (reply.raw.destroyed) {
      metrics.observe({ kind: 'failure', reason: 'aborted' }, reply.elapsedTime / 1000)
      return
    }
    if (reply.elapsedTime > LATE * timeoutOf(request.url)) {
      refuse(reply, 'late')
      return
    }
    const [path = ''] = request.url.split('?', 1)
    const asked = decodeURIComponent(path)
    const snapshot = deps.snapshot()
    const answer = answering(body, asked, snapshot)
    const { status, outcome, facts } = answer
    const ms = millisecondsOf(reply)
    metrics.observe(outcome, ms / 1000)
    const { kind: decision, ...reason } = outcome
    app.log[status === 500 ? 'error' : 'info']({ ...facts, decision, ...reason, ms }, 'reviewed')
    if (answer.happening !== undefined) deps.record(answer.happening)
    reply
      .code(status)
      .header('content-type', status === 200 ? JSON_TYPE : TEXT_TYPE)
      .send(answer.body)
  }

  app.addContentTypeParser('*', (request, payload, done) => {
    const place = places.get(request.raw)
    const announced = Number(request.headers['content-length'])
    readBody(payload, { announced, most: bodyBytes, hold: (n) => place?.hold(n) ?? true }, done)
  })
  const route = {
    onRequest: (request: FastifyRequest, reply: FastifyReply, next: () => void): void => {
      const place = load.enter()
      if (place === undefined) {
        finished(request.raw.resume(), () => {
          refuse(reply, 'overloaded')
        })
        return
      }
      places.set(request.raw, place)
      reply.raw.once('close', place.leave)
      next()
    },
    handler: (request: FastifyRequest, reply: FastifyReply): FastifyReply => {
      const body = typeof request.body === 'string' ? request.body : ''
      if (body === '') refuse(reply, 'empty-body')
      else if (!isJson(request.headers['content-type'])) refuse(reply, 'media-type')
      else {
        inTurn(() => {
          try {
            review(request, reply, body)
          } catch (error) {
            refuse(reply, reasonOf(error), error)
          }
        })
      }
      return reply
    },
    errorHandler: (error: unknown, request: FastifyRequest, reply: FastifyReply): void => {
      refuseAfterBody(request, reply, error)
    },
  }
  app.post('/inject', route)
  app.post('/inject/*', route)
}

/** Since the head of the request came, to the microsecond. */
function millisecondsOf(reply: FastifyReply): number {
  return Math.round(reply.elapsedTime * 1000) / 1000
}
