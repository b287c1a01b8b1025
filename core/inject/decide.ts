import { INJECT_KEY } from '../constants.ts'
import type { StringMap } from '../k8s.ts'
import type { Problem } from '../problem.ts'
import { readSelector, selects } from './selectors.ts'

/** What the decision looks at in a pod. */
export type PodFacts = {
  readonly hostNetwork: boolean
  /** The namespace that the pod will live in. */
  readonly namespace: string
  readonly labels: StringMap
  readonly annotations: StringMap
}

/** What the operator says about pods that say nothing themselves. */
export type InjectionPolicy = {
  /** `enabled` or `disabled`; any other text switches injection off for everyone. */
  readonly policy: string
  /** Label selectors, any of which keeps a pod out; as configured, not yet read. */
  readonly neverInjectSelector: readonly unknown[]
  /** Label selectors, any of which takes a pod in; as configured, not yet read. */
  readonly alwaysInjectSelector: readonly unknown[]
  /** Namespaces whose pods are never injected. */
  readonly ignoredNamespaces: readonly string[]
}

/** Whether a pod is to be injected, and because of what. */
export type Verdict = {
  readonly outcome: Outcome
  /** A stable word for metrics, logs and tests. */
  readonly reason: Reason
  /** The row that spoke, in words. */
  readonly sentence: string
  /** What it spoke about: where, and what stood there. */
  readonly evidence: Evidence
  /** What was passed over on the way because it could not be understood. */
  readonly warnings: readonly Problem[]
}

/** What becomes of a pod. */
export type Outcome = 'inject' | 'skip'

/** The closed set of reason codes. A retired code is not used again. */
export type Reason = (typeof DECISIONS)[number]['reason']

/** The place in the pod or in the configuration that settled the matter, and its text. */
export type Evidence = { readonly path: string; readonly got: string }

/** Namespaces that Istio's injector always leaves alone. */
export const IGNORED_NAMESPACES: readonly string[] = [
  'kube-system',
  'kube-public',
  'kube-node-lease',
  'local-path-storage',
]

/** Annotation that the kubelet puts on the API's picture of a static pod. */
export const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror'

/** Decides by the first row of `DECISIONS` that speaks. */
export function decide(facts: PodFacts, policy: InjectionPolicy): Verdict {
  const warnings: Problem[] = []
  const warn = (problem: Problem) => warnings.push(problem)
  for (const { outcome, reason, sentence, speaks } of DECISIONS) {
    const evidence = speaks(facts, policy, warn)
    if (evidence !== undefined) return { outcome, reason, sentence, evidence, warnings }
  }
  throw new Error('no row of the decision table spoke')
}

type Row = {
  readonly reason: string
  readonly outcome: Outcome
  readonly sentence: string
  readonly speaks: (facts: PodFacts, policy: InjectionPolicy, warn: Warn) => Evidence | undefined
}

type Warn = (problem: Problem) => void

/**
 * Every reason to inject or to skip, in the order in which they are asked. The pod's own word stands
 * before the operator's selectors, the selectors before the policy; the last three rows between them
 * take every pod that is left.
 */
