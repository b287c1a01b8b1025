/** Guards 1 and 2 of the redirect plan, and injected pods under PodSecurity, judged by a real API server. */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { injectPod } from '../../core/inject/inject.ts'
import { isObject, type Json, type JsonObject } from '../../core/json.ts'
import { need } from '../require.ts'
import { configOf, requestFor } from '../support/config.ts'
import { controlPlaneUnavailable, startControlPlane, type ControlPlane } from './control-plane.ts'
import { until } from './until.ts'

const KEY = 'sidecar-injector.io/redirect-plan'
const PODS = '/api/v1/namespaces/default/pods'
const MERGE = 'application/merge-patch+json'
const STRATEGIC = 'application/strategic-merge-patch+json'
const PLAN = '{"v":1,"apply":"cni"}'

const guards = join(import.meta.dirname, '../../deploy/cni/base/guards.yaml')

const annotations = (plan: Json, more: JsonObject = {}): JsonObject => ({
  metadata: { annotations: { [KEY]: plan, ...more } },
})
const debugging = { name: 'debug', image: 'x', terminationMessagePolicy: 'File' }
const resized = { containers: [{ name: 'app', resources: { requests: { cpu: '20m' } } }] }
const binding = (name: string, plan: string | undefined): JsonObject => ({
  apiVersion: 'v1',
  kind: 'Binding',
  metadata: { name, annotations: { other: 'x', ...(plan !== undefined && { [KEY]: plan }) } },
  target: { apiVersion: 'v1', kind: 'Node', name: 'node-1' },
})

type Edit = {
  readonly who: string
  readonly path: string
  readonly body: JsonObject
  readonly type?: string
  /** `dropped`: the API server takes the call and leaves the annotation alone, with guards or without. */
  readonly is: 'denied' | 'allowed' | 'dropped'
}

/** `planned` carries a plan, `plain` none. */
const edits: readonly Edit[] = [
  { who: 'the plan is edited', path: 'planned', body: annotations('{}'), is: 'denied' },
  { who: 'the plan is removed', path: 'planned', body: annotations(null), is: 'denied' },
  { who: 'the plan is emptied', path: 'planned', body: annotations(''), is: 'denied' },
  {
    who: 'all annotations are removed',
    path: 'planned',
    body: { metadata: { annotations: null } },
    is: 'denied',
  },
  { who: 'a plan is added', path: 'plain', body: annotations(PLAN), is: 'denied' },
  { who: 'by the status', path: 'planned/status', body: annotations('{}'), is: 'denied' },
  { who: 'added by the status', path: 'plain/status', body: annotations(PLAN), is: 'denied' },
  {
    who: 'by an ephemeral container',
    path: 'planned/ephemeralcontainers',
    body: { ...annotations('{}'), spec: { ephemeralContainers: [debugging] } },
    type: STRATEGIC,
    is: 'dropped',
  },
  {
    who: 'by a resize',
    path: 'planned/resize',
    body: { ...annotations('{}'), spec: resized },
    type: STRATEGIC,
    is: 'dropped',
  },
  {
    who: 'together with another key',
    path: 'planned',
    body: annotations('{}', { a: 'b' }),
    is: 'denied',
  },
  {
    who: 'another annotation',
    path: 'planned',
    body: { metadata: { annotations: { a: 'b' } } },
    is: 'allowed',
  },
  {
    who: 'another annotation, no plan',
    path: 'plain',
    body: { metadata: { annotations: { a: 'b' } } },
    is: 'allowed',
  },
  { who: 'a label', path: 'planned', body: { metadata: { labels: { a: 'b' } } }, is: 'allowed' },
  { who: 'the same plan', path: 'planned', body: annotations(PLAN), is: 'allowed' },
  {
    who: 'a label by the status',
    path: 'planned/status',
    body: { metadata: { labels: { a: 'c' } } },
    is: 'allowed',
  },
  {
    who: 'an image',
    path: 'planned',
    body: { spec: { containers: [{ name: 'app', image: 'y' }] } },
    type: STRATEGIC,
    is: 'allowed',
  },
]

