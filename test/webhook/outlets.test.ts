import t from 'tap'
import type { Decision } from '../../core/inject/decision.ts'
import { auditAnnotations, type Outlets } from '../../webhook/outlets.ts'
import { readReview, writeReview } from '../../webhook/review.ts'

const evidence = { path: 'label sidecar.istio.io/inject', got: 'false' }
const skip: Decision = {
  kind: 'skip',
  reason: 'label-opt-out',
  sentence: "the pod's label says no",
  evidence,
  warnings: ['odd'],
}
const problem = { path: '/spec', got: 'a\nb', want: 'c' }
const rows: readonly {
  readonly who: string
  readonly decision: Decision
  readonly want: object
}[] = [
  {
    who: 'a pod that is left alone',
    decision: skip,
    want: {
      decision: 'skip',
      reason: 'label-opt-out',
      why: `the pod's label says no: label sidecar.istio.io/inject is "false" (label-opt-out)`,
    },
  },
  {
    who: 'a pod that is injected',
    decision: {
      kind: 'inject',
      reason: 'policy-enabled',
      sentence: 'the pod says nothing',
      evidence: { path: 'policy', got: 'enabled' },
      before: {},
      pod: {},
      templates: ['sidecar'],
      warnings: [],
    },
    want: {
      decision: 'inject',
      reason: 'policy-enabled',
      why: 'the pod says nothing: policy is "enabled" (policy-enabled)',
    },
  },
  {
    who: 'a pod that is refused',
    decision: { kind: 'reject', problems: [problem], warnings: [] },
    want: { decision: 'reject', why: '/spec: got "a\\nb", want c' },
  },
]

for (const { who, decision, want } of rows) {
  t.test(`the audit log of ${who}`, async (t) => t.strictSame(auditAnnotations(decision), want))
}

t.test('however many problems there are, an annotation stays short', async (t) => {
  const problems = Array.from({ length: 1000 }, () => problem)
  const { why } = auditAnnotations({ kind: 'reject', problems, warnings: [] })
  t.equal(typeof why === 'string' && why.length, 512)
})

const outlets: readonly (readonly [Outlets | undefined, object])[] = [
  [undefined, { warnings: ['odd'] }],
  [{ warnings: false, audit: false }, {}],
  [
    { warnings: true, audit: true },
    { warnings: ['odd'], auditAnnotations: rows[0]?.want },
  ],
  [{ warnings: false, audit: true }, { auditAnnotations: rows[0]?.want }],
]

for (const [flags, told] of outlets) {
  t.test(`an answer with ${JSON.stringify(flags)}`, async (t) => {
    const request = { uid: 'u', object: { metadata: {} } }
    const body = { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request }
    const read = readReview(JSON.stringify(body))
    if (!read.ok) throw new Error('unreadable')
    t.strictSame(JSON.parse(writeReview(read.review, skip, flags)), {
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      response: { uid: 'u', allowed: true, ...told },
    })
  })
}
