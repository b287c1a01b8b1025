import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { judgeGates } from '../../../core/gates/judge.ts'
import { evaluateGate, takersOf, type GateFacts } from '../../../core/gates/gate.ts'
import { hostOf, ownerOfEntry, printEntry, revisionOf } from '../../../core/gates/entry.ts'
import { listEntries, readable, readWebhooks } from '../../../core/gates/read-webhooks.ts'
import { GATE_REASONS } from '../../../core/gates/reasons.ts'
import { unmetSteps } from '../../../core/gates/scene.ts'
import { usualEntries } from '../../../core/gates/usual-entries.ts'
import { printRequirement, selects } from '../../../core/inject/selectors.ts'
import { formatProblem } from '../../../core/problem.ts'
import { readYaml } from '../../../core/yaml.ts'

const RULE = { operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] }
const ENABLED = { matchLabels: { 'istio-injection': 'enabled' } }

/** One configuration with one entry of ours. */
function entriesOf(entry: object = {}, metadata: object = {}) {
  return entriesIn({
    kind: 'MutatingWebhookConfiguration',
    metadata: { name: 'c', ...metadata },
    webhooks: [{ name: 'w.sidecar-injector.io', rules: [RULE], ...entry }],
  })
}

function entriesIn(value: unknown) {
  const read = readWebhooks(value)
  if (!read.ok) throw new Error(read.problems.map(formatProblem).join('\n'))
  return read.value
}

/** The entries of our own manifests. */
function deployed() {
  const path = new URL('../../../deploy/base/mutatingwebhookconfiguration.yaml', import.meta.url)
  const read = readYaml('base', readFileSync(path, 'utf8'))
  return entriesIn(read.ok ? read.value : undefined)
}

const SHOP: GateFacts = { namespace: 'shop', namespaceLabels: {}, podLabels: {}, pod: {} }

t.test('what is read, in the order in which the API server asks', async (t) => {
  const entry = (name: string) => ({ name })
  const kind = 'MutatingWebhookConfiguration'
  const b = { kind, metadata: { name: 'b' }, webhooks: [entry('b2'), entry('b1')] }
  const a = { metadata: { name: 'a' }, webhooks: [entry('a1')] }
  const list = { kind: `${kind}List`, items: [a] }
  const other = { kind: 'ValidatingWebhookConfiguration', webhooks: [entry('no')] }
  const read = entriesIn([{ kind: 'List', items: [b, other] }, list, { kind, webhooks: null }])
  t.strictSame(read.map(printEntry), ['a/a1', 'b/b2', 'b/b1'])
})

t.test('the defaults of the API and everything that is said', async (t) => {
  const [plain] = entriesOf()
  t.match(plain, {
    namespaceSelector: [],
    objectSelector: [],
    conditions: [],
    failurePolicy: 'Fail',
    reinvocationPolicy: 'Never',
    timeoutSeconds: 10,
    client: { by: 'url', url: '' },
    caBundle: '',
    configuration: { name: 'c', labels: {}, createdAt: undefined },
  })
  const [full] = entriesOf(
    {
      failurePolicy: 'Ignore',
      reinvocationPolicy: 'IfNeeded',
      timeoutSeconds: 5,
      clientConfig: { service: { namespace: 'n', name: 's' }, caBundle: 'Q0E=' },
      matchConditions: [{ name: 'x', expression: 'true' }],
    },
    { labels: { 'istio.io/rev': '' }, creationTimestamp: '2026-01-01T00:00:00Z' },
  )
  t.match(full, {
    failurePolicy: 'Ignore',
    reinvocationPolicy: 'IfNeeded',
    timeoutSeconds: 5,
    client: { by: 'service', namespace: 'n', name: 's', port: 443, path: '/' },
    caBundle: 'Q0E=',
    conditions: [{ name: 'x', expression: 'true' }],
    configuration: { createdAt: '2026-01-01T00:00:00Z' },
  })
  t.equal(full && revisionOf(full.configuration), 'default')
  t.equal(full && hostOf(full.client), 's.n.svc')
})

