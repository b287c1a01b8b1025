import { goJson, isObject, type JsonObject } from '../json.ts'
import { bad, type Read } from '../problem.ts'
import { readYaml } from '../yaml.ts'
import { defaultValues } from './values-defaults.ts'
import { layer } from './values-layers.ts'
import { viewValues } from './values-view.ts'

/** The lines of Istio that there are templates for, the one of today first. */
export const ISTIO_VERSIONS = ['current', '1.17', '1.8'] as const

/** Which Istio's templates, values and mesh defaults are the built-in ones. */
export type IstioVersion = (typeof ISTIO_VERSIONS)[number]

/**
 * The Helm values that injection reads, typed. A value that is null or absent reads as the zero of its
 * type: empty text, false, no items; a number or a map as undefined.
 */
export type Values = {
  /** All values, built-in defaults included, as they were merged: for templates of users. */
  readonly raw: JsonObject
  readonly revision: string
  readonly global: GlobalValues
  readonly pilot: {
    /** Also where the file spells it `istio_cni`, as 1.17 and 1.8 do. */
    readonly cni: { readonly enabled: boolean; readonly provider: string }
    readonly crlConfigMapName: string
    readonly env: { readonly ENABLE_CLUSTER_TRUST_BUNDLE_API: boolean }
  }
  readonly gateways: { readonly securityContext: JsonObject | undefined }
  readonly sidecarInjectorWebhook: {
    readonly rewriteAppHTTPProbe: boolean
    /** Template names; the injector uses `sidecar` when there are none. */
    readonly defaultTemplates: readonly string[]
    /** Templates of the operator, by name. */
    readonly templates: Readonly<Record<string, string>>
    /** What they may bring into a pod, by name. */
    readonly declarations: JsonObject | undefined
    /** Lists of template names, by alias. */
    readonly aliases: Readonly<Record<string, readonly string[]>>
    /** Label selectors as the API has them. */
    readonly neverInjectSelector: readonly JsonObject[]
    readonly alwaysInjectSelector: readonly JsonObject[]
    readonly injectedAnnotations: Readonly<Record<string, string>>
  }
  /** Our own subtree. */
  readonly sidecarInjector: {
    readonly cniAnnotation: boolean
    /** Whether pods are refused that got more through a template than it declares; on unless switched off. */
    readonly fence: boolean
  }
}

/** `global` of the values. */
export type GlobalValues = {
  readonly hub: string
  /** Text also where the file has a number: `1.12` is `1.12`, `1.10` is `1.1`. */
  readonly tag: string
  readonly variant: string
  readonly imagePullPolicy: string
  readonly imagePullSecrets: readonly string[]
  readonly caAddress: string
  readonly caName: string
  readonly istioNamespace: string
  /** `first-party-jwt` or `third-party-jwt`; read by the template sets 1.8 and 1.17. */
  readonly jwtPolicy: string
  readonly logAsJson: boolean
  readonly logging: { readonly level: string }
  readonly meshID: string
  readonly mountMtlsCerts: boolean
  readonly multiCluster: { readonly clusterName: string }
  readonly nativeNftables: boolean
  readonly network: string
  readonly pilotCertProvider: string
  readonly sds: { readonly token: { readonly aud: string } }
  /** 0 means none. */
  readonly sts: { readonly servicePort: number }
  readonly trustDomain: string
  readonly trustBundleName: string
  readonly proxy: ProxyValues
  readonly proxy_init: { readonly image: string; readonly forceApplyIptables: boolean }
}

/** `global.proxy` of the values. */
export type ProxyValues = {
  readonly image: string
  /** The injection policy: `enabled` or `disabled`. */
  readonly autoInject: string
  readonly capNetBindService: string
  readonly clusterDomain: string
  readonly componentLogLevel: string
  readonly enableCoreDump: boolean
  readonly excludeIPRanges: string
  readonly excludeInboundPorts: string
  readonly excludeOutboundPorts: string
  readonly holdApplicationUntilProxyStarts: boolean
  readonly includeIPRanges: string
  readonly includeInboundPorts: string
  readonly includeOutboundPorts: string
  readonly lifecycle: JsonObject | undefined
  readonly logLevel: string
  readonly outlierLogPath: string
  readonly privileged: boolean
  /** Seconds, and a count: undefined leaves the field out of the probe. */
  readonly readinessFailureThreshold: number | undefined
  readonly readinessInitialDelaySeconds: number | undefined
  readonly readinessPeriodSeconds: number | undefined
  /** With null members already taken out; undefined when nothing is left. */
  readonly resources: JsonObject | undefined
  readonly seccompProfile: JsonObject | undefined
  readonly startupProbe: {
    readonly enabled: boolean
    readonly failureThreshold: number | undefined
  }
  /** The text of a port; `0` switches the proxy's own probes off. */
  readonly statusPort: string
  readonly tracer: string
}

/**
 * Reads values, YAML or JSON, each layered over the one before it, the first over the built-in defaults of a
 * version: maps merge key by key, lists and scalars replace, an explicit null unsets. Unknown keys are kept
 * in `raw`.
 */
export function readValues(layers: readonly ValuesText[], version: IstioVersion): Read<Values> {
  let values = defaultValues(version)
  for (const { path, text } of layers) {
    const file = readYaml(path, text)
    if (!file.ok) return file
    if (file.value === null) continue
    if (!isObject(file.value)) return bad(path, goJson(file.value), 'a map of Helm values')
    values = layer(values, file.value)
  }
  return viewValues(layers.map(({ path }) => path).join(' with ') || 'values', values)
}

/** A text of values, and what to call it in problems. */
type ValuesText = { readonly path: string; readonly text: string }
