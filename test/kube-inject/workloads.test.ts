import t from 'tap'
import type { InjectRequest } from '../../core/inject/decision.ts'
import { formatProblem } from '../../core/problem.ts'
import { parseDocuments } from '../../core/yaml.ts'
import { injectDocument, type Outcome } from '../../kube-inject/inject-document.ts'
import { workloadOf } from '../../kube-inject/workloads.ts'
import { standIn } from './stand-in.ts'

const kinds = [
  { apiVersion: 'v1', kind: 'Pod', template: '' },
  { apiVersion: 'v1', kind: 'ReplicationController', template: 'spec.template' },
  { apiVersion: 'apps/v1', kind: 'Deployment', template: 'spec.template' },
  { apiVersion: 'apps/v1beta1', kind: 'Deployment', template: 'spec.template' },
  { apiVersion: 'extensions/v1beta1', kind: 'DaemonSet', template: 'spec.template' },
  { apiVersion: 'apps/v1', kind: 'StatefulSet', template: 'spec.template' },
  { apiVersion: 'apps/v1', kind: 'ReplicaSet', template: 'spec.template' },
  { apiVersion: 'batch/v1', kind: 'Job', template: 'spec.template' },
  { apiVersion: 'batch/v2alpha1', kind: 'CronJob', template: 'spec.jobTemplate.spec.template' },
  { apiVersion: 'apps.openshift.io/v1', kind: 'DeploymentConfig', template: 'spec.template' },
  { apiVersion: 'v1', kind: 'DeploymentConfig', template: 'spec.template' },
  { apiVersion: 'batch.volcano.sh/v1alpha1', kind: 'Job', template: undefined },
  { apiVersion: 'argoproj.io/v1alpha1', kind: 'Rollout', template: undefined },
  { apiVersion: 'example.org/v7', kind: 'Deployment', template: undefined },
  { apiVersion: 'v1', kind: 'Deployment', template: undefined },
  { apiVersion: 'v1', kind: 'ConfigMap', template: undefined },
  { apiVersion: 3, kind: 'Pod', template: '' },
] as const

t.test('kinds are told by group and kind, at any version', async (t) => {
  for (const { apiVersion, kind, template } of kinds) {
    t.equal(workloadOf({ apiVersion, kind })?.template.join('.'), template, `${apiVersion} ${kind}`)
  }
})

t.test('kinds of others are found where a row says so', async (t) => {
  const row = { group: 'argoproj.io', kind: 'Rollout', template: ['spec', 'template'] }
  t.equal(workloadOf({ apiVersion: 'argoproj.io/v1alpha1', kind: 'Rollout' }, [row]), row)
})

const requests = [
  {
    what: 'a workload is the owner itself, and its namespace no reason',
    text: 'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: kube-system}\nspec: {template: {spec: {}}}',
    want: {
      owner: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web', namespace: 'kube-system' },
      namespace: undefined,
    },
  },
  {
    what: 'a pod tells its owner, and lives somewhere',
    text: 'apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop}\nspec: {}',
    want: {
      owner: { apiVersion: 'v1', kind: 'Pod', name: 'p', namespace: 'shop' },
      namespace: 'shop',
    },
  },
  {
    what: 'the namespace of the flag is for those that do not say',
    text: 'apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {}',
    namespace: 'flag',
    want: {
      owner: { apiVersion: 'v1', kind: 'Pod', name: 'p', namespace: 'flag' },
      namespace: 'flag',
    },
  },
] as const

for (const row of requests) {
  t.test(row.what, async (t) => {
    const seen: InjectRequest[] = []
    outcomeOf(row.text, {
      inject: (request: InjectRequest) => {
        seen.push(request)
        return standIn(request)
      },
      nativeSidecars: false,
      ...('namespace' in row ? { namespace: row.namespace } : {}),
    })
    t.strictSame(
      seen.map(({ owner, namespace }) => ({ owner, namespace })),
      [row.want],
    )
  })
}

t.test('the metadata of a CronJob goes to its pods', async (t) => {
  const text = [
    'apiVersion: batch/v1\nkind: CronJob\nspec:\n  jobTemplate:\n    metadata:\n      labels: {a: b}\n',
    '    spec:\n      template:\n        spec:\n          containers: []\n',
  ].join('')
  const { text: output } = outcomeOf(text)
  t.match(output, '    metadata:\n      labels: {a: b}\n    spec:\n')
  t.match(
    output,
    '      template:\n        metadata:\n          labels:\n            mesh: on\n'.replace(
      ' on',
      ' "on"',
    ),
  )
})

const refused = [
  {
    what: 'a workload without a pod template',
    text: 'apiVersion: v1\nkind: ReplicationController\nmetadata: {name: rc}\nspec: {}',
    says: [
      'f:1: document 1, ReplicationController "rc": /spec/template: got "nothing", want a pod template',
    ],
  },
  {
    what: 'a document that is no object',
    text: '- 1\n',
    says: ['f:1: document 1: got "[1]", want an object'],
  },
  {
    what: 'a pod that injection refuses, below its template',
    text: 'apiVersion: batch/v1\nkind: Job\nmetadata: {name: j, namespace: shop}\nspec: {template: {metadata: {labels: {refuse: x}}}}',
    says: [
      'f:1: document 1, Job "shop/j": /spec/template/metadata/labels/refuse: got "yes", want nothing',
    ],
  },
  {
    what: 'every bad item of a list',
    text: 'apiVersion: v1\nkind: List\nitems:\n- 1\n- {apiVersion: v1, kind: List, items: [null]}\n',
    says: [
      'f:1: document 1: got "1", want an object',
      'f:1: document 1: got "null", want an object',
    ],
  },
]

for (const { what, text, says } of refused) {
  t.test(`refuses ${what}`, async (t) => {
    const outcome = outcomeOf(text)
    t.strictSame(outcome.problems.map(formatProblem), says)
    t.equal(outcome.text, text)
  })
}

t.test('who is left alone is told in the words of Istio', async (t) => {
  const text =
    'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d, namespace: shop}\nspec: {template: {metadata: {labels: {skip: x}}}}'
  t.strictSame(outcomeOf(text), {
    text,
    objects: [
      {
        kind: 'Deployment',
        name: 'shop/d',
        decision: 'skip',
        reason: 'label-opt-out',
        sentence: 'the label says no',
      },
    ],
    warnings: [
      '===> Skipping injection because Deployment "shop/d" has sidecar injection disabled',
    ],
    problems: [],
  })
})

function outcomeOf(
  text: string,
  setting: Parameters<typeof injectDocument>[2] = { inject: standIn, nativeSidecars: false },
): Outcome {
  const [read] = [...parseDocuments('f', text)]
  if (read?.ok !== true) throw new Error(JSON.stringify(read))
  return injectDocument(read.value, 'f:1: document 1', setting)
}
