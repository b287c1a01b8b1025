import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Registry } from 'prom-client'
import { bad, good, type Read } from '../../core/problem.ts'
import { reasonOf } from './log.ts'
import type { NodeState } from './loop.ts'

/** A server that listens. */
export type Serving = { readonly port: number; readonly close: () => Promise<void> }

/** A path and its answer. */
type Route = () => Answer | Promise<Answer>

type Answer = { readonly status: number; readonly type: string; readonly text: string }

const TEXT = 'text/plain; charset=utf-8'

/** `/healthz` says that this process runs, `/readyz` whether the node is as wanted, and why not. */
export function serveHealth(port: number, state: () => NodeState): Promise<Read<Serving>> {
  return serve('HEALTH_PORT', port, {
    '/healthz': () => ({ status: 200, type: TEXT, text: 'ok\n' }),
    '/readyz': () => {
      const { isReady, detail } = state()
      const text = `${isReady ? 'ok' : 'not ready'}: ${detail}\n`
      return { status: isReady ? 200 : 503, type: TEXT, text }
    },
  })
}

/** `/metrics` for Prometheus. */
export function serveMetrics(port: number, registry: Registry): Promise<Read<Serving>> {
  return serve('MONITORING_PORT', port, {
    '/metrics': async () => {
      return { status: 200, type: registry.contentType, text: await registry.metrics() }
    },
  })
}

async function serve(
  setting: string,
  port: number,
  routes: Readonly<Record<string, Route>>,
): Promise<Read<Serving>> {
  const listener: RequestListener = (request, response) => {
    const path = request.url?.split('?')[0] ?? ''
    const route = Object.hasOwn(routes, path) ? routes[path] : undefined
    const answer = Promise.resolve(route?.() ?? { status: 404, type: TEXT, text: 'not here\n' })
    answer.then(
      ({ status, type, text }) => {
        response.writeHead(status, { 'content-type': type }).end(text)
      },
      (error: unknown) => {
        response.writeHead(500, { 'content-type': TEXT }).end(`${reasonOf(error)}\n`)
      },
    )
  }
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 10_000 }, listener)
  let refusal = ''
  // All addresses of a machine with IPv6, which includes those of IPv4, and of one without.
  for (const host of ['::', '0.0.0.0']) {
    try {
      return good({ port: await listen(server, port, host), close: () => close(server) })
    } catch (error) {
      refusal = reasonOf(error)
    }
  }
  return bad(`${setting} ${port}`, refusal, 'a port that is free')
}

async function listen(server: Server, port: number, host: string): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, host }, () => {
      server.off('error', reject)
      resolve()
    })
  })
  const address: AddressInfo | string | null = server.address()
  return typeof address === 'object' && address !== null ? address.port : port
}

async function close(server: Server): Promise<void> {
  await new Promise((resolve) => {
    server.close(resolve)
    server.closeAllConnections()
  })
}
