import t from 'tap'
import { decideByAnnotations, skipByName, type Decision } from '../../cni-plugin/decide.ts'
import { decideByPod } from '../../cni-plugin/derive.ts'
import { readNetConf } from '../../cni-plugin/netconf.ts'
import { SKIPS } from '../../cni-plugin/skips.ts'
import type { JsonObject } from '../../core/json.ts'
import { printRedirectPlan } from '../../core/options/redirect-plan.ts'
import {
  annotationsWith,
  confWith,
  nodePlan,
  ORDINARY,
  PLAN_KEY,
  SOURCE_KEY,
  STATUS_KEY,
} from './plugin.ts'

const CNI_STATUS = '{"initContainers":["istio-validation"],"containers":["istio-proxy"]}'
const NATIVE_STATUS = '{"initContainers":["istio-validation","istio-proxy"],"containers":null}'
const PLAN = printRedirectPlan(nodePlan())
const kubelet = { [SOURCE_KEY]: 'api' }

/** What came out, short: the reason of a skip, the word of a refusal, or `apply`. */
function short(decision: Decision): string {
  switch (decision.kind) {
    case 'apply':
      return 'apply'
    case 'skip':
      return `skip ${decision.reason}`
    case 'refuse':
      return `refuse ${decision.as}`
  }
}

const handed: readonly (readonly [name: string, annotations: unknown, want: string])[] = [
  ['the runtime offers nothing', undefined, 'refuse noAnnotations'],
  ['null: a pod that no kubelet made', null, 'skip no-kubelet'],
  ['an empty map', {}, 'skip no-kubelet'],
  ['no annotation of kubelet, though there is a plan', { [PLAN_KEY]: PLAN }, 'skip no-kubelet'],
  ['neither plan nor status', kubelet, 'skip not-injected'],
  ['a static pod', { [SOURCE_KEY]: 'file' }, 'skip not-injected'],
  ['a plan', annotationsWith(), 'apply'],
  ['a plan without status', { ...kubelet, [PLAN_KEY]: PLAN }, 'apply'],
  ['a plan on a static pod', { [SOURCE_KEY]: 'file', [PLAN_KEY]: PLAN }, 'apply'],
  [
    'a plan for the init container',
    annotationsWith({ apply: 'init', revision: 'x' }),
    'skip rules-by-init',
  ],
  ['a plan for nobody', annotationsWith({ apply: 'none', revision: 'x' }), 'skip plan-none'],
  [
    'a plan for a pod with users of its own',
    annotationsWith(nodePlan({}, { hostUsers: false })),
    'refuse annotation',
  ],
  [
    'status of an init container',
    { ...kubelet, [STATUS_KEY]: '{"initContainers":["istio-init"],"containers":["istio-proxy"]}' },
    'skip rules-by-init',
  ],
  [
    'status without proxy',
    { ...kubelet, [STATUS_KEY]: '{"containers":["other"]}' },
    'skip no-proxy',
  ],
  ['status that is no JSON', { ...kubelet, [STATUS_KEY]: 'x' }, 'skip no-proxy'],
  [
    'status of CNI mode without plan',
    { ...kubelet, [STATUS_KEY]: CNI_STATUS },
    'refuse annotation',
  ],
  [
    'status of a native sidecar without plan',
    { ...kubelet, [STATUS_KEY]: NATIVE_STATUS },
    'refuse annotation',
  ],
]

t.test('what the runtime handed over decides', async (t) => {
  for (const [name, annotations, want] of handed) {
    const decision = decideByAnnotations(readNetConf(confWith(annotations)).annotations)
    t.equal(short(decision), want, name)
  }
})

