/** What a new configuration changes: fields by name, effects, workloads with the same change together. */
import t from 'tap'
import { readPod } from '../../core/inject/pod-shape.ts'
import { injectPod } from '../../core/inject/inject.ts'
import type { Json } from '../../core/json.ts'
import { effectOf, type Effect } from '../../core/preview/effect.ts'
import { changedFields } from '../../core/preview/fields.ts'
import { makeGrouping } from '../../core/preview/groups.ts'
import { configOf, frozen, requestFor } from '../support/config.ts'

const container = (more: object): Json => ({ spec: { containers: [{ name: 'a', ...more }] } })
const env = (name: string, value: string): Json => container({ env: [{ name, value }] })
const annotated = (annotations: object): Json => ({ metadata: { annotations } }) as Json

const fields = [
  { what: 'nothing', before: container({ image: 'x' }), after: container({ image: 'x' }), is: [] },
  {
    what: 'a scalar, by the name of its container',
    before: container({ image: 'x' }),
    after: container({ image: 'y' }),
    is: [{ kind: 'changed', path: '/spec/containers/a/image', before: 'x', after: 'y' }],
  },
  {
    what: 'an item in front of others shifts none of them',
    before: container({ env: [{ name: 'B', value: '1' }] }),
    after: container({
      env: [
        { name: 'A', value: '0' },
        { name: 'B', value: '1' },
      ],
    }),
    is: [{ kind: 'added', path: '/spec/containers/a/env/A', after: { name: 'A', value: '0' } }],
  },
  {
    what: 'a mount, by its path',
    before: container({ volumeMounts: [{ mountPath: '/etc/x', name: 'x' }] }),
    after: container({ volumeMounts: [{ mountPath: '/etc/x', name: 'y' }] }),
    is: [
      {
        kind: 'changed',
        path: '/spec/containers/a/volumeMounts/~1etc~1x/name',
        before: 'x',
        after: 'y',
      },
    ],
  },
  {
    what: 'the order of containers, which decides who starts first',
    before: { spec: { containers: [{ name: 'a' }, { name: 'p' }] } },
    after: { spec: { containers: [{ name: 'p' }, { name: 'a' }] } },
    is: [{ kind: 'moved', path: '/spec/containers', before: ['a', 'p'], after: ['p', 'a'] }],
  },
  {
    what: 'a list of texts as a whole',
    before: container({ args: ['-p', '1'] }),
    after: container({ args: ['-p', '2'] }),
    is: [
      {
        kind: 'changed',
        path: '/spec/containers/a/args',
        before: ['-p', '1'],
        after: ['-p', '2'],
      },
    ],
  },
  {
    what: 'a list in which a name stands twice as a whole',
    before: container({ env: [{ name: 'A' }] }),
    after: container({ env: [{ name: 'A' }, { name: 'A' }] }),
    is: [
      {
        kind: 'changed',
        path: '/spec/containers/a/env',
        before: [{ name: 'A' }],
        after: [{ name: 'A' }, { name: 'A' }],
      },
    ],
  },
  {
    what: 'one member of JSON in a variable',
    before: env('PROXY_CONFIG', '{"a":{"b":1},"c":2}'),
    after: env('PROXY_CONFIG', '{"a":{"b":3},"c":2}'),
    is: [
      {
        kind: 'changed',
        path: '/spec/containers/a/env/PROXY_CONFIG/value#/a/b',
        before: 1,
        after: 3,
      },
    ],
  },
  {
    what: 'text that only looks like JSON',
    before: env('A', '{x'),
    after: env('A', '{y'),
    is: [{ kind: 'changed', path: '/spec/containers/a/env/A/value', before: '{x', after: '{y' }],
  },
  {
    what: 'not the digest of the configuration',
    before: annotated({ 'sidecar.istio.io/status': '{"version":"1","volumes":["a"]}' }),
    after: annotated({ 'sidecar.istio.io/status': '{"version":"2","volumes":["a"]}' }),
    is: [],
  },
  {
    what: 'a key that pointers have to escape, and one that every object has',
    before: annotated({ 'a/b~c': 'x' }),
    after: annotated({ 'a/b~c': 'y', constructor: 'z' }),
    is: [
      { kind: 'changed', path: '/metadata/annotations/a~1b~0c', before: 'x', after: 'y' },
      { kind: 'added', path: '/metadata/annotations/constructor', after: 'z' },
    ],
  },
  {
    what: 'a label that goes',
    before: { metadata: { labels: { a: 'b' } } },
    after: { metadata: { labels: {} } },
    is: [{ kind: 'removed', path: '/metadata/labels/a', before: 'b' }],
  },
]

