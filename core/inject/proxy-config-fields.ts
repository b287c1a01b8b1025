import type { Json } from '../json.ts'

/**
 * The fields of ProxyConfig in the order in which the API declares them, which is the order of its JSON.
 * Names are the JSON names; the snake_case spelling is taken too and follows from them.
 */

/** One value. Outside a wrapper its zero is the same as nothing. */
export type ScalarType =
  | { readonly kind: 'text' | 'flag' | 'double' | 'duration' | 'wide-integer' }
  | { readonly kind: 'integer'; readonly low: number; readonly high: number }
  | { readonly kind: 'choice'; readonly words: Readonly<Record<string, number>> }

/** What a field holds. */
export type FieldType =
  | ScalarType
  | { readonly kind: 'message'; readonly fields: Fields }
  | { readonly kind: 'list' | 'map'; readonly of: FieldType }
  /** A scalar that tells a written zero from an unwritten one; the zero is printed too. */
  | { readonly kind: 'wrapper'; readonly of: ScalarType }
  /** One of several fields of which at most one is set; a set one is printed also when it is zero. */
  | { readonly kind: 'one-of'; readonly group: string; readonly of: FieldType }

/** A message: its fields by JSON name, in order of declaration. */
export type Fields = Readonly<Record<string, FieldType>>

/** Text. */
export const TEXT: ScalarType = { kind: 'text' }
const FLAG: ScalarType = { kind: 'flag' }
const DOUBLE: ScalarType = { kind: 'double' }
const DURATION: ScalarType = { kind: 'duration' }
/** A whole number of 32 bits. */
export const INT32: ScalarType = { kind: 'integer', low: -2147483648, high: 2147483647 }
const UINT32: ScalarType = { kind: 'integer', low: 0, high: 4294967295 }
/** True, false or unset. */
export const FLAG_VALUE = wrapper(FLAG)
/** A whole number of 32 bits, or unset. */
export const INT32_VALUE = wrapper(INT32)
const INT64_VALUE = wrapper({ kind: 'wide-integer' })

function wrapper(of: ScalarType): FieldType {
  return { kind: 'wrapper', of }
}
/** A list of one type. */
export function list(of: FieldType): FieldType {
  return { kind: 'list', of }
}
/** A map from text to one type. */
export function map(of: FieldType): FieldType {
  return { kind: 'map', of }
}
/** A message with these fields. */
export function message(fields: Fields): FieldType {
  return { kind: 'message', fields }
}
function oneOf(group: string, of: FieldType): FieldType {
  return { kind: 'one-of', group, of }
}
/** An enumeration whose words are numbered from 0. */
export function choice(...words: readonly string[]): ScalarType {
  return { kind: 'choice', words: Object.fromEntries(words.map((word, index) => [word, index])) }
}

const TLS_SETTINGS = message({
  mode: choice('DISABLE', 'SIMPLE', 'MUTUAL', 'ISTIO_MUTUAL'),
  clientCertificate: TEXT,
  privateKey: TEXT,
  caCertificates: TEXT,
  credentialName: TEXT,
  subjectAltNames: list(TEXT),
  sni: TEXT,
  insecureSkipVerify: FLAG_VALUE,
  caCrl: TEXT,
})

const REMOTE_SERVICE = message({
  address: TEXT,
  tlsSettings: TLS_SETTINGS,
  tcpKeepalive: message({ probes: UINT32, time: DURATION, interval: DURATION }),
})

const CLIENT_CERT_DETAILS = choice(
  'UNDEFINED',
  'SANITIZE',
  'FORWARD_ONLY',
  'APPEND_FORWARD',
  'SANITIZE_SET',
  'ALWAYS_FORWARD_ONLY',
)