const hostile: readonly (readonly [name: string, plan: string])[] = [
  ['empty', ''],
  ['no JSON', 'x'],
  ['cut off', PLAN.slice(0, -20)],
  ['a text', '"cni"'],
  ['1 MB', `{"v":1,"rev":"${'x'.repeat(1_000_000)}"}`],
  ['deep', '['.repeat(8_000) + ']'.repeat(8_000)],
  ['a newer version', PLAN.replace('"v":1', '"v":2')],
  ['no version', PLAN.replace('"v":1,', '')],
  ['a member twice', PLAN.replace('"uid":[1337]', '"uid":[0],"uid":[1337]')],
  [
    'a member twice, spelled differently',
    PLAN.replace('"uid":[1337]', '"uid":[0],"\\u0075id":[1337]'),
  ],
  ['an unknown member', PLAN.replace('"v":1', '"v":1,"rules":"-F"')],
  ['__proto__', PLAN.replace('"v":1', '"v":1,"__proto__":{"apply":"none"}')],
  ['rule text as a port', PLAN.replace('15001', '"15001 -j ACCEPT"')],
  ['a port beyond all ports', PLAN.replace('15001', '70000')],
  ['an address without bits', PLAN.replace('"xcidr":[]', '"xcidr":["10.0.0.1"]')],
  [
    'an interface with a line break',
    PLAN.replace('"exclude":[]', '"exclude":["eth0\\n-A OUTPUT"]'),
  ],
  ['an interface that is an option', PLAN.replace('"exclude":[]', '"exclude":["--x"]')],
  ['nobody is the proxy', PLAN.replace('"uid":[1337]', '"uid":[]')],
  ['a name for a user', PLAN.replace('"uid":[1337]', '"uid":["root"]')],
  [
    '257 ports',
    PLAN.replace(
      '"xports":[]',
      `"xports":[${Array.from({ length: 257 }, (_, i) => i + 1).join()}]`,
    ),
  ],
]

t.test('a plan that nobody of ours wrote is refused, whatever it is', async (t) => {
  for (const [name, plan] of hostile) {
    const decision = decideByAnnotations({
      kind: 'map',
      map: { ...annotationsWith(), [PLAN_KEY]: plan },
    })
    t.equal(short(decision), 'refuse annotation', name)
    t.match(decision, { message: /sidecar-injector\.io\/redirect-plan/ }, name)
    t.ok(decision.kind === 'refuse' && decision.message.length < 2_000, `${name}: a short message`)
  }
})

t.test('the names of annotations are anybody’s', async (t) => {
  const map = { ...kubelet, constructor: 'x', toString: 'x', hasOwnProperty: 'x' }
  const text = JSON.stringify(map).replace('}', ',"__proto__":"x"}')
  const { annotations } = readNetConf(
    confWith(undefined, {
      runtimeConfig: { 'io.kubernetes.cri.pod-annotations': JSON.parse(text) },
    }),
  )
  t.equal(short(decideByAnnotations(annotations)), 'skip not-injected')
})

t.test('pods that are never looked at', async (t) => {
  const { options } = readNetConf(
    confWith(undefined, { agent_namespace: 'mesh', agent_pod_prefix: 'install-cni-' }),
  )
  const cases = [
    ['', 'p', 'not-kubernetes'],
    ['ns', '', 'not-kubernetes'],
    ['kube-system', 'p', 'excluded-namespace'],
    ['istio-system', 'p', 'excluded-namespace'],
    ['mesh', 'install-cni-x7', 'own-pod'],
    ['mesh', 'web', undefined],
    ['default', 'install-cni-x7', undefined],
  ] as const
  for (const [namespace, name, want] of cases) {
    t.equal(skipByName({ namespace, name }, options), want, `${namespace}/${name}`)
  }
})

const proxy = { name: 'istio-proxy', args: ['proxy', 'sidecar'] }
const env = (name: string, value: string): JsonObject => ({ ...proxy, env: [{ name, value }] })
const STATUS = { [STATUS_KEY]: CNI_STATUS }

/** A pod as the API server has it. */
function podWith(
  spec: JsonObject = {},
  annotations: JsonObject = STATUS,
  labels: JsonObject = {},
): JsonObject {
  return {
    kind: 'Pod',
    metadata: { annotations, labels },
    spec: { containers: [{ name: 'app' }, proxy], ...spec },
  }
}