export const DECISIONS = [
  {
    reason: 'mirror-pod',
    outcome: 'skip',
    sentence: 'the pod is the image of a static pod: the kubelet runs its own file, not this',
    speaks: ({ annotations }) => stands(MIRROR_ANNOTATION, annotations[MIRROR_ANNOTATION]),
  },
  {
    reason: 'host-network',
    outcome: 'skip',
    sentence: "the pod shares its node's network, where redirecting would catch the whole node",
    speaks: ({ hostNetwork }) => (hostNetwork ? stands('spec.hostNetwork', 'true') : undefined),
  },
  {
    reason: 'ignored-namespace',
    outcome: 'skip',
    sentence: 'the namespace is one whose pods are never injected',
    speaks: ({ namespace }, { ignoredNamespaces }) =>
      ignoredNamespaces.includes(namespace) ? stands('metadata.namespace', namespace) : undefined,
  },
  {
    reason: 'label-opt-out',
    outcome: 'skip',
    sentence: "the pod's label says no",
    speaks: ({ labels }) => exactly('false', LABEL, labels[INJECT_KEY]),
  },
  {
    reason: 'annotation-opt-out',
    outcome: 'skip',
    sentence: "the pod's annotation says no, and no label stands before it",
    speaks: (facts) => exactly('false', INJECT_KEY, heardAnnotation(facts)),
  },
  {
    reason: 'policy-illegal',
    outcome: 'skip',
    sentence: 'the configured policy is no policy, so that nothing is injected',
    speaks: (_, { policy }, warn) => {
      if (policy === 'enabled' || policy === 'disabled') return undefined
      warn({
        path: 'policy',
        got: policy,
        want: 'enabled or disabled; until then nothing is injected',
      })
      return stands('policy', policy)
    },
  },
  {
    reason: 'label-opt-in',
    outcome: 'inject',
    sentence: "the pod's label says yes",
    speaks: ({ labels }, _, warn) => {
      warnUnlessBoolean(LABEL, labels[INJECT_KEY], warn)
      return exactly('true', LABEL, labels[INJECT_KEY])
    },
  },
  {
    reason: 'annotation-opt-in',
    outcome: 'inject',
    sentence: "the pod's annotation says yes, and no label stands before it",
    speaks: (facts, _, warn) => {
      warnUnlessBoolean(INJECT_KEY, heardAnnotation(facts), warn)
      return exactly('true', INJECT_KEY, heardAnnotation(facts))
    },
  },
  {
    reason: 'never-selector',
    outcome: 'skip',
    sentence: 'a selector of neverInjectSelector takes the pod',
    speaks: ({ labels }, { neverInjectSelector }, warn) =>
      firstThatSelects('neverInjectSelector', neverInjectSelector, labels, warn),
  },
  {
    reason: 'always-selector',
    outcome: 'inject',
    sentence: 'a selector of alwaysInjectSelector takes the pod',
    speaks: ({ labels }, { alwaysInjectSelector }, warn) =>
      firstThatSelects('alwaysInjectSelector', alwaysInjectSelector, labels, warn),
  },
  {
    reason: 'policy-enabled',
    outcome: 'inject',
    sentence: 'the pod says nothing, and the policy is to inject',
    speaks: (_, { policy }) => exactly('enabled', 'policy', policy),
  },
  {
    reason: 'policy-disabled',
    outcome: 'skip',
    sentence: 'the pod says nothing, and the policy is not to inject',
    speaks: (_, { policy }) => exactly('disabled', 'policy', policy),
  },
] as const satisfies readonly Row[]

/** How problems name the label; an annotation is named by its key alone. */
const LABEL = `label ${INJECT_KEY}`

/** The annotation's text, which a label of the same name hides, even an empty one. */
function heardAnnotation({ labels, annotations }: PodFacts): string | undefined {
  return labels[INJECT_KEY] === undefined ? annotations[INJECT_KEY] : undefined
}

function stands(path: string, got: string | undefined): Evidence | undefined {
  return typeof got === 'string' ? { path, got } : undefined
}

function exactly(word: string, path: string, got: string | undefined): Evidence | undefined {
  return got === word ? { path, got } : undefined
}

function warnUnlessBoolean(path: string, got: string | undefined, warn: Warn): void {
  if (typeof got !== 'string' || got === '' || got === 'true' || got === 'false') return
  warn({ path, got, want: 'exactly "true" or "false"; any other text counts as not said' })
}

/** The first selector that takes the labels. An empty one takes nobody here, as Istio has it. */
function firstThatSelects(
  path: string,
  selectors: readonly unknown[],
  labels: StringMap,
  warn: Warn,
): Evidence | undefined {
  for (const [index, value] of selectors.entries()) {
    const at = `${path}[${index}]`
    const selector = readSelector(at, value)
    if (!selector.ok) selector.problems.forEach(warn)
    else if (selector.value.length > 0 && selects(selector.value, labels)) {
      return { path: at, got: JSON.stringify(value) }
    }
  }
  return undefined
}
