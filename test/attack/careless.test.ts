/**
 * Templates that no operator should write: each lets a pod's text decide what the pod gets. With the fence such
 * a pod is refused; without it the attack succeeds, so the judge of these tests can tell.
 */
import t from 'tap'
import type { InjectConfig } from '../../core/inject/config.ts'
import type { Decision } from '../../core/inject/decision.ts'
import { injectPod } from '../../core/inject/inject.ts'
import type { JsonObject } from '../../core/json.ts'
import type { Pod } from '../../core/k8s.ts'
import { configOf, requestFor } from '../support/config.ts'
import { loot } from './judge.ts'

type Row = {
  readonly who: string
  readonly template: string
  /** The annotation `x` of the attacker. */
  readonly text: string
  /** What the judge finds where the fence is off. */
  readonly loot: RegExp
}

const PROXY = 'spec:\n  containers:\n  - name: istio-proxy\n'

const ROWS: readonly Row[] = [
  {
    who: 'a container',
    template: `{{#if (annotation "x" "")}}\nspec:\n  containers:\n  - name: {{json (annotation "x" "")}}\n    image: evil\n{{/if}}\n`,
    text: 'evil',
    loot: /^container evil$/,
  },
  {
    who: 'an init container for each annotation',
    template: `spec:\n  initContainers:\n{{#each pod.annotations}}\n  - name: {{json value}}\n    image: i\n{{/each}}\n`,
    text: 'evil',
    loot: /^container evil$/,
  },
  {
    who: 'all privileges',
    template: `${PROXY}    securityContext:\n      privileged: {{json (eq (annotation "x" "") "yes")}}\n`,
    text: 'yes',
    loot: /^istio-proxy: privileged$/,
  },
  {
    who: 'all privileges for the containers of the pod',
    template: `spec:\n  containers:\n{{#each apps.containers}}\n  - name: {{json name}}\n    securityContext:\n      privileged: {{json (eq (annotation "x" "") "yes")}}\n{{/each}}\n`,
    text: 'yes',
    loot: /^app: privileged$/,
  },
  {
    who: 'a capability',
    template: `${PROXY}    securityContext:\n      capabilities:\n        add: [{{json (annotation "x" "NET_ADMIN")}}]\n`,
    text: 'SYS_ADMIN',
    loot: /^istio-proxy: capability SYS_ADMIN$/,
  },
  {
    who: 'a path of the node',
    template: `spec:\n  volumes:\n  - name: logs\n{{#if (annotation "x" "")}}\n    hostPath:\n      path: {{json (annotation "x" "")}}\n{{else}}\n    emptyDir: {}\n{{/if}}\n`,
    text: '/',
    loot: /^hostPath \/$/,
  },
  {
    who: 'another path of the node than the declared one',
    template: `spec:\n  volumes:\n  - name: logs\n    hostPath:\n      path: {{json (annotation "x" "/var/log/mesh")}}\n`,
    text: '/',
    loot: /^hostPath \/$/,
  },
  {
    who: 'a mount of the token',
    template: `spec:\n  containers:\n{{#each apps.containers}}\n  - name: {{json name}}\n{{#if (annotation "x" "")}}\n    volumeMounts:\n    - name: {{json (annotation "x" "")}}\n      mountPath: /stolen\n{{/if}}\n{{/each}}\n`,
    text: 'istio-token',
    loot: /^app: mount .*istio-token/,
  },
  {
    who: 'a namespace of the node',
    template: `spec:\n  hostPID: {{json (eq (annotation "x" "") "yes")}}\n`,
    text: 'yes',
    loot: /^spec.hostPID/,
  },
  {
    who: 'another account',
    template: `spec:\n  serviceAccountName: {{json (annotation "x" "default")}}\n`,
    text: 'admin',
    loot: /^spec.serviceAccountName/,
  },
  {
    who: 'a pull secret',
    template: `spec:\n  imagePullSecrets:\n  - name: {{json (annotation "x" "usual")}}\n`,
    text: 'stolen',
    loot: /^spec.imagePullSecrets/,
  },
  {
    who: 'a port of the node',
    template: `${PROXY}    ports:\n    - containerPort: 1\n      hostPort: {{#if (eq (annotation "x" "") "yes")}}22{{else}}0{{/if}}\n`,
    text: 'yes',
    loot: /^istio-proxy: hostPort 22$/,
  },
  {
    who: 'another authority',
    template: `${PROXY}    env:\n    - name: CA_ADDR\n      value: {{json (annotation "x" "istiod.istio-system.svc:15012")}}\n`,
    text: 'evil:15012',
    loot: /^istio-proxy: CA_ADDR/,
  },
  {
    who: 'what a container of the pod runs',
    template: `spec:\n  containers:\n{{#each apps.containers}}\n  - name: {{json name}}\n    command: [{{json (annotation "x" "run")}}]\n{{/each}}\n`,
    text: 'evil',
    loot: /^app: command/,
  },
  {
    who: 'a container gone',
    template: `spec:\n  containers:\n  - name: {{json (annotation "x" "nobody")}}\n    $patch: delete\n`,
    text: 'app-2',
    loot: /^container app-2 is gone$/,
  },
]

const POD: JsonObject = {
  metadata: { name: 'p', namespace: 'shop' },
  spec: {
    containers: [
      { name: 'app', image: 'app' },
      { name: 'app-2', image: 'app' },
    ],
  },
}

function withText(text: string): JsonObject {
  return { ...POD, metadata: { ...(POD['metadata'] as JsonObject), annotations: { x: text } } }
}

function configFor(template: string, hasFence: boolean): InjectConfig {
  return configOf({
    injectConfig: JSON.stringify({
      templates: { careless: template },
      defaultTemplates: ['sidecar', 'careless'],
    }),
    values: `sidecarInjector: {fence: ${String(hasFence)}}`,
  })
}

function decided(pod: JsonObject, config: InjectConfig): Decision {
  return injectPod(requestFor(pod), config)
}

function podOf(decision: Decision): Pod {
  if (decision.kind !== 'inject') throw new Error(JSON.stringify(decision))
  return JSON.parse(JSON.stringify(decision.pod)) as Pod
}

for (const { who, template, text, loot: expected } of ROWS) {
  t.test(who, async (t) => {
    const on = configFor(template, true)
    const off = configFor(template, false)
    const plain = podOf(decided(POD, off))
    t.strictSame(podOf(decided(POD, on)).spec, plain.spec, 'a pod that says nothing is injected')
    const attack = withText(text)
    const before = JSON.parse(JSON.stringify(attack)) as Pod
    const got = loot(before, podOf(decided(attack, off)), plain)
    t.ok(
      got.some((what) => expected.test(what)),
      `without the fence: ${got.join('; ')}`,
    )
    const refused = decided(attack, on)
    t.equal(refused.kind, 'reject', 'with the fence it is refused')
    if (refused.kind !== 'reject') return
    t.ok(
      refused.problems.every(({ path }) => path.startsWith('injected pod: ')),
      'as a difference',
    )
    t.ok(
      refused.problems.some(
        ({ got }) => got.includes(text) || got === 'true' || got === '22' || got === 'nothing',
      ),
    )
  })
}
