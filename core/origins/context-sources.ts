/**
 * What each value of the template context is computed from: context.ts said once more, as a table. A test
 * holds both against each other: it changes one source after the other and looks what changes.
 */
import { isArray, isObject, type Json } from '../json.ts'
import { pointer } from '../inject/pod-shape.ts'
import { IMAGE_ANNOTATION, IMAGE_TYPE_ANNOTATION } from '../inject/images.ts'
import {
  DATADOG_ANNOTATION,
  USER_VOLUME_ANNOTATION,
  USER_VOLUME_MOUNT_ANNOTATION,
} from '../inject/user-json.ts'
import {
  CNI,
  cniAnnotation,
  INIT_ARG,
  INIT_ARGS,
  MODE,
  PROXY_IDS,
  STATUS_PORT,
} from './capture-sources.ts'
import {
  all,
  annotation,
  first,
  injector,
  label,
  mesh,
  owner,
  podAt,
  proxyConfig,
  saidAnnotation,
  saidMesh,
  saidValues,
  values,
  type Find,
} from './source.ts'

const REVISION = injector('revision', ({ config }) => config.revision || 'default')
const POLICY = injector('compliance policy', ({ config }) => config.compliancePolicy)
const VERSION = injector('Istio version', ({ config }) => config.istioVersion)
const NATIVE = first(
  annotation('sidecar.istio.io/nativeSidecar'),
  injector('native sidecars', ({ request }) => String(request.nativeSidecars)),
)
const HELD = all(
  proxyConfig('holdApplicationUntilProxyStarts'),
  values('global.proxy.holdApplicationUntilProxyStarts'),
)
const CONTAINERS = podAt('/spec/containers')
const DEFAULT_CONTAINER = all(annotation('kubectl.kubernetes.io/default-container'), CONTAINERS)
const DEFAULT_LOGS_CONTAINER = all(
  annotation('kubectl.kubernetes.io/default-logs-container'),
  CONTAINERS,
)
const CNI_ANNOTATIONS = all(CNI, annotation('k8s.v1.cni.cncf.io/networks'), INIT_ARGS)
const SERVICE_ACCOUNT = podAt('/spec/serviceAccountName')
const LABELS = podAt('/metadata/labels')
const ANNOTATIONS = podAt('/metadata/annotations')
const CANONICAL_NAME = first(
  label('service.istio.io/canonical-name'),
  label('app.kubernetes.io/name'),
  label('app'),
  owner('name'),
)
const RESOURCE_ANNOTATIONS = [
  annotation('sidecar.istio.io/proxyCPU'),
  annotation('sidecar.istio.io/proxyMemory'),
  annotation('sidecar.istio.io/proxyCPULimit'),
  annotation('sidecar.istio.io/proxyMemoryLimit'),
]
const RESOURCES = first(all(...RESOURCE_ANNOTATIONS), values('global.proxy.resources'))
const TRUST_DOMAIN = first(saidMesh('trustDomain'), values('global.trustDomain'))
const TRACER = values('global.proxy.tracer')
const ROOT_CERT = values('global.trustBundleName')

/** A whole image where annotation or values name one, else what it is put together from. */
function image(name: string, type: Find): Find {
  const isWhole = (find: Find): Find => {
    return (facts, item) => find(facts, item).filter(({ got }) => got?.includes('/'))
  }
  return first(
    isWhole(annotation(IMAGE_ANNOTATION)),
    isWhole(values(name)),
    all(
      values('global.hub'),
      values(name),
      values('global.tag'),
      first(annotation(IMAGE_TYPE_ANNOTATION), type),
    ),
  )
}

const IMAGE_TYPE: Find = (facts, item) => {
  const find = proxyConfig('image.imageType')
  return facts.facts.proxyConfigs.effective.imageType === ''
    ? all(values('global.variant'), find)(facts, item)
    : find(facts, item)
}

/** The item by the name or key that it has. */
function byItem(member: 'name' | 'key', find: (name: string) => Find): Find {
  return (facts, item) => {
    const name = textIn(item.value, member)
    return name === '' ? [] : find(name)(facts, item)
  }
}

/** A container of the pod, by its name. */
const CONTAINER = byItem('name', (name) => (facts, item) => {
  const place = facts.view.spec?.containers.findIndex((each) => each.name === name) ?? -1
  return place < 0 ? [] : podAt(`/spec/containers${pointer(place)}`)(facts, item)
})

/** One of the annotations that the context proposes. */
const PROPOSED = byItem('key', (key) =>
  key.startsWith('kubectl.kubernetes.io/') ? all(annotation(key), CONTAINERS) : cniAnnotation(key),
)

const METADATA = byItem('name', (name) => proxyConfig(`proxyMetadata.${name}`))

const READINESS = (name: string, value: string): Find =>
  first(
    annotation(`readiness.status.sidecar.istio.io/${name}`),
    values(`global.proxy.readiness${value}`),
  )

