/** Lets only those ask for injections whose certificates say that they may. */
import { finished } from 'node:stream'
import { TLSSocket } from 'node:tls'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { formatProblem } from '../core/problem.ts'
import type { Metrics } from './metrics.ts'
import { whyRefused } from './tls/clients.ts'

/** What the check needs of the world. */
export type ClientCheckDeps = {
  /** Names, one of which a caller must have; empty for any. */
  readonly names: readonly string[]
  readonly metrics: Pick<Metrics, 'observe'>
}

/** Looks at a request before anything is done for it; calls `next` where it may go on. */
export type Guard = (request: FastifyRequest, reply: FastifyReply, next: () => void) => void

/**
 * Answers with 403 before the body is looked at: an API server shows that to whoever made the pod. It
 * is a part of the routes that it guards: no way to write a path leads around it.
 */
export function makeClientCheck({ names, metrics }: ClientCheckDeps): Guard {
  return (request, reply, next) => {
    const { socket } = request.raw
    const problem = socket instanceof TLSSocket ? whyRefused(socket, names) : undefined
    if (problem === undefined) {
      next()
      return
    }
    const text = formatProblem(problem)
    metrics.observe({ kind: 'failure', reason: 'client' }, reply.elapsedTime / 1000)
    reply.log.warn({ decision: 'failure', reason: 'client', why: text }, 'request turned away')
    // Not before the body is read: a reset would take the answer from who still writes.
    finished(request.raw.resume(), () => {
      reply.code(403).header('connection', 'close').type('text/plain').send(`${text}\n`)
    })
  }
}