const hosts = [
  ['https://[::1]:15017/inject', '::1'],
  ['https://injector.example:1/', 'injector.example'],
  ['nonsense', ''],
] as const

for (const [url, want] of hosts) {
  t.test(`the host of ${url}`, async (t) => t.equal(hostOf({ by: 'url', url }), want))
}

const owners = [
  ['namespace.sidecar-injector.io', 'ours'],
  ['sidecar-injector.io', 'ours'],
  ['rev.object.sidecar-injector.istio.io', 'istio'],
  ['sidecar-injector.istio.io', 'istio'],
  ['not-sidecar-injector.io', 'other'],
  ['linkerd-proxy-injector.linkerd.io', 'other'],
] as const

for (const [name, want] of owners) {
  t.test(`${name} is ${want}`, async (t) => {
    t.strictSame(entriesOf({ name }).map(ownerOfEntry), [want])
  })
}

const unreadable = [
  {
    value: 'text',
    want: ['in: got "\\"text\\"", want a MutatingWebhookConfiguration, or a list of them'],
  },
  {
    value: { kind: 'MutatingWebhookConfiguration', webhooks: { a: 1 } },
    want: ['in/webhooks: got "{\\"a\\":1}", want a list of webhooks'],
  },
  {
    value: { kind: 'MutatingWebhookConfiguration', webhooks: [7, { objectSelector: 7 }] },
    want: [
      'in/webhooks/0: got "7", want a webhook',
      'in/webhooks/1/objectSelector: got "7", want a label selector',
    ],
  },
]

for (const c of unreadable) {
  t.test(`refused: ${c.want.join()}`, async (t) => {
    const read = readWebhooks(c.value, 'in')
    t.strictSame(read.ok ? [] : read.problems.map(formatProblem), c.want)
  })
}

t.test('entries one by one: what cannot be read keeps its place and takes nothing', async (t) => {
  const broken = {
    name: 'w',
    namespaceSelector: { matchExpressions: [{ key: 'a', operator: 'Near', values: ['b'] }] },
  }
  const listed = listEntries({ webhooks: [7, broken, { name: 'v', rules: [RULE] }] })
  t.strictSame(
    listed.map(({ name, index, read }) => [
      name,
      index,
      read.ok ? [] : read.problems.map(({ path }) => path),
    ]),
    [
      ['', 0, ['/webhooks/0']],
      ['w', 1, ['/webhooks/1/namespaceSelector.matchExpressions[0].operator']],
      ['v', 2, []],
    ],
  )
  t.strictSame(takersOf(readable(listed), SHOP).map(printEntry), ['v'])
  t.strictSame(listEntries({ webhooks: 'none' }), [])
})

