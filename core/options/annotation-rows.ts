import {
  INJECT_KEY,
  OVERRIDES_ANNOTATION,
  PROXY_CONFIG_ANNOTATION,
  STATUS_ANNOTATION,
  STATUS_PORT_ANNOTATION,
  TEMPLATES_ANNOTATION,
} from '../constants.ts'
import { IMAGE_ANNOTATION, IMAGE_TYPE_ANNOTATION } from '../inject/images.ts'
import { readProxyConfig } from '../inject/proxy-config.ts'
import { readPort } from '../ports.ts'
import {
  readAmount,
  readBoolean,
  readCount,
  readImage,
  readImageType,
  readJsonMap,
  readName,
} from './annotation-readers.ts'
import type { AnnotationRow } from './annotations.ts'

const SWITCH = '`true` or `false`, also `1`, `t`, `0`, `f` and other spellings of Go'

/** What decides whether a pod is injected, and with what. */
export const INJECTION: readonly AnnotationRow[] = [
  {
    key: INJECT_KEY,
    on: 'label or annotation',
    takes:
      '`true` or `false`, exactly; other text counts as nothing said. The label wins, also an empty one',
    default: "the injector's policy and selectors",
    effect: 'whether the pod is injected',
  },
  {
    key: TEMPLATES_ANNOTATION,
    on: 'annotation',
    takes: 'names of templates or aliases, separated by commas',
    default: '`defaultTemplates` of the injector, else `sidecar`',
    effect: 'which templates are applied, in this order',
  },
  {
    key: 'sidecar.istio.io/nativeSidecar',
    on: 'annotation',
    takes: 'any text; `false` means no, other text that is not empty means yes',
    default: 'what the environment and the nodes of the cluster say',
    effect: 'whether the proxy is an init container that keeps running',
  },
  {
    key: PROXY_CONFIG_ANNOTATION,
    on: 'annotation',
    takes: 'ProxyConfig as YAML or JSON; unknown fields are passed over',
    default: '`defaultConfig` of the mesh',
    effect:
      "laid over the mesh's ProxyConfig; `proxyMetadata` merges key by key, other fields replace",
    read: readProxyConfig,
  },
  {
    key: OVERRIDES_ANNOTATION,
    on: 'annotation',
    takes: 'a JSON object, written by the injector',
    default: '',
    effect: 'remembers what the user said about containers that injection took over',
    read: readJsonMap,
  },
  {
    key: STATUS_ANNOTATION,
    on: 'annotation',
    takes: 'JSON, written by the injector; other text counts as none',
    default: '',
    effect:
      'names what injection added; on a pod that comes in it tells that it was injected before',
  },
]

/** What changes the proxy's containers. */
export const PROXY: readonly AnnotationRow[] = [
  {
    key: IMAGE_ANNOTATION,
    on: 'annotation',
    takes: 'a whole image reference, without blanks around it; without a `/` it is passed over',
    default: '`global.proxy.image` and `global.proxy_init.image`',
    effect: 'the image of the proxy and of the init container, as it stands',
    read: readImage,
  },
  {
    key: IMAGE_TYPE_ANNOTATION,
    on: 'annotation',
    takes: 'letters, digits, `_`, `.`, `-`, such as `distroless`; `default` means none',
    default: '`image.imageType` of ProxyConfig, else `global.variant`',
    effect: 'the end of the image tag, of proxy and init container',
    read: readImageType,
  },
  ...[
    { name: 'proxyCPU', what: 'the CPU request' },
    { name: 'proxyCPULimit', what: 'the CPU limit' },
    { name: 'proxyMemory', what: 'the memory request' },
    { name: 'proxyMemoryLimit', what: 'the memory limit' },
  ].map(({ name, what }): AnnotationRow => ({
    key: `sidecar.istio.io/${name}`,
    on: 'annotation',
    takes: 'a Kubernetes quantity, not negative',
    default: '`global.proxy.resources`, unless any of the four annotations is there',
    effect: `${what} of proxy and init container`,
    read: readAmount,
  })),
  {
    key: 'sidecar.istio.io/logLevel',
    on: 'annotation',
    takes: 'any text, such as `debug`',
    default: '`global.proxy.logLevel`, which is `warning`',
    effect: "Envoy's log level",
  },
  {
    key: 'sidecar.istio.io/componentLogLevel',
    on: 'annotation',
    takes: 'any text, such as `http:debug`',
    default: '`global.proxy.componentLogLevel`, which is `misc:error`',
    effect: "log levels of Envoy's components",
  },
  {
    key: 'sidecar.istio.io/agentLogLevel',
    on: 'annotation',
    takes: 'any text, such as `default:debug`',
    default: '`global.logging.level`, which is `default:info`',
    effect: "the agent's log level, in proxy and init container",
  },
  {
    key: 'sidecar.istio.io/capNetBindService',
    on: 'annotation',
    takes: 'any text; only `true` has an effect',
    default: '`global.proxy.capNetBindService`',
    effect: 'the proxy runs as root and may listen on ports below 1024',
  },
  {
    key: 'sidecar.istio.io/bootstrapOverride',
    on: 'annotation',
    takes: 'the name of a ConfigMap',
    default: '',
    effect: "mounted for the proxy, whose `custom_bootstrap.json` replaces Envoy's bootstrap",
    read: readName,
  },
  {
    key: 'sidecar.istio.io/userVolume',
    on: 'annotation',
    takes: 'a JSON object: volume name to volume source',
    default: '',
    effect: 'volumes of the pod; no `hostPath`, unless a template declares it',
    read: readJsonMap,
  },
  {
    key: 'sidecar.istio.io/userVolumeMount',
    on: 'annotation',
    takes: 'a JSON object: volume name to the rest of a volume mount',
    default: '',
    effect: 'volume mounts of the proxy; not over its roots, keys and tokens',
    read: readJsonMap,
  },
  {
    key: 'apm.datadoghq.com/env',
    on: 'annotation',
    takes: 'a JSON object: name to text',
    default: '',
    effect: 'environment variables of the proxy, where `global.proxy.tracer` is `datadog`',
  },
  ...[
    { name: 'service.namespace', from: "the pod's namespace" },
    {
      name: 'service.version',
      from: 'label `app.kubernetes.io/version`, else tag and digest of the image of an only container',
    },
    { name: 'service.instance.id', from: 'namespace, pod name and first container' },
  ].map(({ name, from }): AnnotationRow => ({
    key: `resource.opentelemetry.io/${name}`,
    on: 'annotation',
    takes: 'any text; empty counts as absent',
    default: from,
    effect: `\`${name}\` in OTEL_RESOURCE_ATTRIBUTES, where the mesh asks for OpenTelemetry's conventions`,
  })),
]

