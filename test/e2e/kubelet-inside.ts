/** The test of kubelet.test.ts, inside its private place: from a Deployment to a captured connection. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ANNOTATIONS_CAPABILITY } from '../../cni-plugin/netconf.ts'
import { PLUGIN_TYPE } from '../../cni-plugin/options.ts'
import { REDIRECT_PLAN_ANNOTATION, VALIDATION_CONTAINER } from '../../core/constants.ts'
import type { JsonObject } from '../../core/json.ts'
import { startControlPlane, type ControlPlane } from './control-plane.ts'
import { iptablesImage, IPTABLES_IMAGE, PROXY_IMAGE } from './kubelet-images.ts'
import { LOGS, NODE, startKubelet } from './kubelet.ts'
import { at, create, createNamespace, listAt, messageOf, textAt } from './objects.ts'
import { answerOf, printedBy, readLines, STAND_IN } from './runtime-pod.ts'
import { assets, PLACE, settle } from './runtime-place.ts'
import { NETWORK, startRuntime } from './runtime.ts'
import { until } from './until.ts'
import { registration, startWebhook } from './webhook-process.ts'

const NAMESPACE = 'shop'
const PODS = `/api/v1/namespaces/${NAMESPACE}/pods`
const DEPLOYMENTS = `/apis/apps/v1/namespaces/${NAMESPACE}/deployments`
const MERGE = 'application/merge-patch+json'
/** Nobody has this address (RFC 5737): only who is captured gets an answer. */
const NOWHERE = '192.0.2.7:80'
const SERVED = `${NETWORK.node}:9080`

const values = {
  pilot: { cni: { enabled: true } },
  sidecarInjector: { cniAnnotation: true },
  global: {
    imagePullPolicy: 'Never',
    proxy: { image: PROXY_IMAGE },
    proxy_init: { image: IPTABLES_IMAGE },
  },
}

/** `nodeName` stands for the scheduler, of which nothing is tested here. */
function podSpec(nodeName?: string): JsonObject {
  const app = {
    name: 'app',
    image: STAND_IN,
    imagePullPolicy: 'Never',
    args: ['call', NOWHERE, SERVED],
    securityContext: { runAsUser: 1000 },
  }
  return {
    ...(nodeName !== undefined && { nodeName }),
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: 1,
    containers: [app],
  }
}

async function deployed(t: Test, controlPlane: ControlPlane): Promise<void> {
  const labels = { app: 'client' }
  await create(controlPlane, DEPLOYMENTS, {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'client' },
    spec: {
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: podSpec(NODE) },
    },
  })
  const pod = await untilReady(controlPlane, 'app=client')
  const ip = textAt(pod, 'status', 'podIP')
  const inward = `${ip}:8080`
  controlPlane.processes.start('outside', join(assets(), 'stand-in'), ['call', inward])
  const outside = () => printedBy(controlPlane.processes, 'outside')
  t.strictSame(
    {
      nowhere: await answerOf(NOWHERE, linesOf(pod, 'app')),
      served: await answerOf(SERVED, linesOf(pod, 'app')),
      inward: await answerOf(inward, outside),
      validation: exitOf(pod, VALIDATION_CONTAINER),
    },
    {
      nowhere: `outbound ${NOWHERE}`,
      served: `outbound ${SERVED}`,
      inward: `inbound ${inward}`,
      validation: 0,
    },
    'captured in both directions, and the validation in the pod agrees',
  )
}