const fetched: readonly (readonly [name: string, pod: JsonObject, want: string])[] = [
  ['an injected pod', podWith(), 'apply'],
  [
    'a native sidecar',
    podWith({ containers: [{ name: 'app' }], initContainers: [proxy] }),
    'apply',
  ],
  ['host network', podWith({ hostNetwork: true }), 'skip host-network'],
  [
    'an init container of Istio',
    podWith({ initContainers: [{ name: 'istio-init' }] }),
    'skip rules-by-init',
  ],
  [
    'a container istio-init',
    podWith({ containers: [{ name: 'istio-init' }, proxy] }),
    'skip rules-by-init',
  ],
  ['no proxy', podWith({ containers: [{ name: 'app' }] }), 'skip no-proxy'],
  ['no containers at all', { kind: 'Pod' }, 'skip no-proxy'],
  ['a gRPC application', podWith({ containers: [env('DISABLE_ENVOY', 'true')] }), 'skip proxyless'],
  [
    'DISABLE_ENVOY that is no switch',
    podWith({ containers: [env('DISABLE_ENVOY', 'yes')] }),
    'apply',
  ],
  [
    'a gateway',
    podWith({ containers: [{ ...proxy, args: ['proxy', 'router'] }] }),
    'skip no-sidecar',
  ],
  ['a proxy with other arguments', podWith({ containers: [{ ...proxy, args: ['-c'] }] }), 'apply'],
  [
    'a label that says no',
    podWith({}, STATUS, { 'sidecar.istio.io/inject': 'false' }),
    'skip opted-out',
  ],
  [
    'an annotation that says no',
    podWith({}, { ...STATUS, 'sidecar.istio.io/inject': 'F' }),
    'skip opted-out',
  ],
  [
    'a label that wins',
    podWith(
      {},
      { ...STATUS, 'sidecar.istio.io/inject': 'false' },
      { 'sidecar.istio.io/inject': 'true' },
    ),
    'apply',
  ],
  [
    'a label that says nothing',
    podWith(
      {},
      { ...STATUS, 'sidecar.istio.io/inject': 'false' },
      { 'sidecar.istio.io/inject': 'off' },
    ),
    'skip opted-out',
  ],
  ['no status', podWith({}, {}), 'skip not-injected'],
  [
    'mode NONE',
    podWith({}, { ...STATUS, 'sidecar.istio.io/interceptionMode': 'NONE' }),
    'skip mode-none',
  ],
  ['users of its own', podWith({ hostUsers: false }), 'refuse annotation'],
  ['a plan in the fetched pod', podWith({}, { ...STATUS, [PLAN_KEY]: PLAN }), 'apply'],
  [
    'a broken plan in the fetched pod',
    podWith({}, { ...STATUS, [PLAN_KEY]: 'x' }),
    'refuse annotation',
  ],
  [
    'a port that is none',
    podWith({}, { ...STATUS, 'traffic.sidecar.istio.io/excludeInboundPorts': '80,http' }),
    'refuse annotation',
  ],
  [
    'a range without bits',
    podWith({}, { ...STATUS, 'traffic.sidecar.istio.io/excludeOutboundIPRanges': '10.0.0.1' }),
    'refuse annotation',
  ],
  [
    'an unknown mode',
    podWith({}, { ...STATUS, 'sidecar.istio.io/interceptionMode': 'nat' }),
    'refuse annotation',
  ],
  [
    'a switch that is none',
    podWith({ containers: [env('ISTIO_META_DNS_CAPTURE', 'maybe')] }),
    'refuse annotation',
  ],
]

t.test('the pod of the API server decides', async (t) => {
  for (const [name, pod, want] of fetched) t.equal(short(decideByPod(pod, {}).decision), want, name)
})

