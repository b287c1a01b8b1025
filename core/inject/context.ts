/**
 * Pod, mesh and values -> what a template sees. Every decision of the templates is taken here;
 * a template only places what this computes. Names and defaults follow Istio's own templates.
 */
import { PROXY_CONTAINER, PROXY_ID, STATUS_PORT_ANNOTATION } from '../constants.ts'
import { goJson, isObject, sortedEntries, type Json } from '../json.ts'
import type { Container, Pod, StringMap } from '../k8s.ts'
import type { InjectConfig } from './config.ts'
import type { TemplateContext } from './context-schema.ts'
import type { InjectRequest } from './decision.ts'
import { initImage, proxyImage } from './images.ts'
import { annotationOr, cniAnnotations, initArgs, type InitFacts } from './init-args.ts'
import { appendMultusNetwork } from './networks.ts'
import { otelResourceAttributes } from './otel.ts'
import { printProxyConfig, type ProxyConfig } from './proxy-config.ts'
import { readQuantity } from './quantity.ts'
import { printTyped } from './typed.ts'
import type { UserVolumes } from './user-json.ts'

/** Everything a context is made of. */
export type ContextInput = {
  /** The pod without what an earlier injection added. */
  readonly pod: Pod
  readonly request: InjectRequest
  readonly config: InjectConfig
  /** The effective ProxyConfig of the pod. */
  readonly proxyConfig: ProxyConfig
  /** User and group of the proxy. */
  readonly ids: { readonly uid: number; readonly gid: number }
  readonly isNative: boolean
  /** The JSON annotations of the pod, read. */
  readonly userJson: UserVolumes
}

