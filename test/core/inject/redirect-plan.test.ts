/** The redirect plan that injection writes in CNI mode, and the guard of it. */
import fc from 'fast-check'
import t from 'tap'
import type { Decision, InjectRequest } from '../../../core/inject/decision.ts'
import { injectPod } from '../../../core/inject/inject.ts'
import { applyPatch, type Operation } from '../../../core/inject/patch.ts'
import { isObject, isSame, type Json, type JsonObject } from '../../../core/json.ts'
import { byName, type Container, type Pod } from '../../../core/k8s.ts'
import { readArgv, resolveProxyUser } from '../../../core/options/argv.ts'
import type { InterceptionOptions } from '../../../core/options/interception.ts'
import { readRedirectPlan } from '../../../core/options/redirect-plan-read.ts'
import type { NodePlan, RedirectPlan } from '../../../core/options/redirect-plan.ts'
import { formatProblem } from '../../../core/problem.ts'
import { answerReview } from '../../../webhook/answer.ts'
import { configOf, digest, frozen, requestFor } from '../../support/config.ts'
import { pods } from '../../support/pods.ts'

const KEY = 'sidecar-injector.io/redirect-plan'
const TEXT = 'SIDECAR_REDIRECT_PLAN'
const DIGEST = 'SIDECAR_REDIRECT_PLAN_SHA256'

const withCni = (more: JsonObject = {}): string =>
  JSON.stringify({
    pilot: { cni: { enabled: true } },
    sidecarInjector: { cniAnnotation: true },
    ...more,
  })
const cni = configOf({ values: withCni() })
const plain = configOf({})

const hello: JsonObject = {
  metadata: { name: 'hello', labels: { app: 'hello' } },
  spec: { containers: [{ name: 'app', image: 'app' }] },
}
const forged = {
  metadata: { ...(hello['metadata'] as JsonObject), annotations: { [KEY]: '{"v":1}' } },
}

function annotated(annotations: JsonObject, spec: JsonObject = {}): JsonObject {
  return {
    metadata: { name: 'hello', annotations },
    spec: { ...(hello['spec'] as JsonObject), ...spec },
  }
}

function podOf(pod: Json, config = cni, more: Partial<InjectRequest> = {}): Pod {
  const decision = injectPod(requestFor(frozen(pod), more), config)
  if (decision.kind !== 'inject') throw new Error(said(decision))
  return decision.pod
}

function said(decision: Decision): string {
  return decision.kind === 'reject'
    ? decision.problems.map(formatProblem).join('\n')
    : decision.kind
}

const textOf = (pod: Pod): string | undefined => pod.metadata?.annotations?.[KEY]

function planOf(pod: Pod): RedirectPlan {
  const read = readRedirectPlan(KEY, textOf(pod) ?? '')
  if (!read.ok) throw new Error(read.problems.map(formatProblem).join('\n'))
  return read.value
}

function nodePlan(pod: Pod): NodePlan {
  const plan = planOf(pod)
  if (plan.apply !== 'cni') throw new Error(plan.apply)
  return plan
}

function initOf(pod: Pod, name = 'istio-validation'): Container {
  const container = byName(pod.spec?.initContainers, name)
  if (container === undefined) throw new Error(`no ${name}`)
  return container
}

/** What a container's program makes of its command line. */
function optionsOf({ args, env }: Container): InterceptionOptions {
  const own = Object.fromEntries((env ?? []).map(({ name, value }) => [name, value]))
  const read = readArgv(args ?? [], own)
  if (!read.ok) throw new Error(read.problems.map(formatProblem).join('\n'))
  return resolveProxyUser(read.value, {})
}

