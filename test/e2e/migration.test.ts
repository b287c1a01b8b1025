/** The guide for migrating, acted out: after every command pods can be created, and each has one injector. */
import { copyFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { makeApi } from '../../cluster/api.ts'
import { connect } from '../../cluster/connect.ts'
import { dial } from '../../cluster/dial.ts'
import { REGISTRATIONS } from '../../cluster/registrations.ts'
import { ask } from '../../status/ask.ts'
import { diagnose } from '../../status/doctor.ts'
import type { Finding } from '../../status/finding.ts'
import { report, type Report } from '../../status/status.ts'
import { lostOf, MINE, writeMine } from '../docs/mine.ts'
import { blocksOf, wordsOf } from '../docs/page.ts'
import { need } from '../require.ts'
import { writeAccount } from './account.ts'
import { chart, helm, renderChart, runLine } from './chart.ts'
import { startControlPlane, toolsUnavailable, type ControlPlane } from './control-plane.ts'
import { argsHere, deploymentOf, redirect, untilPods } from './deployed.ts'
import { startFleet, type Fleet } from './fleet.ts'
import { startIstiod } from './istiod.ts'
import { create, createNamespace, listAt, messageOf, textAt } from './objects.ts'
import { until } from './until.ts'
import { startWebhook } from './webhook-process.ts'

const root = join(import.meta.dirname, '../..')
const HOME = 'sidecar-injector'
const TOOLS = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kubectl', 'helm']

/** Images by which injectors are told apart. */
const HUBS = { istiod: 'registry.example.com/istiod', ours: 'registry.example.com/ours' } as const
type Injector = keyof typeof HUBS | 'nobody'

/** Who injects pods of `shop` and `pay` after a command, those of both unless told otherwise. */
type Step = { readonly after: RegExp; readonly shop: Injector; readonly pay: Injector }

/** In the order of the page; a command that no row names changes nobody's injector. */
const steps: readonly Step[] = [
  { after: /^helm install injector /, shop: 'istiod', pay: 'istiod' },
  { after: /namespace shop istio-injection- istio.io\/rev=injector/, shop: 'ours', pay: 'istiod' },
  { after: /namespace pay istio-injection- istio.io\/rev=injector/, shop: 'ours', pay: 'ours' },
  { after: /operatorManageWebhooks=true/, shop: 'ours', pay: 'ours' },
  { after: /revisionTags=\{default\}/, shop: 'ours', pay: 'ours' },
  { after: /namespace pay istio.io\/rev- istio-injection=enabled/, shop: 'ours', pay: 'ours' },
  { after: /namespace pay istio-injection- istio.io\/rev=injector/, shop: 'ours', pay: 'ours' },
  { after: /^helm upgrade injector /, shop: 'ours', pay: 'ours' },
  { after: /operatorManageWebhooks=false/, shop: 'ours', pay: 'ours' },
  { after: /namespace shop istio.io\/rev- istio-injection=enabled/, shop: 'istiod', pay: 'ours' },
  { after: /namespace pay istio.io\/rev- istio-injection=enabled/, shop: 'istiod', pay: 'istiod' },
  { after: /^helm uninstall injector /, shop: 'istiod', pay: 'istiod' },
]

/** What `status` says after some commands. Pods of Deployments keep what they have until they are restarted. */
type Look = { readonly after: RegExp; readonly problems: readonly RegExp[]; readonly also?: true }
const MOVED = 'pods with the sidecar of another revision than takes them now'
const looks: Look[] = [
  {
    after: /namespace shop istio-injection- /,
    problems: [
      /^1 pods that should have a sidecar and have none: shop\/old$/,
      new RegExp(`^2 ${MOVED}: shop/web-\\S+, shop/web-`),
    ],
  },
  { after: /-n shop rollout restart/, problems: [] },
  { after: /-n pay rollout restart/, problems: [], also: true },
  { after: /namespace pay istio.io\/rev- istio-injection=enabled/, problems: [] },
  { after: /^helm uninstall injector /, problems: [] },
]

t.test('migrating, and back', need(toolsUnavailable(TOOLS)), async (t) => {
  const controlPlane = await startControlPlane()
  t.teardown(() => controlPlane.stop())
  await writeMine(controlPlane)
  const labels = { 'istio-injection': 'enabled' }
  await createNamespace(controlPlane, 'istio-system')
  for (const name of ['shop', 'pay']) {
    await createNamespace(controlPlane, name, labels)
  }
  // From before there was an injector.
  await create(controlPlane, '/api/v1/namespaces/shop/pods', {
    metadata: { name: 'old' },
    spec: { containers: [{ name: 'app', image: 'app:1' }] },
  })
  await createNamespace(controlPlane, 'plain')
  const stand = await startStandIn(t, controlPlane)
  await stand.install()
  await expectInjectors(t, controlPlane, { shop: 'istiod', pay: 'istiod' })
  for (const name of ['shop', 'pay']) {
    await create(controlPlane, `/apis/apps/v1/namespaces/${name}/deployments`, deploymentOf('web'))
    await untilPods(controlPlane, name, 'app=web', 2)
  }

  let fleet: Fleet | undefined
  t.teardown(() => fleet?.close())
  let now: Omit<Step, 'after'> = { shop: 'istiod', pay: 'istiod' }
  const left = [...steps]
  for (const command of commandsOf('migrating.md')) {
    await t.test(command, async (t) => {
      const { exitCode, stderr } = command.includes('operatorManageWebhooks')
        ? await stand.run(command)
        : await runLine(controlPlane, command)
      t.equal(exitCode, 0, stderr)
      if (/^helm (install|upgrade) injector /.test(command)) {
        t.strictSame(await lostOf(controlPlane), [], 'what mine.yaml says')
        const objects = await renderChart(settingsOf(command), HOME, MINE)
        const tester = fleet === undefined ? await writeTester(controlPlane, command) : undefined
        fleet ??= await startOurs(controlPlane, (await argsHere(controlPlane, objects)).args)
        await redirect(controlPlane, objects, fleet)
        if (tester !== undefined) await helmTest(t, tester)
      }
      // Without nodes no pod gets ready, and no rollout to its end: old pods go by hand.
      const [, restarted] = /-n (\w+) rollout restart/.exec(command) ?? []
      if (restarted !== undefined) {
        await controlPlane.request(
          'DELETE',
          `/api/v1/namespaces/${restarted}/pods?labelSelector=app%3Dweb`,
        )
      }
      if (left[0]?.after.test(command) === true) now = left.shift() ?? now
      await expectInjectors(t, controlPlane, now)
      if (looks[0]?.after.test(command) === true) await expectStatus(t, controlPlane, looks.shift())
    })
  }
  t.strictSame([left, looks], [[], []], 'the page has every step')
})

/** What a shell would run of the page, in its order. */
function commandsOf(page: string): readonly string[] {
  return blocksOf(join(root, 'docs/guides', page))
    .filter(({ info }) => info === 'sh' || info === "sh with istiod's chart")
    .flatMap(({ text }) => text.trim().split('\n'))
    .map((line) => line.trim())
}

/** The account of what `helm test` runs, with the rights that the chart gives it. */
async function writeTester(controlPlane: ControlPlane, command: string): Promise<string> {
  const set = settingsOf(command).flatMap((setting) => ['--set', setting])
  const where = ['--namespace', HOME, '--kube-version', '1.36.3']
  const only = ['--show-only', 'templates/tests/doctor.yaml']
  const values = ['--values', '-', ...set]
  const { stdout } = await helm(['template', 'injector', chart, ...where, ...only, ...values], MINE)
  const applied = await controlPlane.kubectl(['apply', '--validate=strict', '-f', '-'], stdout)
  if (applied.exitCode !== 0) throw new Error(applied.stderr)
  const written = await writeAccount(controlPlane, HOME, 'sidecar-injector-injector-test')
  const kept = join(controlPlane.processes.folder, 'tester.kubeconfig')
  await copyFile(written, kept)
  return kept
}

/** What `helm test` asks is allowed, and answered; only what would write is not tried. */
async function helmTest(t: Test, kubeconfig: string): Promise<void> {
  const api = makeApi(await connect({ kubeconfig }))
  try {
    const question = { target: undefined, istioNamespace: 'istio-system', here: () => new Date() }
    const probe = async () => {
      const { findings } = await diagnose(api, { ...question, dial, ask })
      const ours = ({ webhook, check }: Finding) =>
        webhook?.startsWith('sidecar-injector-injector/') === true && check !== 'ca-secret'
      const states = findings.filter(ours).map(({ check, state }) => `${check} ${state}`)
      // The caBundle is written a moment after the replica listens.
      return states.includes('review ok') ? { states, findings } : undefined
    }
    const { states, findings } = await until('an answer to helm test', probe)
    t.strictSame(states, [
      'service ok',
      'ca-bundle ok',
      'connection ok',
      'certificate ok',
      'review ok',
      'trial unknown',
    ])
    const forbidden = findings.filter(({ sentence }) => sentence.includes('forbidden'))
    t.strictSame([...new Set(forbidden.map(({ check }) => check))].sort(), ['ca-secret', 'token'])
  } finally {
    api.close()
  }
}

function settingsOf(command: string): readonly string[] {
  const words = wordsOf(command)
  return words.flatMap((word, index) => (words[index - 1] === '--set' ? [word] : []))
}

/** The replicas of the release, with the flags that its Deployment has. */
async function startOurs(controlPlane: ControlPlane, args: readonly string[]): Promise<Fleet> {
  const kubeconfig = await writeAccount(controlPlane, HOME, 'sidecar-injector-injector')
  const [, ...flags] = args
  const access = ['--kubeconfig', kubeconfig, '--drain-delay=0']
  return startFleet(controlPlane, { replicas: 1, args: [...flags, ...access] })
}

/** istiod as far as injection goes: its entries, its certificate, and the patcher that writes it. */
async function startStandIn(t: Test, controlPlane: ControlPlane) {
  const config = '/api/v1/namespaces/istio-system/configmaps'
  await create(controlPlane, config, { metadata: { name: 'istio' }, data: { mesh: '' } })
  await create(controlPlane, config, {
    metadata: { name: 'istio-sidecar-injector' },
    data: { config: 'policy: enabled', values: valuesOf('ours') },
  })
  // Ours follows that ConfigMap; the stand-in has a file, so that their images differ.
  const path = join(controlPlane.processes.folder, 'istiod.json')
  await writeFile(path, valuesOf('istiod'))
  const webhook = await startWebhook(controlPlane, ['--valuesFile', path])
  const istiod = startIstiod(controlPlane, webhook.caPem)
  t.teardown(() => istiod.stop())
  const install = async (): Promise<void> => {
    await create(controlPlane, REGISTRATIONS, istiodsEntries(webhook.port))
  }
  return {
    install,
    /** What its chart would do. */
    async run(command: string) {
      if (command.includes('=false')) await install()
      else await controlPlane.request('DELETE', `${REGISTRATIONS}/istio-sidecar-injector`)
      return { exitCode: 0, stderr: '' }
    },
  }
}

function valuesOf(who: keyof typeof HUBS, more: object = {}): string {
  return JSON.stringify({ global: { hub: HUBS[who], ...more } })
}

/** As its chart writes them for the default revision. */
function istiodsEntries(port: number): unknown {
  const notFalse = { key: 'sidecar.istio.io/inject', operator: 'NotIn', values: ['false'] }
  const absent = (key: string) => ({ key, operator: 'DoesNotExist' })
  const has = (key: string, value: string) => ({ key, operator: 'In', values: [value] })
  const entry = (prefix: string, namespace: readonly object[], object: readonly object[]) => ({
    name: `${prefix}.sidecar-injector.istio.io`,
    clientConfig: { url: `https://127.0.0.1:${port}/inject` },
    sideEffects: 'None',
    rules: [{ operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] }],
    failurePolicy: 'Fail',
    admissionReviewVersions: ['v1'],
    namespaceSelector: { matchExpressions: namespace },
    objectSelector: { matchExpressions: object },
  })
  const [rev, label, inject] = ['istio.io/rev', 'istio-injection', 'sidecar.istio.io/inject']
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: {
      name: 'istio-sidecar-injector',
      labels: { 'istio.io/rev': 'default', app: 'sidecar-injector' },
    },
    webhooks: [
      entry('rev.namespace', [has(rev, 'default'), absent(label)], [notFalse]),
      entry('rev.object', [absent(rev), absent(label)], [notFalse, has(rev, 'default')]),
      entry('namespace', [has(label, 'enabled')], [notFalse]),
      entry('object', [absent(label), absent(rev)], [has(inject, 'true'), absent(rev)]),
    ],
  }
}

