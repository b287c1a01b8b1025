/** What happens to one pod, from top to bottom. */
import {
  PROXY_CONFIG_ANNOTATION,
  PROXY_CONTAINER,
  PROXY_ID,
  STATUS_PORT_ANNOTATION,
  TEMPLATES_ANNOTATION,
} from '../constants.ts'
import type { Pod, StringMap } from '../k8s.ts'
import { checkAnnotations } from '../options/annotations.ts'
import { bad, formatProblem, good, Refusal, type Problem, type Read } from '../problem.ts'
import { acceptable, withoutRepeats } from './acceptable.ts'
import { readLocation, setClusterEnvs, type Location } from './cluster-envs.ts'
import type { InjectConfig } from './config.ts'
import { buildContext, isHeld } from './context.ts'
import { decide, type InjectionPolicy, type Verdict } from './decide.ts'
import type { Decision, InjectRequest } from './decision.ts'
import { clearAssignedIds, openShiftIds } from './openshift.ts'
import { orderContainers } from './order.ts'
import { overlaid, readOverrides, stripped } from './overrides.ts'
import { readPod } from './pod-shape.ts'
import { PROBERS_ENV } from './probe-dump.ts'
import { findUnansweredProbes, rewriteProbes, type ProbeFacts } from './probes.ts'
import { PROMETHEUS_ENV, prometheusMerge } from './prometheus.ts'
import { effectiveProxyConfig, type ProxyConfigs } from './proxy-config-layers.ts'
import { readProxyConfig } from './proxy-config.ts'
import { withAnnotations, writeStatus } from './status.ts'
import type { Template } from './template.ts'
import { readUserJson, type UserVolumes } from './user-json.ts'

/**
 * Decides about a pod and, where it is to be injected, builds the injected one beside it. Problems in
 * the pod's own text come back as a rejection; what is thrown is a fault of the configuration or ours.
 */
export function injectPod(request: InjectRequest, config: InjectConfig): Decision {
  const read = readPod('', request.pod)
  if (!read.ok) return { kind: 'reject', problems: read.problems, warnings: [] }
  const pod = read.value
  const verdict = decide(
    {
      hostNetwork: pod.spec?.hostNetwork === true,
      namespace: namespaceOf(pod, request),
      labels: pod.metadata?.labels ?? {},
      annotations: pod.metadata?.annotations ?? {},
    },
    policyFor(request, config),
  )
  const warnings = verdict.warnings.map(formatProblem)
  if (verdict.outcome === 'skip') {
    const { reason, sentence } = verdict
    return { kind: 'skip', reason, sentence, warnings }
  }
  const facts = readFacts(pod, request, config)
  if (!facts.ok) return { kind: 'reject', problems: facts.problems, warnings }
  return inject(pod, request, config, facts.value, verdict, warnings)
}

/** What a pod says about its injection, read and checked. */
type Facts = {
  readonly templates: readonly Template[]
  readonly proxyConfigs: ProxyConfigs
  readonly userJson: UserVolumes
  readonly location: Location
}

/** Reads everything the pod's text says; all problems are reported together. */
function readFacts(pod: Pod, request: InjectRequest, config: InjectConfig): Read<Facts> {
  const annotations: StringMap = pod.metadata?.annotations ?? {}
  const labels: StringMap = pod.metadata?.labels ?? {}
  const overrides = readOverrides(annotations)
  const problems: Problem[] = [
    ...checkAnnotations(annotations),
    ...(overrides.ok ? [] : overrides.problems),
  ]
  const userJson = readUserJson(annotations)
  if (!userJson.ok) problems.push(...userJson.problems)
  const templates = templatesOf(annotations, config)
  if (!templates.ok) problems.push(...templates.problems)
  const text = annotations[PROXY_CONFIG_ANNOTATION]
  const layer = text === undefined ? undefined : readProxyConfig(PROXY_CONFIG_ANNOTATION, text)
  if (problems.length > 0 || !userJson.ok || !templates.ok || layer?.ok === false) {
    return { ok: false, problems: distinct(problems) }
  }
  return good({
    templates: templates.value,
    userJson: userJson.value,
    proxyConfigs: effectiveProxyConfig({
      mesh: config.mesh.defaultConfig,
      annotation: layer?.value,
      resources: config.proxyConfigs,
      rootNamespace: config.mesh.rootNamespace,
      namespace: namespaceOf(pod, request),
      labels,
    }),
    location: readLocation(labels, {
      pathEnvs: request.proxyEnvs,
      clusterName: config.values.global.multiCluster.clusterName,
      network: config.values.global.network,
    }),
  })
}

/** The templates that the pod or the configuration asks for, aliases replaced once, in order. */
function templatesOf(annotations: StringMap, config: InjectConfig): Read<readonly Template[]> {
  const asked = annotations[TEMPLATES_ANNOTATION]
  const names = (asked?.split(',').map((name) => name.trim()) ?? config.defaultTemplates).flatMap(
    (name) => (Object.hasOwn(config.aliases, name) ? (config.aliases[name] ?? []) : [name]),
  )
  const templates: Template[] = []
  for (const name of names) {
    const template = config.templates.get(name)
    if (template === undefined) {
      const have = [...config.templates.keys()].sort().join(', ')
      const want = `a template of the injector: ${have}`
      if (asked !== undefined) return bad(TEMPLATES_ANNOTATION, name, want)
      throw new Refusal([{ path: 'defaultTemplates', got: name, want }])
    }
    templates.push(template)
  }
  return good(templates)
}