t.test('a pod in CNI mode carries its plan, and the validation what guards it', async (t) => {
  const pod = podOf(hello)
  t.equal(
    textOf(pod),
    '{"v":1,"apply":"cni","mode":"REDIRECT","uid":[1337],"gid":[1337],' +
      '"port":{"out":15001,"in":15006,"tun":15008},' +
      '"out":{"cidr":["*"],"xcidr":[],"ports":[],"xports":[]},' +
      '"in":{"ports":["*"],"xports":[15090,15021,15020]},"ifs":{"reroute":[],"exclude":[]},' +
      '"dns":"off","dual":false,"dropInvalid":false,"hostUsers":true,"rev":"default"}',
  )
  t.strictSame(initOf(pod).env, [
    { name: TEXT, valueFrom: { fieldRef: { fieldPath: `metadata.annotations['${KEY}']` } } },
    { name: DIGEST, value: digest(textOf(pod) ?? '') },
  ])
  t.equal(textOf(podOf(hello, cni, { door: 'kube-inject' })), textOf(pod), 'kube-inject: the same')
})

t.test('where there is no plan', async (t) => {
  const off = [
    { who: 'by default', values: '{}' },
    { who: 'CNI mode alone', values: '{"pilot":{"cni":{"enabled":true}}}' },
    { who: 'the key alone', values: '{"sidecarInjector":{"cniAnnotation":true}}' },
  ]
  for (const { who, values } of off) {
    for (const pod of [hello, { ...hello, ...forged }]) {
      const { metadata, spec } = podOf(pod, configOf({ values }))
      t.notOk(Object.hasOwn(metadata?.annotations ?? {}, KEY), who)
      t.notMatch(JSON.stringify(spec), TEXT, who)
    }
  }
})

const users = (securityContext: JsonObject): JsonObject => ({
  containers: [
    { name: 'app', image: 'app' },
    { name: 'istio-proxy', image: 'auto', securityContext },
  ],
})
const template = (pod: JsonObject): string =>
  JSON.stringify({ templates: { own: JSON.stringify(pod) }, defaultTemplates: ['own'] })

/** A pod or a configuration, and the part of the plan that it changes. */
const rows: readonly {
  readonly who: string
  readonly pod?: JsonObject
  readonly config?: Parameters<typeof configOf>[0]
  readonly plan: JsonObject
}[] = [
  {
    who: 'TPROXY',
    pod: annotated({ 'sidecar.istio.io/interceptionMode': 'TPROXY' }),
    plan: { mode: 'TPROXY' },
  },
  {
    who: 'NONE',
    pod: annotated({ 'sidecar.istio.io/interceptionMode': 'NONE' }),
    plan: { apply: 'none' },
  },
  {
    who: 'a user of its own',
    pod: annotated({}, users({ runAsUser: 5000 })),
    plan: { uid: [5000], gid: [5000] },
  },
  {
    who: 'a pod in a user namespace',
    pod: annotated({}, { hostUsers: false }),
    plan: { hostUsers: false },
  },
  {
    who: 'DNS, both families and invalid packets',
    config: {
      values: withCni(),
      mesh: 'defaultConfig: {proxyMetadata: {ISTIO_META_DNS_CAPTURE: "true", ISTIO_DUAL_STACK: "true", INVALID_DROP: "true"}}',
    },
    plan: { dns: 'servers', dual: true, dropInvalid: true },
  },
  {
    who: 'settings of our own, owner groups',
    config: {
      values: withCni(),
      mesh: 'defaultConfig: {proxyMetadata: {ISTIO_CHAIN_STYLE: underscore, ISTIO_OUTBOUND_OWNER_GROUPS: "7,8"}}',
    },
    plan: {
      look: { profile: 'current', style: 'underscore' },
      group: { capture: [7, 8], leave: [] },
    },
  },
  {
    who: 'nftables',
    config: { values: withCni({ global: { nativeNftables: true } }) },
    plan: { nft: true },
  },
  { who: 'a revision', config: { values: withCni(), revision: 'canary' }, plan: { rev: 'canary' } },
  {
    who: 'lists',
    pod: annotated({
      'traffic.sidecar.istio.io/includeOutboundIPRanges': '10.0.0.0/8,fd00::/8',
      'traffic.sidecar.istio.io/excludeOutboundPorts': '22,8000',
      'traffic.sidecar.istio.io/includeOutboundPorts': '8000-8100',
      'traffic.sidecar.istio.io/includeInboundPorts': '80',
      'traffic.sidecar.istio.io/excludeInterfaces': 'net1',
      'istio.io/reroute-virtual-interfaces': 'k6t-eth0',
    }),
    plan: {
      out: {
        cidr: ['10.0.0.0/8', 'fd00::/8'],
        xcidr: [],
        ports: ['8000-8100'],
        xports: [22, 8000],
      },
      in: { ports: [80], xports: [15090, 15021, 15020] },
      ifs: { reroute: ['k6t-eth0'], exclude: ['net1'] },
    },
  },
  {
    who: 'inbound left alone',
    pod: annotated({ 'traffic.sidecar.istio.io/includeInboundPorts': '' }),
    plan: { in: { ports: ['none'], xports: [15090, 15021, 15020] } },
  },
  {
    who: 'an init container of its own that writes rules',
    pod: annotated({}, { initContainers: [{ name: 'istio-init', image: 'own' }] }),
    plan: { apply: 'init' },
  },
  {
    who: 'a gateway',
    config: { values: withCni(), injectConfig: 'defaultTemplates: [gateway]' },
    pod: annotated({}, { containers: [{ name: 'istio-proxy', image: 'auto' }] }),
    plan: { apply: 'none' },
  },
  {
    who: "an operator's template without rules",
    config: {
      values: withCni(),
      injectConfig: template({ spec: { containers: [{ name: 'x', image: 'x' }] } }),
    },
    plan: { apply: 'none' },
  },
]