async function expectStatus(t: Test, controlPlane: ControlPlane, look?: Look): Promise<void> {
  const api = makeApi(await connect({ kubeconfig: controlPlane.kubeconfigPath }))
  try {
    const expectProblems = async (wanted: readonly RegExp[], what: string): Promise<void> => {
      let told: Report | undefined
      const probe = async () => {
        told = await report(api, 'istio-system', dial, new Date())
        const { problems } = told
        const isSame = problems.length === wanted.length
        return isSame && problems.every((one, index) => wanted[index]?.test(one)) ? told : undefined
      }
      // Controllers replace pods when they get to it.
      const found = await until(what, probe, async () => JSON.stringify(told?.problems), 30)
      t.strictSame(found.unseen, [], what)
    }
    await expectProblems(look?.problems ?? [], 'status')
    await controlPlane.request('DELETE', '/api/v1/namespaces/shop/pods/old?gracePeriodSeconds=0')
    if (look?.also !== true) return
    const map = '/api/v1/namespaces/istio-system/configmaps/istio-sidecar-injector'
    const patch = (values: string) =>
      controlPlane.request('PATCH', map, { data: { values } }, 'application/merge-patch+json')
    await patch(valuesOf('ours', { logAsJson: true }))
    const other = /^\d+ pods whose sidecar was made with another configuration than now: /
    await expectProblems([other], 'another configuration')
    await patch(valuesOf('ours'))
    await expectProblems([], 'the old configuration')
  } finally {
    api.close()
  }
}

