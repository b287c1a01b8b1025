/** What a pod's own text says about its injection: annotations, templates, proxy configuration, place. */
import { PROXY_CONFIG_ANNOTATION, TEMPLATES_ANNOTATION } from '../constants.ts'
import type { Pod, StringMap } from '../k8s.ts'
import { checkAnnotations } from '../options/annotations.ts'
import { bad, formatProblem, good, Refusal, type Problem, type Read } from '../problem.ts'
import { checkAnnotationSize } from './acceptable.ts'
import { readLocation, type Location } from './cluster-envs.ts'
import type { InjectConfig } from './config.ts'
import type { InjectRequest } from './decision.ts'
import { readOverrides } from './overrides.ts'
import {
  effectiveProxyConfig,
  type ProxyConfigs,
  type ProxyConfigSources,
} from './proxy-config-layers.ts'
import { readProxyConfig } from './proxy-config.ts'
import type { Template } from './template.ts'
import { findTrustChanges } from './trust-envs.ts'
import { readUserJson, type UserVolumes } from './user-json.ts'

/** What a pod says about its injection, read and checked. */
export type Facts = {
  readonly templates: readonly Template[]
  readonly proxyConfigs: ProxyConfigs
  readonly userJson: UserVolumes
  readonly location: Location
}

/** Reads everything the pod's text says; all problems are reported together. */
export function readFacts(pod: Pod, request: InjectRequest, config: InjectConfig): Read<Facts> {
  const annotations: StringMap = pod.metadata?.annotations ?? {}
  const labels: StringMap = pod.metadata?.labels ?? {}
  const oversized = checkAnnotationSize(pod)
  if (oversized.length > 0) return { ok: false, problems: oversized }
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
  if (layer?.ok === false) problems.push(...layer.problems)
  if (problems.length > 0 || !userJson.ok || !templates.ok || layer?.ok === false) {
    return { ok: false, problems: distinct(problems) }
  }
  const sources = {
    mesh: config.mesh.defaultConfig,
    annotation: layer?.value,
    resources: config.proxyConfigs,
    rootNamespace: config.mesh.rootNamespace,
    namespace: namespaceOf(pod, request),
    labels,
  }
  const proxyConfigs = effectiveProxyConfig(sources)
  const strange = config.isFenced ? trustChanges(sources, proxyConfigs, userJson.value, config) : []
  if (strange.length > 0) return { ok: false, problems: strange }
  return good({
    templates: templates.value,
    userJson: userJson.value,
    proxyConfigs,
    location: readLocation(labels, {
      pathEnvs: request.proxyEnvs,
      clusterName: config.values.global.multiCluster.clusterName,
      network: config.values.global.network,
    }),
  })
}

/** What the pod's text, or its namespace, changes of the variables that say whom the proxy trusts. */
function trustChanges(
  sources: ProxyConfigSources,
  { effective }: ProxyConfigs,
  { datadog }: UserVolumes,
  config: InjectConfig,
): readonly Problem[] {
  const { rootNamespace: namespace } = sources
  const operators = { ...sources, annotation: undefined, namespace, labels: {} }
  return findTrustChanges({
    effective: effective.proxyMetadata,
    annotation: sources.annotation?.fields['proxyMetadata'],
    operators: () => effectiveProxyConfig(operators).effective.proxyMetadata,
    datadog: config.values.global.proxy.tracer === 'datadog' ? datadog : {},
  })
}

/**
 * The templates that the pod or the configuration asks for, aliases replaced once, in order. One that is
 * named again counts where it stands last: what is applied twice is as if it were applied then.
 */
function templatesOf(annotations: StringMap, config: InjectConfig): Read<readonly Template[]> {
  const asked = annotations[TEMPLATES_ANNOTATION]
  const names = (asked?.split(',').map((name) => name.trim()) ?? config.defaultTemplates).flatMap(
    (name) => (Object.hasOwn(config.aliases, name) ? (config.aliases[name] ?? []) : [name]),
  )
  const templates: Template[] = []
  for (const name of [...new Set([...names].reverse())].reverse()) {
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

/** Where the pod will live: its own word, else the request's; empty when neither says. */
export function namespaceOf(pod: Pod, request: InjectRequest): string {
  return pod.metadata?.namespace ?? request.namespace ?? ''
}

/** The problems without repeats: two readers may have found the same one. */
function distinct(problems: readonly Problem[]): readonly Problem[] {
  return [...new Map(problems.map((problem) => [formatProblem(problem), problem])).values()]
}
