import { goJson, type JsonObject } from '../json.ts'
import type { Problem, Read } from '../problem.ts'
import { fieldsOf, type Fields } from './values-fields.ts'
import type { GlobalValues, ProxyValues, Values } from './values.ts'

/** The typed view of merged values, or every field that has the wrong type. */
export function viewValues(path: string, raw: JsonObject): Read<Values> {
  const problems: Problem[] = []
  const at = fieldsOf(raw, (name, value, want) => {
    problems.push({ path: `${path}: ${name}`, got: goJson(value), want })
  })
  const value: Values = {
    raw,
    revision: at.text('revision'),
    global: viewGlobal(at),
    pilot: {
      cni: viewCni(at),
      crlConfigMapName: at.text('pilot.crlConfigMapName'),
      env: {
        ENABLE_CLUSTER_TRUST_BUNDLE_API: at.flag('pilot.env.ENABLE_CLUSTER_TRUST_BUNDLE_API'),
      },
    },
    gateways: { securityContext: at.map('gateways.securityContext') },
    sidecarInjectorWebhook: {
      rewriteAppHTTPProbe: at.flag('sidecarInjectorWebhook.rewriteAppHTTPProbe'),
      defaultTemplates: at.texts('sidecarInjectorWebhook.defaultTemplates'),
      templates: at.textMap('sidecarInjectorWebhook.templates'),
      declarations: at.map('sidecarInjectorWebhook.declarations'),
      aliases: at.textsMap('sidecarInjectorWebhook.aliases'),
      neverInjectSelector: at.maps('sidecarInjectorWebhook.neverInjectSelector'),
      alwaysInjectSelector: at.maps('sidecarInjectorWebhook.alwaysInjectSelector'),
      injectedAnnotations: at.textMap('sidecarInjectorWebhook.injectedAnnotations'),
    },
    sidecarInjector: {
      cniAnnotation: at.flag('sidecarInjector.cniAnnotation'),
      fence: at.text('sidecarInjector.fence') === '' || at.flag('sidecarInjector.fence'),
    },
  }
  return problems.length === 0 ? { ok: true, value } : { ok: false, problems }
}

/** 1.17 and 1.8 spell the switch `istio_cni`; a plugin that is not chained is called through Multus. */
function viewCni(at: Fields): Values['pilot']['cni'] {
  const isOld = at.flag('istio_cni.enabled')
  const isChained = at.flag('istio_cni.chained')
  const enabled = at.flag('pilot.cni.enabled')
  const provider = at.text('pilot.cni.provider')
  return isOld
    ? { enabled: true, provider: isChained ? 'default' : 'multus' }
    : { enabled, provider }
}

function viewGlobal(at: Fields): GlobalValues {
  return {
    hub: at.text('global.hub'),
    tag: at.text('global.tag'),
    variant: at.text('global.variant'),
    imagePullPolicy: at.text('global.imagePullPolicy'),
    imagePullSecrets: at.texts('global.imagePullSecrets'),
    caAddress: at.text('global.caAddress'),
    caName: at.text('global.caName'),
    istioNamespace: at.text('global.istioNamespace'),
    jwtPolicy: at.text('global.jwtPolicy'),
    logAsJson: at.flag('global.logAsJson'),
    logging: { level: at.text('global.logging.level') },
    meshID: at.text('global.meshID'),
    mountMtlsCerts: at.flag('global.mountMtlsCerts'),
    multiCluster: { clusterName: at.text('global.multiCluster.clusterName') },
    nativeNftables: at.flag('global.nativeNftables'),
    network: at.text('global.network'),
    pilotCertProvider: at.text('global.pilotCertProvider'),
    sds: { token: { aud: at.text('global.sds.token.aud') } },
    sts: { servicePort: at.count('global.sts.servicePort') ?? 0 },
    trustDomain: at.text('global.trustDomain'),
    trustBundleName: at.text('global.trustBundleName'),
    proxy: viewProxy(at),
    proxy_init: {
      image: at.text('global.proxy_init.image'),
      forceApplyIptables: at.flag('global.proxy_init.forceApplyIptables'),
    },
  }
}

function viewProxy(at: Fields): ProxyValues {
  return {
    image: at.text('global.proxy.image'),
    autoInject: at.text('global.proxy.autoInject'),
    capNetBindService: at.text('global.proxy.capNetBindService'),
    clusterDomain: at.text('global.proxy.clusterDomain'),
    componentLogLevel: at.text('global.proxy.componentLogLevel'),
    enableCoreDump: at.flag('global.proxy.enableCoreDump'),
    excludeIPRanges: at.text('global.proxy.excludeIPRanges'),
    excludeInboundPorts: at.text('global.proxy.excludeInboundPorts'),
    excludeOutboundPorts: at.text('global.proxy.excludeOutboundPorts'),
    holdApplicationUntilProxyStarts: at.flag('global.proxy.holdApplicationUntilProxyStarts'),
    includeIPRanges: at.text('global.proxy.includeIPRanges'),
    includeInboundPorts: at.text('global.proxy.includeInboundPorts'),
    includeOutboundPorts: at.text('global.proxy.includeOutboundPorts'),
    lifecycle: at.map('global.proxy.lifecycle'),
    logLevel: at.text('global.proxy.logLevel'),
    outlierLogPath: at.text('global.proxy.outlierLogPath'),
    privileged: at.flag('global.proxy.privileged'),
    readinessFailureThreshold: at.count('global.proxy.readinessFailureThreshold'),
    readinessInitialDelaySeconds: at.count('global.proxy.readinessInitialDelaySeconds'),
    readinessPeriodSeconds: at.count('global.proxy.readinessPeriodSeconds'),
    resources: at.map('global.proxy.resources'),
    seccompProfile: at.map('global.proxy.seccompProfile'),
    startupProbe: {
      enabled: at.flag('global.proxy.startupProbe.enabled'),
      failureThreshold: at.count('global.proxy.startupProbe.failureThreshold'),
    },
    statusPort: at.port('global.proxy.statusPort'),
    tracer: at.text('global.proxy.tracer'),
  }
}