for (const { what, before, after, is } of fields) {
  t.test(`a difference: ${what}`, async (t) => {
    const [old, now] = [readPod('', before), readPod('', after)]
    if (!old.ok || !now.ok) throw new Error('no pod')
    t.strictSame(changedFields(frozen(old.value), frozen(now.value)), is)
  })
}

const plain = {
  metadata: { name: 'p', labels: { app: 'web' } },
  ...(container({ image: 'x' }) as object),
}
const wrong = {
  ...plain,
  metadata: { ...plain.metadata, annotations: { 'proxy.istio.io/config': '{tracing: 1}' } },
}
const decide = (pod: Json, texts: Parameters<typeof configOf>[0]) =>
  injectPod(requestFor(pod), configOf(texts))
const OFF = { injectConfig: 'policy: disabled' }

t.test('effects', async (t) => {
  const image = { values: 'global: {hub: example.com/new}' }
  const cases: readonly { who: string; effect: Effect; is: object }[] = [
    {
      who: 'the same',
      effect: effectOf(decide(plain, {}), decide(plain, {})),
      is: { kind: 'same' },
    },
    {
      who: 'skipped by both',
      effect: effectOf(decide(plain, OFF), decide(plain, OFF)),
      is: { kind: 'same' },
    },
    {
      who: 'another image',
      effect: effectOf(decide(plain, {}), decide(plain, image)),
      is: {
        kind: 'changes',
        fields: [
          { path: '/spec/containers/istio-proxy/image', after: /^example\.com\/new\// },
          { path: '/spec/initContainers/istio-init/image', after: /^example\.com\/new\// },
        ],
      },
    },
    {
      who: 'no longer injected',
      effect: effectOf(decide(plain, {}), decide(plain, OFF)),
      is: { kind: 'loses', why: /the policy is not to inject/ },
    },
    {
      who: 'injected from now on',
      effect: effectOf(decide(plain, OFF), decide(plain, {})),
      is: { kind: 'gains', why: /the policy is to inject/ },
    },
    {
      who: 'a pod that is refused from now on',
      effect: effectOf(decide(wrong, OFF), decide(wrong, {})),
      is: { kind: 'refused', problems: [{ path: /proxy\.istio\.io\/config/ }] },
    },
    {
      who: 'refused by both',
      effect: effectOf(decide(wrong, {}), decide(wrong, image)),
      is: { kind: 'still-refused' },
    },
    {
      who: 'refused until now',
      effect: effectOf(decide(wrong, {}), decide(wrong, OFF)),
      is: { kind: 'accepted' },
    },
    {
      who: 'a configuration at fault',
      effect: effectOf(decide(plain, {}), {
        kind: 'fault',
        problems: [{ path: 'template', got: 'x', want: 'y' }],
      }),
      is: { kind: 'refused', problems: [{ path: 'template' }] },
    },
  ]
  for (const { who, effect, is } of cases) t.match(effect, is, who)
  const lost = effectOf(decide(plain, {}), decide(plain, OFF))
  const gone = 'fields' in lost ? lost.fields.map(({ kind }) => kind) : []
  t.strictSame([...new Set(gone)], ['removed'], 'what loses injection only loses')
})

t.test('five hundred workloads with the same change are told once', async (t) => {
  const grouping = makeGrouping()
  const change = (after: string): Effect => ({
    kind: 'changes',
    fields: [{ kind: 'changed', path: '/a', before: 'x', after }],
  })
  for (let number = 0; number < 500; number++) grouping.add(`w${number}`, change('y'))
  grouping.add('other', change('z'))
  for (const value of ['1', '2', '3']) grouping.add(`own-${value}`, change(value))
  grouping.add('still', { kind: 'same' })
  const problems = [{ path: 'p', got: 'g', want: 'w' }]
  grouping.add('bad', { kind: 'refused', problems })
  const [first, second, ...rest] = grouping.groups()
  t.strictSame(first, {
    kind: 'refused',
    reasons: ['p: got "g", want w'],
    fields: [],
    names: ['bad'],
  })
  t.equal(second?.names.length, 504)
  t.match(second?.fields, [
    {
      path: '/a',
      values: [
        { before: 'x', after: 'y', count: 500 },
        { before: 'x', after: 'z', count: 1 },
        { before: 'x', after: '1', count: 1 },
      ],
      others: 2,
    },
  ])
  t.strictSame(rest, [])
  t.match(grouping.counts(), { same: 1, changes: 504, refused: 1 })
})
