/** The manifests of deploy/, judged by a real API server, and the webhook run from what they say. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { takersOf } from '../../core/gates/gate.ts'
import { readWebhooks } from '../../core/gates/read-webhooks.ts'
import type { JsonObject } from '../../core/json.ts'
import { need } from '../require.ts'
import { grantsOf, makeAudit, writeAccount, type Audit } from './account.ts'
import { controlPlaneUnavailable, startControlPlane, type ControlPlane } from './control-plane.ts'
import {
  argsOf,
  crdOf,
  CRDS,
  deploymentOf,
  environmentOf,
  FOREIGN,
  membersOf,
  redirect,
  untilPods,
} from './deployed.ts'
import { startFleet, untilInjected } from './fleet.ts'
import { apply, applyQuietly, deploy, only, render, renderWith, titleOf } from './manifests.ts'
import { at, containersOf, create, createNamespace, listAt, messageOf, textAt } from './objects.ts'
import { until } from './until.ts'

const NAMESPACE = 'sidecar-injector'
const MESHED = 'meshed'
const COMPONENTS = [
  [],
  ['ignore', 'policy-warn'],
  ['ignore', 'policy-deny'],
  ['certificate-files'],
  ['cert-manager'],
  ['openshift'],
] as const

const INJECTED = ['app', 'istio-init', 'istio-proxy']

t.test('deploy/', need(controlPlaneUnavailable()), async (t) => {
  const audit = await makeAudit(`system:serviceaccount:${NAMESPACE}:sidecar-injector`)
  t.teardown(() => rm(audit.folder, { recursive: true, force: true }))
  const controlPlane = await startControlPlane({ apiServerArgs: audit.args })
  t.teardown(() => controlPlane.stop())
  await createNamespace(controlPlane, 'istio-system')
  await createNamespace(controlPlane, MESHED, { 'istio-injection': 'enabled' })
  for (const [kind, group, version] of FOREIGN) {
    await create(controlPlane, CRDS, crdOf(kind, group, version))
  }
  const base = await renderWith(controlPlane, [])
  await applyQuietly(controlPlane, [only(base, 'Namespace')])
  await create(controlPlane, `/api/v1/namespaces/istio-system/configmaps`, {
    metadata: { name: 'istio' },
    data: { mesh: 'trustDomain: example.org\n' },
  })
  await create(controlPlane, `/api/v1/namespaces/istio-system/configmaps`, {
    metadata: { name: 'istio-sidecar-injector' },
    data: { config: 'policy: enabled\n', values: '{}' },
  })

  for (const components of COMPONENTS) {
    await t.test(`base with ${components.join(', ') || 'nothing else'} is taken`, async (t) => {
      const objects = await renderWith(controlPlane, components)
      const said = await until('the API server to know all kinds', async () => {
        const said = await apply(controlPlane, objects, '--dry-run=server')
        return /no matches for kind/.test(said.stderr) ? undefined : said
      })
      t.strictSame(said, { exitCode: 0, stderr: '' }, 'strictly, and without a warning')
    })
  }
  await t.test('deploy/ignore is base with two components', async (t) => {
    const objects = await render(controlPlane, join(deploy, 'ignore'))
    t.strictSame(objects, await renderWith(controlPlane, ['ignore', 'policy-warn']))
    const entries = listAt(only(objects, 'MutatingWebhookConfiguration'), 'webhooks')
    const policies = entries.map((entry) => textAt(entry, 'failurePolicy'))
    t.strictSame(policies, ['Ignore', 'Ignore', 'Ignore', 'Ignore'])
  })
  await t.test('what the certificate components change', (t) => certificates(t, controlPlane, base))
  await t.test('PodSecurity restricted takes the pods', (t) => restricted(t, controlPlane, base))
  await t.test('who reaches the webhook', (t) => selection(t, base))
  await t.test('the webhook as deployed', (t) => live(t, controlPlane, base, audit))
})

/** Flags differ in what they must differ in, and no Secret is granted where none is read. */
async function certificates(t: Test, controlPlane: ControlPlane, base: readonly JsonObject[]) {
  const files = await renderWith(controlPlane, ['certificate-files'])
  const manager = await renderWith(controlPlane, ['cert-manager'])
  const [own, ...others] = [base, files, manager].map((objects) => {
    const args = argsOf(objects)
    const isAbout = (flag: string) => /^--(tls|ca|own-ca)-/.test(flag)
    const role = objects.find((one) => titleOf(one) === 'Role sidecar-injector' && !isIstios(one))
    const secrets = listAt(role, 'rules').filter((rule) => /secrets/.test(JSON.stringify(rule)))
    return {
      rest: args.filter((flag) => !isAbout(flag)),
      flags: args.filter(isAbout),
      secrets: secrets.length,
    }
  })
  const folder = '/etc/sidecar-injector/tls'
  const pair = [`--tls-cert-file=${folder}/tls.crt`, `--tls-key-file=${folder}/tls.key`]
  t.strictSame(own, { rest: own?.rest, flags: ['--own-ca-secret=sidecar-injector-ca'], secrets: 2 })
  t.strictSame(others, [
    { rest: own?.rest, flags: [...pair, `--ca-file=${folder}/ca.crt`], secrets: 0 },
    { rest: own?.rest, flags: pair, secrets: 0 },
  ])
}

