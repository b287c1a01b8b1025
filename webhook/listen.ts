import type { Server } from 'node:net'
import { bad, good, type Read } from '../core/problem.ts'

/** As much of a server as it takes to open its port; both of ours are Fastify's. */
export type Listener = {
  readonly listen: (at: { port: number; host: string }) => Promise<string>
  readonly server: Pick<Server, 'address'>
}

/** All addresses of a machine with IPv6, which includes those of IPv4, and of one without. */
const EVERYWHERE = ['::', '0.0.0.0']

/** Opens a port, any free one for 0, and says which. `flag` names it when that is not possible. */
export async function listenOn(
  app: Listener,
  flag: string,
  port: number,
  address: string | undefined,
): Promise<Read<number>> {
  let refusal = ''
  for (const host of address === undefined ? EVERYWHERE : [address]) {
    try {
      await app.listen({ port, host })
      const bound = app.server.address()
      return good(typeof bound === 'object' && bound !== null ? bound.port : port)
    } catch (error) {
      refusal = error instanceof Error ? error.message : String(error)
    }
  }
  return bad(`${flag} ${String(port)}`, refusal, 'a port and an address that are free')
}
