/** What holds for every pod, whatever it says: looked for by random pods and annotation texts. */
import fc, { type Arbitrary } from 'fast-check'
import t from 'tap'
import type { InjectConfig } from '../../../core/inject/config.ts'
import type { Decision, InjectRequest } from '../../../core/inject/decision.ts'
import { injectPod } from '../../../core/inject/inject.ts'
import { applyPatch, diff } from '../../../core/inject/patch.ts'
import { isArray, isObject, type Json, type JsonObject } from '../../../core/json.ts'
import { TEMPLATE_TEXTS } from '../../../core/generated/templates.ts'
import { configOf, frozen, requestFor } from '../../support/config.ts'
import { KEYS_WITHOUT_TEXTS, pods } from '../../support/pods.ts'

/** The same pods in every run; another number finds other ones. */
const SEED = 20261121

type Setting = {
  readonly who: string
  readonly config: InjectConfig
  readonly request: Partial<InjectRequest>
  readonly runs: number
}

const values = (text: string) => ({ values: text })
const CNI = values('{"pilot":{"cni":{"enabled":true,"provider":"multus"}}}')
const ODD = values(
  '{"global":{"network":"net","imagePullSecrets":["pull"],"multiCluster":{"clusterName":"c"},"proxy":{"tracer":"datadog","holdApplicationUntilProxyStarts":true}}}',
)

const settings: readonly Setting[] = [
  { who: 'current, plain', config: configOf({}), request: {}, runs: 150 },
  { who: 'current, native', config: configOf({}), request: { nativeSidecars: true }, runs: 150 },
  {
    who: 'current, kube-inject',
    config: configOf(ODD),
    request: { door: 'kube-inject' },
    runs: 80,
  },
  {
    who: 'current, CNI, native',
    config: configOf(CNI),
    request: { nativeSidecars: true },
    runs: 80,
  },
  { who: '1.17', config: configOf({ istioVersion: '1.17' }), request: {}, runs: 80 },
  { who: '1.8', config: configOf({ istioVersion: '1.8' }), request: {}, runs: 80 },
  ...Object.keys(TEMPLATE_TEXTS['current'] ?? {}).map((name) => ({
    who: `current, template ${name}`,
    config: configOf({ injectConfig: `defaultTemplates: [${name}]` }),
    request: {},
    runs: 80,
  })),
]

t.strictSame(KEYS_WITHOUT_TEXTS, [], 'every row of the annotation table has texts to try')

type Injected = Extract<Decision, { kind: 'inject' }>

/** Injects; nothing for a pod that is skipped or refused. */
function injected(pod: Json, { config, request }: Setting): Injected | undefined {
  const decision = injectPod(requestFor(frozen(pod), request), config)
  return decision.kind === 'inject' ? decision : undefined
}

/** Containers that injection brings or takes over. */
const RESERVED: readonly Json[] = [
  'istio-proxy',
  'istio-init',
  'istio-validation',
  'grpc-bootstrap-init',
]
/** Labels and annotations that no template writes. */
const KEPT_KEYS = ['app', 'tier', 'version', 'example.com/note', 'example.com/json']
/** Parts of a pod that injection adds to; they are looked at one by one. */
const SHARED = ['containers', 'initContainers', 'volumes', 'imagePullSecrets', 'securityContext']

/** The pod with its probes left to itself: rewriting them is what injection is for. */
function unprobed(pod: JsonObject): JsonObject {
  const metadata = pod['metadata'] as JsonObject
  const own = metadata['annotations'] as JsonObject
  const annotations = { ...own, 'sidecar.istio.io/rewriteAppHTTPProbers': 'false' }
  return { ...pod, metadata: { ...metadata, annotations } }
}

