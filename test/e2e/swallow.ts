/** A TCP proxy in front of an API server, which can lose connections without a word to anybody. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** The proxy, on a port of 127.0.0.1. */
export type Swallow = {
  readonly port: number
  /** From now on what is sent over the connections that stand goes nowhere, and they stay open. */
  readonly swallow: () => number
  readonly close: () => void
}

/** Starts one that forwards to a port of 127.0.0.1. */
export async function startSwallow(target: number): Promise<Swallow> {
  const sockets = new Set<Socket>()
  const pairs = new Set<readonly [Socket, Socket]>()
  const server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1')
    const pair = [client, upstream] as const
    pairs.add(pair)
    for (const [from, to] of [pair, [upstream, client] as const]) {
      sockets.add(from)
      from.on('data', (chunk: Buffer) => {
        if (pairs.has(pair)) to.write(chunk)
      })
      from.on('error', () => undefined)
      from.on('close', () => {
        sockets.delete(from)
        if (pairs.has(pair)) to.destroy()
      })
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    port: address.port,
    swallow: () => {
      const { size } = pairs
      pairs.clear()
      return size
    },
    close: () => {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}
