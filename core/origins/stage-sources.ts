/** What the stages after the templates made their changes of. */
import { PROXY_CONTAINER, REDIRECT_PLAN_ANNOTATION, STATUS_ANNOTATION } from '../constants.ts'
import { own } from '../json.ts'
import type { Container } from '../k8s.ts'
import { CLUSTER_ENV, NETWORK_ENV, NETWORK_LABEL } from '../inject/cluster-envs.ts'
import type { Stage } from '../inject/observe.ts'
import { containersIn, type ContainerList } from '../inject/order.ts'
import { pointer } from '../inject/pod-shape.ts'
import { REWRITE_ANNOTATION } from '../inject/probe-switch.ts'
import { listen, MERGE_ANNOTATION } from '../inject/prometheus.ts'
import { CNI } from './capture-sources.ts'
import {
  all,
  annotation,
  first,
  injector,
  label,
  mesh,
  podAt,
  proxyConfig,
  saidValues,
  source,
  values,
  type Find,
  type SourceFacts,
} from './source.ts'
import type { Mark } from './trail.ts'

/** The sources of what a stage did at one place. Templates tell theirs by their text, not here. */
export function stageSources({ stage, keyed }: Pick<Mark, 'stage' | 'keyed'>): Find {
  return STAGE_SOURCES[stage](keyed)
}

/** Finds the sources from the place, list items in it named by their keys. */
type At = (keyed: readonly string[]) => Find

const NOTHING: Find = () => []
const INJECTED_BEFORE = annotation(STATUS_ANNOTATION)

/** The container of the pod as it came that has the name of the one that was changed. */
const ownContainer: At = (keyed) => (facts) => ownPlaces(facts, keyed)

/** The user's own proxy, as the pod has it. */
const ownProxy: At = () => (facts) => placesOf(facts, PROXY_CONTAINER, '/securityContext')

const location: At = (keyed) => {
  const name = nameIn(keyed.at(-1)) ?? nameIn(keyed.at(-2)) ?? ''
  const url: Find = ({ request }) => {
    const got = own(request.proxyEnvs, name)
    return got === undefined ? [] : [source('url', name, got)]
  }
  if (name === CLUSTER_ENV) return first(url, values('global.multiCluster.clusterName'))
  if (name === NETWORK_ENV || keyed.includes(NETWORK_LABEL)) {
    return first(label(NETWORK_LABEL), url, saidValues('global.network'))
  }
  return url
}

const metrics: At = () => (facts, item) => {
  const { scrape, port, path, targets } = listen(facts.annotations, facts.config.traits.prometheus)
  const said = [...scrape, ...port, ...path, ...targets]
  const asked = first(annotation(MERGE_ANNOTATION), mesh('enablePrometheusMerge'))
  return [
    ...said.map(({ key, text }) => source('annotation', key, text)),
    ...all(asked, proxyConfig('statusPort'))(facts, item),
  ]
}

const REWRITING = all(
  first(annotation(REWRITE_ANNOTATION), values('sidecarInjectorWebhook.rewriteAppHTTPProbe')),
  proxyConfig('statusPort'),
)

const probes: At = (keyed) => (facts, item) => {
  const isProxy = nameIn(keyed[2]) === PROXY_CONTAINER
  const checks = isProxy
    ? podAt('/spec/containers')(facts, item)
    : ownPlaces(facts, keyed.slice(0, keyed[3] === 'lifecycle' ? 5 : 4))
  return [...checks, ...REWRITING(facts, item)]
}

const configured: At = (keyed) => (facts) => {
  const name = keyed[2] ?? ''
  const got = own(facts.config.injectedAnnotations, name)
  return [source('config', `injectedAnnotations.${name}`, got)]
}

const HELD = all(
  proxyConfig('holdApplicationUntilProxyStarts'),
  values('global.proxy.holdApplicationUntilProxyStarts'),
)

const STAGE_SOURCES: Readonly<Record<Stage, At>> = {
  start: () => NOTHING,
  template: () => NOTHING,
  'assigned-ids': () => injector('platform', ({ config }) => config.platform),
  'old-plan': () => annotation(REDIRECT_PLAN_ANNOTATION),
  'repeated-envs': ownContainer,
  settled: (keyed) => all(ownContainer(keyed), INJECTED_BEFORE),
  'volume-sources': (keyed) => (facts) => {
    const name = nameIn(keyed[2])
    const at = (facts.before.spec?.volumes ?? []).findIndex((volume) => volume.name === name)
    return at < 0 ? [] : [source('pod', `/spec/volumes${pointer(at)}`)]
  },
  'own-container': ownContainer,
  remembered: () => (facts) => placesOf(facts, PROXY_CONTAINER, ''),
  'own-user': ownProxy,
  'earlier-envs': () => INJECTED_BEFORE,
  location,
  metrics,
  probes,
  'env-order': () => INJECTED_BEFORE,
  status: () =>
    all(
      injector('revision', ({ config }) => config.revision || 'default'),
      injector('configuration', ({ config }) => config.version),
    ),
  'configured-annotations': configured,
  order: (keyed) => (keyed[1] === 'containers' ? HELD : NOTHING),
  'redirect-plan': () => all(values('sidecarInjector.cniAnnotation'), CNI),
  fitting: ownContainer,
}

/** Where the pod as it came has what a keyed path names, as far as it has it. */
function ownPlaces(facts: SourceFacts, keyed: readonly string[]): ReturnType<Find> {
  const name = nameIn(keyed[2])
  if (name === undefined) return []
  const rest = keyed.slice(3).filter((step) => !step.startsWith('='))
  return placesOf(facts, name, rest.map(pointer).join(''))
}

function placesOf(facts: SourceFacts, name: string, rest: string): ReturnType<Find> {
  return LISTS.flatMap((list) => {
    const at = containersIn(facts.before, list).findIndex((one: Container) => one.name === name)
    return at < 0 ? [] : [source('pod', `/spec/${list}/${at}${rest}`)]
  })
}

const LISTS: readonly ContainerList[] = ['containers', 'initContainers']

/** The key of a list's item in a keyed path, where it is text. */
function nameIn(step: string | undefined): string | undefined {
  if (step?.startsWith('="') !== true) return undefined
  const name: unknown = JSON.parse(step.slice(1))
  return typeof name === 'string' ? name : undefined
}
