/** What the API server says when it could not ask a webhook, in plain words. Patterns are those of Go's errors. */

/** What its words come to. */
export type Said = {
  /** Name of the entry, as in `failed calling webhook "NAME"`. */
  readonly webhook: string
  readonly sentence: string
}

/** Reads the message of a refusal; undefined where it is about no webhook that failed. */
export function readFailedCall(message: string): Said | undefined {
  const [, webhook, why] = /failed calling webhook "([^"]+)": (.*)$/s.exec(message) ?? []
  if (webhook === undefined || why === undefined) return undefined
  for (const { pattern, says } of ROWS) {
    const match = pattern.exec(why)
    if (match !== null) return { webhook, sentence: says(match) }
  }
  return { webhook, sentence: why }
}

type Row = { readonly pattern: RegExp; readonly says: (match: RegExpExecArray) => string }

const ROWS: readonly Row[] = [
  {
    pattern: /service "([^"]+)" not found/,
    says: ([, service]) => `there is no Service ${service ?? ''}`,
  },
  {
    pattern: /no service port (\d+) found for service "([^"]+)"/,
    says: ([, port, service]) => `the Service ${service ?? ''} has no port ${port ?? ''}`,
  },
  {
    pattern: /no endpoints available for service "([^"]+)"/,
    says: ([, service]) => `no ready endpoint is behind the Service ${service ?? ''}`,
  },
  {
    pattern: /certificate is valid for (.*), not ([^\s,]+)/,
    says: ([, names, wanted]) =>
      `the served certificate is not for ${wanted ?? ''}, but for ${names ?? ''}`,
  },
  {
    pattern: /(cannot validate certificate for .*|certificate is not valid for any names.*)/,
    says: ([, why]) => `the served certificate does not bear the name that is called: ${why ?? ''}`,
  },
  {
    pattern: /certificate has expired or is not yet valid: (current time .* is after .*)/,
    says: ([, when]) => `the served certificate has expired: ${when ?? ''}`,
  },
  {
    pattern: /certificate has expired or is not yet valid: (current time .* is before .*)/,
    says: ([, when]) =>
      `the served certificate is not valid yet, so that clocks differ: ${when ?? ''}`,
  },
  {
    pattern: /certificate signed by unknown authority/,
    says: () => 'its caBundle does not verify what it serves: signed by an unknown authority',
  },
  {
    pattern: /unable to (?:load|parse) root certificates/,
    says: () => 'its caBundle holds no certificates that can be read',
  },
  {
    pattern: /dial tcp (\S+): connect: connection refused/,
    says: ([, where]) => `nobody listens at ${where ?? ''}: connection refused`,
  },
  {
    pattern: /dial tcp: lookup (\S+).*no such host/,
    says: ([, name]) => `the API server finds no address of ${name ?? ''}`,
  },
  {
    pattern:
      /dial tcp (\S+): (?:i\/o timeout|connect: (?:no route to host|network is unreachable))/,
    says: ([, where]) =>
      `the API server gets no connection to ${where ?? ''}: a firewall, a NetworkPolicy, or nobody there`,
  },
  {
    pattern: /server gave HTTP response to HTTPS client/,
    says: () => 'what listens there speaks no TLS',
  },
  {
    pattern: /context deadline exceeded|Client\.Timeout|TLS handshake timeout/,
    says: () => 'it does not answer within its timeoutSeconds',
  },
  {
    pattern: /an error on the server \((.*)\) has prevented the request from succeeding/s,
    says: ([, words]) => `it answers with an error: ${words ?? ''}`,
  },
  {
    pattern: /(?:expected response\.uid|received invalid webhook response|webhook response).*/s,
    says: ([words]) => `it answers with no AdmissionReview: ${words}`,
  },
  {
    pattern: /\bEOF\b|connection reset by peer/,
    says: () => 'it cuts the connection before it answers',
  },
]