const TRACING = message({
  zipkin: oneOf('tracer', message({ address: TEXT })),
  lightstep: oneOf('tracer', message({ address: TEXT, accessToken: TEXT })),
  datadog: oneOf('tracer', message({ address: TEXT })),
  stackdriver: oneOf(
    'tracer',
    message({
      debug: FLAG,
      maxNumberOfAttributes: INT64_VALUE,
      maxNumberOfAnnotations: INT64_VALUE,
      maxNumberOfMessageEvents: INT64_VALUE,
    }),
  ),
  openCensusAgent: oneOf(
    'tracer',
    message({
      address: TEXT,
      context: list(
        choice('UNSPECIFIED', 'W3C_TRACE_CONTEXT', 'GRPC_BIN', 'CLOUD_TRACE_CONTEXT', 'B3'),
      ),
    }),
  ),
  customTags: map(
    message({
      literal: oneOf('type', message({ value: TEXT })),
      environment: oneOf('type', message({ name: TEXT, defaultValue: TEXT })),
      header: oneOf('type', message({ name: TEXT, defaultValue: TEXT })),
    }),
  ),
  maxPathTagLength: UINT32,
  sampling: DOUBLE,
  tlsSettings: TLS_SETTINGS,
  enableIstioTags: FLAG_VALUE,
})

const READINESS_PROBE = message({
  initialDelaySeconds: INT32,
  timeoutSeconds: INT32,
  periodSeconds: INT32,
  successThreshold: INT32,
  failureThreshold: INT32,
  httpGet: oneOf(
    'method',
    message({
      path: TEXT,
      port: UINT32,
      host: TEXT,
      scheme: TEXT,
      httpHeaders: list(message({ name: TEXT, value: TEXT })),
    }),
  ),
  tcpSocket: oneOf('method', message({ host: TEXT, port: UINT32 })),
  exec: oneOf('method', message({ command: list(TEXT) })),
  grpc: oneOf('method', message({ port: UINT32, service: TEXT })),
})

const KEY_PROVIDER = message({ pollDelay: DURATION, fallback: FLAG_VALUE })
const SWITCHED_OFF = message({ disabled: FLAG_VALUE })
const SWITCHED_ON = message({ enabled: FLAG_VALUE })

const PROXY_HEADERS = message({
  forwardedClientCert: CLIENT_CERT_DETAILS,
  setCurrentClientCertDetails: message({
    subject: FLAG_VALUE,
    cert: FLAG_VALUE,
    chain: FLAG_VALUE,
    dns: FLAG_VALUE,
    uri: FLAG_VALUE,
  }),
  requestId: SWITCHED_OFF,
  server: message({ disabled: FLAG_VALUE, value: TEXT }),
  attemptCount: SWITCHED_OFF,
  envoyDebugHeaders: SWITCHED_OFF,
  metadataExchangeHeaders: message({ mode: choice('UNDEFINED', 'IN_MESH') }),
  preserveHttp1HeaderCase: FLAG_VALUE,
  xForwardedHost: SWITCHED_ON,
  xForwardedPort: SWITCHED_ON,
})

const CONNECTION_SETTINGS = message({
  profile: choice('SIDECAR', 'EDGE'),
  listenerPerConnectionBufferLimitBytes: INT32_VALUE,
  clusterPerConnectionBufferLimitBytes: INT32_VALUE,
  httpIdleTimeout: DURATION,
  httpMaxConnectionDuration: DURATION,
  httpDrainTimeout: DURATION,
  httpRequestTimeout: DURATION,
  httpRequestHeadersTimeout: DURATION,
  httpStreamIdleTimeout: DURATION,
  httpMaxStreamDuration: DURATION,
  httpMaxConcurrentStreams: INT32_VALUE,
  http2InitialStreamWindowSize: INT32_VALUE,
  http2InitialConnectionWindowSize: INT32_VALUE,
  httpHeadersWithUnderscoresAction: choice(
    'HEADERS_WITH_UNDERSCORES_UNSPECIFIED',
    'HEADERS_WITH_UNDERSCORES_ALLOW',
    'HEADERS_WITH_UNDERSCORES_REJECT_REQUEST',
    'HEADERS_WITH_UNDERSCORES_DROP_HEADER',
  ),
  httpMergeSlashes: FLAG_VALUE,
  httpPathWithEscapedSlashesAction: choice(
    'PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED',
    'KEEP_UNCHANGED',
    'REJECT_REQUEST',
    'UNESCAPE_AND_REDIRECT',
    'UNESCAPE_AND_FORWARD',
  ),
  listenerConnectionLimit: INT32_VALUE,
  globalDownstreamConnectionLimit: INT32_VALUE,
})