const rules = [
  { who: 'pods', rule: {}, matches: 'yes' },
  { who: 'nothing', rule: { operations: [], resources: [] }, matches: 'no' },
  {
    who: 'everything',
    rule: { operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*/*'] },
    matches: 'yes',
  },
  { who: 'pods and what is below them', rule: { resources: ['pods/*'] }, matches: 'yes' },
  { who: 'all resources but no subresource', rule: { resources: ['*'] }, matches: 'yes' },
  { who: 'one subresource of pods', rule: { resources: ['pods/exec'] }, matches: 'no' },
  { who: 'one subresource of anything', rule: { resources: ['*/scale'] }, matches: 'no' },
  { who: 'updates', rule: { operations: ['UPDATE'] }, matches: 'no' },
  { who: 'another group', rule: { apiGroups: ['apps'] }, matches: 'no' },
  { who: 'another version', rule: { apiVersions: ['v2'] }, matches: 'no' },
  { who: 'what has a namespace', rule: { scope: 'Namespaced' }, matches: 'yes' },
  { who: 'what has none', rule: { scope: 'Cluster' }, matches: 'no' },
  {
    who: 'everything that has none',
    rule: {
      operations: ['*'],
      apiGroups: ['*'],
      apiVersions: ['*'],
      resources: ['*'],
      scope: 'Cluster',
    },
    matches: 'no',
  },
] as const

for (const c of rules) {
  t.test(`rules for ${c.who}`, async (t) => {
    const [entry] = entriesOf({ rules: [{ ...RULE, ...c.rule }] })
    t.equal(entry && evaluateGate(entry, SHOP).matches, c.matches)
    t.equal(entry && evaluateGate(entry, SHOP).steps[0]?.holds, c.matches)
  })
}

t.test('an entry without rules asks for nothing', async (t) => {
  t.strictSame(takersOf(entriesOf({ rules: undefined }), SHOP), [])
})

t.test('takers come by the name of their configuration, then as listed', async (t) => {
  const entry = (name: string) => ({ name, rules: [RULE] })
  const listed = [
    { metadata: { name: 'b' }, webhooks: [entry('b2'), entry('b1')] },
    { metadata: { name: 'a' }, webhooks: [entry('a1')] },
    { metadata: { name: 'c' } },
  ].flatMap((configuration) => listEntries(configuration))
  t.strictSame(takersOf(readable(listed), SHOP).map(printEntry), ['a/a1', 'b/b2', 'b/b1'])
})

t.test(
  'an entry tells what each side lacks, as kubectl writes it, and what else is asked',
  async (t) => {
    const [entry] = entriesOf({
      namespaceSelector: { matchLabels: { team: 'b' } },
      objectSelector: {
        matchLabels: { a: '1' },
        matchExpressions: [
          { key: 'b', operator: 'NotIn', values: ['x', 'y'] },
          { key: 'c', operator: 'Exists' },
          { key: 'd', operator: 'DoesNotExist' },
        ],
      },
      matchConditions: [{ name: 'only-on-mondays', expression: 'x' }],
    })
    if (entry === undefined) throw new Error('no entry')
    const facts = { ...SHOP, namespaceLabels: { team: 'a' }, podLabels: { b: 'x', d: '' } }
    const found = evaluateGate(entry, facts)
    t.strictSame(
      unmetSteps(found).map(({ about, requirement }) => [
        about,
        requirement && printRequirement(requirement),
      ]),
      [
        ['namespace', 'team in (b)'],
        ['pod', 'a in (1)'],
        ['pod', 'b notin (x,y)'],
        ['pod', 'c'],
        ['pod', '!d'],
      ],
    )
    t.match(found, { matches: 'no', steps: { 6: { about: 'condition', holds: 'unknown' } } })
  },
)

t.test('the labels meet a selector exactly when they leave nothing unmet', async (t) => {
  const key = fc.constantFrom('a', 'b')
  const operator = fc.constantFrom('Exists', 'DoesNotExist')
  const conditions = fc.array(fc.record({ key, operator }))
  const anyLabels = fc.dictionary(key, fc.constantFrom('', 'x', 'y'))
  fc.assert(
    fc.property(conditions, anyLabels, (matchExpressions, podLabels) => {
      const [entry] = entriesOf({ objectSelector: { matchExpressions } })
      if (entry === undefined) throw new Error('no entry')
      const found = evaluateGate(entry, { ...SHOP, podLabels })
      const isTaken = selects(entry.objectSelector, podLabels)
      t.equal(isTaken, unmetSteps(found).length === 0)
      t.equal(isTaken, found.matches === 'yes')
    }),
  )
})

const REVISION = 'istio.io/rev'

/** Istio's matrix, as its documentation on revisions and on automatic injection tells it. */
const usual = [
  { who: 'nobody who asks', namespace: {}, pod: {}, want: [] },
  {
    who: 'a namespace that is enabled',
    namespace: { 'istio-injection': 'enabled' },
    pod: {},
    want: ['namespace'],
  },
  {
    who: 'a pod that says no there',
    namespace: { 'istio-injection': 'enabled' },
    pod: { 'sidecar.istio.io/inject': 'false' },
    want: [],
  },
  {
    who: 'a pod that says yes',
    namespace: {},
    pod: { 'sidecar.istio.io/inject': 'true' },
    want: ['object'],
  },
  {
    who: 'a namespace that names a revision',
    namespace: { [REVISION]: 'canary' },
    pod: {},
    want: ['rev.namespace'],
  },
  {
    who: 'a pod that names one',
    namespace: {},
    pod: { [REVISION]: 'canary' },
    want: ['rev.object'],
  },
  { who: 'a text that is no revision', namespace: { [REVISION]: 'a b' }, pod: {}, want: [] },
] as const

for (const c of usual) {
  t.test(`where no entry is known: ${c.who}`, async (t) => {
    const facts = { ...SHOP, namespaceLabels: c.namespace, podLabels: c.pod }
    t.strictSame(takersOf(usualEntries('', facts), facts).map(printEntry), c.want)
  })
}

const steps = [
  {
    who: 'empty selectors take everything',
    entry: { namespaceSelector: {}, objectSelector: { matchLabels: {} } },
    facts: {},
    matches: 'yes',
    want: [
      'its selector of namespaces is empty and takes all',
      'its selector of pods is empty and takes all',
    ],
  },
  {
    who: 'no label, and another text',
    entry: { namespaceSelector: ENABLED, objectSelector: { matchLabels: { app: 'a' } } },
    facts: { podLabels: { app: 'b' } },
    matches: 'no',
    want: [
      'it wants istio-injection in (enabled), and the namespace has no label istio-injection',
      'it wants app in (a), and the pod has app=b',
    ],
  },
  {
    who: 'the name of the namespace is a label that nobody need write',
    entry: { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'shop' } } },
    facts: {},
    matches: 'yes',
    want: [
      'it wants kubernetes.io/metadata.name in (shop), and the namespace has kubernetes.io/metadata.name=shop',
      'its selector of pods is empty and takes all',
    ],
  },
  {
    who: 'CEL that nobody here can judge',
    entry: { matchConditions: [{ name: 'odd', expression: 'request.userInfo.username == "x"' }] },
    facts: {},
    matches: 'unknown',
    want: [
      'its selector of namespaces is empty and takes all',
      'its selector of pods is empty and takes all',
      'its condition odd was not evaluated, only the API server can: request.userInfo.username == "x"',
    ],
  },
  {
    who: 'a label that is wrong counts more than CEL that is unknown',
    entry: { namespaceSelector: ENABLED, matchConditions: [{ name: 'odd', expression: 'x' }] },
    facts: {},
    matches: 'no',
    want: [
      'it wants istio-injection in (enabled), and the namespace has no label istio-injection',
      'its selector of pods is empty and takes all',
      'its condition odd was not evaluated, only the API server can: x',
    ],
  },
]

