import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import {
  decide,
  DECISIONS,
  IGNORED_NAMESPACES,
  type InjectionPolicy,
  type PodFacts,
} from '../../../core/inject/decide.ts'
import { GATE_REASONS } from '../../../core/gates/reasons.ts'
import { describeDecision } from '../../../core/inject/why.ts'
import { printReasons } from '../../../core/reasons-page.ts'
import { formatProblem } from '../../../core/problem.ts'

const INJECT = 'sidecar.istio.io/inject'
const plain: PodFacts = { hostNetwork: false, namespace: 'shop', labels: {}, annotations: {} }
const enabled: InjectionPolicy = {
  policy: 'enabled',
  neverInjectSelector: [],
  alwaysInjectSelector: [],
  ignoredNamespaces: IGNORED_NAMESPACES,
}
const web = { matchLabels: { app: 'web' } }
const broken = { matchExpressions: [{ key: 'app', operator: 'Near', values: ['web'] }] }

type Case = {
  readonly what: string
  readonly pod?: Partial<PodFacts>
  readonly policy?: Partial<InjectionPolicy>
  /** Outcome, reason, and where the evidence stands. */
  readonly want: readonly [string, string, string]
  readonly warnings?: readonly string[]
}

const cases: readonly Case[] = [
  {
    what: 'a pod that says nothing follows the policy in',
    want: ['inject', 'policy-enabled', 'policy: enabled'],
  },
  {
    what: 'a pod that says nothing follows the policy out',
    policy: { policy: 'disabled' },
    want: ['skip', 'policy-disabled', 'policy: disabled'],
  },
  {
    what: 'a mirror pod stays what the kubelet made it, whatever it says',
    pod: { annotations: { 'kubernetes.io/config.mirror': '' }, labels: { [INJECT]: 'true' } },
    want: ['skip', 'mirror-pod', 'kubernetes.io/config.mirror: '],
  },
  {
    what: "the node's network before the pod's own word",
    pod: { hostNetwork: true, labels: { [INJECT]: 'true' } },
    want: ['skip', 'host-network', 'spec.hostNetwork: true'],
  },
  {
    what: "an ignored namespace before the pod's own word",
    pod: { namespace: 'kube-system', labels: { [INJECT]: 'true' } },
    want: ['skip', 'ignored-namespace', 'metadata.namespace: kube-system'],
  },
  {
    what: "the control plane's namespace is a namespace like any other",
    pod: { namespace: 'istio-system' },
    want: ['inject', 'policy-enabled', 'policy: enabled'],
  },
  {
    what: 'a label that says yes beats an annotation that says no, and the policy',
    pod: { labels: { [INJECT]: 'true' }, annotations: { [INJECT]: 'false' } },
    policy: { policy: 'disabled' },
    want: ['inject', 'label-opt-in', `label ${INJECT}: true`],
  },
  {
    what: 'a label that says no beats an annotation that says yes',
    pod: { labels: { [INJECT]: 'false' }, annotations: { [INJECT]: 'true' } },
    want: ['skip', 'label-opt-out', `label ${INJECT}: false`],
  },
  {
    what: 'an annotation that says no is heard where there is no label',
    pod: { annotations: { [INJECT]: 'false' } },
    want: ['skip', 'annotation-opt-out', `${INJECT}: false`],
  },
  {
    what: 'an annotation that says yes is heard where there is no label',
    pod: { annotations: { [INJECT]: 'true' } },
    policy: { policy: 'disabled' },
    want: ['inject', 'annotation-opt-in', `${INJECT}: true`],
  },
  {
    what: 'an empty label hides the annotation and says nothing',
    pod: { labels: { [INJECT]: '' }, annotations: { [INJECT]: 'false' } },
    want: ['inject', 'policy-enabled', 'policy: enabled'],
  },
  {
    what: 'a label in other letters says nothing, with a warning',
    pod: { labels: { [INJECT]: 'False' }, annotations: { [INJECT]: 'yes' } },
    want: ['inject', 'policy-enabled', 'policy: enabled'],
    warnings: [
      `label ${INJECT}: got "False", want exactly "true" or "false"; any other text counts as not said`,
    ],
  },
  {
    what: 'an annotation in other words says nothing, with a warning',
    pod: { annotations: { [INJECT]: 'yes' } },
    policy: { policy: 'disabled' },
    want: ['skip', 'policy-disabled', 'policy: disabled'],
    warnings: [
      `${INJECT}: got "yes", want exactly "true" or "false"; any other text counts as not said`,
    ],
  },
  {
    what: 'a policy that is none keeps even the willing out',
    pod: { labels: { [INJECT]: 'true' } },
    policy: { policy: 'Enabled' },
    want: ['skip', 'policy-illegal', 'policy: Enabled'],
    warnings: ['policy: got "Enabled", want enabled or disabled; until then nothing is injected'],
  },
  {
    what: 'a pod that opted out is told so, also under a policy that is none',
    pod: { labels: { [INJECT]: 'false' } },
    policy: { policy: '' },
    want: ['skip', 'label-opt-out', `label ${INJECT}: false`],
  },
  {
    what: 'never before always',
    pod: { labels: { app: 'web' } },
    policy: { neverInjectSelector: [web], alwaysInjectSelector: [web] },
    want: ['skip', 'never-selector', 'neverInjectSelector[0]: {"matchLabels":{"app":"web"}}'],
  },
  {
    what: 'the second selector that takes the pod is named',
    pod: { labels: { app: 'web' } },
    policy: { policy: 'disabled', alwaysInjectSelector: [{ matchLabels: { app: 'db' } }, web] },
    want: ['inject', 'always-selector', 'alwaysInjectSelector[1]: {"matchLabels":{"app":"web"}}'],
  },
  {
    what: "the pod's own word before the selectors",
    pod: { labels: { app: 'web', [INJECT]: 'true' } },
    policy: { neverInjectSelector: [web] },
    want: ['inject', 'label-opt-in', `label ${INJECT}: true`],
  },
  {
    what: 'an empty selector takes nobody, where Kubernetes has it take everybody',
    policy: { neverInjectSelector: [{}, null] },
    want: ['inject', 'policy-enabled', 'policy: enabled'],
  },
  {
    what: 'a selector that cannot be read is passed over with a warning',
    pod: { labels: { app: 'web' } },
    policy: { neverInjectSelector: [broken], alwaysInjectSelector: [web] },
    want: ['inject', 'always-selector', 'alwaysInjectSelector[0]: {"matchLabels":{"app":"web"}}'],
    warnings: [
      'neverInjectSelector[0].matchExpressions[0].operator: got "Near", want In, NotIn, Exists or DoesNotExist',
    ],
  },
]

