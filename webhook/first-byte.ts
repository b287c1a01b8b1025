/** Connections that a client opened ahead of a request: kept as long as those that rest between two. */
import type { Server } from 'node:https'
import type { TLSSocket } from 'node:tls'

/**
 * Gives a connection to HTTP with its first byte, not with its handshake. HTTP counts the time for a head from
 * there, and would end a connection with 408 on which nobody asked anything: API servers open more than they
 * need and keep the others for 90 s, so that a request which is sent at that moment is lost. One that stays
 * silent is closed after `idleMs` milliseconds.
 */
export function serveFromFirstByte(server: Server, idleMs: number): void {
  const serving = server.listeners('secureConnection')
  server.removeAllListeners('secureConnection')
  server.on('secureConnection', (socket: TLSSocket) => {
    const drop = (): void => {
      socket.destroySoon()
    }
    socket.setTimeout(idleMs, drop).once('error', drop)
    socket.once('readable', () => {
      socket.setTimeout(0, drop).off('error', drop)
      for (const serve of serving) Reflect.apply(serve, server, [socket])
    })
  })
}