/** Guard 3: before the other two are there, a plan can be edited while the pod waits for its node. */
async function edited(t: Test, controlPlane: ControlPlane): Promise<void> {
  const rows = [
    { who: 'edited', change: (plan: string) => plan.replace('"xports":[]', '"xports":[80]') },
    { who: 'removed', change: () => null },
  ]
  for (const { who, change } of rows) {
    const pod = await createPod(controlPlane, who)
    const plan = textAt(pod, 'metadata', 'annotations', REDIRECT_PLAN_ANNOTATION)
    t.not(change(plan), plan, `${who}: the plan is another one`)
    const annotations = {
      [REDIRECT_PLAN_ANNOTATION]: change(plan),
      // Without it the plugin would refuse the pod: this one hides that it was injected.
      ...(who === 'removed' && { 'sidecar.istio.io/status': null }),
    }
    const patch = { metadata: { annotations } }
    const patched = await controlPlane.request('PATCH', `${PODS}/${who}`, patch, MERGE)
    t.equal(patched.status, 200, `${who}: ${messageOf(patched.body)}`)
    t.equal((await bind(controlPlane, who)).status, 201)
    const code = await until(`end of the validation in ${who}`, async () => {
      const { body } = await controlPlane.request('GET', `${PODS}/${who}`)
      return exitOf(body, VALIDATION_CONTAINER)
    })
    t.equal(code, 126, `${who}: the pod does not start`)
  }
}

/** Guards 1 and 2, on pods that a kubelet runs. */
async function guarded(t: Test, controlPlane: ControlPlane): Promise<void> {
  const guards = join(import.meta.dirname, '../../deploy/cni/base/guards.yaml')
  const applied = await controlPlane.kubectl(['apply', '-f', guards])
  t.equal(applied.exitCode, 0, applied.stderr)
  const pod = await createPod(controlPlane, 'guarded')
  const plan = textAt(pod, 'metadata', 'annotations', REDIRECT_PLAN_ANNOTATION)
  const other = { [REDIRECT_PLAN_ANNOTATION]: plan.replace('15001', '15002') }
  const patch = { metadata: { annotations: other } }
  await until('the guards to be in force', async () => {
    const path = `${PODS}/guarded?dryRun=All`
    const tried = await controlPlane.request('PATCH', path, patch, MERGE)
    const bound = await bind(controlPlane, 'guarded', other, '?dryRun=All')
    return tried.status === 403 && bound.status === 403 ? true : undefined
  })
  const [running] = await podsOf(controlPlane, 'app=client')
  const path = `${PODS}/${textAt(running, 'metadata', 'name')}`
  for (const place of [path, `${path}/status`, `${PODS}/guarded`]) {
    const { status } = await controlPlane.request('PATCH', place, patch, MERGE)
    t.equal(status, 403, `guard 1: ${place}`)
  }
  t.equal((await bind(controlPlane, 'guarded', other)).status, 403, 'guard 2: a Binding')
  t.equal((await bind(controlPlane, 'guarded')).status, 201, 'a plain Binding')
  const ready = await untilReady(controlPlane, 'app=guarded')
  t.equal(await answerOf(NOWHERE, linesOf(ready, 'app')), `outbound ${NOWHERE}`)
}

async function removed(t: Test, controlPlane: ControlPlane): Promise<void> {
  // No garbage collector runs here: what would make pods anew goes first.
  for (const owners of [DEPLOYMENTS, DEPLOYMENTS.replace('deployments', 'replicasets'), PODS])
    await controlPlane.request('DELETE', owners)
  await until(
    'the end of all pods',
    async () => ((await podsOf(controlPlane)).length === 0 ? true : undefined),
    () => controlPlane.processes.log('kubelet').then((log) => log.slice(-2000)),
  )
  t.pass('every pod is gone: no DEL failed')
}

