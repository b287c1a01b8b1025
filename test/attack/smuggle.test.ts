/** Attempts to get more into a pod than its author may have, through every text that injection reads. */
import fc from 'fast-check'
import t from 'tap'
import type { InjectConfig } from '../../core/inject/config.ts'
import { injectPod } from '../../core/inject/inject.ts'
import { applyPatch, type Operation } from '../../core/inject/patch.ts'
import { isArray, isObject, type Json, type JsonObject } from '../../core/json.ts'
import type { Pod } from '../../core/k8s.ts'
import { ANNOTATIONS } from '../../core/options/annotations.ts'
import { Refusal } from '../../core/problem.ts'
import { printYaml, readYaml } from '../../core/yaml.ts'
import { answerReview, type Snapshot } from '../../webhook/answer.ts'
import { makeQuick, type Answering } from '../../webhook/quick.ts'
import { rulesOf } from '../../webhook/stencil/holes.ts'
import { configOf, requestFor } from '../support/config.ts'
import { injectText } from '../support/inject-text.ts'
import { loot } from './judge.ts'
import { AIMED, BREAKOUTS } from './payloads.ts'

/** The same texts in every run. */
const SEED = 20261122

/** A pod with a text in every place where people write some. */
const POD: JsonObject = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name: 'p',
    namespace: 'shop',
    labels: { app: 'a', version: 'v1', 'example.com/own': 'x' },
    annotations: { 'example.com/note': 'x' },
  },
  spec: {
    serviceAccountName: 'sa',
    initContainers: [
      { name: 'own-init', image: 'i', args: ['a'], env: [{ name: 'A', value: 'b' }] },
    ],
    containers: [
      {
        name: 'app',
        image: 'app',
        command: ['run'],
        args: ['a'],
        ports: [{ name: 'http', containerPort: 80, protocol: 'TCP', hostIP: '10.0.0.1' }],
        env: [{ name: 'A', value: 'b' }],
        readinessProbe: {
          httpGet: { path: '/', port: 80, host: 'h', httpHeaders: [{ name: 'h', value: 'v' }] },
        },
        livenessProbe: { grpc: { port: 81, service: 's' } },
        lifecycle: { preStop: { httpGet: { path: '/stop', port: 80 } } },
        volumeMounts: [{ name: 'own', mountPath: '/own' }],
      },
    ],
    volumes: [{ name: 'own', configMap: { name: 'c' } }],
  },
}

type Setting = {
  readonly who: string
  readonly config: InjectConfig
  readonly native: boolean
  readonly snapshot: Snapshot<InjectConfig>
  /** The webhook's answer; from the stencil of the plain pod where a text leaves it in shape. */
  readonly quick: Answering<InjectConfig>
}

function settingOf(who: string, config: InjectConfig, native = false): Setting {
  const snapshot = { config, isNative: () => native, annotationsOf: () => undefined }
  const quick = makeQuick<InjectConfig>({
    answer: (body, path, asked) => answerReview(body, path, injectPod, asked),
    rulesOf,
    answered: () => (fromStencils += 1),
    closed: (why) => t.fail('no stencil is used any more', { why }),
    later: (job) => {
      job()
    },
    // The plain pod comes first, and no other shape after it.
    rest: Infinity,
  })
  return { who, config, native, snapshot, quick }
}

/** Answers that came from stencils. */
let fromStencils = 0

const CNI =
  'pilot: {cni: {enabled: true, provider: multus}}\nsidecarInjector: {cniAnnotation: true}'
const DATADOG = 'global: {proxy: {tracer: datadog}}'

const SETTINGS: readonly Setting[] = [
  settingOf('current', configOf({})),
  settingOf('current, native, CNI', configOf({ values: CNI }), true),
  settingOf('datadog', configOf({ values: DATADOG })),
  settingOf('1.17', configOf({ istioVersion: '1.17' })),
  settingOf('1.8', configOf({ istioVersion: '1.8' })),
  ...['gateway', 'grpc-agent', 'grpc-simple'].map((name) =>
    settingOf(name, configOf({ injectConfig: `defaultTemplates: [${name}]` })),
  ),
]