/** Bindings, in this order: those that are let through bind. */
const bindings = [
  {
    who: 'a plan by a Binding',
    path: `${PODS}/plain/binding`,
    body: binding('plain', PLAN),
    status: 403,
  },
  {
    who: 'another plan',
    path: `${PODS}/planned/binding`,
    body: binding('planned', '{}'),
    status: 403,
  },
  {
    who: 'the same plan',
    path: `${PODS}/planned/binding`,
    body: binding('planned', PLAN),
    status: 403,
  },
  {
    who: 'the old path',
    path: '/api/v1/namespaces/default/bindings',
    body: binding('plain', PLAN),
    status: 403,
  },
  {
    who: 'a plain Binding',
    path: `${PODS}/planned/binding`,
    body: binding('planned', undefined),
    status: 201,
  },
] as const

t.test('guards on a real API server', need(controlPlaneUnavailable()), async (t) => {
  const controllers = ['serviceaccount-controller', 'validatingadmissionpolicy-status-controller']
  const controlPlane = await startControlPlane({ controllers })
  t.teardown(() => controlPlane.stop())
  for (const [name, plan] of [
    ['planned', PLAN],
    ['plain', undefined],
  ] as const)
    await make(controlPlane, name, plan)

  await t.test('without guards each of these goes through', (t) => withoutGuards(t, controlPlane))
  const { stdout, stderr, exitCode } = await controlPlane.kubectl([
    ...[
      'apply',
      '--server-side',
      '--validate=strict',
      '--warnings-as-errors',
      '-f',
      guards,
      '-o',
      'name',
    ],
  ])
  t.equal(exitCode, 0, stderr)
  t.equal(stdout.trim().split('\n').length, 4, 'two policies and their bindings')
  await until('the guards to be in force', async () => {
    const tried = [
      await controlPlane.request('PATCH', `${PODS}/planned?dryRun=All`, annotations('{}'), MERGE),
      await controlPlane.request(
        'POST',
        `${PODS}/plain/binding?dryRun=All`,
        binding('plain', PLAN),
      ),
    ]
    return tried.every(({ status }) => status === 403) ? true : undefined
  })
  await t.test('edits', (t) => withGuards(t, controlPlane))
  await t.test('bindings', (t) => bind(t, controlPlane))
  await t.test('the expressions fit the types', (t) => typeChecked(t, controlPlane))
  await t.test('PodSecurity restricted', (t) => restricted(t, controlPlane))
})

async function make(controlPlane: ControlPlane, name: string, plan?: string): Promise<void> {
  const pod = {
    metadata: { name, ...(plan !== undefined && { annotations: { [KEY]: plan } }) },
    spec: {
      automountServiceAccountToken: false,
      containers: [{ name: 'app', image: 'x', resources: { requests: { cpu: '10m' } } }],
    },
  }
  await until(`pod ${name}`, async () => {
    const { status } = await controlPlane.request('POST', PODS, pod)
    return status === 201 ? true : undefined
  })
}

async function planOf(controlPlane: ControlPlane, name: string): Promise<Json | undefined> {
  const { body } = await controlPlane.request('GET', `${PODS}/${name}`)
  const metadata = (body as JsonObject)['metadata'] as JsonObject
  const found = metadata['annotations']
  return isObject(found) ? found[KEY] : undefined
}

async function withoutGuards(t: Test, controlPlane: ControlPlane): Promise<void> {
  for (const { who, path, body, type = MERGE, is } of edits) {
    if (is !== 'denied') continue
    const { status } = await controlPlane.request('PATCH', `${PODS}/${path}?dryRun=All`, body, type)
    t.equal(status, 200, who)
  }
  for (const { who, path, body } of bindings) {
    const { status } = await controlPlane.request('POST', `${path}?dryRun=All`, body)
    t.equal(status, 201, who)
  }
}

