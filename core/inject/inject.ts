/** What happens to one pod, from top to bottom. */
import { PROXY_CONTAINER, PROXY_ID, STATUS_PORT_ANNOTATION } from '../constants.ts'
import type { Pod } from '../k8s.ts'
import { formatProblem, good, type Problem, type Read } from '../problem.ts'
import { acceptable, withoutRepeats, withoutTwins } from './acceptable.ts'
import { ANNOTATIONS_ENV, keepEnvOrder, keepWrittenEnvs, setClusterEnvs } from './cluster-envs.ts'
import type { InjectConfig } from './config.ts'
import { buildContext, isHeld } from './context.ts'
import { decide, type InjectionPolicy, type Verdict } from './decide.ts'
import type { Decision, InjectRequest } from './decision.ts'
import { namespaceOf, readFacts, type Facts } from './facts.ts'
import { clearAssignedIds, openShiftIds } from './openshift.ts'
import { orderContainers } from './order.ts'
import { overlaid, stripped } from './overrides.ts'
import { readPod } from './pod-shape.ts'
import { PROBERS_ENV } from './probe-dump.ts'
import { findUnansweredProbes, rewriteProbes, type ProbeFacts } from './probes.ts'
import { PROMETHEUS_ENV, prometheusMerge } from './prometheus.ts'
import { withoutPlan, withPlan } from './redirect-plan.ts'
import { withAnnotations, writeStatus } from './status.ts'
import { renderOverlays, templateView } from './template-view.ts'

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
    const plain = withoutPlan(pod)
    const cleaned = plain === pod ? {} : { cleaned: { before: pod, pod: plain } }
    return { kind: 'skip', reason, sentence, ...cleaned, warnings }
  }
  const facts = readFacts(pod, request, config)
  if (!facts.ok) return { kind: 'reject', problems: facts.problems, warnings }
  return inject(pod, request, config, facts.value, verdict, warnings)
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
  const pod = withoutPlan(isOpenShift ? clearAssignedIds(original) : original)
  const ids = isOpenShift
    ? openShiftIds(request.namespaceAnnotations ?? {})
    : { uid: PROXY_ID, gid: PROXY_ID }
  // What the agent listens on: where it sends metrics and probes must be the same port.
  const { proxyConfigs } = facts
  const { statusPort } = proxyConfigs.effective
  const data = templateView(stripped(pod, statusPort), config.injectedAnnotations)
  const isNative = isNativeHere(data, request, config)
  const rendered = renderOverlays(data, (view) => {
    const context = buildContext({
      pod: view,
      request,
      config,
      proxyConfig: proxyConfigs.effective,
      ids,
      isNative,
      userJson: facts.userJson,
    })
    const lookups = {
      annotations: view.metadata?.annotations ?? {},
      labels: view.metadata?.labels ?? {},
      values: values.raw,
    }
    return facts.templates.map((template) => template.render(context, lookups))
  })
  const overlays = withoutTwins(rendered)
  const overlay = overlaid(withoutRepeats(pod, overlays), overlays, {
    isTproxy: proxyConfigs.effective.interceptionMode === 'TPROXY',
  })
  if (!overlay.ok) return { kind: 'reject', problems: overlay.problems, warnings }
  const { template, merged } = overlay.value
  const kept = keepWrittenEnvs(merged, pod, WRITTEN_ENVS)
  const located = setClusterEnvs(kept, facts.location.envs)
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
  const told = writeStatus(keepEnvOrder(probed.pod, pod), template, {
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
  const ordered = orderContainers(annotated, isFirst)
  const isPlanned = values.pilot.cni.enabled && values.sidecarInjector.cniAnnotation
  const planned: Read<Pod> = isPlanned ? withPlan(ordered, config) : good(ordered)
  if (!planned.ok) return { kind: 'reject', problems: planned.problems, warnings }
  const accepted = acceptable({
    before: original,
    template,
    pod: planned.value,
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

/** Variables that tell of the pod as its author wrote it: in a later pass that can no longer be seen. */
const WRITTEN_ENVS = [PROMETHEUS_ENV, PROBERS_ENV, ANNOTATIONS_ENV]

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