async function restricted(t: Test, controlPlane: ControlPlane, base: readonly JsonObject[]) {
  const level = 'pod-security.kubernetes.io'
  await createNamespace(controlPlane, 'fresh', {
    [`${level}/enforce`]: 'restricted',
    [`${level}/warn`]: 'restricted',
  })
  await create(controlPlane, '/api/v1/namespaces/fresh/serviceaccounts', {
    metadata: { name: 'sidecar-injector' },
  })
  await applyQuietly(controlPlane, [only(base, 'PriorityClass')])
  const template = at(only(base, 'Deployment'), 'spec', 'template')
  const metadata = { ...membersOf(at(template, 'metadata')), name: 'webhook' }
  const pod = { apiVersion: 'v1', kind: 'Pod', ...membersOf(template), metadata }
  const args = ['-n', 'fresh', 'create', '--dry-run=server', '--validate=strict', '-f', '-']
  const { exitCode, stdout, stderr } = await controlPlane.kubectl(args, JSON.stringify(pod))
  t.strictSame(
    { exitCode, stdout, stderr },
    { exitCode: 0, stdout: 'pod/webhook created (server dry run)', stderr: '' },
  )
}

const INJECT = 'sidecar.istio.io/inject'
const REV = 'istio.io/rev'
const PODS = [
  {},
  { [INJECT]: 'true' },
  { [INJECT]: 'false' },
  { [INJECT]: 'other' },
  { [REV]: 'canary' },
  { [INJECT]: 'true', [REV]: 'canary' },
  { [REV]: 'default' },
]

/** Which entry takes each of PODS, by its first words; `-` for none. */
const selected = [
  { namespace: {}, by: '- object - - - - rev.object' },
  {
    namespace: { 'istio-injection': 'enabled' },
    by: 'namespace namespace - namespace namespace namespace namespace',
  },
  {
    namespace: { 'istio-injection': 'enabled', [REV]: 'canary' },
    by: 'namespace namespace - namespace namespace namespace namespace',
  },
  { namespace: { 'istio-injection': 'disabled' }, by: '- - - - - - -' },
  { namespace: { [REV]: 'canary' }, by: '- - - - - - -' },
  {
    namespace: { [REV]: 'default' },
    by:
      'rev.namespace rev.namespace - rev.namespace rev.namespace rev.namespace ' + 'rev.namespace',
  },
  ...['kube-system', 'kube-public', 'kube-node-lease', NAMESPACE].map((name) => ({
    namespace: { 'kubernetes.io/metadata.name': name, 'istio-injection': 'enabled' },
    by: '- - - - - - -',
  })),
  ...['kube-system', NAMESPACE].flatMap((name) =>
    [{}, { [REV]: 'default' }].map((labels) => ({
      namespace: { 'kubernetes.io/metadata.name': name, ...labels },
      by: '- - - - - - -',
    })),
  ),
]

async function selection(t: Test, base: readonly JsonObject[]): Promise<void> {
  const read = readWebhooks(only(base, 'MutatingWebhookConfiguration'))
  if (!read.ok) throw new Error('webhooks cannot be read')
  for (const { namespace, by } of selected) {
    const found = PODS.map((podLabels) => {
      const facts = { namespace: '', namespaceLabels: namespace, podLabels, pod: {} }
      const entries = takersOf(read.value, facts)
      return entries.map(({ name }) => name.replace('.sidecar-injector.io', '')).join('+') || '-'
    })
    t.equal(found.join(' '), by, JSON.stringify(namespace))
  }
}