/** Computes the context; total for every pod that passed the annotation table. */
export function buildContext(input: ContextInput): TemplateContext {
  const { pod, request, config, proxyConfig, ids, isNative } = input
  const { values, mesh, traits } = config
  const { proxy } = values.global
  const labels: StringMap = pod.metadata?.labels ?? {}
  const annotations: StringMap = pod.metadata?.annotations ?? {}
  const anno = (key: string, fallback: string): string => annotationOr(annotations, key, fallback)
  const containers = pod.spec?.containers ?? []
  const apps = containers.filter((container) => container.name !== PROXY_CONTAINER)
  const { owner } = request
  const metadata = proxyConfig.proxyMetadata

  const configMode = proxyConfig.interceptionMode
  const mode = anno('sidecar.istio.io/interceptionMode', configMode)
  const isTproxy = mode === 'TPROXY'
  const isBinding = anno('sidecar.istio.io/capNetBindService', proxy.capNetBindService) === 'true'
  const statusPort = anno(STATUS_PORT_ANNOTATION, proxy.statusPort)
  const isCni = values.pilot.cni.enabled
  const initFacts: InitFacts = {
    annotations,
    values,
    mesh,
    mode,
    uid: isTproxy ? PROXY_ID : ids.uid,
    statusPort,
    hasLogLevel: traits.hasInitLogLevel,
  }
  const canonicalName = firstText(
    labels['service.istio.io/canonical-name'],
    labels['app.kubernetes.io/name'],
    labels['app'],
    owner.name,
  )
  const network = orNull(values.global.network)
  const resources = resourcesOf(annotations, proxy.resources)
  const cni = isCni
    ? cniAnnotations(initFacts, multusNetworks(annotations, values.pilot.cni.provider))
    : []
  const defaultContainer = defaultFor('kubectl.kubernetes.io/default-container')
  const defaultLogsContainer = defaultFor('kubectl.kubernetes.io/default-logs-container')

  return {
    revision: config.revision === '' ? 'default' : config.revision,
    workload: {
      name: orNull(owner.name),
      namespace: orNull(owner.namespace),
      kind: owner.kind,
      apiVersion: owner.apiVersion,
    },
    pod: {
      labels: keyed(labels),
      annotations: keyed(annotations),
      serviceAccountName: orNull(pod.spec?.serviceAccountName),
    },
    apps: {
      containers: apps.map(shown),
      all: containers.map(shown),
      defaultContainer,
      defaultLogsContainer,
    },
    annotations: [
      ...(defaultLogsContainer === null
        ? []
        : [{ key: 'kubectl.kubernetes.io/default-logs-container', value: defaultLogsContainer }]),
      ...(defaultContainer === null
        ? []
        : [{ key: 'kubectl.kubernetes.io/default-container', value: defaultContainer }]),
      ...cni,
    ],
    labels: {
      tlsMode: firstText(labels['security.istio.io/tlsMode'], 'istio'),
      tunnel:
        metadata['ISTIO_META_ENABLE_HBONE'] === 'true'
          ? firstText(labels['networking.istio.io/tunnel'], 'http')
          : null,
      canonicalName: labelValue(canonicalName),
      rawCanonicalName: canonicalName,
      canonicalRevision: firstText(
        labels['service.istio.io/canonical-revision'],
        labels['app.kubernetes.io/version'],
        labels['version'],
        'latest',
      ),
      revision: config.revision,
    },
    proxyMetadata: named(metadata),
    imagePullPolicy: orNull(values.global.imagePullPolicy),
    imagePullSecrets: values.global.imagePullSecrets,
    resources,
    seccompProfile: proxy.seccompProfile ?? null,
    statusPort,
    init: {
      isPresent: mode !== 'NONE',
      name: isCni ? 'istio-validation' : 'istio-init',
      image: initImage(values, annotations),
      args: initArgs(initFacts),
      uid: initFacts.uid,
      gid: isTproxy ? PROXY_ID : ids.gid,
    },
    proxy: {
      image: proxyImage(values, proxyConfig.imageType, annotations),
      isNative,
      isHeld: isHeld(proxyConfig, proxy.holdApplicationUntilProxyStarts) && !isNative,
      isPrivileged: proxy.privileged,
      isProbed: statusPort !== '0',
      isTraced: metadata['IPTABLES_TRACE_LOGGING'] === 'true',
      addedCapabilities: [
        ...(isTproxy ? ['NET_ADMIN'] : []),
        ...(isBinding ? ['NET_BIND_SERVICE'] : []),
      ],
      uid: ids.uid,
      gid: ids.gid,
      domain: `$(POD_NAMESPACE).svc.${proxy.clusterDomain}`,
      logLevel: anno('sidecar.istio.io/logLevel', proxy.logLevel),
      componentLogLevel: anno('sidecar.istio.io/componentLogLevel', proxy.componentLogLevel),
      agentLogLevel: anno('sidecar.istio.io/agentLogLevel', values.global.logging.level),
      stsPort: values.global.sts.servicePort === 0 ? null : String(values.global.sts.servicePort),
      isLogJson: values.global.logAsJson,
      outlierLogPath: orNull(proxy.outlierLogPath),
      concurrency: traits.countsConcurrency ? concurrency(proxyConfig, resources) : null,
      lifecycle: proxy.lifecycle ?? null,
    },
    startupProbe: {
      isEnabled: proxy.startupProbe.enabled,
      failureThreshold: proxy.startupProbe.failureThreshold ?? 600,
    },
    readinessProbe: {
      initialDelaySeconds: seconds('initialDelaySeconds', proxy.readinessInitialDelaySeconds ?? 0),
      periodSeconds: seconds('periodSeconds', proxy.readinessPeriodSeconds ?? 15),
      failureThreshold: seconds('failureThreshold', proxy.readinessFailureThreshold ?? 4),
    },
    env: {
      isLocalhostInbound: mesh.inboundTrafficPolicyMode === 'LOCALHOST',
      certProvider: values.global.pilotCertProvider,
      caAddress: firstText(
        values.global.caAddress,
        `istiod${values.revision === '' ? '' : `-${values.revision}`}.${values.global.istioNamespace}.svc:15012`,
      ),
      proxyConfig:
        proxyConfig === mesh.defaultConfig
          ? config.proxyConfigText
          : printProxyConfig(proxyConfig, config.proxyDefaults),
      podPorts: podPorts(containers),
      appContainers: apps.map((container) => container.name).join(','),
      compliancePolicy: orNull(config.compliancePolicy),
      isFips: config.compliancePolicy === 'fips-140-3',
      clusterId: firstText(values.global.multiCluster.clusterName, 'Kubernetes'),
      interceptionMode: firstText(annotations['sidecar.istio.io/interceptionMode'], configMode),
      proxyInterceptionMode: configMode,
      network,
      workloadName: orNull(firstText(labels['service.istio.io/workload-name'], owner.name)),
      owner: ownerPath(request),
      meshId: orNull(firstText(values.global.meshID, mesh.trustDomain, values.global.trustDomain)),
      trustDomain: orNull(firstText(mesh.trustDomain, values.global.trustDomain)),
      datadog: proxy.tracer === 'datadog' ? named(input.userJson.datadog) : [],
      otelAttributes: orNull(
        otelResourceAttributes(mesh, annotations, labels, owner.namespace ?? '', containers),
      ),
      jwtPolicy: values.global.jwtPolicy,
      istioNamespaceLine: `${values.global.istioNamespace}\n`,
    },
    bootstrapOverride: {
      isSet: Object.hasOwn(annotations, 'sidecar.istio.io/bootstrapOverride'),
      name: annotations['sidecar.istio.io/bootstrapOverride'] ?? '',
    },
    volumes: {
      isGke: values.global.caName === 'GkeWorkloadCertificate',
      isIstiodCa: values.global.pilotCertProvider === 'istiod',
      isMtlsCerts: values.global.mountMtlsCerts,
      isToken: values.global.jwtPolicy === 'third-party-jwt',
      tokenAudience: values.global.sds.token.aud,
      trustBundle: values.pilot.env.ENABLE_CLUSTER_TRUST_BUNDLE_API
        ? `istio.io:istiod-ca:${firstText(values.global.trustBundleName, 'root-cert')}`
        : null,
      rootCertConfigMap: firstText(values.global.trustBundleName, 'istio-ca-root-cert'),
      crlConfigMap: firstText(values.pilot.crlConfigMapName, 'istio-ca-crl'),
      mtlsSecret: `istio.${firstText(pod.spec?.serviceAccountName, 'default')}`,
      lightstepFolder: proxy.tracer === 'lightstep' ? lightstepFolder(proxyConfig) : null,
      user: input.userJson.volumes,
      userMounts: input.userJson.mounts,
    },
    cni: { isEnabled: isCni, annotations: cni },
    gateway: {
      securityContext: values.gateways.securityContext ?? null,
      readinessProbe: {
        initialDelaySeconds: proxy.readinessInitialDelaySeconds ?? 0,
        periodSeconds: proxy.readinessPeriodSeconds ?? 15,
        failureThreshold: proxy.readinessFailureThreshold ?? 4,
      },
    },
    legacy: {
      serviceCluster:
        (labels['app'] ?? '') !== ''
          ? `${labels['app'] ?? ''}.$(POD_NAMESPACE)`
          : `${firstText(owner.name, PROXY_CONTAINER)}.${firstText(owner.namespace, 'default')}`,
      appContainers: containers.map((container) => container.name).join(','),
      annotationsJson:
        Object.keys(annotations).length === 0
          ? null
          : `${goJson(Object.fromEntries(sortedEntries(annotations)))}\n`,
      fsGroup: traits.forcedFsGroup ?? null,
    },
  }

  /** The first application container, for a kubectl annotation that the pod does not carry. */
  function defaultFor(key: string): string | null {
    return Object.hasOwn(annotations, key) ? null : orNull(apps[0]?.name)
  }

  function seconds(name: string, fallback: number): number {
    const text = annotations[`readiness.status.sidecar.istio.io/${name}`]
    return text === undefined ? fallback : Math.min(Number(text), LARGEST_INT32)
  }
}

