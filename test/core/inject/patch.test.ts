import assert from 'node:assert'
import fc from 'fast-check'
import t from 'tap'
import { isApplicable } from '../../../core/inject/patch-check.ts'
import { applyPatch, diff, printPatch, type Operation } from '../../../core/inject/patch.ts'
import type { Json } from '../../../core/json.ts'

const app = { name: 'app', image: 'app:1', ports: [{ containerPort: 80 }] }
const log = { name: 'log', image: 'log:1' }
const proxy = { name: 'istio-proxy', image: 'proxyv2' }

const cases: readonly {
  readonly what: string
  readonly before: Json
  readonly after: Json
  readonly want: readonly Operation[]
}[] = [
  { what: 'nothing changed', before: { spec: { a: [1] } }, after: { spec: { a: [1] } }, want: [] },
  {
    what: 'an item put in front is one operation',
    before: { containers: [app, log] },
    after: { containers: [proxy, app, log] },
    want: [{ op: 'add', path: '/containers/0', value: proxy }],
  },
  {
    what: 'an item put at the end is one operation',
    before: { containers: [app] },
    after: { containers: [app, proxy] },
    want: [{ op: 'add', path: '/containers/1', value: proxy }],
  },
  {
    what: 'a field of a shifted item changes at its new index',
    before: { containers: [app] },
    after: { containers: [proxy, { ...app, image: 'app:2' }] },
    want: [
      { op: 'add', path: '/containers/0', value: proxy },
      { op: 'replace', path: '/containers/1/image', value: 'app:2' },
    ],
  },
  {
    what: 'a moved item goes and comes, the others stay',
    before: { containers: [app, log, proxy] },
    after: { containers: [proxy, app, log] },
    want: [
      { op: 'remove', path: '/containers/2' },
      { op: 'add', path: '/containers/0', value: proxy },
    ],
  },
  {
    what: 'a missing parent map comes whole',
    before: { metadata: { name: 'a' } },
    after: { metadata: { name: 'a', annotations: { 'sidecar.istio.io/status': '{}' } } },
    want: [
      { op: 'add', path: '/metadata/annotations', value: { 'sidecar.istio.io/status': '{}' } },
    ],
  },
  {
    what: 'keys are escaped as RFC 6901 says',
    before: { annotations: { 'a/b': '1', 'c~d': '1', 'e~1f': '1' } },
    after: { annotations: { 'a/b': '2', 'c~d': '2' } },
    want: [
      { op: 'remove', path: '/annotations/e~01f' },
      { op: 'replace', path: '/annotations/a~1b', value: '2' },
      { op: 'replace', path: '/annotations/c~0d', value: '2' },
    ],
  },
  {
    what: 'null gives way to a list',
    before: { containers: null },
    after: { containers: [proxy] },
    want: [{ op: 'replace', path: '/containers', value: [proxy] }],
  },
  {
    what: 'an emptied list is replaced',
    before: { containers: [app, log] },
    after: { containers: [] },
    want: [{ op: 'replace', path: '/containers', value: [] }],
  },
  {
    what: 'items without a name are paired by their place',
    before: { tolerations: [{ operator: 'Exists' }, { effect: 'x' }] },
    after: { tolerations: [{ operator: 'Equal' }, { effect: 'x' }] },
    want: [{ op: 'replace', path: '/tolerations/0/operator', value: 'Equal' }],
  },
  {
    what: 'a map with a key that appliers refuse goes whole',
    before: { labels: JSON.parse('{"a": "1", "__proto__": {"b": 1}}') },
    after: { labels: { a: '2' } },
    want: [{ op: 'replace', path: '/labels', value: { a: '2' } }],
  },
  {
    what: 'a key that objects inherit is a key like any other',
    before: { labels: {} },
    after: { labels: { constructor: 'a', toString: 'b' } },
    want: [
      { op: 'add', path: '/labels/constructor', value: 'a' },
      { op: 'add', path: '/labels/toString', value: 'b' },
    ],
  },
]

for (const c of cases) {
  t.test(c.what, async (t) => {
    const operations = diff(c.before, c.after)
    t.strictSame(operations, c.want)
    t.equal(textOf(applyPatch(c.before, operations)), textOf(c.after))
  })
}

t.test('shared subtrees are not looked at', async (t) => {
  const untouchable = new Proxy({}, { ownKeys: () => assert.fail('looked into a shared subtree') })
  t.strictSame(diff({ a: untouchable, b: 1 }, { a: untouchable, b: 2 }), [
    { op: 'replace', path: '/b', value: 2 },
  ])
})