for (const c of steps) {
  t.test(c.who, async (t) => {
    const [entry] = entriesOf(c.entry)
    if (entry === undefined) throw new Error('no entry')
    const found = evaluateGate(entry, { ...SHOP, ...c.facts })
    t.equal(found.matches, c.matches)
    t.strictSame(
      found.steps.slice(1).map(({ sentence }) => sentence),
      c.want,
    )
  })
}

t.test('the conditions of our own manifests are known by heart', async (t) => {
  const facts = { ...SHOP, namespaceLabels: { 'istio-injection': 'enabled' } }
  const outcome = (pod: GateFacts['pod']) => {
    const { outcome, reason, sentence } = judgeGates(deployed(), { ...facts, pod })
    return { outcome, reason, sentence }
  }
  t.match(outcome({ spec: { hostNetwork: false } }), {
    outcome: 'taken',
    reason: 'namespace-label',
  })
  const of = 'sidecar-injector/namespace.sidecar-injector.io: its condition'
  t.strictSame(outcome({ spec: { hostNetwork: true } }), {
    outcome: 'left',
    reason: 'condition',
    sentence: `${of} own-network does not hold: the pod has hostNetwork: true`,
  })
  const annotations = { 'kubernetes.io/config.mirror': 'x' }
  t.strictSame(outcome({ metadata: { annotations } }), {
    outcome: 'left',
    reason: 'condition',
    sentence: `${of} not-a-mirror-pod does not hold: the pod has the annotation kubernetes.io/config.mirror: it is the image of a static pod`,
  })
  for (const { conditions } of deployed()) {
    t.strictSame(
      conditions.map(({ name }) => name),
      ['own-network', 'not-a-mirror-pod'],
    )
  }
})

