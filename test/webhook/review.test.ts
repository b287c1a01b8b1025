import t from 'tap'
import { ownerOf } from '../../core/inject/owner.ts'
import { DEEPEST, denial, readReview } from '../../webhook/review.ts'
import { podWith, reviewOf } from './stand-ins.ts'

const V1 = 'admission.k8s.io/v1'
const V1BETA1 = 'admission.k8s.io/v1beta1'
const KINDS = `an AdmissionReview of ${V1} or ${V1BETA1}`

/** A text with `levels` maps or lists in each other around nothing. */
const nested = (levels: number) => '[{"a":'.repeat(levels / 2) + 'null' + '}]'.repeat(levels / 2)
const deep = (levels: number) => reviewOf('HERE').replace('"HERE"', `{"x":${nested(levels)}}`)

const refused: readonly {
  readonly what: string
  readonly body: string
  readonly uid?: string
  readonly apiVersion?: string
  readonly problem: { readonly path: string; readonly got: unknown; readonly want: string }
}[] = [
  {
    what: 'no JSON at all',
    body: '\u0000\u0001',
    problem: { path: 'body', got: /not valid JSON/, want: 'an AdmissionReview in JSON' },
  },
  {
    what: 'YAML, which would be a review',
    body: 'apiVersion: admission.k8s.io/v1\nkind: AdmissionReview\n',
    problem: { path: 'body', got: /not valid JSON/, want: 'an AdmissionReview in JSON' },
  },
  {
    what: 'a body that breaks off',
    body: reviewOf(podWith()).slice(0, -10),
    problem: { path: 'body', got: /JSON/, want: 'an AdmissionReview in JSON' },
  },
  { what: 'null', body: 'null', problem: { path: 'body', got: 'null', want: KINDS } },
  { what: 'a list', body: '[1]', problem: { path: 'body', got: 'a list', want: KINDS } },
  { what: 'a text', body: '"x"', problem: { path: 'body', got: 'x', want: KINDS } },
  {
    what: 'an empty map',
    body: '{}',
    problem: { path: 'body', got: 'a map without a kind', want: KINDS },
  },
  {
    what: 'a bare pod',
    body: JSON.stringify(podWith()),
    problem: { path: 'body', got: 'v1 Pod', want: KINDS },
  },
  {
    what: 'a version that nobody knows yet',
    body: reviewOf(podWith(), {}, { apiVersion: 'admission.k8s.io/v2' }),
    problem: { path: 'body', got: 'admission.k8s.io/v2 AdmissionReview', want: KINDS },
  },
  {
    what: 'a review without a request',
    body: reviewOf({}, {}, { request: undefined }),
    apiVersion: V1,
    problem: { path: '/request', got: 'nothing', want: 'an AdmissionRequest' },
  },
  {
    what: 'a request that is a text, in the older version',
    body: reviewOf({}, {}, { request: 'x', apiVersion: V1BETA1 }),
    apiVersion: V1BETA1,
    problem: { path: '/request', got: 'x', want: 'an AdmissionRequest' },
  },
  ...[
    { what: 'no object', object: undefined, got: 'nothing' },
    { what: 'null for an object', object: null, got: 'null' },
    { what: 'a text for an object', object: 'pod', got: 'pod' },
    { what: 'a number for an object', object: 7, got: '7' },
    { what: 'a list for an object', object: [podWith()], got: 'a list' },
  ].map(({ what, object, got }) => ({
    what,
    body: reviewOf(object),
    uid: 'u-1',
    apiVersion: V1,
    problem: { path: '/request/object', got, want: 'a Pod' },
  })),
  {
    what: 'another kind than a pod',
    body: reviewOf({ kind: 'Deployment' }),
    uid: 'u-1',
    problem: { path: '/request/object/kind', got: 'Deployment', want: '"Pod"' },
  },
  {
    what: 'a uid that is no text',
    body: reviewOf(null, { uid: 7 }),
    problem: { path: '/request/object', got: 'null', want: 'a Pod' },
  },
  {
    what: 'one level too deep',
    body: deep(DEEPEST - 2),
    uid: 'u-1',
    problem: { path: '/request/object', got: 'more than 500 levels', want: 'less nesting' },
  },
  {
    what: '2 MB of brackets',
    body: deep(700_000),
    uid: 'u-1',
    problem: { path: '/request/object', got: 'more than 500 levels', want: 'less nesting' },
  },
  {
    what: 'brackets beside the object',
    body: reviewOf(podWith(), { options: 'HERE' }).replace('"HERE"', nested(10_000)),
    uid: 'u-1',
    problem: { path: '/request/object', got: 'more than 500 levels', want: 'less nesting' },
  },
]

for (const { what, body, uid = '', apiVersion = V1, problem } of refused) {
  t.test(`refused: ${what}`, async (t) => {
    const read = readReview(body)
    t.match(read, { ok: false, id: { apiVersion, uid }, problems: [problem] })
    if (!read.ok) {
      t.match(JSON.parse(JSON.stringify(denial(read.id, read.problems))), {
        apiVersion,
        kind: 'AdmissionReview',
        response: { uid, allowed: false, status: { code: 400, message: problem.path } },
      })
    }
  })
}

t.test('nested as deep as may be', async (t) => {
  t.equal(readReview(deep(DEEPEST - 4)).ok, true)
})

t.test('what a review holds', async (t) => {
  const metadata = { name: 'web', labels: {} }
  const object = { metadata: { managedFields: [{}], ...metadata }, spec: {} }
  t.strictSame(readReview(reviewOf(object, { dryRun: true }, { apiVersion: V1BETA1 })), {
    ok: true,
    review: {
      apiVersion: V1BETA1,
      uid: 'u-1',
      object,
      pod: { metadata, spec: {} },
      isDryRun: true,
      namespace: 'shop',
    },
  })
  t.match(readReview(reviewOf(object, { namespace: undefined })), {
    ok: true,
    review: { namespace: undefined, isDryRun: false },
  })
})

t.test('keys that objects inherit stay what they are: keys', async (t) => {
  const text =
    '{"__proto__":{"kind":"Pod"},"metadata":{"__proto__":{"name":"evil"},"managedFields":[]}}'
  const read = readReview(reviewOf('HERE').replace('"HERE"', text))
  t.equal(read.ok, true)
  if (!read.ok) return
  t.equal(JSON.stringify(read.review.object), text)
  t.equal(JSON.stringify(read.review.pod), text.replace(',"managedFields":[]', ''))
  t.equal(ownerOf(read.review.pod['metadata']).name, '')
  t.equal(Object.hasOwn(Object.prototype, 'name'), false)
})

t.test('a long warning is cut where the API server cuts it', async (t) => {
  const review = denial({ apiVersion: V1, uid: '' }, [], ['x'.repeat(256), 'x'.repeat(257)])
  t.match(review, { response: { warnings: ['x'.repeat(256), `${'x'.repeat(255)}…`] } })
})

t.test('warnings are few, short and on one line', async (t) => {
  const many = Array.from({ length: 40 }, (_, n) => `${String(n)}\n${'x'.repeat(300)}`)
  const review = denial({ apiVersion: V1, uid: '' }, [], many)
  const { response } = review as unknown as { response: { warnings: readonly string[] } }
  t.equal(response.warnings.length, 16)
  t.equal(response.warnings.at(-1), 'and 25 more warnings')
  t.match(response.warnings[0], /^0\\u000ax+…$/)
  t.ok(response.warnings.join('').length <= 4096)
})