/** Context path, `[]` for an item -> its sources. */
export const CONTEXT_SOURCES: Readonly<Record<string, Find>> = {
  revision: REVISION,
  'workload.name': owner('name'),
  'workload.namespace': owner('namespace'),
  'workload.kind': owner('kind'),
  'workload.apiVersion': owner('apiVersion'),
  'pod.labels': LABELS,
  'pod.labels[].key': LABELS,
  'pod.labels[].value': byItem('key', label),
  'pod.annotations': ANNOTATIONS,
  'pod.annotations[].key': ANNOTATIONS,
  'pod.annotations[].value': byItem('key', annotation),
  'pod.serviceAccountName': SERVICE_ACCOUNT,
  'apps.containers': CONTAINERS,
  'apps.containers[].name': CONTAINER,
  'apps.containers[].image': CONTAINER,
  'apps.all': CONTAINERS,
  'apps.all[].name': CONTAINER,
  'apps.all[].image': CONTAINER,
  'apps.defaultContainer': DEFAULT_CONTAINER,
  'apps.defaultLogsContainer': DEFAULT_LOGS_CONTAINER,
  annotations: all(DEFAULT_CONTAINER, DEFAULT_LOGS_CONTAINER, CNI_ANNOTATIONS),
  'annotations[].key': PROPOSED,
  'annotations[].value': PROPOSED,
  'labels.tlsMode': label('security.istio.io/tlsMode'),
  'labels.tunnel': all(
    proxyConfig('proxyMetadata.ISTIO_META_ENABLE_HBONE'),
    label('networking.istio.io/tunnel'),
  ),
  'labels.canonicalName': CANONICAL_NAME,
  'labels.rawCanonicalName': CANONICAL_NAME,
  'labels.canonicalRevision': first(
    label('service.istio.io/canonical-revision'),
    label('app.kubernetes.io/version'),
    label('version'),
  ),
  'labels.revision': REVISION,
  proxyMetadata: proxyConfig('proxyMetadata'),
  'proxyMetadata[].name': METADATA,
  'proxyMetadata[].value': METADATA,
  imagePullPolicy: values('global.imagePullPolicy'),
  imagePullSecrets: values('global.imagePullSecrets'),
  'imagePullSecrets[]': values('global.imagePullSecrets'),
  resources: RESOURCES,
  seccompProfile: values('global.proxy.seccompProfile'),
  statusPort: STATUS_PORT,
  'init.isPresent': MODE,
  'init.name': CNI,
  'init.image': image('global.proxy_init.image', values('global.variant')),
  'init.args': INIT_ARGS,
  'init.args[]': INIT_ARG,
  'init.uid': all(PROXY_IDS, MODE),
  'init.gid': all(PROXY_IDS, MODE),
  'proxy.image': image('global.proxy.image', IMAGE_TYPE),
  'proxy.isNative': all(NATIVE, CONTAINERS),
  'proxy.isHeld': all(HELD, NATIVE),
  'proxy.isPrivileged': values('global.proxy.privileged'),
  'proxy.isProbed': STATUS_PORT,
  'proxy.isTraced': proxyConfig('proxyMetadata.IPTABLES_TRACE_LOGGING'),
  'proxy.addedCapabilities': all(
    MODE,
    first(
      annotation('sidecar.istio.io/capNetBindService'),
      values('global.proxy.capNetBindService'),
    ),
  ),
  'proxy.addedCapabilities[]': all(
    MODE,
    first(
      annotation('sidecar.istio.io/capNetBindService'),
      values('global.proxy.capNetBindService'),
    ),
  ),
  'proxy.uid': PROXY_IDS,
  'proxy.gid': PROXY_IDS,
  'proxy.domain': values('global.proxy.clusterDomain'),
  'proxy.logLevel': first(annotation('sidecar.istio.io/logLevel'), values('global.proxy.logLevel')),
  'proxy.componentLogLevel': first(
    annotation('sidecar.istio.io/componentLogLevel'),
    values('global.proxy.componentLogLevel'),
  ),
  'proxy.agentLogLevel': first(
    annotation('sidecar.istio.io/agentLogLevel'),
    values('global.logging.level'),
  ),
  'proxy.stsPort': values('global.sts.servicePort'),
  'proxy.isLogJson': values('global.logAsJson'),
  'proxy.outlierLogPath': values('global.proxy.outlierLogPath'),
  'proxy.concurrency': all(proxyConfig('concurrency'), RESOURCES),
  'proxy.lifecycle': values('global.proxy.lifecycle'),
  'startupProbe.isEnabled': values('global.proxy.startupProbe.enabled'),
  'startupProbe.failureThreshold': values('global.proxy.startupProbe.failureThreshold'),
  'readinessProbe.initialDelaySeconds': READINESS('initialDelaySeconds', 'InitialDelaySeconds'),
  'readinessProbe.periodSeconds': READINESS('periodSeconds', 'PeriodSeconds'),
  'readinessProbe.failureThreshold': READINESS('failureThreshold', 'FailureThreshold'),
  'env.isLocalhostInbound': mesh('inboundTrafficPolicy.mode'),
  'env.certProvider': values('global.pilotCertProvider'),
  'env.caAddress': first(
    saidValues('global.caAddress'),
    all(values('revision'), values('global.istioNamespace')),
  ),
  'env.proxyConfig': proxyConfig(''),
  'env.podPorts': CONTAINERS,
  'env.appContainers': CONTAINERS,
  'env.compliancePolicy': POLICY,
  'env.isFips': POLICY,
  'env.clusterId': values('global.multiCluster.clusterName'),
  'env.interceptionMode': first(
    saidAnnotation('sidecar.istio.io/interceptionMode'),
    proxyConfig('interceptionMode'),
  ),
  'env.proxyInterceptionMode': proxyConfig('interceptionMode'),
  'env.network': values('global.network'),
  'env.workloadName': first(label('service.istio.io/workload-name'), owner('name')),
  'env.owner': all(owner('apiVersion'), owner('namespace'), owner('kind'), owner('name')),
  'env.meshId': first(saidValues('global.meshID'), TRUST_DOMAIN),
  'env.trustDomain': TRUST_DOMAIN,
  'env.datadog': all(TRACER, annotation(DATADOG_ANNOTATION)),
  'env.datadog[].name': annotation(DATADOG_ANNOTATION),
  'env.datadog[].value': annotation(DATADOG_ANNOTATION),
  'env.otelAttributes': all(
    mesh('extensionProviders'),
    annotation('resource.opentelemetry.io/service.namespace'),
    annotation('resource.opentelemetry.io/service.version'),
    annotation('resource.opentelemetry.io/service.instance.id'),
    first(label('app.kubernetes.io/version'), CONTAINERS),
    owner('namespace'),
    CONTAINERS,
  ),
  'env.jwtPolicy': values('global.jwtPolicy'),
  'env.istioNamespaceLine': values('global.istioNamespace'),
  'bootstrapOverride.isSet': annotation('sidecar.istio.io/bootstrapOverride'),
  'bootstrapOverride.name': annotation('sidecar.istio.io/bootstrapOverride'),
  'volumes.isGke': values('global.caName'),
  'volumes.isIstiodCa': values('global.pilotCertProvider'),
  'volumes.isMtlsCerts': values('global.mountMtlsCerts'),
  'volumes.isToken': values('global.jwtPolicy'),
  'volumes.tokenAudience': values('global.sds.token.aud'),
  'volumes.trustBundle': all(values('pilot.env.ENABLE_CLUSTER_TRUST_BUNDLE_API'), ROOT_CERT),
  'volumes.rootCertConfigMap': ROOT_CERT,
  'volumes.crlConfigMap': values('pilot.crlConfigMapName'),
  'volumes.mtlsSecret': SERVICE_ACCOUNT,
  'volumes.lightstepFolder': all(TRACER, proxyConfig('tracing')),
  'volumes.user': annotation(USER_VOLUME_ANNOTATION),
  'volumes.user[]': annotation(USER_VOLUME_ANNOTATION),
  'volumes.userMounts': annotation(USER_VOLUME_MOUNT_ANNOTATION),
  'volumes.userMounts[]': annotation(USER_VOLUME_MOUNT_ANNOTATION),
  'cni.isEnabled': CNI,
  'cni.annotations': CNI_ANNOTATIONS,
  'cni.annotations[].key': PROPOSED,
  'cni.annotations[].value': PROPOSED,
  'gateway.securityContext': values('gateways.securityContext'),
  'gateway.readinessProbe.initialDelaySeconds': values('global.proxy.readinessInitialDelaySeconds'),
  'gateway.readinessProbe.periodSeconds': values('global.proxy.readinessPeriodSeconds'),
  'gateway.readinessProbe.failureThreshold': values('global.proxy.readinessFailureThreshold'),
  'legacy.serviceCluster': first(label('app'), all(owner('name'), owner('namespace'))),
  'legacy.appContainers': CONTAINERS,
  'legacy.annotationsJson': ANNOTATIONS,
  'legacy.fsGroup': VERSION,
}

/** What a path of the context reads, `[]` standing for the item of round `round`. */
export function itemAt(context: Json, path: string, round: number | undefined): Json {
  const [list = ''] = path.split('[]')
  if (list === path || round === undefined) return null
  let at: Json = context
  for (const step of list.split('.')) at = isObject(at) ? (at[step] ?? null) : null
  return isArray(at) ? (at[round] ?? null) : null
}

function textIn(value: Json, name: string): string {
  const text = isObject(value) ? value[name] : undefined
  return typeof text === 'string' ? text : ''
}