/** What of a pod was there in the original and is none of injection's business. */
function foreign(pod: unknown, { templates }: Injected, original: JsonObject): Json {
  const { metadata, spec, ...rest } = throughJson(pod)
  const isGrpc = templates.some((name) => name.startsWith('grpc'))
  const own = (list: string, name: Json) =>
    items(original['spec'], list).some((item) => item['name'] === name)
  const containersIn = (list: string) =>
    items(spec, list)
      .filter(({ name = null }) => !RESERVED.includes(name) && own(list, name))
      .map((item) => without(item, isGrpc ? ['env', 'volumeMounts', 'resources'] : []))
  const volumes = items(spec, 'volumes').filter(({ name = null }) => FREE_VOLUMES.includes(name))
  const secrets = items(original['spec'], 'imagePullSecrets').map(({ name }) => name ?? null)
  return {
    ...rest,
    name: member(metadata, 'name'),
    labels: picked(member(metadata, 'labels')),
    annotations: picked(member(metadata, 'annotations')),
    spec: without(isObject(spec) ? spec : {}, SHARED),
    containers: containersIn('containers'),
    initContainers: containersIn('initContainers'),
    volumes: sortedByName(volumes),
    secrets: items(spec, 'imagePullSecrets')
      .map(({ name }) => name ?? null)
      .filter((name) => secrets.includes(name)),
  }
}

/** Volumes of the arbitrary pods that no template and no annotation text brings. */
const FREE_VOLUMES: readonly Json[] = ['config', 'cache']

function member(value: Json | undefined, name: string): Json {
  return (isObject(value) ? value[name] : null) ?? null
}

function items(spec: Json | undefined, list: string): readonly JsonObject[] {
  const value = member(spec, list)
  return isArray(value) ? value.filter(isObject) : []
}

function without(object: JsonObject, names: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([name]) => !names.includes(name)))
}

function picked(map: Json): Json {
  return Object.fromEntries(KEPT_KEYS.map((key) => [key, member(map, key)]))
}

function sortedByName(list: readonly JsonObject[]): readonly JsonObject[] {
  return [...list].sort((a, b) => ((a['name'] as string) < (b['name'] as string) ? -1 : 1))
}

/** As another program would see it: only what JSON can say. */
function throughJson(value: unknown): JsonObject {
  return JSON.parse(JSON.stringify(value)) as JsonObject
}

for (const setting of settings) {
  const parameters = { seed: SEED, numRuns: setting.runs }
  t.test(setting.who, async (t) => {
    let count = 0
    const check = (
      arbitrary: Arbitrary<JsonObject>,
      holds: (pod: JsonObject, once: Injected) => void,
    ): void => {
      fc.assert(
        fc.property(arbitrary, (pod) => {
          const once = injected(pod, setting)
          if (once === undefined) return
          count++
          holds(pod, once)
        }),
        parameters,
      )
    }

    check(pods({ mostAnnotations: 4 }), (pod, once) => {
      const patch = diff(pod, once.pod)
      const patched = throughJson(applyPatch(pod, patch))
      same(patched, throughJson(once.pod), 'the patch applied is the injected pod')
      const twice = injected(patched, setting)
      same(twice && throughJson(twice.pod), patched, 'a second time changes nothing')
    })

    check(pods({ mostAnnotations: 4, hasUnknownFields: true }).map(unprobed), (pod, once) => {
      same(foreign(once.pod, once, pod), foreign(pod, once, pod), 'what is not ours stays')
    })
    t.ok(count > setting.runs / 4, `${count} pods were injected`)
  })
}

t.test('any text of any annotation gives a pod or a problem list', async (t) => {
  const seen = new Set<string>()
  for (const setting of settings) {
    const many = pods({ hasHostileLabels: true, hasUnknownFields: true, mostAnnotations: 12 })
    fc.assert(
      fc.property(many, (pod) => {
        const decision = injectPod(requestFor(frozen(pod), setting.request), setting.config)
        seen.add(decision.kind)
        if (decision.kind === 'reject' && decision.problems.length === 0)
          throw new Error('no problem')
      }),
      { seed: SEED, numRuns: setting.runs * 2 },
    )
  }
  t.strictSame([...seen].sort(), ['inject', 'reject', 'skip'], 'every outcome was seen')
})

/** Throws with both values where they differ, so that fast-check looks for a smaller pod. */
function same(got: unknown, want: unknown, message: string): void {
  const [a, b] = [sorted(got), sorted(want)]
  if (a === b) return
  const changes = JSON.stringify(diff(throughJson({ it: want }), throughJson({ it: got })))
  throw new Error(`${message}: ${changes}`)
}

/** JSON text that does not depend on the order of members. */
function sorted(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) =>
    isObject(member) ? Object.fromEntries(Object.entries(member).sort()) : member,
  )
}
