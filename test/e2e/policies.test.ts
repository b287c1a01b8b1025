/** The policy that finds pods without the sidecar that they should have, judged by a real API server. */
import t, { type Test } from 'tap'
import { decide, type InjectionPolicy } from '../../core/inject/decide.ts'
import { takersOf } from '../../core/gates/gate.ts'
import { readWebhooks } from '../../core/gates/read-webhooks.ts'
import type { JsonObject } from '../../core/json.ts'
import type { StringMap } from '../../core/k8s.ts'
import { need } from '../require.ts'
import { renderChart } from './chart.ts'
import { startControlPlane, toolsUnavailable, type ControlPlane } from './control-plane.ts'
import { applyQuietly, only, renderWith } from './manifests.ts'
import { createNamespace, messageOf, textAt } from './objects.ts'
import { until } from './until.ts'

const REV = 'istio.io/rev'
const INJECTION = 'istio-injection'
const INJECT = 'sidecar.istio.io/inject'

const TOOLS = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kubectl', 'helm']
const CONTROLLERS = ['serviceaccount-controller', 'validatingadmissionpolicy-status-controller']

/** Labels of namespaces, by their names; `kube-system` is there already. */
const NAMESPACES: Readonly<Record<string, StringMap>> = {
  silent: {},
  enabled: { [INJECTION]: 'enabled' },
  'enabled-and-canary': { [INJECTION]: 'enabled', [REV]: 'canary' },
  disabled: { [INJECTION]: 'disabled' },
  'disabled-and-default': { [INJECTION]: 'disabled', [REV]: 'default' },
  default: { [REV]: 'default' },
  canary: { [REV]: 'canary' },
}

const LABELS: readonly StringMap[] = [
  {},
  { [INJECT]: 'true' },
  { [INJECT]: 'false' },
  { [INJECT]: '' },
  { [INJECT]: 'True' },
  { [REV]: 'default' },
  { [REV]: 'canary' },
  { [INJECT]: 'true', [REV]: 'canary' },
  { app: 'batch' },
  { app: 'batch', [INJECT]: 'true' },
]

const ANNOTATIONS: readonly StringMap[] = [{}, { [INJECT]: 'true' }, { [INJECT]: 'false' }]

const status = { 'sidecar.istio.io/status': '{}' }
const proxy = { name: 'istio-proxy', image: 'proxyv2' }

/** Pods of the namespace `enabled`, where a pod that says nothing should have a sidecar. */
const shapes: readonly {
  readonly who: string
  readonly annotations?: StringMap
  readonly spec?: JsonObject
  readonly isDenied: boolean
}[] = [
  { who: 'no sidecar', isDenied: true },
  {
    who: 'injected, with a plain proxy',
    annotations: status,
    spec: { containers: [{ name: 'app', image: 'nginx' }, proxy] },
    isDenied: false,
  },
  {
    who: 'injected, with a native proxy',
    annotations: status,
    spec: { initContainers: [{ ...proxy, restartPolicy: 'Always' }] },
    isDenied: false,
  },
  {
    who: 'an own proxy container that nobody completed',
    spec: { containers: [{ name: 'app', image: 'nginx' }, proxy] },
    isDenied: true,
  },
  { who: 'the status of another pod without a proxy', annotations: status, isDenied: true },
  {
    who: 'injected by a template that has no proxy',
    annotations: { ...status, 'inject.istio.io/templates': 'grpc-simple' },
    isDenied: false,
  },
  {
    who: 'templates by name, but not injected',
    annotations: { 'inject.istio.io/templates': 'gateway' },
    isDenied: true,
  },
  { who: 'in the network of its node', spec: { hostNetwork: true }, isDenied: false },
  {
    who: 'explicitly not in the network of its node',
    spec: { hostNetwork: false },
    isDenied: true,
  },
]

type Variable = { readonly index: number; readonly name: string; readonly expression: string }

/** Releases of the chart whose entries are others than those of the base. */
const charts: readonly {
  readonly set: readonly string[]
  /** A namespace in which a pod that says nothing should have a sidecar. */
  readonly probe: string
}[] = [
  { set: ['webhook.enableNamespacesByDefault=true'], probe: 'silent' },
  { set: ['revision=default'], probe: 'default' },
  { set: ['revision=default', 'revisionTags={default}'], probe: 'enabled' },
  {
    set: ['revision=canary', 'webhook.enableNamespacesByDefault=true'],
    probe: 'canary',
  },
]

