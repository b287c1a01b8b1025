/** Gives the server what it serves with, whenever that changes, and warns before it ends. */
import type { Watch } from './files.ts'
import { serveCertificate, type WebhookServer } from './server.ts'
import type { LiveSources } from './sources.ts'
import { watchExpiry } from './tls/expiry.ts'

/** Serves the newest certificate from the next handshake on; connections that stand keep theirs. */
export function keepServing(
  app: WebhookServer,
  { certificate, clientCas }: Pick<LiveSources<unknown>, 'certificate' | 'clientCas'>,
): Watch {
  const serve = (): void => {
    const certified = certificate.current()
    if (certified !== undefined) serveCertificate(app, certified.pair, clientCas.current()?.text)
  }
  serve()
  certificate.onChange(serve)
  clientCas.onChange(serve)
  return watchExpiry(certificate, ({ hasEnded, notAfter, days }) => {
    const line = { notAfter: notAfter.toISOString(), days }
    if (hasEnded) app.log.error(line, 'the served certificate has ended')
    else app.log.warn(line, 'the served certificate ends soon')
  })
}
