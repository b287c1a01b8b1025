import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { request, type Agent } from 'node:https'
import type { AddressInfo } from 'node:net'
import { connect, TLSSocket, type ConnectionOptions } from 'node:tls'
import { serveCertificate } from '../../webhook/server.ts'
import { makeThrowaway, type Throwaway } from '../../webhook/tls/authority.ts'
import type { Stand } from './stand-ins.ts'

/** A server that listens on loopback, and the CA to verify it with. */
export type Wire = { readonly port: number; readonly ca: string; readonly throwaway: Throwaway }

/** Lets a stand listen with a certificate of its own. */
export async function listen(stand: Stand): Promise<Wire> {
  const throwaway = await makeThrowaway(['localhost', '127.0.0.1'], new Date())
  serveCertificate(stand.app, throwaway.pair)
  await stand.app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = stand.app.server.address() as AddressInfo
  return { port, ca: throwaway.ca, throwaway }
}

/** A verified TLS connection, ready to be written to. */
export async function dial(
  port: number,
  ca: string,
  options: ConnectionOptions = {},
): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port, ca, servername: 'localhost', ...options })
  // What comes later, such as a reset, is for who reads.
  socket.on('error', () => undefined)
  await once(socket, 'secureConnect')
  return socket
}

/** Everything that comes until the connection ends, and why it broke if it did. */
export async function readAll(socket: TLSSocket): Promise<string> {
  let text = ''
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
  if (!socket.closed) await once(socket, 'close').catch((error: unknown) => (text += String(error)))
  return text
}

/** A request's head and body as they go over the wire. */
export function rawPost(
  body: string,
  headers: Record<string, string | number> = {},
  target = '/inject',
): string {
  const all = {
    host: 'localhost',
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    ...headers,
  }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  return `POST ${target} HTTP/1.1\r\n${lines.join('')}\r\n${body}`
}

/** Posts a body and reads the answer. */
export async function post(
  port: number,
  ca: string,
  body: string,
  agent?: Agent,
): Promise<{ status: number; text: string; serial: string; connection: string | undefined }> {
  const asked = request({
    host: '127.0.0.1',
    port,
    ca,
    servername: 'localhost',
    path: '/inject',
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    agent: agent ?? false,
  })
  asked.end(body)
  const [answer]: IncomingMessage[] = await once(asked, 'response')
  if (!(answer?.socket instanceof TLSSocket)) throw new Error('want an answer over TLS')
  const { serialNumber: serial } = answer.socket.getPeerCertificate()
  let text = ''
  for await (const chunk of answer) text += String(chunk)
  return { status: answer.statusCode ?? 0, text, serial, connection: answer.headers.connection }
}