for (const c of cases) {
  t.test(c.what, async (t) => {
    const { outcome, reason, evidence, warnings } = decide(
      { ...plain, ...c.pod },
      { ...enabled, ...c.policy },
    )
    t.strictSame([outcome, reason, `${evidence.path}: ${evidence.got}`], c.want)
    t.strictSame(warnings.map(formatProblem), c.warnings ?? [])
  })
}

t.test('every reason has a case here', async (t) => {
  const seen = new Set(cases.map(({ want }) => want[1]))
  t.strictSame(
    DECISIONS.filter(({ reason }) => !seen.has(reason)),
    [],
  )
})

t.test('a reason is given once, a sentence too', async (t) => {
  t.equal(new Set(DECISIONS.map(({ reason }) => reason)).size, DECISIONS.length)
  t.equal(new Set(DECISIONS.map(({ sentence }) => sentence)).size, DECISIONS.length)
})

t.test('docs/reference/reasons.md is what the table prints', async (t) => {
  const page = readFileSync(new URL('../../../docs/reference/reasons.md', import.meta.url), 'utf8')
  t.equal(page, printReasons(), 'as `npm run reference` writes it')
})

t.test('a reason that was ever given out keeps its meaning', async (t) => {
  const ever = JSON.parse(
    readFileSync(new URL('../../fixtures/reasons.json', import.meta.url), 'utf8'),
  ) as { readonly given: Readonly<Record<string, string>>; readonly retired: readonly string[] }
  const now = [...GATE_REASONS, ...DECISIONS].map(
    ({ reason, outcome }) => [reason, outcome] as const,
  )
  t.equal(new Set(now.map(([reason]) => reason)).size, now.length, 'no word stands in both lists')
  const open = Object.entries(ever.given).filter(([reason]) => !ever.retired.includes(reason))
  t.strictSame(
    Object.fromEntries(now),
    Object.fromEntries(open),
    'every code is in the list of all codes, those that are gone are marked as retired',
  )
  t.strictSame(
    ever.retired.filter((reason) => ever.given[reason] === undefined),
    [],
    'what is retired was given once',
  )
})

t.test('every outlet has one line for a decision', async (t) => {
  const spoken = {
    reason: 'label-opt-out',
    sentence: "the pod's label says no",
    evidence: { path: 'label sidecar.istio.io/inject', got: 'false\u001b[2J' },
  } as const
  t.equal(
    describeDecision({ kind: 'skip', ...spoken, warnings: [] }),
    'not injected: the pod\'s label says no: label sidecar.istio.io/inject is "false\\u001b[2J" (label-opt-out)',
  )
  const problems = [
    { path: 'a', got: 'x', want: 'y' },
    { path: 'b', got: '1', want: 'z' },
  ]
  t.equal(
    describeDecision({ kind: 'reject', problems, warnings: [] }),
    'refused: a: got "x", want y; b: got "1", want z',
  )
})

const said = fc.constantFrom('true', 'false', '', 'yes', undefined)
const map = (own: string | undefined) => (own === undefined ? {} : { [INJECT]: own })
const anyPod = fc.record({
  hostNetwork: fc.boolean(),
  namespace: fc.constantFrom('shop', 'kube-system', ''),
  labels: fc
    .tuple(fc.dictionary(fc.constantFrom('app', 'tier'), fc.constantFrom('web', '')), said)
    .map(([labels, own]) => ({ ...labels, ...map(own) })),
  annotations: said.map(map),
})
const anySelectors = fc.array(fc.oneof(fc.constantFrom(web, broken, {}), fc.jsonValue()), {
  maxLength: 3,
})
const anyPolicy = fc.record({
  policy: fc.constantFrom('enabled', 'disabled', '', 'Enabled'),
  neverInjectSelector: anySelectors,
  alwaysInjectSelector: anySelectors,
  ignoredNamespaces: fc.constant(IGNORED_NAMESPACES),
})

t.test('whatever is configured, some row speaks and the same one again', async (t) => {
  fc.assert(
    fc.property(anyPod, anyPolicy, (pod, policy) => {
      t.strictSame(decide(pod, policy), decide(pod, policy))
    }),
  )
})

t.test("no selector and no policy overrules the pod's own no", async (t) => {
  fc.assert(
    fc.property(anyPod, anyPolicy, (pod, policy) => {
      const willing = { ...pod, labels: { ...pod.labels, [INJECT]: 'false' } }
      t.equal(decide(willing, policy).outcome, 'skip')
    }),
  )
})