type Attack = { readonly where: string; readonly pod: JsonObject }

/** Every place with every text. */
function attacks(texts: readonly string[]): readonly Attack[] {
  const keys = ANNOTATIONS.flatMap((group) => group.rows)
  const placed = keys.flatMap(({ key, on }) =>
    ['label', 'annotation']
      .filter((place) => on.includes(place))
      .flatMap((place) => texts.map((text) => noted(`${place}s`, key, text))),
  )
  const named = texts.flatMap((text) => [
    noted('annotations', text, 'x'),
    noted('labels', text, 'x'),
  ])
  const written = paths(POD).flatMap((path) =>
    texts.map((text) => ({ where: `${path.join('/')}: ${text}`, pod: put(POD, path, text) })),
  )
  return [...placed, ...named, ...written]
}

function noted(member: string, key: string, text: string): Attack {
  const metadata = POD['metadata'] as JsonObject
  const map = { ...(metadata[member] as JsonObject) }
  Object.defineProperty(map, key, {
    value: text,
    enumerable: true,
    configurable: true,
    writable: true,
  })
  const asked = key.startsWith('sidecar.istio.io/userVolumeMount')
    ? { 'sidecar.istio.io/userVolume': '{"asked":{"emptyDir":{}}}' }
    : {}
  return {
    where: `${member} ${key}: ${text}`,
    pod: { ...POD, metadata: { ...metadata, [member]: { ...asked, ...map } } },
  }
}

type Path = readonly (string | number)[]

function paths(value: Json, at: Path = []): Path[] {
  if (typeof value === 'string') return [at]
  if (isArray(value)) return value.flatMap((item, index) => paths(item, [...at, index]))
  if (!isObject(value)) return []
  return Object.entries(value).flatMap(([key, item]) => paths(item ?? null, [...at, key]))
}

function put(value: Json, [step, ...rest]: Path, text: string): JsonObject {
  const inner = (each: Json): Json => (rest.length === 0 ? text : put(each, rest, text))
  if (isArray(value)) {
    return value.map((item, index) =>
      index === step ? inner(item) : item,
    ) as unknown as JsonObject
  }
  return {
    ...(value as JsonObject),
    [String(step)]: inner((value as JsonObject)[String(step)] ?? null),
  }
}

/** The pod as the webhook's answer makes it; nothing where it is refused or left alone. */
function throughWebhook(pod: JsonObject, { quick, snapshot }: Setting): Pod | undefined {
  const request = { uid: 'u', namespace: 'shop', object: pod }
  const review = { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request }
  const answer = quick(JSON.stringify(review), '/inject', snapshot)
  if (answer.status !== 200) throw new Error(`${String(answer.status)}: ${answer.body}`)
  const { response } = JSON.parse(answer.body) as { response: { patch?: string } }
  if (response.patch === undefined) return undefined
  const operations = JSON.parse(Buffer.from(response.patch, 'base64').toString()) as Operation[]
  return applyPatch(JSON.parse(JSON.stringify(pod)) as Json, operations) as unknown as Pod
}

function plainOf(setting: Setting): Pod {
  return throughWebhook(POD, setting) ?? {}
}

function asPod(value: Json): Pod {
  return JSON.parse(JSON.stringify(value)) as Pod
}

const ALL: readonly Attack[] = [
  ...attacks(BREAKOUTS),
  ...AIMED.map(([key, text]) => noted('annotations', key, text)),
]