t.test('from a Deployment to a captured connection', async (t) => {
  await settle()
  const controlPlane = await startControlPlane()
  t.teardown(() => controlPlane.stop())
  const { processes } = controlPlane
  const runDir = join(PLACE, 'plugin')
  await mkdir(runDir)
  const capabilities = { [ANNOTATIONS_CAPABILITY]: true }
  const runtime = await startRuntime({
    processes,
    pluginFolders: [process.env['SIDECAR_CNI_FOLDER'] ?? ''],
    chained: [{ type: PLUGIN_TYPE, capabilities, run_dir: runDir, log_level: 'debug' }],
  })
  const standIn = { '/stand-in': join(assets(), 'stand-in') }
  for (const name of [STAND_IN, PROXY_IMAGE])
    await runtime.addImage({ name, files: standIn, entrypoint: ['/stand-in'] })
  await runtime.addImage(await iptablesImage(PLACE))
  processes.start('server', join(assets(), 'stand-in'), ['serve', ':9080'])
  await startKubelet(controlPlane)
  await createNamespace(controlPlane, NAMESPACE, { 'istio-injection': 'enabled' })
  await create(controlPlane, `/api/v1/namespaces/${NAMESPACE}/configmaps`, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'istio-ca-root-cert' },
    data: { 'root-cert.pem': '' },
  })
  const valuesFile = join(PLACE, 'values.json')
  await writeFile(valuesFile, JSON.stringify(values))
  const webhook = await startWebhook(controlPlane, ['--valuesFile', valuesFile])
  const path = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations'
  await create(controlPlane, path, registration(webhook))
  await until('the API server to know the webhook', async () => {
    const pod = await createPod(controlPlane, 'first', '?dryRun=All')
    return planOf(pod) === '' ? undefined : true
  })
  await t.test('a Deployment is captured', (t) => deployed(t, controlPlane))
  await t.test('guard 3 stops a pod whose plan was changed', (t) => edited(t, controlPlane))
  await t.test('guards 1 and 2 keep the plan', (t) => guarded(t, controlPlane))
  await t.test('pods go', (t) => removed(t, controlPlane))
})

async function createPod(controlPlane: ControlPlane, name: string, query = ''): Promise<unknown> {
  const { status, body } = await controlPlane.request('POST', `${PODS}${query}`, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: name } },
    spec: podSpec(),
  })
  if (status !== 201) throw new Error(`pod ${name}: got ${status} ${messageOf(body)}, want 201`)
  return body
}

function bind(controlPlane: ControlPlane, name: string, annotations = {}, query = '') {
  return controlPlane.request('POST', `${PODS}/${name}/binding${query}`, {
    apiVersion: 'v1',
    kind: 'Binding',
    metadata: { name, annotations },
    target: { apiVersion: 'v1', kind: 'Node', name: NODE },
  })
}

async function podsOf({ request }: ControlPlane, selector = ''): Promise<readonly unknown[]> {
  const query = selector === '' ? '' : `?labelSelector=${encodeURIComponent(selector)}`
  return listAt((await request('GET', `${PODS}${query}`)).body, 'items')
}

async function untilReady(controlPlane: ControlPlane, selector: string): Promise<unknown> {
  let last: unknown
  return until(
    `readiness of ${selector}`,
    async () => {
      const [pod] = await podsOf(controlPlane, selector)
      last = pod
      const conditions = listAt(pod, 'status', 'conditions')
      const ready = conditions.find((condition) => textAt(condition, 'type') === 'Ready')
      return textAt(ready, 'status') === 'True' ? pod : undefined
    },
    async () => {
      const { stdout } = await controlPlane.kubectl(['-n', NAMESPACE, 'get', 'events'])
      return `${JSON.stringify(at(last, 'status'))}\n${stdout}`
    },
  )
}

/** The exit code of an init container, undefined while it has not ended. */
function exitOf(pod: unknown, name: string): unknown {
  const statuses = listAt(pod, 'status', 'initContainerStatuses')
  const status = statuses.find((one) => textAt(one, 'name') === name)
  const ended = (state: string) => at(status, state, 'terminated', 'exitCode')
  return ended('state') ?? ended('lastState')
}

function linesOf(pod: unknown, container: string) {
  const of = (key: string) => textAt(pod, 'metadata', key)
  const folder = `${of('namespace')}_${of('name')}_${of('uid')}`
  return () => readLines(join(LOGS, folder, container, '0.log'))
}

function planOf(pod: unknown): string {
  return textAt(pod, 'metadata', 'annotations', REDIRECT_PLAN_ANNOTATION)
}