t.test('what the plan says', async (t) => {
  const usual = JSON.parse(textOf(podOf(hello)) ?? '') as JsonObject
  for (const { who, pod = hello, config = { values: withCni() }, plan } of rows) {
    const text = textOf(podOf(pod, configOf(config))) ?? ''
    const wanted = 'apply' in plan ? { v: 1, rev: 'default', ...plan } : { ...usual, ...plan }
    t.same(JSON.parse(text), wanted, who)
  }
})

const refused = [
  {
    who: 'more than nodes read',
    pod: annotated({
      'traffic.sidecar.istio.io/excludeOutboundPorts': Array.from(
        { length: 257 },
        (_, n) => n + 1,
      ).join(),
    }),
    says: `${KEY}: /out/xports: got "257 items", want at most 256`,
  },
  {
    who: 'a group by name',
    pod: annotated({
      'proxy.istio.io/config': 'proxyMetadata: {ISTIO_OUTBOUND_OWNER_GROUPS: java}',
    }),
    says: `${KEY}: /group/capture/0: got "java", want a whole number from 0 to 4294967294`,
  },
  {
    who: 'a switch that is none',
    pod: annotated({ 'proxy.istio.io/config': 'proxyMetadata: {ISTIO_META_DNS_CAPTURE: maybe}' }),
    says: 'istio-validation: ISTIO_META_DNS_CAPTURE: got "maybe"',
  },
] as const

t.test('a pod whose plan no node would read is refused', async (t) => {
  for (const { who, pod, says } of refused) {
    t.match(said(injectPod(requestFor(pod), cni)), says, who)
    t.equal(injectPod(requestFor(pod), plain).kind, 'inject', `${who}: but only in CNI mode`)
  }
})

t.test('a plan that a request brings is overwritten', async (t) => {
  const pod = podOf({ ...hello, ...forged })
  t.equal(textOf(pod), textOf(podOf(hello)))
  const own = {
    name: 'istio-validation',
    image: 'auto',
    env: [
      { name: DIGEST, value: 'forged' },
      { name: 'KEPT', value: 'yes' },
    ],
  }
  const guarded = initOf(podOf(annotated({}, { initContainers: [own] })))
  t.strictSame(
    guarded.env?.map(({ name }) => name),
    ['KEPT', TEXT, DIGEST],
  )
  t.equal(byName(guarded.env, DIGEST)?.value, digest(textOf(podOf(hello)) ?? ''))
})

