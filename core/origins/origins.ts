/**
 * Why an injected pod is what it is: the injection is run once more and watched. At no cost where nobody
 * asks, because nothing of this is loaded or called then.
 */
import type { InjectConfig } from '../inject/config.ts'
import type { InjectionPolicy, PodFacts } from '../inject/decide.ts'
import type { Decision, InjectRequest } from '../inject/decision.ts'
import type { Facts } from '../inject/facts.ts'
import { injectPod } from '../inject/inject.ts'
import type { Step } from '../inject/observe.ts'
import { isObject, type Json } from '../json.ts'
import type { Pod } from '../k8s.ts'
import { CONTEXT_SOURCES, itemAt } from './context-sources.ts'
import { differencesOf, type Difference } from './differences.ts'
import { describeOrigin, type Because, type Origin, type TemplateOrigin } from './origin.ts'
import {
  annotation,
  label,
  NO_ITEM,
  values,
  type Find,
  type Source,
  type SourceFacts,
} from './source.ts'
import { stageSources } from './stage-sources.ts'
import type { Reference } from './template-places.ts'
import { traceTemplate, type Printed, type TemplatePlace } from './template-trace.ts'
import { lead, trailOf, type Losses, type Mark, type Trail } from './trail.ts'

/** One injection with its reasons. */
export type Explained = {
  readonly decision: Decision
  /** What the policy was asked about; nothing where the pod could not even be read. */
  readonly asked?: { readonly facts: PodFacts; readonly policy: InjectionPolicy }
  /** Every field that differs between the pod before and after; none where it is not injected. */
  readonly origins: readonly Origin[]
}

/** Injects a pod and tells of each field that differs where it comes from. Throws what injectPod throws. */
export function explainPod(request: InjectRequest, config: InjectConfig): Explained {
  const watch = makeWatch()
  const decision = injectPod(request, config, watch.observe)
  const { asked } = watch.seen
  const told = asked === undefined ? {} : { asked }
  if (decision.kind === 'reject') return { decision, ...told, origins: [] }
  const { start, now, trail } = watch.seen
  const differences =
    start === undefined || now === undefined || trail === undefined
      ? []
      : differencesOf(jsonOf(start), jsonOf(now), trail, watch.losses)
  const tell = teller(watch.seen, request, config)
  return { decision, ...told, origins: differences.map(tell) }
}

/** What was seen so far. */
type Seen = {
  asked?: { readonly facts: PodFacts; readonly policy: InjectionPolicy }
  facts?: Facts
  context?: Extract<Step, { readonly stage: 'context' }>
  start?: Pod
  now?: Pod
  trail?: Trail
}

function makeWatch() {
  const seen: Seen = {}
  const losses: Losses = { removed: new Map(), moved: new Map() }
  const observe = (step: Step): void => {
    if (step.stage === 'decide') seen.asked = { facts: step.facts, policy: step.policy }
    else if (step.stage === 'facts') seen.facts = step.facts
    else if (step.stage === 'context') seen.context = step
    else if (seen.trail === undefined || seen.now === undefined) {
      seen.start = step.pod
      seen.now = step.pod
      seen.trail = trailOf(jsonOf(step.pod))
    } else {
      const mark = { stage: step.stage, index: 'index' in step ? step.index : 0 }
      seen.trail = lead(seen.trail, jsonOf(seen.now), jsonOf(step.pod), mark, losses)
      seen.now = step.pod
    }
  }
  return { seen, losses, observe }
}

/** Tells the origin of a difference. */
function teller(
  { start, facts, context }: Seen,
  request: InjectRequest,
  config: InjectConfig,
): (difference: Difference) => Origin {
  const printed = new Map<number, Printed>()
  const sourceFacts: SourceFacts | undefined =
    start === undefined || facts === undefined || context === undefined
      ? undefined
      : {
          before: start,
          view: context.input.pod,
          annotations: context.lookups.annotations,
          labels: context.lookups.labels,
          request,
          config,
          facts,
          context: context.context,
        }
  return ({ mark, ...difference }) => {
    const { stage } = mark
    if (sourceFacts === undefined || context === undefined) {
      return { ...difference, stage, from: [], text: describeOrigin({ stage, from: [] }) }
    }
    if (stage !== 'template') {
      const annotations = start?.metadata?.annotations ?? {}
      const from = stageSources(mark)({ ...sourceFacts, annotations }, NO_ITEM)
      return { ...difference, stage, from, text: describeOrigin({ stage, from }) }
    }
    const place = placeOf(mark, sourceFacts, context)
    const template = templateOrigin(place, sourceFacts)
    const from = sourcesOf(place.prints, place.round, sourceFacts)
    return { ...difference, stage, template, from, text: describeOrigin({ stage, template, from }) }
  }

  /** The place of a template where what it set stands, or else what that stands in. */
  function placeOf(
    { index, keyed }: Mark,
    { facts }: SourceFacts,
    { context, lookups }: NonNullable<Seen['context']>,
  ): TemplatePlace {
    const template = facts.templates[index]
    if (template === undefined) throw new Error(`internal error, no template ${index}`)
    const root = printed.get(index) ?? traceTemplate(template, context, lookups)
    printed.set(index, root)
    const [spec = '', list = '', ...rest] = keyed
    const found = descend(root, keyed)
    // A template's regular proxy is merged into a native one where another template makes it that.
    const other = OTHER_LIST[list]
    const moved = other === undefined ? found : descend(root, [spec, other, ...rest])
    return (moved.depth > found.depth ? moved : found).place
  }
}

const OTHER_LIST: Readonly<Record<string, string>> = {
  containers: 'initContainers',
  initContainers: 'containers',
}

function descend(root: Printed, keyed: readonly string[]) {
  let at = root
  let depth = 0
  for (const step of keyed) {
    const inner = at.inside.get(step)
    if (inner === undefined) break
    at = inner
    depth++
  }
  return { place: at.place, depth }
}

function templateOrigin(place: TemplatePlace, facts: SourceFacts): TemplateOrigin {
  const { template, line, round, prints, conditions } = place
  const because = conditions.map(({ line, text, isTaken, reads }): Because => {
    return { line, text, isTaken, from: sourcesOf(reads, round, facts) }
  })
  return { name: template, line, prints: prints.map(({ name }) => name), because }
}

function sourcesOf(
  references: readonly Reference[],
  round: number | undefined,
  facts: SourceFacts,
): readonly Source[] {
  return references.flatMap((reference) => {
    const value = itemAt(facts.context, reference.name, round)
    return finderOf(reference)(facts, { value, index: round ?? -1 })
  })
}

function finderOf({ kind, name }: Reference): Find {
  switch (kind) {
    case 'context':
      return CONTEXT_SOURCES[name] ?? (() => [])
    case 'annotation':
      return annotation(name)
    case 'label':
      return label(name)
    case 'value':
      return values(name)
  }
}

/** A pod is JSON, whatever its type says of optional members. */
function jsonOf(pod: unknown): Json {
  if (isObject(pod)) return pod
  throw new Error('internal error, a pod is no object')
}