/** What an installation may say, as the overlay of the guide puts it into the policy. */
const settings: readonly {
  readonly who: string
  readonly variables: readonly Variable[]
  readonly policy: Partial<InjectionPolicy>
  /** Status of the answer to a pod that says nothing in a namespace with injection. */
  readonly silent: number
}[] = [
  { who: 'as it comes', variables: [], policy: {}, silent: 403 },
  {
    who: 'a policy of disabled, and selectors both ways',
    variables: [
      { index: 4, name: 'injectsSilent', expression: 'false' },
      {
        index: 5,
        name: 'isNever',
        expression: 'variables.labels[?"sidecar.istio.io/inject"].orValue("") == "True"',
      },
      { index: 6, name: 'isAlways', expression: 'variables.labels[?"app"].orValue("") == "batch"' },
    ],
    policy: {
      policy: 'disabled',
      neverInjectSelector: [{ matchLabels: { [INJECT]: 'True' } }],
      alwaysInjectSelector: [{ matchLabels: { app: 'batch' } }],
    },
    silent: 201,
  },
]

t.test('the policy on pods without a sidecar', need(toolsUnavailable(TOOLS)), async (t) => {
  const controlPlane = await startControlPlane({ controllers: CONTROLLERS })
  t.teardown(() => controlPlane.stop())
  for (const [name, labels] of Object.entries(NAMESPACES)) {
    if (name === 'default') await labelNamespace(controlPlane, name, labels)
    else await createNamespace(controlPlane, name, labels)
  }
  await labelNamespace(controlPlane, 'kube-system', { [INJECTION]: 'enabled' })
  for (const setting of settings) {
    await t.test(`denies what would be injected: ${setting.who}`, async (t) => {
      const rendered = await renderWith(controlPlane, ['policy-deny'], overlayOf(setting.variables))
      await applyPolicy(controlPlane, rendered)
      await until('the API server to follow the policy', async () => {
        const { status } = await post(controlPlane, 'enabled', {}, {}, {})
        return status === setting.silent ? true : undefined
      })
      await asTheInjector(t, controlPlane, rendered, setting.policy)
      if (setting.silent === 201) return
      for (const { who, annotations = {}, spec = {}, isDenied } of shapes) {
        const { status } = await post(controlPlane, 'enabled', {}, annotations, spec)
        t.equal(status, isDenied ? 403 : 201, who)
      }
    })
  }
  for (const { set, probe } of charts) {
    await t.test(`denies what would be injected: ${set.join(' ')}`, async (t) => {
      const rendered = await renderChart([...set, 'policy.action=deny'])
      // One policy at a time: releases of other revisions have objects of other names.
      const kinds = ['validatingadmissionpolicybindings', 'validatingadmissionpolicies']
      for (const kind of kinds) await controlPlane.kubectl(['delete', kind, '--all'])
      await until('the API server to forget the policy', async () => {
        const found = await Promise.all(
          Object.keys(NAMESPACES).map((name) => post(controlPlane, name, {}, {}, {})),
        )
        return found.every(({ status }) => status === 201) ? true : undefined
      })
      await applyPolicy(controlPlane, rendered)
      await until('the API server to follow the policy', async () => {
        const { status } = await post(controlPlane, probe, {}, {}, {})
        return status === 403 ? true : undefined
      })
      await asTheInjector(t, controlPlane, rendered, {})
    })
  }
  await t.test('warns and lets pass', async (t) => {
    await applyPolicy(controlPlane, await renderWith(controlPlane, ['policy-warn']))
    const { stdout, stderr } = await untilCreated(controlPlane, ({ stderr }) => stderr !== '')
    t.equal(stdout, 'pod/steady')
    t.match(stderr, WARNING)
  })
  for (const { components, says } of outages) {
    await t.test(`no replica anywhere, with ${components.join(', ')}`, async (t) => {
      const rendered = await renderWith(controlPlane, components)
      await applyPolicy(controlPlane, rendered)
      await applyQuietly(controlPlane, [only(rendered, 'MutatingWebhookConfiguration')])
      const { stderr } = await untilCreated(controlPlane, ({ stderr }) => says.test(stderr))
      t.match(stderr, says)
    })
  }
})

const WARNING = /^Warning: .*no sidecar: namespace enabled /

/** What the creator of a Pod sees while the Service has nobody behind it. */
const outages = [
  { components: ['policy-warn'], says: /failed calling webhook "namespace\.sidecar-injector\.io"/ },
  { components: ['ignore', 'policy-warn'], says: WARNING },
  { components: ['ignore', 'policy-deny'], says: /^Error .*denied request: no sidecar: / },
] as const

type Said = { readonly stdout: string; readonly stderr: string }

/** Creates a Pod that should have a sidecar, again and again until the API server follows its objects. */
function untilCreated({ kubectl }: ControlPlane, isIt: (said: Said) => boolean): Promise<Said> {
  const args = ['-n', 'enabled', 'create', '-f', '-', '-o', 'name', '--dry-run=server']
  let last = ''
  return until(
    'what the creator of a Pod is told',
    async () => {
      const said = await kubectl(args, JSON.stringify(podOf({}, {}, {})))
      last = said.stderr
      return isIt(said) ? said : undefined
    },
    async () => last,
  )
}

