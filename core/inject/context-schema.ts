import { flag, group, json, list, maybeText, number, text, type ValueOf } from './schema.ts'

const named = (says: string) =>
  list(says, group(says, { name: text('name'), value: text('value') }))
const keyed = (says: string) => list(says, group(says, { key: text('key'), value: text('value') }))
const container = group('a container of the pod', {
  name: text('container name'),
  image: maybeText('container image, as in the pod'),
})
const readiness = (says: string) =>
  group(says, {
    initialDelaySeconds: number('seconds before the first probe'),
    periodSeconds: number('seconds between probes'),
    failureThreshold: number('failures in a row until not ready'),
  })

/**
 * Everything a template can see, with what it means. Templates only place these values; how each
 * is computed stands in context.ts. Lists that come from maps are sorted by key.
 */
export const CONTEXT_SCHEMA = group('the template context', {
  revision: text('revision of the injector, `default` when it has no name', 'default'),
  workload: group('the object that owns the pod, as far as it can be told', {
    name: maybeText('its name'),
    namespace: maybeText('its namespace'),
    kind: text('its kind', 'Deployment'),
    apiVersion: text('its apiVersion', 'apps/v1'),
  }),
  pod: group('the pod before injection, without what an earlier injection added', {
    labels: keyed('pod labels'),
    annotations: keyed('pod annotations'),
    serviceAccountName: maybeText('spec.serviceAccountName'),
  }),
  apps: group('the containers of the application', {
    containers: list('containers except istio-proxy', container),
    all: list('containers', container),
    defaultContainer: maybeText(
      'for kubectl.kubernetes.io/default-container, unless the pod has it',
    ),
    defaultLogsContainer: maybeText(
      'for kubectl.kubernetes.io/default-logs-container, unless the pod has it',
    ),
  }),
  annotations: keyed('default-container annotations and, in CNI mode, the redirect annotations'),
  labels: group('labels of an injected pod', {
    tlsMode: text('security.istio.io/tlsMode', 'istio'),
    tunnel: maybeText('networking.istio.io/tunnel, with HBONE only', 'http'),
    canonicalName: text('service.istio.io/canonical-name, a valid label value'),
    rawCanonicalName: text('the same, neither cut nor trimmed'),
    canonicalRevision: text('service.istio.io/canonical-revision', 'latest'),
    revision: text('istio.io/rev as Istio 1.8 wrote it', ''),
  }),
  proxyMetadata: named('ProxyConfig.proxyMetadata'),
  imagePullPolicy: maybeText('values: global.imagePullPolicy', 'IfNotPresent'),
  imagePullSecrets: list('values: global.imagePullSecrets', text('name of a Secret')),
  resources: json('resources of the proxy, from annotations or values; null when there are none'),
  seccompProfile: json('values: global.proxy.seccompProfile; null when empty'),
  statusPort: text('port of the agent, from annotation or values, as text', '15020'),
  init: group('the init container', {
    isPresent: flag('false with interception mode NONE'),
    name: text('istio-init, or istio-validation in CNI mode', 'istio-init'),
    image: text('its image', 'example/proxyv2:1'),
    args: list('its arguments after `istio-iptables`', text('one argument', '-p')),
    uid: number('its user in CNI mode', 1337),
    gid: number('its group in CNI mode', 1337),
  }),
  proxy: group('the istio-proxy container', {
    image: text('its image', 'example/proxyv2:1'),
    isNative: flag('an init container with restartPolicy Always'),
    isHeld: flag('the application waits for the proxy'),
    isPrivileged: flag('values: global.proxy.privileged', false),
    isProbed: flag('false when the status port is `0`'),
    isTraced: flag('ProxyConfig.proxyMetadata.IPTABLES_TRACE_LOGGING', false),
    addedCapabilities: list(
      'NET_ADMIN for TPROXY, NET_BIND_SERVICE where asked for',
      text('one capability', 'NET_ADMIN'),
    ),
    uid: number('its user', 1337),
    gid: number('its group', 1337),
    domain: text('value of --domain', '$(POD_NAMESPACE).svc.cluster.local'),
    logLevel: text('Envoy log level', 'warning'),
    componentLogLevel: text('Envoy component log level', 'misc:error'),
    agentLogLevel: text('agent log level', 'default:info'),
    stsPort: maybeText('values: global.sts.servicePort, unless 0', '15463'),
    isLogJson: flag('values: global.logAsJson', false),
    outlierLogPath: maybeText('values: global.proxy.outlierLogPath', '/tmp/outlier'),
    concurrency: maybeText('worker threads, for templates before 1.20', '2'),
    lifecycle: json('values: global.proxy.lifecycle; null when empty'),
  }),
  startupProbe: group('startup probe of the proxy', {
    isEnabled: flag('values: global.proxy.startupProbe.enabled'),
    failureThreshold: number('values: global.proxy.startupProbe.failureThreshold', 600),
  }),
  readinessProbe: readiness('readiness probe, from annotations or values'),
  env: group('values of environment variables of the proxy', {
    isLocalhostInbound: flag('inbound traffic policy is LOCALHOST', false),
    certProvider: text('PILOT_CERT_PROVIDER', 'istiod'),
    caAddress: text('CA_ADDR', 'istiod.istio-system.svc:15012'),
    proxyConfig: text('PROXY_CONFIG: ProxyConfig without defaults, JSON and a newline', '{}\n'),
    podPorts: text('ISTIO_META_POD_PORTS: JSON list of container ports', '[\n]'),
    appContainers: text('ISTIO_META_APP_CONTAINERS: names, comma separated', 'app'),
    compliancePolicy: maybeText('COMPLIANCE_POLICY of the injector', 'fips-140-3'),
    isFips: flag('the policy is fips-140-3'),
    clusterId: text('ISTIO_META_CLUSTER_ID', 'Kubernetes'),
    interceptionMode: text('ISTIO_META_INTERCEPTION_MODE', 'REDIRECT'),
    proxyInterceptionMode: text('the same from ProxyConfig alone', 'REDIRECT'),
    network: maybeText('ISTIO_META_NETWORK', 'network-1'),
    workloadName: maybeText('ISTIO_META_WORKLOAD_NAME'),
    owner: maybeText('ISTIO_META_OWNER', 'kubernetes://apis/apps/v1/namespaces/n/deployments/d'),
    meshId: maybeText('ISTIO_META_MESH_ID', 'cluster.local'),
    trustDomain: maybeText('TRUST_DOMAIN', 'cluster.local'),
    datadog: named('annotation apm.datadoghq.com/env, with tracer datadog'),
    otelAttributes: maybeText('OTEL_RESOURCE_ATTRIBUTES'),
    jwtPolicy: text('JWT_POLICY, for templates before 1.20', 'third-party-jwt'),
    istioNamespaceLine: text('values: global.istioNamespace and a newline', 'istio-system\n'),
  }),
  bootstrapOverride: group('annotation sidecar.istio.io/bootstrapOverride', {
    isSet: flag('the annotation is there'),
    name: text('name of the ConfigMap'),
  }),
  volumes: group('what the volumes depend on', {
    isGke: flag('values: global.caName is GkeWorkloadCertificate', false),
    isIstiodCa: flag('values: global.pilotCertProvider is istiod'),
    isMtlsCerts: flag('values: global.mountMtlsCerts'),
    isToken: flag('values: global.jwtPolicy is third-party-jwt'),
    tokenAudience: text('values: global.sds.token.aud', 'istio-ca'),
    trustBundle: maybeText('name of the ClusterTrustBundle, where that API is on', 'istio.io:x:y'),
    rootCertConfigMap: text('ConfigMap with the root certificate', 'istio-ca-root-cert'),
    crlConfigMap: text('ConfigMap with revoked certificates', 'istio-ca-crl'),
    mtlsSecret: text('Secret with workload certificates', 'istio.default'),
    lightstepFolder: maybeText(
      'folder of the lightstep CA, with tracer lightstep',
      '/etc/lightstep/',
    ),
    user: list('annotation sidecar.istio.io/userVolume', json('one volume', { name: 'v' })),
    userMounts: list(
      'annotation sidecar.istio.io/userVolumeMount',
      json('one mount', { name: 'v', mountPath: '/v' }),
    ),
  }),
  cni: group('CNI mode', {
    isEnabled: flag('values: pilot.cni.enabled', false),
    annotations: keyed('annotations that tell the node what to redirect'),
  }),
  gateway: group('what only the gateway template reads', {
    securityContext: json('values: gateways.securityContext; null when empty'),
    readinessProbe: readiness('readiness probe, from values only'),
  }),
  legacy: group('what only the template of Istio 1.8 reads', {
    serviceCluster: text('value of --serviceCluster'),
    appContainers: text('ISTIO_META_APP_CONTAINERS including istio-proxy', 'app'),
    annotationsJson: maybeText('ISTIO_METAJSON_ANNOTATIONS, when there are annotations', '{}\n'),
    fsGroup: json('group of mounted files; null when not forced', 1337),
  }),
})

/** What a template sees. */
export type TemplateContext = ValueOf<typeof CONTEXT_SCHEMA>
