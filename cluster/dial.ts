/** One TLS handshake from this machine, to see what is served: nothing is sent and nobody is trusted. */
import { connect, type PeerCertificate } from 'node:tls'
import { isIP } from 'node:net'

/** What is behind an address, seen from here. */
export type Dialled =
  /** The served chain in PEM, leaf first. */
  | { readonly kind: 'served'; readonly chain: string }
  | { readonly kind: 'refused' | 'silent'; readonly why: string }

/** How to find out. `name` is whom the caller expects there. */
export type Dial = (host: string, port: number, name: string) => Promise<Dialled>

const PATIENCE_MS = 3000

/** Shakes hands as an API server would, with nothing but HTTP/1.1 offered. */
export const dial: Dial = (host, port, name) =>
  new Promise((resolve) => {
    const socket = connect({
      host,
      port,
      ...(isIP(name) === 0 ? { servername: name } : {}),
      ALPNProtocols: ['http/1.1'],
      // What is served is judged afterwards, by the rules of the API server.
      rejectUnauthorized: false,
      timeout: PATIENCE_MS,
    })
    const end = (dialled: Dialled): void => {
      socket.destroy()
      resolve(dialled)
    }
    socket.on('secureConnect', () => {
      end({ kind: 'served', chain: chainOf(socket.getPeerCertificate(true)) })
    })
    socket.on('timeout', () => {
      end({ kind: 'silent', why: `no answer within ${PATIENCE_MS / 1000} s` })
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      const isSilent = ['ENETUNREACH', 'EHOSTUNREACH', 'ETIMEDOUT'].includes(error.code ?? '')
      end({ kind: isSilent ? 'silent' : 'refused', why: error.message })
    })
  })

/** The certificates from the leaf on; the last of a chain points to itself. */
function chainOf(leaf: PeerCertificate & { readonly issuerCertificate?: PeerCertificate }): string {
  const seen = new Set<string>()
  const blocks: string[] = []
  let next: (PeerCertificate & { readonly issuerCertificate?: PeerCertificate }) | undefined = leaf
  while (next?.raw !== undefined && !seen.has(next.fingerprint256)) {
    seen.add(next.fingerprint256)
    const lines = next.raw.toString('base64').match(/.{1,64}/g) ?? []
    blocks.push(`-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`)
    next = next.issuerCertificate
  }
  return blocks.join('')
}
