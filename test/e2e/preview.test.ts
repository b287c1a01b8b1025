/** `preview --live` against a real API server: which workloads are looked at, and what becomes of each. */
import { join } from 'node:path'
import { writeFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { run } from '../preview/run.ts'
import { need } from '../require.ts'
import { controlPlaneUnavailable, startControlPlane, type ControlPlane } from './control-plane.ts'
import { create } from './objects.ts'

const root = join(import.meta.dirname, '../..')

type Labels = Readonly<Record<string, string>>
type More = { readonly labels?: Labels; readonly annotations?: Labels; readonly status?: object }

/** Controllers do not run here: what they would make is made by the test, owner and all. */
const template = (name: string, { labels = {}, annotations = {} }: More) => ({
  metadata: { labels: { app: name, ...labels }, annotations },
  spec: { containers: [{ name: 'app', image: 'example.com/app' }] },
})
const apps = (kind: string, name: string, more: More = {}, owner?: object) => ({
  apiVersion: 'apps/v1',
  kind,
  metadata: { name, ...(owner === undefined ? {} : { ownerReferences: [owner] }) },
  spec: {
    selector: { matchLabels: { app: name } },
    template: template(name, more),
    ...(kind === 'StatefulSet' ? { serviceName: name } : {}),
  },
})
const job = (name: string) => ({
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: { name },
  spec: {
    template: { spec: { ...template(name, {}).spec, restartPolicy: 'Never' } },
  },
})
const cronJob = (name: string) => ({
  apiVersion: 'batch/v1',
  kind: 'CronJob',
  metadata: { name },
  spec: { schedule: '0 3 * * *', jobTemplate: { spec: job(name).spec } },
})

const TEAM = { 'inject.istio.io/templates': 'sidecar,team' }
const OPT_IN = { 'sidecar.istio.io/inject': 'true' }

/** What is in the cluster, and what the preview of the whole cluster has to say of it; nothing: not listed. */
const cluster: readonly {
  readonly namespace: string
  readonly plural: string
  readonly object: { readonly kind: string; readonly metadata: { readonly name: string } }
  readonly effect?: 'changes' | 'loses' | 'refused'
}[] = [
  {
    namespace: 'shop',
    plural: 'deployments',
    object: apps('Deployment', 'web'),
    effect: 'changes',
  },
  {
    namespace: 'shop',
    plural: 'deployments',
    object: apps('Deployment', 'cart'),
    effect: 'changes',
  },
  {
    namespace: 'shop',
    plural: 'deployments',
    object: apps('Deployment', 'legacy', { labels: { legacy: 'yes' } }),
    effect: 'loses',
  },
  {
    namespace: 'shop',
    plural: 'deployments',
    object: apps('Deployment', 'teamed', { annotations: TEAM }),
    effect: 'refused',
  },
  {
    namespace: 'shop',
    plural: 'statefulsets',
    object: apps('StatefulSet', 'db'),
    effect: 'changes',
  },
  {
    namespace: 'shop',
    plural: 'daemonsets',
    object: apps('DaemonSet', 'agent'),
    effect: 'changes',
  },
  { namespace: 'shop', plural: 'cronjobs', object: cronJob('nightly'), effect: 'changes' },
  { namespace: 'shop', plural: 'jobs', object: job('once'), effect: 'changes' },
  { namespace: 'shop', plural: 'jobs', object: job('done') },
  {
    namespace: 'shop',
    plural: 'replicasets',
    object: apps('ReplicaSet', 'web-5d8', {}, controller('apps/v1', 'Deployment', 'web')),
  },
  {
    namespace: 'shop',
    plural: 'replicasets',
    object: apps(
      'ReplicaSet',
      'rollout-77f',
      {},
      controller('argoproj.io/v1alpha1', 'Rollout', 'r'),
    ),
    effect: 'changes',
  },
  {
    namespace: 'shop',
    plural: 'pods',
    object: pod('lone'),
    effect: 'changes',
  },
  {
    namespace: 'shop',
    plural: 'pods',
    object: pod('web-5d8-x', controller('apps/v1', 'ReplicaSet', 'web-5d8')),
  },
  { namespace: 'lab', plural: 'deployments', object: apps('Deployment', 'web'), effect: 'changes' },
  { namespace: 'plain', plural: 'deployments', object: apps('Deployment', 'silent') },
  {
    namespace: 'plain',
    plural: 'deployments',
    object: apps('Deployment', 'opted', { labels: OPT_IN }),
    effect: 'changes',
  },
  { namespace: 'other', plural: 'deployments', object: apps('Deployment', 'web') },
]

const NAMESPACES = {
  shop: { 'istio-injection': 'enabled' },
  lab: { 'istio.io/rev': 'default' },
  plain: {},
  other: { 'istio.io/rev': 'canary' },
  'istio-system': {},
}

const NOW = 'templates:\n  team: "metadata: {labels: {team: shop}}"\n'
const NEW_VALUES = 'global: {hub: example.com/new}\n'
const NEW_CONFIG = "neverInjectSelector: [{matchLabels: {legacy: 'yes'}}]\n"

t.test('the workloads of a cluster', need(controlPlaneUnavailable()), async (t) => {
  const controlPlane = await startControlPlane({ controllers: [] })
  t.teardown(() => controlPlane.stop())
  await fill(controlPlane)
  const { folder } = controlPlane.processes
  const files = { now: NOW, values: NEW_VALUES, config: NEW_CONFIG }
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  const live = ['--live', '--kubeconfig', controlPlane.kubeconfigPath]
  const sides = [
    ...[
      '--injectConfigFile',
      join(folder, 'now'),
      '--new-injectConfigFile',
      join(folder, 'config'),
    ],
    ...['--new-valuesFile', join(folder, 'values')],
  ]

  await t.test('before any webhook is there, all of them, and it is said', async (t) => {
    const { says, out, status } = await run(...live, '-A', ...sides, '--output', 'json')
    t.equal(status, 0, says)
    t.match(says, 'no webhook of revision default is installed')
    t.match(namesIn(out), new Set(['plain/Deployment/silent', 'other/Deployment/web']))
  })

  await installWebhooks(t, controlPlane)
  await t.test('those that the webhooks take, each with its effect', async (t) => {
    const { says, out, status } = await run(
      ...live,
      '-A',
      ...sides,
      '--output',
      'json',
      '--exit-code',
    )
    t.strictSame({ status, says }, { status: 1, says: '' })
    const wanted = cluster.flatMap(({ namespace, object, effect }) => {
      return effect === undefined
        ? []
        : [`${namespace}/${object.kind}/${object.metadata.name} ${effect}`]
    })
    t.strictSame(effectsIn(out), wanted.toSorted())
    t.match(JSON.parse(out).summary, { changes: wanted.length - 2, unsent: 2 })
  })

  await t.test('those of one namespace, for people', async (t) => {
    const { out } = await run(...live, '-n', 'lab', ...sides)
    t.match(out, /\n {4}Deployment lab\/web\n\n1 workload: 1 changes\n$/)
    t.match(
      out,
      '/spec/containers/istio-proxy/image: "docker.io/istio/proxyv2:1.30.3" → "example.com/new',
    )
  })

  await t.test('the configuration of today out of the ConfigMaps', async (t) => {
    const file = join(root, 'test/fixtures/configmaps/istio-current.yaml')
    t.equal((await controlPlane.kubectl(['apply', '-f', file])).exitCode, 0)
    const { out } = await run(
      ...[
        ...live,
        '-n',
        'lab',
        '--config-from-cluster',
        '--new-valuesFile',
        join(folder, 'values'),
      ],
    )
    t.match(out, '"example.com/istio/proxyv2:1.30.1" → "example.com/new/proxyv2:1.30.3"')
    const none = await run(
      ...[...live, '-n', 'lab', '--config-from-cluster', '--new-revision', 'canary', '--exit-code'],
    )
    t.equal(none.status, 2)
    t.match(none.says, /ConfigMap istio-system\/istio-\S*canary: got "HTTP 404/)
  })

  await t.test('a cluster that may not be read', async (t) => {
    const config = join(folder, 'nobody')
    const text = JSON.stringify({
      'current-context': 'c',
      clusters: [
        {
          name: 'c',
          cluster: {
            server: controlPlane.url,
            'certificate-authority-data': Buffer.from(controlPlane.caPem).toString('base64'),
          },
        },
      ],
      users: [{ name: 'u', user: {} }],
      contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
    })
    await writeFile(config, text)
    const { status, says, out } = await run('--live', '-A', '--kubeconfig', config, ...sides)
    t.strictSame({ status, out }, { status: 2, out: '' })
    t.match(says, /nodes: got "HTTP 403.*proxies are taken as plain containers\n/)
    t.match(says, /mutatingwebhookconfigurations: got "HTTP 403/)
  })
})

async function fill(controlPlane: ControlPlane): Promise<void> {
  for (const [name, labels] of Object.entries(NAMESPACES)) {
    const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } }
    await create(controlPlane, '/api/v1/namespaces', namespace)
  }
  // The admission of pods asks for the account, which no controller makes here.
  const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default' } }
  await create(controlPlane, '/api/v1/namespaces/shop/serviceaccounts', account)
  for (const { namespace, plural, object } of cluster) {
    const group = { pods: '/api/v1', jobs: '/apis/batch/v1', cronjobs: '/apis/batch/v1' }[plural]
    await create(
      controlPlane,
      `${group ?? '/apis/apps/v1'}/namespaces/${namespace}/${plural}`,
      object,
    )
  }
  const now = new Date().toISOString()
  const conditions = ['SuccessCriteriaMet', 'Complete'].map((type) => ({ type, status: 'True' }))
  const status = { startTime: now, completionTime: now, succeeded: 1, conditions }
  const path = '/apis/batch/v1/namespaces/shop/jobs/done/status'
  await controlPlane.request('PATCH', path, { status }, 'application/merge-patch+json')
}

/** Ours as deploy/base has them. Nobody answers: no pod is created any more. */
async function installWebhooks(t: Test, { kubectl }: ControlPlane): Promise<void> {
  const file = join(root, 'deploy/base/mutatingwebhookconfiguration.yaml')
  const { exitCode, stderr } = await kubectl(['apply', '-f', file])
  t.equal(exitCode, 0, stderr)
}

function controller(apiVersion: string, kind: string, name: string): object {
  return { apiVersion, kind, name, uid: 'c0ffee', controller: true }
}

function pod(name: string, owner?: object) {
  const metadata = { name, labels: { app: name }, ...(owner && { ownerReferences: [owner] }) }
  return { apiVersion: 'v1', kind: 'Pod', metadata, spec: template(name, {}).spec }
}

type Listed = { readonly namespace: string; readonly kind: string; readonly name: string }

function listed(out: string): readonly (Listed & { readonly effect: string })[] {
  const { workloads } = JSON.parse(out) as { workloads: ReturnType<typeof listed> }
  return workloads
}

function effectsIn(out: string): readonly string[] {
  const lines = listed(out).map(({ namespace, kind, name, effect }) => {
    return `${namespace}/${kind}/${name} ${effect}`
  })
  return lines.toSorted()
}

function namesIn(out: string): ReadonlySet<string> {
  return new Set(listed(out).map(({ namespace, kind, name }) => `${namespace}/${kind}/${name}`))
}
