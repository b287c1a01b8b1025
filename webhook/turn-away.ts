import type { FastifyReply } from 'fastify'
import type { Metrics } from './metrics.ts'
import { describeRefusal, type RefusalReason } from './refusals.ts'
import { makeBucket } from './token-bucket.ts'

/** What turning away needs of the world. */
export type TurnAwayDeps = {
  readonly metrics: Pick<Metrics, 'observe'>
  /** Bytes that one body may have. */
  readonly bodyBytes: number
}

/** Answers a request without looking at its pod, and says so in metrics and log; `error` is why it broke. */
export type TurnAway = (reply: FastifyReply, reason: RefusalReason, error?: unknown) => void

const TEXT_TYPE = 'text/plain; charset=utf-8'

/** Log lines about refusals under overload: some at once, then one a second. The metric counts all. */
const OVERLOAD_LINES = { burst: 10, everyMs: 1000 }

/** Makes what turns requests away; log lines under overload are limited over all of them. */
export function makeTurnAway({ metrics, bodyBytes }: TurnAwayDeps): TurnAway {
  const lines = makeBucket(OVERLOAD_LINES, performance.now())
  return (reply, reason, error) => {
    const { status, text } = describeRefusal(reason, bodyBytes)
    const ms = millisecondsOf(reply)
    metrics.observe({ kind: 'failure', reason }, ms / 1000)
    const isFlood = reason === 'overloaded' || reason === 'late'
    if (!isFlood || lines.take(performance.now()) === 0) {
      const isOurs = reason === 'internal'
      const line = { decision: 'failure', reason, ms, ...(isOurs ? { err: error } : {}) }
      reply.log[isOurs ? 'error' : 'warn'](line, 'request turned away')
    }
    // API servers ask again each second then, until the timeout of the request; over a connection that
    // stands they would ask the same replica.
    if (status === 503) reply.header('retry-after', '1').header('connection', 'close')
    reply.code(status).header('content-type', TEXT_TYPE).send(text)
  }
}

/** Since the head of the request came, to the microsecond. */
export function millisecondsOf(reply: FastifyReply): number {
  return Math.round(reply.elapsedTime * 1000) / 1000
}
