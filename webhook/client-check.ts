/** Lets only those ask for injections whose certificates say that they may. */
import type { Server } from 'node:https'
import { finished } from 'node:stream'
import { TLSSocket } from 'node:tls'
import type { FastifyInstance } from 'fastify'
import { formatProblem } from '../core/problem.ts'
import type { Metrics } from './metrics.ts'
import { whyRefused } from './tls/clients.ts'

/** What the check needs of the world. */
export type ClientCheckDeps = {
  /** Names, one of which a caller must have; empty for any. */
  readonly names: readonly string[]
  readonly metrics: Metrics
}

/** The paths that are for API servers; probes have no certificate. */
const GUARDED = /^\/inject(\/|\?|$)/

/** Answers with 403 before the body is looked at: an API server shows that to whoever made the pod. */
export function checkClients(app: FastifyInstance<Server>, deps: ClientCheckDeps): void {
  const { names, metrics } = deps
  app.addHook('onRequest', (request, reply, next) => {
    const { socket } = request.raw
    if (!GUARDED.test(request.url)) {
      next()
      return
    }
    const problem = socket instanceof TLSSocket ? whyRefused(socket, names) : undefined
    if (problem === undefined) {
      next()
      return
    }
    const text = formatProblem(problem)
    metrics.observe({ kind: 'failure', reason: 'client' }, reply.elapsedTime / 1000)
    app.log.warn({ decision: 'failure', reason: 'client', why: text }, 'request turned away')
    // Not before the body is read: a reset would take the answer from who still writes.
    finished(request.raw.resume(), () => {
      reply.code(403).header('connection', 'close').type('text/plain').send(`${text}\n`)
    })
  })
}
