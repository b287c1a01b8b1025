/** The protocols that Istio knows, by the words for them in port names and `appProtocol`, small letters. */
const PROTOCOLS: ReadonlySet<string> = new Set([
  'tcp',
  'grpc',
  'grpc-web',
  'http',
  'http_proxy',
  'http2',
  'https',
  'tls',
  'mongo',
  'redis',
  'mysql',
  'hbone',
])

/** Words of Kubernetes' own that stand for one of them (Kubernetes, "Application protocol"). */
const KUBERNETES_PROTOCOLS: ReadonlySet<string> = new Set([
  'kubernetes.io/h2c',
  'kubernetes.io/ws',
  'kubernetes.io/wss',
])

/** Ports on which the server speaks first, so that Istio takes them for TCP and does not guess. */
const SERVER_FIRST_PORTS: ReadonlySet<number> = new Set([25, 53, 3306, 27017])

/** A port of a Service, as far as its protocol goes. */
export type NamedPort = {
  readonly port: number
  readonly name: string
  /** TCP where it is absent. */
  readonly protocol: string
  readonly appProtocol: string | undefined
}

/** Whether the protocol of a port is told: by `appProtocol`, by the first word of its name, or by its number. */
export function tellsProtocol({ port, name, protocol, appProtocol }: NamedPort): boolean {
  if (protocol === 'UDP' || SERVER_FIRST_PORTS.has(port)) return true
  const word = (appProtocol ?? name).toLowerCase()
  if (appProtocol !== undefined && KUBERNETES_PROTOCOLS.has(word)) return true
  if (word.startsWith('grpc-web')) return true
  return PROTOCOLS.has(word.split('-', 1)[0] ?? '')
}