const spared = [
  { who: 'opted out', labels: { 'sidecar.istio.io/inject': 'false' }, spec: {} },
  { who: 'of the host', labels: {}, spec: { hostNetwork: true } },
  { who: 'a mirror', labels: {}, spec: {}, more: { 'kubernetes.io/config.mirror': 'x' } },
] as const

t.test('a plan that a request brings is removed from a pod that is not injected', async (t) => {
  for (const row of spared) {
    const metadata = {
      name: 'x',
      labels: row.labels,
      annotations: { [KEY]: '{"v":1}', ...('more' in row && row.more) },
    }
    const object = {
      kind: 'Pod',
      metadata,
      spec: { ...(hello['spec'] as JsonObject), ...row.spec },
    }
    for (const config of [cni, plain]) {
      const answer = ask(object, config)
      const response = answer['response'] as JsonObject
      t.equal(response['allowed'], true)
      const text = Buffer.from(response['patch'] as string, 'base64').toString()
      const after = applyPatch(object, JSON.parse(text) as Operation[]) as JsonObject
      const { [KEY]: _, ...kept } = metadata.annotations
      t.strictSame(after, { ...object, metadata: { ...metadata, annotations: kept } }, row.who)
    }
    const { annotations: _, ...clean } = metadata
    const response = ask(
      { ...object, metadata: { ...clean, annotations: { ...('more' in row && row.more) } } },
      cni,
    )
    t.notOk(
      Object.hasOwn(response['response'] as JsonObject, 'patch'),
      `${row.who}: nothing to remove`,
    )
  }
})

function ask(object: JsonObject, config: typeof cni): JsonObject {
  const review = {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: { uid: 'u', object },
  }
  const snapshot = { config, isNative: () => false, annotationsOf: () => undefined }
  const { body } = answerReview(JSON.stringify(review), '/inject', injectPod, snapshot)
  return JSON.parse(body) as JsonObject
}

t.test(
  'law: node, validation and init container agree; a second injection changes nothing',
  async (t) => {
    let injected = 0
    fc.assert(
      fc.property(pods({ mostAnnotations: 6 }), fc.boolean(), (pod, nativeSidecars) => {
        const decision = injectPod(requestFor(pod, { nativeSidecars }), cni)
        if (decision.kind !== 'inject') return true
        const again = injectPod(
          requestFor(JSON.parse(JSON.stringify(decision.pod)) as Json, { nativeSidecars }),
          cni,
        )
        if (again.kind !== 'inject' || !isSame(again.pod, decision.pod)) return false
        const plan = planOf(decision.pod)
        if (plan.apply !== 'cni') return true
        injected++
        const usual = injectPod(requestFor(pod, { nativeSidecars }), plain)
        if (usual.kind !== 'inject') return false
        const byNode = nodePlan(decision.pod).options
        const byInit = optionsOf(initOf(usual.pod, 'istio-init'))
        const byValidation = optionsOf(initOf(decision.pod))
        return isSame(byNode, byInit) && isSame(byNode, byValidation)
      }),
      { numRuns: 150, seed: 20261121 },
    )
    t.ok(injected > 20, `${injected} pods`)
  },
)

t.test('OpenShift: the proxy has the ids of the namespace, and so has the plan', async (t) => {
  const config = configOf({ values: withCni(), platform: 'openshift' })
  const namespaceAnnotations = {
    'openshift.io/sa.scc.uid-range': '1000620000/10000',
    'openshift.io/sa.scc.supplemental-groups': '1000620000/10000',
  }
  const pod = podOf(hello, config, { namespaceAnnotations })
  const uid = initOf(pod).securityContext?.runAsUser
  t.ok(isObject(pod.metadata) && typeof uid === 'number' && uid > 1000000000)
  t.strictSame(nodePlan(pod).options.proxyUids, [uid])
})