/** Whether the application waits for the proxy; values can only switch it on. */
export function isHeld(proxyConfig: ProxyConfig, valuesHold: boolean): boolean {
  return proxyConfig.holdApplicationUntilProxyStarts || valuesHold
}

/** The annotation may say more than the API takes: the largest it takes is as good as for ever. */
const LARGEST_INT32 = 2 ** 31 - 1

function firstText(...texts: readonly (string | undefined)[]): string {
  return texts.find((text) => text !== undefined && text !== '') ?? ''
}

function orNull(text: string | undefined): string | null {
  return text === undefined || text === '' ? null : text
}

function keyed(map: StringMap): readonly { readonly key: string; readonly value: string }[] {
  return sortedEntries(map).map(([key, value]) => ({ key, value }))
}

function named(map: StringMap): readonly { readonly name: string; readonly value: string }[] {
  return sortedEntries(map).map(([name, value]) => ({ name, value }))
}

function shown(container: Container): { readonly name: string; readonly image: string | null } {
  return { name: container.name, image: container.image ?? null }
}

/** At most 63 bytes, no separator at either end: the form of a label value. */
function labelValue(name: string): string {
  const bytes = new TextEncoder().encode(name)
  const cut = bytes.length <= 63 ? name : new TextDecoder().decode(bytes.subarray(0, 63))
  return cut.replace(/^[-_.]+|[-_.]+$/g, '')
}

