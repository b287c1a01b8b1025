import type { JsonObject } from '../json.ts'
import { DEFAULT_IMAGES } from './images.ts'
import { layer } from './values-layers.ts'
import type { IstioVersion } from './values.ts'

/** The built-in values of a version. What a file leaves out reads as here. */
export function defaultValues(version: IstioVersion): JsonObject {
  return layer(layer(COMMON, OF_VERSION[version]), { global: DEFAULT_IMAGES[version] })
}

const COMMON: JsonObject = {
  revision: '',
  global: {
    variant: '',
    imagePullPolicy: '',
    imagePullSecrets: [],
    caAddress: '',
    istioNamespace: 'istio-system',
    jwtPolicy: 'third-party-jwt',
    logAsJson: false,
    logging: { level: 'default:info' },
    meshID: '',
    mountMtlsCerts: false,
    multiCluster: { clusterName: '' },
    network: '',
    pilotCertProvider: 'istiod',
    sds: { token: { aud: 'istio-ca' } },
    sts: { servicePort: 0 },
    proxy: {
      image: 'proxyv2',
      autoInject: 'enabled',
      clusterDomain: 'cluster.local',
      componentLogLevel: 'misc:error',
      excludeIPRanges: '',
      excludeInboundPorts: '',
      excludeOutboundPorts: '',
      includeIPRanges: '*',
      includeInboundPorts: '*',
      includeOutboundPorts: '',
      logLevel: 'warning',
      privileged: false,
      resources: {
        requests: { cpu: '100m', memory: '128Mi' },
        limits: { cpu: '2000m', memory: '1024Mi' },
      },
      statusPort: 15020,
    },
    proxy_init: { image: 'proxyv2' },
  },
  sidecarInjectorWebhook: {
    rewriteAppHTTPProbe: true,
    defaultTemplates: [],
    templates: {},
    aliases: {},
    neverInjectSelector: [],
    alwaysInjectSelector: [],
    injectedAnnotations: {},
  },
  sidecarInjector: { cniAnnotation: false },
}

/** What 1.17 and 1.8 have in common and newer versions have not. */
const OLDER: JsonObject = {
  global: {
    proxy: {
      enableCoreDump: false,
      readinessFailureThreshold: 30,
      readinessInitialDelaySeconds: 1,
      readinessPeriodSeconds: 2,
      tracer: 'zipkin',
    },
  },
  istio_cni: { enabled: false, chained: true },
}

const OF_VERSION: Readonly<Record<IstioVersion, JsonObject>> = {
  current: {
    global: {
      caName: '',
      nativeNftables: false,
      proxy: {
        outlierLogPath: '',
        readinessFailureThreshold: 4,
        readinessInitialDelaySeconds: 0,
        readinessPeriodSeconds: 15,
        seccompProfile: {},
        startupProbe: { enabled: true, failureThreshold: 600 },
        tracer: 'none',
      },
      proxy_init: { forceApplyIptables: false },
    },
    pilot: { cni: { enabled: false, provider: 'default' }, env: {} },
    gateways: { securityContext: {}, seccompProfile: {} },
  },
  '1.17': layer(OLDER, {
    global: { caName: '', proxy: { holdApplicationUntilProxyStarts: false } },
  }),
  '1.8': layer(OLDER, { global: { proxy: { holdApplicationUntilProxyStarts: false } } }),
}