const REV = 'istio.io/rev'
const INJECT = 'sidecar.istio.io/inject'
const canaryOnly = entriesOf(
  { namespaceSelector: { matchLabels: { [REV]: 'canary' } } },
  { labels: { 'sidecar-injector.io/rev': 'canary' } },
)
const both = [
  ...deployed(),
  ...entriesOf({
    name: 'namespace.sidecar-injector.istio.io',
    namespaceSelector: ENABLED,
  }),
]

const judged = [
  {
    who: 'nothing is installed',
    entries: entriesOf({ name: 'policies.example.com' }),
    want: [
      'left',
      'no-injector',
      'no webhook of an injector is installed that asks for the creation of pods',
    ],
  },
  {
    who: 'all that is installed is switched off',
    entries: entriesOf({
      objectSelector: { matchLabels: { 'istio.io/deactivated': 'never-match' } },
    }),
    facts: { namespaceLabels: { 'istio-injection': 'enabled' } },
    want: [
      'left',
      'no-injector',
      'no webhook of an injector is installed that asks for the creation of pods: those there are switched off',
    ],
  },
  {
    who: 'a cluster namespace is left out by name',
    entries: deployed(),
    facts: { namespace: 'kube-system', namespaceLabels: { 'istio-injection': 'enabled' } },
    want: [
      'left',
      'namespace-left-out',
      'sidecar-injector/namespace.sidecar-injector.io: it wants kubernetes.io/metadata.name notin (kube-system,kube-public,kube-node-lease,local-path-storage,sidecar-injector), and the namespace has kubernetes.io/metadata.name=kube-system',
    ],
  },
  {
    who: 'enabled, but only a revision is installed',
    entries: canaryOnly,
    facts: { namespaceLabels: { 'istio-injection': 'enabled' } },
    want: [
      'left',
      'namespace-unserved',
      'the namespace has istio-injection=enabled, which is for the default revision, and no installed webhook serves it; served: canary',
    ],
  },
  {
    who: 'the pod says true, but only a revision is installed',
    entries: canaryOnly,
    facts: { podLabels: { [INJECT]: 'true' } },
    want: [
      'left',
      'pod-unserved',
      'the pod has sidecar.istio.io/inject=true, which is for the default revision, and no installed webhook serves it; served: canary',
    ],
  },
  {
    who: 'an annotation alone',
    entries: deployed(),
    facts: { pod: { metadata: { annotations: { [INJECT]: 'true' } } } },
    want: [
      'left',
      'annotation-unheard',
      'the pod asks by the annotation sidecar.istio.io/inject, which the API server does not look at: it must be a label',
    ],
  },
  {
    who: 'a label of the operator',
    entries: entriesOf({ namespaceSelector: { matchLabels: { team: 'mesh' } } }),
    want: [
      'left',
      'selector',
      'c/w.sidecar-injector.io: it wants team in (mesh), and the namespace has no label team',
    ],
  },
  {
    who: 'no label of anybody',
    entries: entriesOf(),
    want: ['taken', 'selectors', 'the selectors of c/w.sidecar-injector.io take the pod'],
  },
  {
    who: 'a condition that only the API server knows',
    entries: entriesOf({ matchConditions: [{ name: 'odd', expression: 'x' }] }),
    want: [
      'unknown',
      'condition-unknown',
      'c/w.sidecar-injector.io: its condition odd was not evaluated, only the API server can: x',
    ],
  },
] as const

for (const c of judged) {
  t.test(c.who, async (t) => {
    const found = judgeGates(c.entries, { ...SHOP, ...('facts' in c ? c.facts : {}) })
    t.strictSame([found.outcome, found.reason, found.sentence], c.want)
  })
}

t.test('two injectors that take one pod are both told', async (t) => {
  const facts = { ...SHOP, namespaceLabels: { 'istio-injection': 'enabled' } }
  t.strictSame(
    judgeGates(both, facts).takers.map(({ entry }) => printEntry(entry)),
    ['sidecar-injector/namespace.sidecar-injector.io', 'c/namespace.sidecar-injector.istio.io'],
  )
})

t.test('codes are distinct', async (t) => {
  const codes = GATE_REASONS.map(({ reason }) => reason)
  t.equal(new Set(codes).size, codes.length)
})