/** All labels and annotations against all namespaces: the API server and the injector agree. */
async function asTheInjector(
  t: Test,
  controlPlane: ControlPlane,
  rendered: readonly JsonObject[],
  policy: Partial<InjectionPolicy>,
): Promise<void> {
  const entries = rendered
    .filter(({ kind }) => kind === 'MutatingWebhookConfiguration')
    .flatMap((configuration) => {
      const read = readWebhooks(configuration)
      if (!read.ok) throw new Error('webhooks cannot be read')
      return read.value
    })
  const namespaces = { ...NAMESPACES, 'kube-system': { [INJECTION]: 'enabled' } }
  const disagreed: unknown[] = []
  const count = { denied: 0, taken: 0 }
  for (const [namespace, own] of Object.entries(namespaces)) {
    const namespaceLabels = { ...own, 'kubernetes.io/metadata.name': namespace }
    const rows = LABELS.flatMap((labels) =>
      ANNOTATIONS.map((annotations) => ({ labels, annotations })),
    )
    const found = await Promise.all(
      rows.map(async ({ labels, annotations }) => {
        const pod = podOf(labels, annotations, {})
        const takers = takersOf(entries, { namespace, namespaceLabels, podLabels: labels, pod })
        const facts = { hostNetwork: false, namespace, labels, annotations }
        const { outcome } = decide(facts, {
          policy: 'enabled',
          neverInjectSelector: [],
          alwaysInjectSelector: [],
          ignoredNamespaces: ['kube-system'],
          ...policy,
        })
        const want = takers.length > 0 && outcome === 'inject' ? 403 : 201
        const { status, body } = await post(controlPlane, namespace, labels, annotations, {})
        count[status === 403 ? 'denied' : 'taken']++
        const said = messageOf(body)
        return status === want ? [] : [{ namespace, labels, annotations, want, status, said }]
      }),
    )
    disagreed.push(...found.flat())
  }
  t.strictSame(disagreed, [], 'the policy denies what the injector would inject, and nothing else')
  t.comment(`${count.denied} denied, ${count.taken} taken`)
  t.ok(count.denied > 10 && count.taken > 10, 'and some of both')
}

/** The overlay by which an installation changes variables of the policy. */
function overlayOf(variables: readonly Variable[]): JsonObject {
  if (variables.length === 0) return {}
  const patch = variables.flatMap(({ index, name, expression }) => [
    { op: 'test', path: `/spec/variables/${index}/name`, value: name },
    { op: 'replace', path: `/spec/variables/${index}/expression`, value: expression },
  ])
  const target = { kind: 'ValidatingAdmissionPolicy', name: 'sidecar-injector' }
  return { patches: [{ target, patch: JSON.stringify(patch) }] }
}

/** Applies the policy and its binding alone, without the webhook; a controller judges the types in it. */
async function applyPolicy(
  controlPlane: ControlPlane,
  rendered: readonly JsonObject[],
): Promise<void> {
  const policy = only(rendered, 'ValidatingAdmissionPolicy')
  const binding = only(rendered, 'ValidatingAdmissionPolicyBinding')
  await applyQuietly(controlPlane, [policy, binding])
  const policies = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies'
  const path = `${policies}/${textAt(policy, 'metadata', 'name')}`
  await until('the types of the policy to be checked', async () => {
    const { body } = await controlPlane.request('GET', path)
    const { metadata, status } = body as {
      readonly metadata: { readonly generation: number }
      readonly status?: { readonly observedGeneration?: number; readonly typeChecking?: unknown }
    }
    if (status?.observedGeneration !== metadata.generation) return undefined
    const { typeChecking } = status
    if (JSON.stringify(typeChecking) !== '{}') throw new Error(JSON.stringify(typeChecking))
    return true
  })
}

async function labelNamespace(
  { request }: ControlPlane,
  name: string,
  labels: StringMap,
): Promise<void> {
  const body = { metadata: { labels } }
  await request('PATCH', `/api/v1/namespaces/${name}`, body, 'application/merge-patch+json')
}

function podOf(labels: StringMap, annotations: StringMap, spec: JsonObject): JsonObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'steady', labels, annotations },
    spec: { containers: [{ name: 'app', image: 'nginx' }], ...spec },
  }
}

function post(
  { request }: ControlPlane,
  namespace: string,
  labels: StringMap,
  annotations: StringMap,
  spec: JsonObject,
) {
  const path = `/api/v1/namespaces/${namespace}/pods?dryRun=All&fieldValidation=Strict`
  return request('POST', path, podOf(labels, annotations, spec))
}