async function withGuards(t: Test, controlPlane: ControlPlane): Promise<void> {
  for (const { who, path, body, type = MERGE, is } of edits) {
    const answer = await controlPlane.request('PATCH', `${PODS}/${path}`, body, type)
    const said = JSON.stringify(answer.body)
    t.equal(answer.status, is === 'denied' ? 403 : 200, `${who}: ${said.slice(0, 300)}`)
    if (is === 'denied') t.match(said, /never changes: delete\W+the pod/, who)
    t.equal(await planOf(controlPlane, 'planned'), PLAN, `${who}: the plan stands`)
    t.equal(await planOf(controlPlane, 'plain'), undefined, `${who}: no plan came`)
  }
}

async function bind(t: Test, controlPlane: ControlPlane): Promise<void> {
  for (const { who, path, body, status } of bindings) {
    const answer = await controlPlane.request('POST', path, body)
    t.equal(answer.status, status, `${who}: ${JSON.stringify(answer.body).slice(0, 300)}`)
    t.equal(await planOf(controlPlane, 'planned'), PLAN, who)
    t.equal(await planOf(controlPlane, 'plain'), undefined, who)
  }
}

async function typeChecked(t: Test, controlPlane: ControlPlane): Promise<void> {
  for (const name of ['plan-update', 'plan-binding']) {
    const path = `/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/${name}.sidecar-injector.io`
    const checking = await until(`type check of ${name}`, async () => {
      const { body } = await controlPlane.request('GET', path)
      const status = (body as JsonObject)['status']
      return isObject(status) && isObject(status['typeChecking'])
        ? status['typeChecking']
        : undefined
    })
    t.strictSame(checking, {}, name)
  }
}

async function restricted(t: Test, controlPlane: ControlPlane): Promise<void> {
  const metadata = {
    name: 'strict',
    labels: { 'pod-security.kubernetes.io/enforce': 'restricted' },
  }
  await controlPlane.request('POST', '/api/v1/namespaces', { metadata })
  const securityContext = {
    allowPrivilegeEscalation: false,
    runAsNonRoot: true,
    capabilities: { drop: ['ALL'] },
  }
  const pod = {
    metadata: { name: 'app' },
    spec: {
      automountServiceAccountToken: false,
      securityContext: { seccompProfile: { type: 'RuntimeDefault' } },
      containers: [{ name: 'app', image: 'x', securityContext }],
    },
  }
  const values = '{"pilot":{"cni":{"enabled":true}},"sidecarInjector":{"cniAnnotation":true}}'
  const path = '/api/v1/namespaces/strict/pods?dryRun=All&fieldValidation=Strict'
  await until('the namespace', async () => {
    const { status } = await controlPlane.request('POST', path, pod)
    return status === 201 ? true : undefined
  })
  for (const istioVersion of ['current', '1.17', '1.8'] as const) {
    for (const nativeSidecars of [false, true]) {
      const who = `${istioVersion}, ${nativeSidecars ? 'native' : 'plain'}`
      const injected = (config: ReturnType<typeof configOf>): Json => {
        const decision = injectPod(requestFor(pod, { nativeSidecars, namespace: 'strict' }), config)
        if (decision.kind !== 'inject') throw new Error(decision.kind)
        return JSON.parse(JSON.stringify(decision.pod)) as Json
      }
      const byNode = await controlPlane.request(
        'POST',
        path,
        injected(configOf({ values, istioVersion })),
      )
      t.equal(byNode.status, 201, `${who}: ${JSON.stringify(byNode.body).slice(0, 300)}`)
      const byInit = await controlPlane.request('POST', path, injected(configOf({ istioVersion })))
      t.equal(byInit.status, 403, `${who}: the init container is not allowed there`)
      t.match(JSON.stringify(byInit.body), /istio-init/, who)
    }
  }
}
