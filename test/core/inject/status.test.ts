import fc from 'fast-check'
import t from 'tap'
import {
  isInjected,
  namesOf,
  printStatus,
  readStatus,
  STATUS_1_8,
  withAnnotations,
  withLabels,
  writeStatus,
  type InjectedNames,
  type StatusFacts,
} from '../../../core/inject/status.ts'
import type { Pod } from '../../../core/k8s.ts'
import { formatProblem } from '../../../core/problem.ts'

const KEY = 'sidecar.istio.io/status'

const template: Pod = {
  spec: {
    initContainers: [{ name: 'istio-init' }],
    containers: [{ name: 'istio-proxy' }, { name: 'helper' }],
    volumes: [{ name: 'b' }, { name: 'a' }],
  },
}

const lists =
  '"initContainers":["istio-init"],"containers":["istio-proxy","helper"],"volumes":["b","a"],"imagePullSecrets":null'

const printed: readonly { what: string; facts: StatusFacts; want: string }[] = [
  {
    what: 'names in the order of the template, null for none, then the revision',
    facts: { revision: 'canary' },
    want: `{${lists},"revision":"canary"}`,
  },
  {
    what: 'no revision is the default one',
    facts: { revision: '' },
    want: `{${lists},"revision":"default"}`,
  },
  {
    what: 'the version leads',
    facts: { revision: '', version: 'c0ffee' },
    want: `{"version":"c0ffee",${lists},"revision":"default"}`,
  },
  {
    what: 'an empty version is none',
    facts: { revision: '', version: '' },
    want: `{${lists},"revision":"default"}`,
  },
  {
    what: 'Istio 1.8 told no revision',
    facts: { revision: 'canary', version: 'c0ffee', dialect: STATUS_1_8 },
    want: `{"version":"c0ffee",${lists}}`,
  },
]

for (const { what, facts, want } of printed) {
  t.test(what, async (t) => t.equal(printStatus(namesOf(template), facts), want))
}

t.test('a template without a spec declares nothing', async (t) => {
  t.equal(
    printStatus(namesOf({}), { revision: '' }),
    '{"initContainers":null,"containers":null,"volumes":null,"imagePullSecrets":null,"revision":"default"}',
  )
})

t.test('the status is written over an old one, and the rest of the pod is shared', async (t) => {
  const spec = { containers: [{ name: 'a' }] }
  const annotations = Object.freeze({ a: 'b', [KEY]: 'old' })
  const pod = Object.freeze({ metadata: Object.freeze({ name: 'p', annotations }), spec })
  const after = writeStatus(pod, {}, { revision: 'r' })
  t.strictSame(after.metadata, {
    name: 'p',
    annotations: { a: 'b', [KEY]: printStatus(namesOf({}), { revision: 'r' }) },
  })
  t.equal(after.spec, spec)
  t.ok(isInjected(after))
})

t.test('a pod is injected when it carries a status, readable or not', async (t) => {
  t.ok(isInjected({ metadata: { annotations: { [KEY]: '' } } }))
  t.notOk(isInjected({ metadata: { annotations: {} } }))
  t.notOk(isInjected({}))
})

const NOTHING = { initContainers: [], containers: [], volumes: [], imagePullSecrets: [] }

const read: readonly {
  what: string
  text: string | undefined
  want: object
  problems?: readonly string[]
}[] = [
  { what: 'no annotation', text: undefined, want: {} },
  { what: 'an empty one', text: '', want: {} },
  {
    what: 'absent and null lists',
    text: '{"containers":null,"volumes":["a"]}',
    want: { volumes: ['a'] },
  },
  {
    what: 'version and revision, and members nobody knows',
    text: '{"version":"v","revision":"r","more":{}}',
    want: { version: 'v', revision: 'r' },
  },
  {
    what: 'no JSON',
    text: 'injected',
    want: {},
    problems: [`${KEY}: got "injected", want a JSON object`],
  },
  { what: 'no object', text: '[]', want: {}, problems: [`${KEY}: got "[]", want a JSON object`] },
  {
    what: 'lists of something else, while the others are read',
    text: '{"containers":[1],"volumes":"a","initContainers":["i"],"revision":2}',
    want: { initContainers: ['i'] },
    problems: [
      `${KEY}: got "{\\"containers\\":[1],\\"volumes\\":\\"a\\",\\"initContainers\\":[\\"i\\"],\\"revision\\":2}", want a list of names, or null, as "containers"`,
      `${KEY}: got "{\\"containers\\":[1],\\"volumes\\":\\"a\\",\\"initContainers\\":[\\"i\\"],\\"revision\\":2}", want a list of names, or null, as "volumes"`,
    ],
  },
]

for (const { what, text, want, problems = [] } of read) {
  t.test(`read: ${what}`, async (t) => {
    const found = readStatus(text)
    t.strictSame(found.status, { ...NOTHING, ...want })
    t.strictSame(found.problems.map(formatProblem), problems)
  })
}

const names = fc.array(fc.string())
const anyNames: fc.Arbitrary<InjectedNames> = fc.record({
  initContainers: names,
  containers: names,
  volumes: names,
  imagePullSecrets: names,
})

t.test('what was printed is read back', async (t) => {
  const some = fc.string({ minLength: 1 })
  fc.assert(
    fc.property(anyNames, some, some, (injected, revision, version) => {
      const { status, problems } = readStatus(printStatus(injected, { revision, version }))
      t.strictSame(status, { ...injected, revision, version })
      t.strictSame(problems, [])
    }),
  )
})

t.test('no text breaks the reader', async (t) => {
  const deep = `{"containers":${'['.repeat(100_000)}${']'.repeat(100_000)}}`
  t.equal(readStatus(deep).problems.length, 1)
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      const { containers } = readStatus(text).status
      t.ok(containers.every((name) => typeof name === 'string'))
    }),
  )
})

t.test('maps are made where they are missing, and left where nothing changes', async (t) => {
  const pod: Pod = { metadata: { labels: { a: '1' }, annotations: { a: '1' } } }
  t.strictSame(withLabels({}, { a: '1' }), { metadata: { labels: { a: '1' } } })
  t.strictSame(withAnnotations({}, { a: '1' }), { metadata: { annotations: { a: '1' } } })
  t.equal(withLabels(pod, { a: '1' }), pod)
  t.equal(withAnnotations(pod, { a: '1' }), pod)
  t.strictSame(withLabels(pod, { a: '2', b: '3' }).metadata?.labels, { a: '2', b: '3' })
  t.strictSame(withAnnotations(pod, { a: '2', b: '3' }).metadata?.annotations, { a: '2', b: '3' })
})
