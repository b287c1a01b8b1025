/** One request to inject, from its head to its answer. */
import type { IncomingMessage } from 'node:http'
import type { Server } from 'node:https'
import { finished } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { answerReview, type Answer, type Snapshot } from './answer.ts'
import { readBody } from './body.ts'
import { makeTurns } from './concurrency-turns.ts'
import type { Guard } from './client-check.ts'
import type { Load, Place } from './concurrency.ts'
import type { Happening } from './events.ts'
import type { Inject } from './injector.ts'
import type { Metrics } from './metrics.ts'
import type { Outlets } from './outlets.ts'
import { makeQuick } from './quick.ts'
import { isJson, reasonOf, timeoutOf } from './refusals.ts'
import type { Rules } from './stencil/holes.ts'
import { millisecondsOf, type TurnAway } from './turn-away.ts'

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
  readonly turnAway: TurnAway
  /** Who may ask; undefined for everybody. */
  readonly guard?: Guard | undefined
}

/** What the router read of the path: what stands below `/inject/`, decoded. */
type Route = { readonly Params: { readonly '*'?: string } }

/** A request to inject. */
type Asked = FastifyRequest<Route>

const JSON_TYPE = 'application/json; charset=utf-8'
const TEXT_TYPE = 'text/plain; charset=utf-8'

/** Part of a timeout after which work would be for nobody: the answer still has to travel. */
const LATE = 0.9

/** Adds `/inject` and everything below it. */
export function addInjection<Config>(
  app: FastifyInstance<Server>,
  deps: InjectionDeps<Config>,
): void {
  const { load, metrics, bodyBytes, turnAway } = deps
  const places = new WeakMap<IncomingMessage, Place>()
  const inTurn = makeTurns()
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

  /** A client that is still writing when the connection closes would lose the answer to a reset. */
  const refuseAfterBody = (request: FastifyRequest, reply: FastifyReply, error: unknown): void => {
    finished(request.raw.resume(), () => {
      turnAway(reply, reasonOf(error), error)
    })
  }
  const review = (request: Asked, reply: FastifyReply, body: string): void => {
    if (reply.raw.destroyed) {
      metrics.observe({ kind: 'failure', reason: 'aborted' }, reply.elapsedTime / 1000)
      return
    }
    if (reply.elapsedTime > LATE * timeoutOf(request.url)) {
      turnAway(reply, 'late')
      return
    }
    // The router's reading, not one of our own: a target has more forms than the one that is usual.
    const below = request.params['*']
    const path = below === undefined ? '/inject' : `/inject/${below}`
    const snapshot = deps.snapshot()
    const answer = answering(body, path, snapshot)
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
  const enter: Guard = (request, reply, next) => {
    const place = load.enter()
    if (place === undefined) {
      finished(request.raw.resume(), () => {
        turnAway(reply, 'overloaded')
      })
      return
    }
    places.set(request.raw, place)
    reply.raw.once('close', place.leave)
    next()
  }
  const { guard } = deps
  const route = {
    onRequest: guard === undefined ? enter : [guard, enter],
    handler: (request: Asked, reply: FastifyReply): FastifyReply => {
      const body = typeof request.body === 'string' ? request.body : ''
      if (body === '') turnAway(reply, 'empty-body')
      else if (!isJson(request.headers['content-type'])) turnAway(reply, 'media-type')
      else {
        inTurn(() => {
          try {
            review(request, reply, body)
          } catch (error) {
            turnAway(reply, reasonOf(error), error)
          }
        })
      }
      return reply
    },
    errorHandler: (error: unknown, request: FastifyRequest, reply: FastifyReply): void => {
      refuseAfterBody(request, reply, error)
    },
  }
  app.post<Route>('/inject', route)
  app.post<Route>('/inject/*', route)
}
