import fastify, { LogController, type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import type { Registry } from 'prom-client'
import { printReadiness, type Readiness } from './readiness.ts'

/** What the monitoring server shows. */
export type MonitoringDeps = {
  readonly registry: Registry
  readonly readiness: () => Readiness
  readonly logger: FastifyBaseLogger
}

const TEXT_TYPE = 'text/plain; charset=utf-8'

/** Builds the plain HTTP server for probes and Prometheus; it listens nowhere yet. */
export function buildMonitoring(deps: MonitoringDeps): FastifyInstance {
  const app: FastifyInstance = fastify({
    loggerInstance: deps.logger,
    logController: new LogController({ disableRequestLogging: true }),
    childLoggerFactory: (logger) => logger,
    // A probe that comes while closing gets its answer, which is that this replica is not ready.
    return503OnClosing: false,
  })
  app.get('/metrics', async (_request, reply) => {
    reply.header('content-type', deps.registry.contentType)
    return deps.registry.metrics()
  })
  app.get('/healthz/live', (_request, reply) => {
    return reply.header('content-type', TEXT_TYPE).send('ok\n')
  })
  app.get('/healthz/ready', (_request, reply) => {
    const { status, text } = printReadiness(deps.readiness())
    return reply.code(status).header('content-type', TEXT_TYPE).send(text)
  })
  return app
}