/** What `image` holds. */
export const IMAGE = message({ imageType: TEXT })

/** Which way captured inbound traffic reaches the proxy. The first word is the default. */
export const INTERCEPTION_MODES = ['REDIRECT', 'TPROXY', 'NONE'] as const

/** The fields of ProxyConfig. `parentShutdownDuration` exists in 1.8 only; elsewhere it is read and left out. */
export const PROXY_CONFIG_FIELDS: Fields = {
  configPath: TEXT,
  binaryPath: TEXT,
  serviceCluster: oneOf('clusterName', TEXT),
  tracingServiceName: oneOf(
    'clusterName',
    choice('APP_LABEL_AND_NAMESPACE', 'CANONICAL_NAME_ONLY', 'CANONICAL_NAME_AND_NAMESPACE'),
  ),
  drainDuration: DURATION,
  parentShutdownDuration: DURATION,
  discoveryAddress: TEXT,
  discoveryRefreshDelay: DURATION,
  zipkinAddress: TEXT,
  statsdUdpAddress: TEXT,
  envoyMetricsServiceAddress: TEXT,
  proxyAdminPort: INT32,
  availabilityZone: TEXT,
  controlPlaneAuthPolicy: { kind: 'choice', words: { NONE: 0, MUTUAL_TLS: 1, INHERIT: 1000 } },
  customConfigFile: TEXT,
  statNameLength: INT32,
  concurrency: INT32_VALUE,
  proxyBootstrapTemplatePath: TEXT,
  interceptionMode: choice(...INTERCEPTION_MODES),
  tracing: TRACING,
  sds: message({ enabled: FLAG, k8sSaJwtPath: TEXT }),
  envoyAccessLogService: REMOTE_SERVICE,
  envoyMetricsService: REMOTE_SERVICE,
  proxyMetadata: map(TEXT),
  runtimeValues: map(TEXT),
  statusPort: INT32,
  extraStatTags: list(TEXT),
  gatewayTopology: message({
    numTrustedProxies: UINT32,
    forwardClientCertDetails: CLIENT_CERT_DETAILS,
    proxyProtocol: message({}),
  }),
  terminationDrainDuration: DURATION,
  meshId: TEXT,
  readinessProbe: READINESS_PROBE,
  proxyStatsMatcher: message({
    inclusionPrefixes: list(TEXT),
    inclusionSuffixes: list(TEXT),
    inclusionRegexps: list(TEXT),
  }),
  holdApplicationUntilProxyStarts: FLAG_VALUE,
  caCertificatesPem: list(TEXT),
  image: IMAGE,
  privateKeyProvider: message({
    cryptomb: oneOf('provider', KEY_PROVIDER),
    qat: oneOf('provider', KEY_PROVIDER),
  }),
  proxyHeaders: PROXY_HEADERS,
  fileFlushInterval: DURATION,
  fileFlushMinSizeKb: UINT32,
  statsCompression: FLAG_VALUE,
  connectionSettings: CONNECTION_SETTINGS,
}

/** The value that an absent field of a type stands for. */
export function zeroOf(type: FieldType): Json {
  switch (type.kind) {
    case 'text':
      return ''
    case 'flag':
      return false
    case 'integer':
    case 'double':
      return 0
    case 'wide-integer':
      return '0'
    case 'duration':
      return '0s'
    case 'choice':
      return Object.keys(type.words).find((word) => type.words[word] === 0) ?? 0
    case 'list':
      return []
    case 'map':
    case 'message':
      return {}
    case 'wrapper':
    case 'one-of':
      return zeroOf(type.of)
  }
}
