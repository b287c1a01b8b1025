import t from 'tap'
import { ownerOf } from '../../../core/inject/owner.ts'
import type { Json } from '../../../core/json.ts'

const controlled = (kind: string, name: string, labels: Json = {}): Json => ({
  generateName: 'x-',
  labels,
  ownerReferences: [{ apiVersion: 'v9', kind, name, controller: true }],
})

const cases = [
  {
    what: 'a pod of its own, in the namespace of the request',
    metadata: { name: 'solo' },
    want: { apiVersion: 'v1', kind: 'Pod', name: 'solo', namespace: 'asked' },
  },
  {
    what: "the pod's namespace before the request's",
    metadata: { name: 'solo', namespace: 'own' },
    want: { apiVersion: 'v1', kind: 'Pod', name: 'solo', namespace: 'own' },
  },
  {
    what: 'a Rollout of Argo, whose group gets lost',
    metadata: controlled('ReplicaSet', 'web-7f9', { 'rollouts-pod-template-hash': '7f9' }),
    want: { apiVersion: 'v1alpha1', kind: 'Rollout', name: 'web', namespace: 'asked' },
  },
  {
    what: 'a hash without its dash makes a Deployment and stays in the name',
    metadata: controlled('ReplicaSet', 'web7f9', { 'pod-template-hash': '7f9' }),
    want: { apiVersion: 'v9', kind: 'Deployment', name: 'web7f9', namespace: 'asked' },
  },
  {
    what: 'a Job with seven digits is no CronJob',
    metadata: controlled('Job', 'nightly-1234567'),
    want: { apiVersion: 'v9', kind: 'Job', name: 'nightly-1234567', namespace: 'asked' },
  },
  {
    what: 'a controller without a name falls back to the pod, which has none yet',
    metadata: controlled('Widget', ''),
    want: { apiVersion: 'v9', kind: 'Widget', name: '', namespace: 'asked' },
  },
  {
    what: 'a kind that objects inherit is a kind like any other',
    metadata: controlled('toString', 'x'),
    want: { apiVersion: 'v9', kind: 'toString', name: 'x', namespace: 'asked' },
  },
  {
    what: 'fields of a wrong type count as absent',
    metadata: {
      name: 7,
      namespace: [],
      generateName: 'x-',
      labels: 'no',
      ownerReferences: [null, 1],
    },
    want: { apiVersion: 'v1', kind: 'Pod', name: '', namespace: 'asked' },
  },
  {
    what: 'metadata that is no map',
    metadata: 'text',
    want: { apiVersion: 'v1', kind: 'Pod', name: '', namespace: 'asked' },
  },
]

for (const c of cases)
  t.test(c.what, async (t) => t.strictSame(ownerOf(c.metadata, 'asked'), c.want))

t.test('no namespace anywhere leaves it absent', async (t) => {
  t.strictSame(ownerOf({ name: 'a' }), { apiVersion: 'v1', kind: 'Pod', name: 'a' })
})