for (const [index, setting] of SETTINGS.entries()) {
  t.test(setting.who, async (t) => {
    const plain = plainOf(setting)
    t.strictSame(loot(asPod(POD), plain, plain), [], 'the plain pod has nothing strange')
    // Every place gets every text in one of the settings, and all that was aimed in each.
    const chosen = ALL.filter((_, number) => {
      return number % SETTINGS.length === index || number >= ALL.length - AIMED.length
    })
    const found: string[] = []
    let injected = 0
    for (const { where, pod } of chosen) {
      const after = throughWebhook(pod, setting)
      if (after === undefined) continue
      injected++
      found.push(...loot(asPod(pod), after, plain).map((what) => `${where}: ${what}`))
    }
    t.strictSame(found.slice(0, 5), [], `${chosen.length} attempts, ${injected} of them injected`)
    t.ok(injected > chosen.length / 10, 'not everything was refused')
  })
}

t.test('texts that leave the pod in shape came into its stencil', async (t) => {
  t.ok(fromStencils > 100, `${fromStencils} answers`)
})

t.test('texts put together by chance', async (t) => {
  const piece = fc.oneof(
    fc.constantFrom(...BREAKOUTS),
    fc.string(),
    fc.constantFrom('\n', '  ', '"', '- '),
  )
  const text = fc.array(piece, { maxLength: 4 }).map((parts) => parts.join(''))
  const key = fc.constantFrom(...ANNOTATIONS.flatMap((group) => group.rows).map((row) => row.key))
  const [setting] = SETTINGS
  if (setting === undefined) throw new Error('no setting')
  const plain = plainOf(setting)
  const tried = fc.check(
    fc.property(fc.constantFrom('annotations', 'labels'), key, text, (member, name, value) => {
      const { pod } = noted(member, name, value)
      const after = throughWebhook(pod, setting)
      const got = after === undefined ? [] : loot(asPod(pod), after, plain)
      if (got.length > 0) throw new Error(got.join('; '))
    }),
    { seed: SEED, numRuns: 500 },
  )
  t.notOk(tried.failed, `${tried.numRuns} texts: ${JSON.stringify(tried.counterexample)}`)
})

t.test('through kube-inject: the text is the decision, and stays YAML', async (t) => {
  const [{ config, native } = { config: configOf({}), native: false }] = SETTINGS
  const ours = ALL.filter(({ where }) => !/^(?:kind|apiVersion):/.test(where))
  const chosen = ours.filter(
    (_, number) => number % 29 === 0 || number >= ours.length - AIMED.length,
  )
  let injected = 0
  const found: string[] = []
  for (const { where, pod } of chosen) {
    const decision = injectPod(
      requestFor(pod, { door: 'kube-inject', nativeSidecars: native }),
      config,
    )
    const written = textOf(pod, config)
    if (decision.kind === 'reject') {
      if (written !== undefined) found.push(`${where}: refused, but written`)
      continue
    }
    const read = written === undefined ? undefined : readYaml('out', written)
    if (read?.ok !== true) {
      found.push(`${where}: no YAML`)
      continue
    }
    if (decision.kind !== 'inject') continue
    injected++
    const { metadata, spec } = JSON.parse(JSON.stringify(decision.pod)) as JsonObject
    const got = read.value as JsonObject
    if (sorted({ metadata, spec }) !== sorted({ metadata: got['metadata'], spec: got['spec'] })) {
      found.push(`${where}: another pod`)
    }
  }
  t.strictSame(found.slice(0, 5), [], `${chosen.length} manifests, ${injected} injected`)
  t.ok(injected > chosen.length / 10, 'not everything was refused')
})

/** What kube-inject writes; nothing where it refuses. */
function textOf(pod: JsonObject, config: InjectConfig): string | undefined {
  try {
    return injectText('pod.yaml', printYaml(pod), {
      inject: (request) => injectPod(request, config),
      nativeSidecars: false,
    })
  } catch (error) {
    if (error instanceof Refusal) return undefined
    throw error
  }
}

function sorted(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) =>
    isObject(member) ? Object.fromEntries(Object.entries(member).sort()) : member,
  )
}