/** Replicas with the flags, the environment and the rights of the Deployment, called by its Service. */
async function live(
  t: Test,
  controlPlane: ControlPlane,
  base: readonly JsonObject[],
  audit: Audit,
): Promise<void> {
  await applyQuietly(controlPlane, base)
  await t.test('nothing that the webhook needs waits for it', (t) => deadlock(t, controlPlane))

  const kubeconfig = await writeAccount(controlPlane, NAMESPACE, 'sidecar-injector')
  t.strictSame(environmentOf(base), ['POD_NAME=metadata.name', 'POD_NAMESPACE=metadata.namespace'])
  const [subcommand, ...args] = argsOf(base)
  t.equal(subcommand, 'webhook')
  const fleet = await startFleet(controlPlane, { args: [...args, '--kubeconfig', kubeconfig] })
  t.teardown(() => fleet.close())
  await redirect(controlPlane, base, fleet)

  await t.test('a Deployment in the mesh gets its sidecars', async (t) => {
    await untilInjected(controlPlane, MESHED)
    await create(
      controlPlane,
      `/apis/apps/v1/namespaces/${MESHED}/deployments`,
      deploymentOf('shop'),
    )
    const pods = await untilPods(controlPlane, MESHED, 'app=shop', 2)
    t.strictSame(pods.map(containersOf), [INJECTED, INJECTED])
    const env = JSON.stringify(pods)
    t.match(env, '"example.org"', 'by the mesh of the ConfigMap')
  })
  await t.test('a Deployment whose Pods are refused gets an Event', async (t) => {
    const annotations = { 'traffic.sidecar.istio.io/excludeInboundPorts': 'x' }
    const odd = deploymentOf('odd', annotations)
    await create(controlPlane, `/apis/apps/v1/namespaces/${MESHED}/deployments`, odd)
    const event = await until('an Event', async () => {
      const path = `/apis/events.k8s.io/v1/namespaces/${MESHED}/events`
      const { body } = await controlPlane.request('GET', path)
      return listAt(body, 'items').find(
        (one) => textAt(one, 'reportingController') === 'sidecar-injector.io/webhook',
      )
    })
    t.match(textAt(event, 'note'), 'excludeInboundPorts')
    t.match(textAt(event, 'regarding', 'name'), 'odd')
  })
  await t.test('its caBundle outlives another kubectl apply', async (t) => {
    const before = await bundlesOf(controlPlane)
    t.equal(new Set(before).size, 1, 'all entries have the same')
    t.match(Buffer.from(before[0] ?? '', 'base64').toString(), '-----BEGIN CERTIFICATE-----')
    await redirect(controlPlane, base, fleet)
    t.strictSame(await bundlesOf(controlPlane), before)
  })
  await t.test('it may what it asks for, and asks for what it may', async (t) => {
    await rotate(controlPlane)
    const granted = grantsOf(base)
    const unused = async (): Promise<readonly string[]> => {
      const used = new Set((await audit.calls()).flatMap((call) => [call.grant, call.wide]))
      return granted.filter((grant) => !used.has(grant))
    }
    // A refused Pod comes again and again, and is told of again after a while.
    await until(
      'every right to be used',
      async () => ((await unused()).length <= NOT_USED_HERE.length ? true : undefined),
      async () => JSON.stringify(await unused()),
    )
    t.strictSame(await unused(), NOT_USED_HERE)
    const calls = await audit.calls()
    const refused = calls.filter(({ code }) => code === 403)
    t.strictSame(refused, [], `none of ${calls.length} calls was refused`)
    for (const name of fleet.replicas()) t.notMatch(await fleet.log(name), /forbidden/i, name)
  })
}

/** Rights that this test gives no occasion to use: an object is read alone after a conflict. */
const NOT_USED_HERE: readonly string[] = [
  'get admissionregistration.k8s.io/mutatingwebhookconfigurations/sidecar-injector',
]

/** Asks for a new leaf in all replicas, as the guide says. */
async function rotate({ request }: ControlPlane): Promise<void> {
  const path = `/api/v1/namespaces/${NAMESPACE}/secrets/sidecar-injector-ca`
  const body = { metadata: { annotations: { 'sidecar-injector.io/rotate': 'leaf' } } }
  await request('PATCH', path, body, 'application/merge-patch+json')
}

/** With failurePolicy Fail and no webhook there: what a cluster starts from starts. */
async function deadlock(t: Test, controlPlane: ControlPlane): Promise<void> {
  for (const name of [NAMESPACE, 'kube-system']) {
    const body = { metadata: { labels: { 'istio-injection': 'enabled' } } }
    const type = 'application/merge-patch+json'
    await controlPlane.request('PATCH', `/api/v1/namespaces/${name}`, body, type)
  }
  const pods = await untilPods(
    controlPlane,
    NAMESPACE,
    'app.kubernetes.io/name=sidecar-injector',
    2,
  )
  t.strictSame(pods.map(containersOf), [['webhook'], ['webhook']], 'its own Pods are made')
  const rows = [
    { who: 'a Pod of kube-system', namespace: 'kube-system', spec: {}, status: 201 },
    { who: 'a Pod of the mesh', namespace: MESHED, spec: {}, status: 500 },
    {
      who: 'a Pod in the network of its node',
      namespace: MESHED,
      spec: { hostNetwork: true },
      status: 201,
    },
    { who: 'a Pod elsewhere', namespace: 'default', spec: {}, status: 201 },
  ]
  for (const { who, namespace, spec, status: want } of rows) {
    const pod = {
      metadata: { generateName: 'early-' },
      spec: { containers: [{ name: 'app', image: 'nginx' }], ...spec },
    }
    const path = `/api/v1/namespaces/${namespace}/pods?dryRun=All`
    const { status, body } = await controlPlane.request('POST', path, pod)
    t.equal(status, want, `${who}: ${messageOf(body)}`)
  }
}

function isIstios(object: unknown): boolean {
  return textAt(object, 'metadata', 'namespace') === 'istio-system'
}

async function bundlesOf({ request }: ControlPlane): Promise<readonly string[]> {
  const path =
    '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/sidecar-injector'
  const { body } = await request('GET', path)
  return listAt(body, 'webhooks').map((entry) => textAt(entry, 'clientConfig', 'caBundle'))
}
