/** What the API server takes, it takes injected too, or the injector says why not: random pods, a real judge. */
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { injectPod } from '../../core/inject/inject.ts'
import { isObject, type JsonObject } from '../../core/json.ts'
import { formatProblem } from '../../core/problem.ts'
import { configOf, requestFor } from '../support/config.ts'
import { pods } from '../support/pods.ts'
import { need } from '../require.ts'
import { controlPlaneUnavailable, startControlPlane, type ControlPlane } from './control-plane.ts'

const SEED = 4
const COUNT = 150
/** Pods that are on their way at once. */
const TOGETHER = 8
/** Without these the test would say nothing. */
const LEAST_INJECTED = 100

const CNI = '{"pilot":{"cni":{"enabled":true}},"global":{"proxy":{"tracer":"datadog"}}}'

/** Every pod goes through one of these, in turn. */
const settings = [
  { who: 'plain', config: configOf({}), request: {} },
  { who: 'native', config: configOf({}), request: { nativeSidecars: true } },
  { who: 'CNI', config: configOf({ values: CNI }), request: { nativeSidecars: true } },
  { who: '1.17', config: configOf({ istioVersion: '1.17' }), request: {} },
  { who: '1.8', config: configOf({ istioVersion: '1.8' }), request: {} },
] as const

const DRY_RUN = '/api/v1/namespaces/default/pods?dryRun=All&fieldValidation=Strict'

async function random(t: Test, controlPlane: ControlPlane): Promise<void> {
  const samples = fc.sample(pods(), { numRuns: COUNT, seed: SEED })
  const count = { takenBefore: 0, injected: 0, refused: 0 }
  const tried = async (pod: JsonObject, index: number): Promise<void> => {
    const plain = await controlPlane.request('POST', DRY_RUN, pod)
    if (plain.status !== 201 || !isObject(plain.body)) return
    count.takenBefore++
    const setting = settings[index % settings.length] ?? settings[0]
    // As a manifest has it, and as the API server shows it to its webhooks, with all defaults.
    for (const form of [pod, plain.body]) {
      const decision = injectPod(requestFor(form, setting.request), setting.config)
      if (decision.kind === 'reject') {
        count.refused++
        const texts = decision.problems.map(formatProblem)
        t.not(texts.length, 0, `pod ${index}: refused with reasons`)
      }
      if (decision.kind !== 'inject') continue
      count.injected++
      const after = await controlPlane.request('POST', DRY_RUN, decision.pod)
      t.equal(after.status, 201, `pod ${index}, ${setting.who}: ${messageOf(after.body)}`, {
        pod: JSON.stringify(form),
      })
    }
  }
  for (let from = 0; from < samples.length; from += TOGETHER) {
    const group = samples.slice(from, from + TOGETHER)
    await Promise.all(group.map((pod, index) => tried(pod, from + index)))
  }
  t.comment(
    `${COUNT} pods, ${count.takenBefore} taken as they are; of their forms ` +
      `${count.injected} injected and taken, ${count.refused} refused`,
  )
  t.ok(count.injected >= LEAST_INJECTED, `${count.injected} pods were injected`)
}

/** Pods of which the API server refused what was made, each once. */
const clashes: readonly {
  readonly who: string
  readonly pod: JsonObject
  readonly isTaken: boolean
}[] = [
  {
    who: 'an own limit below the request of the template lowers the request',
    pod: podWith([{ name: 'istio-proxy', image: 'auto', resources: { limits: { cpu: '10m' } } }]),
    isTaken: true,
  },
  {
    who: 'an own request above the limit of the template raises the limit',
    pod: podWith([{ name: 'istio-proxy', image: 'auto', resources: { requests: { cpu: '5' } } }]),
    isTaken: true,
  },
  {
    who: 'an own proxy with all privileges may gain new ones',
    pod: podWith([{ name: 'istio-proxy', image: 'auto', securityContext: { privileged: true } }]),
    isTaken: true,
  },
  {
    who: 'a variable that stands twice in an own proxy counts once, the last time',
    pod: podWith([
      {
        name: 'istio-proxy',
        image: 'auto',
        env: [
          { name: 'PROXY_CONFIG', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
          { name: 'PROXY_CONFIG', value: '{}' },
        ],
      },
    ]),
    isTaken: true,
  },
  {
    who: 'a gateway whose name is longer than a label may be',
    pod: podWith([{ name: 'istio-proxy', image: 'auto' }], {}, `${'long-'.repeat(20)}name`, {
      'inject.istio.io/templates': 'gateway',
    }),
    isTaken: true,
  },
  {
    who: 'a pod with amounts of its own, too small for the proxy',
    pod: podWith([], { resources: { requests: { cpu: '10m' } } }),
    isTaken: false,
  },
  { who: 'a pod for Windows', pod: podWith([], { os: { name: 'windows' } }), isTaken: false },
]

async function known(t: Test, controlPlane: ControlPlane): Promise<void> {
  for (const { who, pod, isTaken } of clashes) {
    const before = await controlPlane.request('POST', DRY_RUN, pod)
    t.equal(before.status, 201, `${who}: taken without injection; ${messageOf(before.body)}`)
    const decision = injectPod(requestFor(pod), configOf({}))
    t.equal(decision.kind, isTaken ? 'inject' : 'reject', who)
    if (decision.kind !== 'inject') continue
    const after = await controlPlane.request('POST', DRY_RUN, decision.pod)
    t.equal(after.status, 201, `${who}: ${messageOf(after.body)}`)
  }
}

t.test('what is taken before is taken after', need(controlPlaneUnavailable()), async (t) => {
  const controlPlane = await startControlPlane({
    controllers: [],
    apiServerArgs: ['--allow-privileged=true'],
  })
  t.teardown(() => controlPlane.stop())
  for (const name of ['default', 'shop']) await createServiceAccount(controlPlane, name)
  await t.test('known clashes of pod and template', (t) => known(t, controlPlane))
  await t.test('random pods, or the reasons', (t) => random(t, controlPlane))
})

function podWith(
  own: readonly JsonObject[],
  spec: JsonObject = {},
  name = 'p',
  annotations: JsonObject = {},
): JsonObject {
  const containers = [{ name: 'app', image: 'nginx' }, ...own]
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, annotations },
    spec: { serviceAccountName: 'default', containers, ...spec },
  }
}

/** The admission of pods asks for the account; nobody makes it here, for no controller runs. */
async function createServiceAccount(controlPlane: ControlPlane, name: string): Promise<void> {
  const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name } }
  const path = '/api/v1/namespaces/default/serviceaccounts'
  const { status, body } = await controlPlane.request('POST', path, account)
  if (status !== 201) throw new Error(`ServiceAccount ${name}: ${status} ${messageOf(body)}`)
}

function messageOf(body: unknown): string {
  if (!isObject(body)) return String(body)
  const { message } = body
  return typeof message === 'string' ? message : ''
}