/** A pod of every namespace can be created, and has the sidecar of exactly this injector. */
async function expectInjectors(
  t: Test,
  controlPlane: ControlPlane,
  { shop, pay }: Omit<Step, 'after'>,
): Promise<void> {
  for (const [namespace, wanted] of Object.entries({ shop, pay, plain: 'nobody' })) {
    let said = ''
    const probe = async () => {
      said = await injectorIn(controlPlane, namespace)
      return said === wanted ? said : undefined
    }
    // Changed registrations reach the admission of an API server a moment later.
    await until(`${wanted} in ${namespace}`, probe, async () => said, 20)
    t.equal(said, wanted, `${namespace}: ${wanted}`)
  }
}

async function injectorIn({ request }: ControlPlane, namespace: string): Promise<string> {
  const pod = { metadata: { name: 'x' }, spec: { containers: [{ name: 'app', image: 'app:1' }] } }
  const { status, body } = await request(
    'POST',
    `/api/v1/namespaces/${namespace}/pods?dryRun=All`,
    pod,
  )
  if (status !== 201) return messageOf(body)
  const proxies = ['containers', 'initContainers']
    .flatMap((list) => listAt(body, 'spec', list))
    .filter((one) => textAt(one, 'name') === 'istio-proxy')
  if (proxies.length > 1) return `${proxies.length} proxies`
  const image = textAt(proxies[0], 'image')
  const found = Object.entries(HUBS).find(([, hub]) => image.startsWith(`${hub}/`))
  return image === '' ? 'nobody' : (found?.[0] ?? image)
}