t.test('two thousand variables and one in front are one operation', async (t) => {
  const env = Array.from({ length: 2000 }, (_, n) => ({ name: `V${n}`, value: String(n) }))
  const operations = diff(env, [{ name: 'FIRST', value: '' }, ...structuredClone(env)])
  t.strictSame(operations, [{ op: 'add', path: '/0', value: { name: 'FIRST', value: '' } }])
})

const wrong: readonly { what: string; before: Json; patch: readonly Operation[]; after: Json }[] = [
  { what: 'makes something else', before: { a: 1 }, patch: [], after: { a: 2 } },
  { what: 'removes what is not there', before: {}, patch: [remove('/a')], after: {} },
  { what: 'replaces what is not there', before: {}, patch: [set('/a', 1)], after: { a: 1 } },
  { what: 'adds below nothing', before: {}, patch: [add('/a/b', 1)], after: { a: { b: 1 } } },
  { what: 'adds past the end', before: [1], patch: [add('/2', 1)], after: [1, 1] },
  { what: 'adds at an index with a sign', before: [1], patch: [add('/+1', 2)], after: [1, 2] },
  { what: 'goes through a text', before: { a: 'x' }, patch: [add('/a/0', 'y')], after: { a: 'x' } },
  { what: 'takes an inherited member', before: {}, patch: [remove('/toString')], after: {} },
]

for (const c of wrong) {
  t.test(`not applicable: ${c.what}`, async (t) => {
    t.equal(isApplicable(c.before, c.patch, c.after), false)
  })
}

t.test('law: applied to any JSON, the difference gives the other', async () => {
  const keys = fc.oneof(
    fc.string(),
    fc.constantFrom('name', 'a/b', '~', 'constructor', '__proto__'),
  )
  const json = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.constantFrom<Json>(null, true, false, 0, 1, '', 'x'),
      fc.array(tie('value'), { maxLength: 5 }),
      fc.dictionary(keys, tie('value'), { maxKeys: 5 }),
    ),
  })).value as fc.Arbitrary<Json>
  fc.assert(fc.property(json, json, holds), { numRuns: 1000 })
})

t.test('law: the same for pods whose lists gain, lose and reorder items', async () => {
  fc.assert(fc.property(pods(), pods(), holds), { numRuns: 1000 })
})

t.test('law: names that repeat do no harm', async () => {
  const item = fc.record({ name: fc.constantFrom('a', 'b'), value: fc.nat(3) })
  fc.assert(fc.property(fc.array(item), fc.array(item), holds), { numRuns: 1000 })
})

/** Throws where the law breaks; compares texts, so that no notion of sameness of ours is trusted. */
function holds(before: Json, after: Json): void {
  const [from, to] = [textOf(before), textOf(after)]
  const operations = diff(before, after)
  const sent: readonly Operation[] = JSON.parse(JSON.stringify(operations))
  const got = textOf(applyPatch(before, sent))
  if (got !== to) throw new Error(`got ${got}, want ${to}, by ${JSON.stringify(operations)}`)
  if (from === to && operations.length > 0) throw new Error('operations without a difference')
  if (!isApplicable(before, operations, after)) throw new Error('refused its own patch')
  if (from !== to && isApplicable(before, operations.slice(1), after)) {
    throw new Error('took a patch that lacks an operation')
  }
  if (printPatch(operations) !== JSON.stringify(operations)) throw new Error('another text')
  if (textOf(before) !== from || textOf(after) !== to) throw new Error('an input was changed')
}

function pods(): fc.Arbitrary<Json> {
  const names = ['app', 'log', 'istio-proxy', 'istio-init', 'db']
  const named = (...more: string[]) =>
    fc.shuffledSubarray(names).chain((some) =>
      fc.tuple(
        ...some.map((name) =>
          fc.record({
            name: fc.constant(name),
            ...Object.fromEntries(more.map((field) => [field, fc.constantFrom('x', 'y')])),
            ports: fc
              .shuffledSubarray([80, 443, 15090])
              .map((all) => all.map((containerPort) => ({ containerPort }))),
          }),
        ),
      ),
    )
  const map = fc.dictionary(fc.constantFrom('a/b', 'c', 'sidecar.istio.io/status'), fc.string())
  const pod: fc.Arbitrary<Json> = fc.record(
    {
      metadata: fc.record({ annotations: map, labels: map }, { requiredKeys: [] }),
      spec: fc.record(
        { containers: named('image', 'args'), initContainers: named('image'), volumes: named() },
        { requiredKeys: ['containers'] },
      ),
    },
    { requiredKeys: ['spec'] },
  )
  return pod
}

/** JSON with sorted members. */
function textOf(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  )
}

function add(path: string, value: Json): Operation {
  return { op: 'add', path, value }
}

function set(path: string, value: Json): Operation {
  return { op: 'replace', path, value }
}

function remove(path: string): Operation {
  return { op: 'remove', path }
}
