/** Ends a server in bounded time, whatever its connections do. */
import type { Server, Socket } from 'node:net'
import { Server as TlsServer } from 'node:tls'

/** As much of a server as it takes to end it; both of ours are Fastify's. */
export type Closable = { readonly server: Server; readonly close: () => PromiseLike<unknown> }

/**
 * Closes the port and waits for what is under way. Connections on which no request has begun have
 * `silentMs` milliseconds left for it; all others last until `hardStop` at most.
 */
export type Closing = (silentMs: number, hardStop: AbortSignal) => Promise<void>

/**
 * Follows the connections of a server, from the first on. The server itself knows neither those in
 * their TLS handshake, nor when one that never said anything should go.
 */
export function followConnections({ server, close }: Closable): Closing {
  const connections = follow(server, 'connection')
  /** Those that requests come from: where there is TLS another layer than the above. */
  const speakers = server instanceof TlsServer ? follow(server, 'secureConnection') : connections

  const cutAll = (): void => {
    for (const socket of connections) socket.destroy()
  }
  const cutSilent = (): void => {
    const spoke = [...speakers].filter(({ bytesRead }) => bytesRead > 0)
    const heard = new Set(spoke.map(endsOf))
    for (const socket of connections) if (!heard.has(endsOf(socket))) socket.destroy()
  }
  return async (silentMs, hardStop) => {
    const closed = close()
    const silent = setTimeout(() => {
      // Timers come before sockets: what waits there unread has begun.
      setImmediate(cutSilent)
    }, silentMs)
    hardStop.addEventListener('abort', cutAll)
    if (hardStop.aborted) cutAll()
    await closed
    clearTimeout(silent)
    hardStop.removeEventListener('abort', cutAll)
  }
}

function follow(server: Server, event: 'connection' | 'secureConnection'): ReadonlySet<Socket> {
  const sockets = new Set<Socket>()
  server.on(event, (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  return sockets
}

/** Both ends of a connection, which both of its layers know. */
function endsOf(socket: Socket): string {
  const { localAddress, localPort, remoteAddress, remotePort } = socket
  return [localAddress, localPort, remoteAddress, remotePort].join(' ')
}
