/** What happens to one pod, from top to bottom. */
import { PROXY_CONTAINER, PROXY_ID, STATUS_PORT_ANNOTATION } from '../constants.ts'
import type { Pod } from '../k8s.ts'
import { formatProblem, good, type Problem, type Read } from '../problem.ts'
import { acceptable, withoutRepeats, withoutTwins } from './acceptable.ts'
import { ANNOTATIONS_ENV, keepEnvOrder, keepWrittenEnvs, setClusterEnvs } from './cluster-envs.ts'
import type { InjectConfig } from './config.ts'
import { buildContext, isHeld, type ContextInput } from './context.ts'
import { decide, type InjectionPolicy, type PodFacts, type Verdict } from './decide.ts'
import type { Decision, InjectRequest } from './decision.ts'
import { namespaceOf, readFacts, type Facts } from './facts.ts'
import { checkFence } from './fence.ts'
import { unfenced } from './fence-usual.ts'
import { clearAssignedIds, openShiftIds } from './openshift.ts'
import type { Observe } from './observe.ts'
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
 * `observe` is told each step.
 */
export function injectPod(
  request: InjectRequest,
  config: InjectConfig,
  observe?: Observe,
): Decision {
  const read = readPod('', request.pod)
  if (!read.ok) return { kind: 'reject', problems: read.problems, warnings: [] }
  const pod = read.value
  const asked: PodFacts = {
    hostNetwork: pod.spec?.hostNetwork === true,
    namespace: namespaceOf(pod, request),
    labels: pod.metadata?.labels ?? {},
    annotations: pod.metadata?.annotations ?? {},
  }
  const policy = policyFor(request, config)
  observe?.({ stage: 'decide', facts: asked, policy })
  const verdict = decide(asked, policy)
  const warnings = verdict.warnings.map(formatProblem)
  if (verdict.outcome === 'skip') {
    const { reason, sentence, evidence } = verdict
    const plain = withoutPlan(pod)
    observe?.({ stage: 'start', pod })
    observe?.({ stage: 'old-plan', pod: plain })
    const cleaned = plain === pod ? {} : { cleaned: { before: pod, pod: plain } }
    return { kind: 'skip', reason, sentence, evidence, ...cleaned, warnings }
  }
  const facts = readFacts(pod, request, config)
  if (!facts.ok) return { kind: 'reject', problems: facts.problems, warnings }
  observe?.({ stage: 'facts', facts: facts.value })
  return inject(pod, request, config, facts.value, verdict, warnings, observe)
}

/** Builds the injected pod. */
function inject(
  original: Pod,
  request: InjectRequest,
  config: InjectConfig,
  facts: Facts,
  verdict: Verdict,
  warnings: readonly string[],
  observe: Observe | undefined,
): Decision {
  const { values, mesh, traits } = config
  const isOpenShift = config.platform === 'openshift' && request.door === 'webhook'
  const cleared = isOpenShift ? clearAssignedIds(original) : original
  const pod = withoutPlan(cleared)
  observe?.({ stage: 'start', pod: original })
  observe?.({ stage: 'assigned-ids', pod: cleared })
  observe?.({ stage: 'old-plan', pod })
  const ids = isOpenShift
    ? openShiftIds(request.namespaceAnnotations ?? {})
    : { uid: PROXY_ID, gid: PROXY_ID }
  // What the agent listens on: where it sends metrics and probes must be the same port.
  const { proxyConfigs } = facts
  const { statusPort } = proxyConfigs.effective
  const data = templateView(stripped(pod, statusPort), config.injectedAnnotations)
  const isNative = isNativeHere(data, request, config)
  const rendered = renderOverlays(data, (view) => {
    const input: ContextInput = {
      pod: view,
      request,
      config,
      proxyConfig: proxyConfigs.effective,
      ids,
      isNative,
      userJson: facts.userJson,
    }
    const context = buildContext(input)
    const lookups = {
      annotations: view.metadata?.annotations ?? {},
      labels: view.metadata?.labels ?? {},
      values: values.raw,
    }
    observe?.({ stage: 'context', input, context, lookups })
    return facts.templates.map((template) => template.render(context, lookups))
  })
  const overlays = withoutTwins(rendered)
  const single = withoutRepeats(pod, overlays)
  observe?.({ stage: 'repeated-envs', pod: single })
  const isTproxy = proxyConfigs.effective.interceptionMode === 'TPROXY'
  const overlay = overlaid(single, overlays, { isTproxy }, observe)
  if (!overlay.ok) return { kind: 'reject', problems: overlay.problems, warnings }
  const { template, merged } = overlay.value
  const kept = keepWrittenEnvs(merged, pod, WRITTEN_ENVS)
  observe?.({ stage: 'earlier-envs', pod: kept })
  const located = setClusterEnvs(kept, facts.location.envs)
  observe?.({ stage: 'location', pod: located })
  const scraped = prometheusMerge(located, {
    meshStatusPort: statusPort,
    enabled: mesh.enablePrometheusMerge,
    dialect: traits.prometheus,
  })
  if (!scraped.ok) return { kind: 'reject', problems: scraped.problems, warnings }
  observe?.({ stage: 'metrics', pod: scraped.value })
  const probed = withAgentProbes(scraped.value, {
    meshStatusPort: statusPort,
    enabled: values.sidecarInjectorWebhook.rewriteAppHTTPProbe,
    dialect: traits.probes,
  })
  observe?.({ stage: 'probes', pod: probed.pod })
  const arranged = keepEnvOrder(probed.pod, pod)
  observe?.({ stage: 'env-order', pod: arranged })
  const told = writeStatus(arranged, template, {
    revision: config.revision,
    version: config.version,
    dialect: traits.status,
  })
  const annotated =
    request.door === 'webhook' ? withAnnotations(told, config.injectedAnnotations) : told
  observe?.({ stage: 'status', pod: told })
  observe?.({ stage: 'configured-annotations', pod: annotated })
  const isFirst = isHeld(
    proxyConfigs.annotated,
    values.global.proxy.holdApplicationUntilProxyStarts,
  )
  const ordered = orderContainers(annotated, isFirst)
  observe?.({ stage: 'order', pod: ordered })
  const isPlanned = values.pilot.cni.enabled && values.sidecarInjector.cniAnnotation
  const planned: Read<Pod> = isPlanned ? withPlan(ordered, config) : good(ordered)
  if (!planned.ok) return { kind: 'reject', problems: planned.problems, warnings }
  observe?.({ stage: 'redirect-plan', pod: planned.value })
  const accepted = acceptable({
    before: original,
    template,
    pod: planned.value,
    userMounts: facts.userJson.mounts,
  })
  if (!accepted.ok) return { kind: 'reject', problems: accepted.problems, warnings }
  const parts = { before: original, after: accepted.value, user: facts.userJson }
  const names = facts.templates.map((each) => each.name)
  const strange = checkFence(parts, names, config, (asked) => injectPod(asked, unfenced(config)))
  if (strange.length > 0) return { kind: 'reject', problems: strange, warnings }
  observe?.({ stage: 'fitting', pod: accepted.value })
  return {
    kind: 'inject',
    reason: verdict.reason,
    sentence: verdict.sentence,
    evidence: verdict.evidence,
    before: original,
    pod: accepted.value,
    templates: names,
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