const RESOURCE_KEYS = [
  ['sidecar.istio.io/proxyCPU', 'requests', 'cpu'],
  ['sidecar.istio.io/proxyMemory', 'requests', 'memory'],
  ['sidecar.istio.io/proxyCPULimit', 'limits', 'cpu'],
  ['sidecar.istio.io/proxyMemoryLimit', 'limits', 'memory'],
] as const

/** One resource annotation replaces all resources of the values, as in Istio. */
function resourcesOf(annotations: StringMap, fallback: Json | undefined): Json {
  const given = RESOURCE_KEYS.filter(([key]) => Object.hasOwn(annotations, key))
  if (given.length === 0) return fallback ?? null
  const resources: Record<string, Record<string, string>> = {}
  for (const [key, part, name] of given) {
    resources[part] = { ...resources[part], [name]: annotations[key] ?? '' }
  }
  return resources
}

/** The port list of regular containers, laid out as Istio lays it out. */
function podPorts(containers: readonly Container[]): string {
  const lines = containers
    .flatMap((container) => container.ports ?? [])
    .map(
      (port, index) =>
        `    ${index === 0 ? '' : ','}${isObject(port) ? printTyped('ContainerPort', port) : '{}'}`,
    )
  return ['[', ...lines, ']'].join('\n')
}

function ownerPath({ owner }: InjectRequest): string | null {
  if (owner.apiVersion === '' || owner.name === '') return null
  const namespace = firstText(owner.namespace, 'default')
  return `kubernetes://apis/${owner.apiVersion}/namespaces/${namespace}/${owner.kind.toLowerCase()}s/${owner.name}`
}

function multusNetworks(annotations: StringMap, provider: string): string | undefined {
  if (provider !== 'multus') return undefined
  return appendMultusNetwork(annotations['k8s.v1.cni.cncf.io/networks'] ?? '', 'default/istio-cni')
}

/** Up to and including the last slash of the tracer's CA file. */
function lightstepFolder({ tracingCaFile }: ProxyConfig): string | null {
  return orNull(tracingCaFile?.slice(0, tracingCaFile.lastIndexOf('/') + 1))
}

/** Worker threads of the older lines: as configured, else the CPU limit or request, rounded up. */
function concurrency(proxyConfig: ProxyConfig, resources: Json): string | null {
  const set = proxyConfig.concurrency
  if (set !== undefined && set > 0) return String(set)
  for (const part of ['limits', 'requests']) {
    const group = isObject(resources) ? resources[part] : undefined
    const cpu = isObject(group) ? group['cpu'] : undefined
    if (typeof cpu === 'string' || typeof cpu === 'number') return cores(String(cpu))
  }
  return null
}

/** Whole cores of a CPU quantity, rounded up; nothing for a text that is none. */
function cores(cpu: string): string | null {
  const read = readQuantity('cpu', cpu)
  if (!read.ok) return null
  return String(Math.ceil(Number(read.value.digits) * 10 ** read.value.exponent))
}
