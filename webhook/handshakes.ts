/** Handshakes that fail: nobody else tells of an API server that does not trust the certificate. */
import type { Server } from 'node:https'
import type { FastifyBaseLogger } from 'fastify'
import { HANDSHAKE_FAILURES, type HandshakeFailure } from './metrics-table.ts'
import type { Metrics } from './metrics.ts'
import { makeBucket } from './token-bucket.ts'

/** Log lines about clients that do not trust us: an API server tries for every pod, and again and again. */
const LINES = { burst: 3, everyMs: 60_000 }

/** TLS alerts by which a client refuses a certificate (RFC 8446, 6.2), as OpenSSL names them. */
const REFUSED = /ALERT_(UNKNOWN_CA|UNSUPPORTED_CERTIFICATE|(BAD|NO)_CERTIFICATE|CERTIFICATE_\w+)$/

/** Counts failed handshakes, and warns of those in which the client refused our certificate. */
export function watchHandshakes(
  server: Pick<Server, 'on'>,
  log: FastifyBaseLogger,
  metrics: Pick<Metrics, 'handshakeFailed'>,
): void {
  const lines = makeBucket(LINES, performance.now())
  server.on('tlsClientError', (err, { remoteAddress }) => {
    const reason = reasonOf(err)
    metrics.handshakeFailed(reason)
    const isTold = reason === 'untrusted' && lines.take(performance.now()) === 0
    log[isTold ? 'warn' : 'debug'](
      { reason, from: remoteAddress, err },
      `TLS handshake failed: ${HANDSHAKE_FAILURES[reason]}`,
    )
  })
}

function reasonOf(error: Error): HandshakeFailure {
  return 'code' in error && REFUSED.test(String(error.code)) ? 'untrusted' : 'broken'
}