/** Builds the injected pod. */
function inject(
  original: Pod,
  request: InjectRequest,
  config: InjectConfig,
  facts: Facts,
  verdict: Verdict,
  warnings: readonly string[],
): Decision {
  const { values, mesh, traits } = config
  const isOpenShift = config.platform === 'openshift' && request.door === 'webhook'
  const pod = isOpenShift ? clearAssignedIds(original) : original
  const ids = isOpenShift
    ? openShiftIds(request.namespaceAnnotations ?? {})
    : { uid: PROXY_ID, gid: PROXY_ID }
  // What the agent listens on: where it sends metrics and probes must be the same port.
  const { proxyConfigs } = facts
  const { statusPort } = proxyConfigs.effective
  const data = stripped(pod, statusPort)
  const isNative = isNativeHere(data, request, config)
  const context = buildContext({
    pod: data,
    request,
    config,
    proxyConfig: proxyConfigs.effective,
    ids,
    isNative,
    userJson: facts.userJson,
  })
  const lookups = {
    annotations: data.metadata?.annotations ?? {},
    labels: data.metadata?.labels ?? {},
    values: values.raw,
  }
  const overlays = facts.templates.map((template) => template.render(context, lookups))
  const overlay = overlaid(withoutRepeats(pod, overlays), overlays, {
    isTproxy: proxyConfigs.effective.interceptionMode === 'TPROXY',
  })
  if (!overlay.ok) return { kind: 'reject', problems: overlay.problems, warnings }
  const { template, merged } = overlay.value
  const located = setClusterEnvs(merged, facts.location.envs, [PROMETHEUS_ENV, PROBERS_ENV])
  const scraped = prometheusMerge(located, {
    meshStatusPort: statusPort,
    enabled: mesh.enablePrometheusMerge,
    dialect: traits.prometheus,
  })
  if (!scraped.ok) return { kind: 'reject', problems: scraped.problems, warnings }
  const probed = withAgentProbes(scraped.value, {
    meshStatusPort: statusPort,
    enabled: values.sidecarInjectorWebhook.rewriteAppHTTPProbe,
    dialect: traits.probes,
  })
  const told = writeStatus(probed.pod, template, {
    revision: config.revision,
    version: config.version,
    dialect: traits.status,
  })
  const annotated =
    request.door === 'webhook' ? withAnnotations(told, config.injectedAnnotations) : told
  const isFirst = isHeld(
    proxyConfigs.annotated,
    values.global.proxy.holdApplicationUntilProxyStarts,
  )
  const accepted = acceptable({
    before: original,
    template,
    pod: orderContainers(annotated, isFirst),
    userMounts: facts.userJson.mounts,
  })
  if (!accepted.ok) return { kind: 'reject', problems: accepted.problems, warnings }
  return {
    kind: 'inject',
    reason: verdict.reason,
    sentence: verdict.sentence,
    before: original,
    pod: accepted.value,
    templates: facts.templates.map((each) => each.name),
    warnings: [...warnings, ...[...scraped.warnings, ...probed.warnings].map(formatProblem)],
  }
}

/**
 * The pod with its checks turned to the agent, and a warning for each that will never be answered. An
 * agent without a port answers none (and the API server refuses port 0), so they stay as they are then.
 */
function withAgentProbes(
  pod: Pod,
  facts: ProbeFacts,
): { readonly pod: Pod; readonly warnings: readonly Problem[] } {
  const warnings = findUnansweredProbes(pod, facts)
  const port = pod.metadata?.annotations?.[STATUS_PORT_ANNOTATION]
  const isSilent = port !== undefined && Number(port) === 0
  return { pod: isSilent ? pod : rewriteProbes(pod, facts), warnings }
}

/**
 * Whether this pod's proxy is a native sidecar: the annotation, else what the cluster can do. A pod needs
 * at least one regular container, so one that consists of its own istio-proxy keeps it there.
 */
function isNativeHere(pod: Pod, request: InjectRequest, config: InjectConfig): boolean {
  if (!config.traits.canBeNative) return false
  const containers = pod.spec?.containers ?? []
  if (containers.every((container) => container.name === PROXY_CONTAINER)) return false
  const asked = pod.metadata?.annotations?.['sidecar.istio.io/nativeSidecar'] ?? ''
  return asked === '' ? request.nativeSidecars : asked !== 'false'
}

/** kube-inject is told by its user what to inject; the operator's policy and selectors are the webhook's. */
function policyFor(request: InjectRequest, config: InjectConfig): InjectionPolicy {
  if (request.door === 'webhook') return config.policy
  return { ...config.policy, policy: 'enabled', neverInjectSelector: [], alwaysInjectSelector: [] }
}

function namespaceOf(pod: Pod, request: InjectRequest): string {
  return pod.metadata?.namespace ?? request.namespace ?? ''
}

/** The problems without repeats: two readers may have found the same one. */
function distinct(problems: readonly Problem[]): readonly Problem[] {
  return [...new Map(problems.map((problem) => [formatProblem(problem), problem])).values()]
}
