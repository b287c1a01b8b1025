import type { AnnotationRow } from './annotations.ts'

/** Labels that are read, and what injection writes besides containers and volumes. */
export const NAMES: readonly AnnotationRow[] = [
  {
    key: 'istio.io/rev',
    on: 'label or annotation',
    takes: 'the label: a revision; the annotation is written',
    default: '',
    effect:
      'the label chooses the injector (webhook selectors); the annotation tells which one it was',
  },
  {
    key: 'security.istio.io/tlsMode',
    on: 'label',
    takes: 'any text; empty counts as absent',
    default: '`istio`',
    effect: 'kept or written: tells peers that the pod speaks mutual TLS',
  },
  {
    key: 'networking.istio.io/tunnel',
    on: 'label',
    takes: 'any text; empty counts as absent',
    default: '`http`, where `proxyMetadata.ISTIO_META_ENABLE_HBONE` is `true`',
    effect: 'kept or written: tells peers that the pod takes HBONE',
  },
  {
    key: 'service.istio.io/canonical-name',
    on: 'label',
    takes: 'any text; empty counts as absent',
    default: 'label `app.kubernetes.io/name`, else `app`, else the name of the workload',
    effect: 'kept or written: the name of the service in telemetry',
  },
  {
    key: 'service.istio.io/canonical-revision',
    on: 'label',
    takes: 'any text; empty counts as absent',
    default: 'label `app.kubernetes.io/version`, else `version`, else `latest`',
    effect: 'kept or written: the revision of the service in telemetry',
  },
  {
    key: 'service.istio.io/workload-name',
    on: 'label',
    takes: 'any text; empty counts as absent',
    default: 'the name of the workload',
    effect: 'ISTIO_META_WORKLOAD_NAME of the proxy',
  },
  {
    key: 'topology.istio.io/network',
    on: 'label',
    takes: 'any text; empty counts as absent',
    default: "the webhook's path, else `global.network`",
    effect: 'ISTIO_META_NETWORK of the proxy; written where the network is known',
  },
  ...['app', 'app.kubernetes.io/name'].map((key) => label(key, 'see canonical-name')),
  ...['version', 'app.kubernetes.io/version'].map((key) => label(key, 'see canonical-revision')),
  ...['pod-template-hash', 'rollouts-pod-template-hash', 'deploymentconfig'].map((key) => {
    return label(key, 'tells the workload behind the controller that owns the pod')
  }),
  ...['default-container', 'default-logs-container'].map((name): AnnotationRow => ({
    key: `kubectl.kubernetes.io/${name}`,
    on: 'annotation',
    takes: 'any text',
    default: 'the first container of the application',
    effect: 'kept or written: the container that kubectl takes unless told otherwise',
  })),
]

/** Annotations of Istio that injection passes on without reading: the agent finds them in the pod. */
export const PASSED_ON: readonly AnnotationRow[] = [
  'sidecar.istio.io/discoveryAddress',
  'sidecar.istio.io/extraStatTags',
  'sidecar.istio.io/statsCompression',
  'sidecar.istio.io/statsEvictionInterval',
  'sidecar.istio.io/statsFlushInterval',
  'sidecar.istio.io/statsHistogramBins',
  'sidecar.istio.io/statsHistogramBuckets',
  'sidecar.istio.io/statsInclusionPrefixes',
  'sidecar.istio.io/statsInclusionRegexps',
  'sidecar.istio.io/statsInclusionSuffixes',
  'readiness.status.sidecar.istio.io/applicationPorts',
].map((key) => ({
  key,
  on: 'annotation',
  takes: 'any text',
  default: '',
  effect: 'none here',
}))

function label(key: string, effect: string): AnnotationRow {
  return { key, on: 'label', takes: 'any text', default: '', effect }
}