/** What steers probes, health and metrics. */
export const HEALTH: readonly AnnotationRow[] = [
  {
    key: STATUS_PORT_ANNOTATION,
    on: 'annotation',
    takes: 'a port from 0 to 65535',
    default: '`global.proxy.statusPort`, which is 15020',
    effect:
      "the agent's port for rewritten probes, never captured; 0 leaves out the proxy's own probes",
    read: readPort,
  },
  ...[
    { name: 'initialDelaySeconds', usual: 0, what: 'seconds before the first probe' },
    { name: 'periodSeconds', usual: 15, what: 'seconds between probes' },
    { name: 'failureThreshold', usual: 4, what: 'failures in a row that make the proxy unready' },
  ].map(({ name, usual, what }): AnnotationRow => ({
    key: `readiness.status.sidecar.istio.io/${name}`,
    on: 'annotation',
    takes: 'decimal digits, a number of 32 bits, without blanks',
    default: `the \`readiness…\` value of that name in \`global.proxy\`, which is ${usual}`,
    effect: `${what} (readiness of the proxy)`,
    read: readCount,
  })),
  {
    key: 'sidecar.istio.io/rewriteAppHTTPProbers',
    on: 'annotation',
    takes: `${SWITCH}; other text counts as absent`,
    default: '`sidecarInjectorWebhook.rewriteAppHTTPProbe`, which is true',
    effect: "whether the application's probes go through the agent",
  },
  {
    key: 'prometheus.istio.io/merge-metrics',
    on: 'annotation',
    takes: SWITCH,
    default: '`enablePrometheusMerge` of the mesh, which is true',
    effect: "whether one scrape of the agent gives the application's metrics too",
    read: readBoolean,
  },
  ...[
    { key: 'prometheus.io/scrape', takes: SWITCH, effect: 'false: metrics are left alone' },
    {
      key: 'prometheus.io/port',
      takes: 'a port that is not one of Istio’s own',
      effect: 'where the application serves metrics',
    },
    { key: 'prometheus.io/path', takes: 'a path', effect: 'where the application serves metrics' },
    {
      key: 'prometheus.istio.io/scrape-targets',
      takes: '`port` or `port:path`, separated by commas',
      effect: 'several such places; wins over port and path',
    },
  ].map((row): AnnotationRow => ({
    ...row,
    on: 'annotation',
    takes: `${row.takes}; any punctuation may stand in the key. Read when metrics are merged`,
    default: '',
  })),
  {
    key: 'prometheus.istio.io/secure-port',
    on: 'annotation',
    takes: 'any text',
    default: "`ENVOY_SECURE_MERGED_METRICS_PORT` of the proxy's environment",
    effect: 'the port of merged metrics over mutual TLS',
  },
]