t.test('from a pod without a plan: the options that the init container would have', async (t) => {
  const traffic = (name: string): string => `traffic.sidecar.istio.io/${name}`
  const cases = [
    ['nothing said', podWith(), {}, ORDINARY],
    [
      'the user of the proxy, whose number the group is too',
      podWith({
        containers: [{ ...proxy, securityContext: { runAsUser: 1000 } }],
        securityContext: { runAsUser: 5, runAsGroup: 6 },
      }),
      {},
      { ...ORDINARY, proxyUids: [1000], proxyGids: [1000] },
    ],
    [
      'the user of the pod',
      podWith({ securityContext: { runAsUser: 5, runAsGroup: 6 } }),
      {},
      { ...ORDINARY, proxyUids: [5], proxyGids: [5] },
    ],
    [
      'root is no proxy',
      podWith({ containers: [{ ...proxy, securityContext: { runAsUser: 0, runAsGroup: 0 } }] }),
      {},
      ORDINARY,
    ],
    [
      'lists',
      podWith(
        {},
        {
          ...STATUS,
          'sidecar.istio.io/interceptionMode': 'TPROXY',
          [traffic('includeOutboundIPRanges')]: '10.0.0.0/8',
          [traffic('includeInboundPorts')]: '',
          [traffic('excludeInboundPorts')]: ' 80 ,0',
          [traffic('excludeOutboundPorts')]: '22',
          [traffic('excludeInterfaces')]: 'eth1',
          [traffic('kubevirtInterfaces')]: 'tap0',
          'istio.io/reroute-virtual-interfaces': 'tap1',
        },
      ),
      {},
      {
        ...ORDINARY,
        mode: 'TPROXY',
        includeOutboundCidrs: [{ family: 'v4', address: '10.0.0.0', bits: 8 }],
        inboundPorts: 'none',
        excludeInboundPorts: [15090, 15021, 80].map((port) => ({ first: port, last: port })),
        excludeOutboundPorts: [{ first: 22, last: 22 }],
        excludeInterfaces: ['eth1'],
        virtualInterfaces: ['tap1'],
      },
    ],
    [
      'switches of the proxy',
      podWith({
        containers: [
          {
            ...proxy,
            env: [
              { name: 'ISTIO_META_DNS_CAPTURE', value: 'true' },
              { name: 'ISTIO_DUAL_STACK', value: '1' },
              { name: 'INVALID_DROP', value: 't' },
            ],
          },
        ],
      }),
      {},
      { ...ORDINARY, dns: 'servers', dualStack: true, dropInvalid: true },
    ],
    [
      'defaults of the node, which the pod overrules',
      podWith({}, { ...STATUS, [traffic('excludeOutboundPorts')]: '' }),
      { inboundPort: '16006', excludeOutboundPorts: '9', includeOutboundIPRanges: '10.1.0.0/16' },
      {
        ...ORDINARY,
        ports: { ...ORDINARY.ports, inbound: 16006 },
        includeOutboundCidrs: [{ family: 'v4', address: '10.1.0.0', bits: 16 }],
      },
    ],
  ] as const
  for (const [name, pod, defaults, want] of cases) {
    const { decision } = decideByPod(pod, defaults)
    t.strictSame(decision.kind === 'apply' && decision.plan.options, want, name)
  }
  const fromField = podWith({
    containers: [{ ...proxy, env: [{ name: 'INVALID_DROP', valueFrom: { fieldRef: {} } }] }],
  })
  t.match(decideByPod(fromField, {}).warnings, [/INVALID_DROP of istio-proxy: left aside/])
})

t.test('what is wrong in the configuration of the node is not blamed on the pod', async (t) => {
  const { decision } = decideByPod(podWith(), { inboundPort: 'x' })
  t.match(decision, {
    kind: 'refuse',
    as: 'config',
    message: /^defaults: --inbound-capture-port: got "x"/,
  })
})

t.test('every reason to skip has words', async (t) => {
  const used = [...handed, ...fetched].flatMap(([, , want]) =>
    want.startsWith('skip ') ? [want.slice(5)] : [],
  )
  for (const reason of used) t.ok(Object.hasOwn(SKIPS, reason), reason)
})
