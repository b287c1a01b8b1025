/**
 * A TCP balancer that behaves as a Service does for the connections of an API server: it learns of
 * readiness late, never cuts what is open, and goes on forwarding for a while to who is not ready.
 */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** One replica behind the balancer: its ports on 127.0.0.1. */
export type Backend = { readonly port: number; readonly monitoringPort: number }

/** A connection that a replica did not serve to its end. */
export type Lost = {
  readonly name: string
  /** `refused`: nobody listened. `cut`: it broke while an answer was due. `nobody`: no replica was ready. */
  readonly how: 'refused' | 'cut' | 'nobody'
  /** By `performance.now()`. */
  readonly at: number
}

/** A balancer on a port of 127.0.0.1. */
export type Balancer = {
  readonly port: number
  readonly add: (name: string, backend: Backend) => void
  /** Forgets a replica that is gone. */
  readonly remove: (name: string) => void
  /** Whether new connections may go to this replica. */
  readonly isForwarding: (name: string) => boolean
  /** Connections to this replica that wait for an answer now. */
  readonly waiting: (name: string) => number
  /** Connections that were opened through it so far. */
  readonly opened: () => number
  readonly lost: readonly Lost[]
  readonly close: () => Promise<void>
}

/** Milliseconds between two looks at the readiness of all replicas (decisions: each second). */
const POLL_MS = 1000

/** Milliseconds that a replica still gets connections after it was seen not to be ready. */
const LINGER_MS = 2000

/** Looks in a row that go without an answer before a replica counts as not ready: `failureThreshold` of kubelets. */
const SILENT_LOOKS = 3

type Target = {
  readonly backend: Backend
  /** Looks in a row that went without an answer. */
  silent: number
  /** By `performance.now()`; undefined while it is ready; 0 when it never was. */
  unreadyAt: number | undefined
}

type Pair = {
  readonly name: string
  readonly client: Socket
  readonly server: Socket
  isAsked: boolean
}

/** Starts a balancer without replicas. */
export async function startBalancer(): Promise<Balancer> {
  const targets = new Map<string, Target>()
  const pairs = new Set<Pair>()
  const lost: Lost[] = []
  const count = { opened: 0 }

  const isForwarding = (name: string): boolean => {
    const target = targets.get(name)
    if (target === undefined) return false
    const { unreadyAt } = target
    return unreadyAt === undefined || (unreadyAt > 0 && performance.now() < unreadyAt + LINGER_MS)
  }
  const lose = (name: string, how: Lost['how']): void => {
    lost.push({ name, how, at: performance.now() })
  }

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    client.on('error', () => undefined)
    const names = [...targets.keys()].filter(isForwarding)
    const name = names[count.opened++ % Math.max(names.length, 1)]
    const port = name === undefined ? undefined : targets.get(name)?.backend.port
    if (name === undefined || port === undefined) {
      lose('', 'nobody')
      client.resetAndDestroy()
      return
    }
    const pair = join(name, client, port, lose)
    pairs.add(pair)
    client.once('close', () => pairs.delete(pair))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')

  const look = async (target: Target): Promise<void> => {
    const said = await askReadiness(target.backend)
    target.silent = said === 'nothing' ? target.silent + 1 : 0
    if (said === 'ready') target.unreadyAt = undefined
    else if (said === 'not ready' || target.silent >= SILENT_LOOKS) {
      target.unreadyAt ??= performance.now()
    }
  }
  const timer = setInterval(() => {
    for (const target of targets.values()) void look(target)
  }, POLL_MS)

  return {
    port: address.port,
    add: (name, backend) => targets.set(name, { backend, silent: 0, unreadyAt: 0 }),
    remove: (name) => targets.delete(name),
    isForwarding,
    waiting: (name) => [...pairs].filter((pair) => pair.name === name && pair.isAsked).length,
    opened: () => count.opened,
    lost,
    async close() {
      clearInterval(timer)
      const closed = once(server, 'close')
      server.close()
      for (const { client, server } of pairs) for (const end of [client, server]) end.destroy()
      await closed
    },
  }
}

/** Joins a client to a replica; what either does to its end is done to the other one. */
function join(
  name: string,
  client: Socket,
  port: number,
  lose: (name: string, how: Lost['how']) => void,
): Pair {
  const server = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
  const pair: Pair = { name, client, server, isAsked: true }
  client.on('data', () => (pair.isAsked = true))
  server.on('data', () => (pair.isAsked = false))
  client.pipe(server)
  server.pipe(client)
  let isConnected = false
  server.once('connect', () => (isConnected = true))
  server.on('error', () => {
    // As the kernel of a pod without a listener would have answered.
    client.resetAndDestroy()
  })
  server.once('close', () => {
    if (!isConnected) lose(name, 'refused')
    else if (pair.isAsked && !client.readableEnded) lose(name, 'cut')
    client.destroySoon()
  })
  client.once('close', () => {
    // Whoever went first has nothing left to wait for.
    if (!server.destroyed) pair.isAsked = false
    server.destroySoon()
  })
  return pair
}

/** `nothing` comes of one who is slow or stands still; one who is gone refuses, which is an answer. */
async function askReadiness({
  monitoringPort,
}: Backend): Promise<'ready' | 'not ready' | 'nothing'> {
  try {
    const url = `http://127.0.0.1:${monitoringPort}/healthz/ready`
    const answer = await fetch(url, { signal: AbortSignal.timeout(POLL_MS) })
    await answer.arrayBuffer()
    return answer.ok ? 'ready' : 'not ready'
  } catch (error) {
    return error instanceof DOMException && error.name === 'TimeoutError' ? 'nothing' : 'not ready'
  }
}
