/** Answers from stencils are the answers of an injection; where they are not, no stencil is used any more. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { injectPod } from '../../core/inject/inject.ts'
import type { InjectConfig } from '../../core/inject/config.ts'
import { parseDocuments } from '../../core/yaml.ts'
import type { Snapshot } from '../../webhook/answer.ts'
import { makeQuick } from '../../webhook/quick.ts'
import { rulesOf, type Rules } from '../../webhook/stencil/holes.ts'
import { configOf } from '../support/config.ts'
import { podsIn } from '../support/doors.ts'
import { plainPods } from '../support/pods.ts'
import { makeStand, podWith, reviewOf, valuesOf } from './stand-ins.ts'
import { bodyOf, ordinary } from './stencil/bodies.ts'
import {
  apart,
  fits,
  inFull,
  makeCounted,
  PATH,
  refilled,
  snapshotOf,
  textsIn,
  wordFor,
} from './stencil/refill.ts'

const ROOT = join(import.meta.dirname, '../..')
const CURRENT = snapshotOf(configOf({}))

const settings: readonly (readonly [who: string, snapshot: Snapshot<InjectConfig>])[] = [
  ['current', CURRENT],
  ['native', snapshotOf(configOf({ revision: 'canary' }), { isNative: () => true })],
  ['1.17', snapshotOf(configOf({ istioVersion: '1.17' }))],
  ['1.8', snapshotOf(configOf({ istioVersion: '1.8' }))],
  [
    'CNI with plans, several clusters',
    snapshotOf(
      configOf({
        values:
          'pilot: {cni: {enabled: true}}\nsidecarInjector: {cniAnnotation: true}\nglobal: {network: n, multiCluster: {clusterName: c}}',
      }),
    ),
  ],
  [
    'OpenTelemetry, metrics',
    snapshotOf(
      configOf({
        mesh: 'enablePrometheusMerge: true\nextensionProviders: [{name: otel, opentelemetry: {service: s, port: 1}}]\n',
      }),
    ),
  ],
]

/** What code could compare a text with: all texts of the code itself. */
const WORDS = readdirSync(join(ROOT, 'core/inject')).flatMap((name) => {
  const text = readFileSync(join(ROOT, 'core/inject', name), 'utf8')
  return [...text.matchAll(/'([^'\n\\]{1,60})'/g)].map(([, word = '']) => word)
})

const fixtures = readdirSync(join(ROOT, 'test/fixtures/pods')).flatMap((name) => {
  const text = readFileSync(join(ROOT, 'test/fixtures/pods', name), 'utf8')
  return [...parseDocuments(name, text)].flatMap((document) =>
    document.ok ? podsIn(document.value.value).map(({ pod }) => bodyOf(pod)) : [],
  )
})
const random = fc.sample(plainPods(), { numRuns: 10, seed: 20261121 }).map((pod) => bodyOf(pod))

t.test('the same answer, whatever stands in the holes', async (t) => {
  let step = 0
  for (const [who, snapshot] of settings) {
    const rules = rulesOf(snapshot.config)
    if (rules === undefined) throw new Error('want rules')
    const { quick, seen } = makeCounted()
    let shapes = 0
    const wrong: string[] = []
    for (const body of [bodyOf(ordinary()), ...fixtures, ...random]) {
      if (inFull(body, PATH, snapshot).outcome.kind !== 'success') continue
      quick(body, PATH, snapshot)
      const before = seen.short
      quick(body, PATH, snapshot)
      if (seen.short === before) continue
      shapes += 1
      const words = [...WORDS, ...textsIn(body)]
      for (const text of refillings(body, rules, words)) {
        const count = seen.short
        const answer = quick(text, PATH, snapshot)
        if (seen.short === count) continue
        const full = inFull(text, PATH, snapshot)
        if (JSON.stringify(answer) !== JSON.stringify(full)) wrong.push(text)
      }
    }
    t.strictSame(wrong, [], who)
    t.strictSame(seen.closed, [])
    t.ok(shapes > 45, `${who}: ${shapes} shapes have stencils`)
    t.ok(seen.short > 380, `${who}: ${seen.short} answers came from them`)
  }

  /** A body with another word in one of its holes at a time, another one each time. */
  function* refillings(body: string, rules: Rules, words: readonly string[]): Generator<string> {
    const { parts, values } = apart(body, rules)
    for (const [number, { kind }] of parts.holes.entries()) {
      if (kind === 'same') continue
      const nextWord = (): string => wordFor(kind, words[(step += 7) % words.length] ?? '')
      let word = nextWord()
      while (!fits(kind, word)) word = nextWord()
      yield refilled(parts, values.with(number, word))
    }
  }
})

t.test('what differs between two requests of one shape', async (t) => {
  const body = bodyOf(ordinary())
  const other = body
    .replaceAll('web-5d4f8c7b9', 'cart-77aa88bb9')
    .replace('"5d4f8c7b9"', '"77aa88bb9"')
    .replaceAll('"shop"', '"kitchen"')
    .replaceAll('x7k2p', 'zzzzz')
    .replace('000001"', '000002"')
    .replaceAll('"uid":"u"', '"uid":"u2"')
    .replaceAll('{\\"uid\\":\\"u\\"}', '{\\"uid\\":\\"u2\\"}')
    .replace(/"time":"[^"]*"/, '"time":"2026-11-21T16:16:55Z"')
  t.equal(other.match(/u2/g)?.length, 2, 'what changes from one second and owner to the next')
  const snapshot = CURRENT
  const { quick, seen } = makeCounted()
  quick(body, PATH, snapshot)
  const answer = quick(other, PATH, snapshot)
  t.equal(seen.short, 1)
  t.strictSame(answer.facts, {
    uid: '7d5f3c1a-0000-4000-8000-000000000002',
    workload: 'Deployment/cart',
    namespace: 'kitchen',
  })
  const { response } = JSON.parse(answer.body) as { response: { uid: string; patch: string } }
  t.equal(response.uid, '7d5f3c1a-0000-4000-8000-000000000002')
  const patch = Buffer.from(response.patch, 'base64').toString()
  t.match(patch, 'kubernetes://apis/apps/v1/namespaces/kitchen/deployments/cart')
  t.notMatch(patch, 'shop')
})

t.test('where everything else must be the same, it is', async (t) => {
  const body = bodyOf(ordinary())
  const config = configOf({})
  const plain = snapshotOf(config)
  const { quick, seen } = makeCounted()
  const isShort = (text: string, path: string, snapshot: Snapshot<InjectConfig>): boolean => {
    const before = seen.short
    t.strictSame(quick(text, path, snapshot), inFull(text, path, snapshot))
    return seen.short > before
  }
  t.notOk(isShort(body, PATH, plain), 'the first of its shape')
  t.ok(isShort(body, PATH, plain))
  const path = '/inject/cluster/remote/net/n2'
  t.notOk(isShort(body, path, plain), 'another path')
  t.ok(isShort(body, path, plain))
  t.ok(isShort(body, PATH, plain), 'both are kept')
  t.notOk(isShort(body.replace('.io/v1"', '.io/v1beta1"'), PATH, plain), 'another version')
  t.notOk(isShort(body.replace('"dryRun":false', '"dryRun":true'), PATH, plain), 'a dry run')
  t.notOk(isShort(body, PATH, snapshotOf(config, { isNative: () => true })), 'other nodes')
  const strict = snapshotOf(config, {
    strictLevelOf: (name) => (name === 'kitchen' ? 'baseline' : undefined),
    annotationsOf: (name) => (name === 'cellar' ? { a: 'b' } : undefined),
  })
  t.notOk(isShort(body, PATH, strict), 'another snapshot')
  t.ok(isShort(body, PATH, strict))
  for (const known of ['kitchen', 'cellar', 'istio-system']) {
    t.notOk(isShort(body.replaceAll('"shop"', `"${known}"`), PATH, strict), known)
  }
  t.notOk(isShort(body.replaceAll('"shop"', '"kube-system"'), PATH, strict), 'left alone')
  const own = snapshotOf(configOf({ injectConfig: 'templates: {mine: "spec: {}"}' }))
  isShort(body, PATH, own)
  t.notOk(isShort(body, PATH, own), "a template of the operator's own")
  t.strictSame(seen.closed, [])
})

t.test('pods that are looked into have none', async (t) => {
  const snapshot = CURRENT
  const rows: readonly (readonly [string, (body: string) => string])[] = [
    ['a proxy of its own', (body) => body.replace('"name":"web"', '"name":"istio-proxy"')],
    [
      'amounts for the whole pod',
      (body) => body.replace('"containers"', '"resources":{"limits":{"cpu":"4"}},"containers"'),
    ],
    ['no JSON', (body) => body.slice(1)],
    ['left alone', (body) => body.replace('"containers"', '"hostNetwork":true,"containers"')],
    ['refused', (body) => body.replace('logLevel":"info"', 'userVolume":"{"')],
  ]
  for (const [what, change] of rows) {
    const { quick, seen } = makeCounted()
    const body = change(bodyOf(ordinary()))
    for (let turn = 0; turn < 3; turn++) {
      t.strictSame(quick(body, PATH, snapshot), inFull(body, PATH, snapshot), what)
    }
    t.strictSame(seen, { short: 0, closed: [] }, what)
  }
})

t.test('a short cut that goes wrong is closed', async (t) => {
  const body = bodyOf(ordinary())
  const snapshot = CURRENT
  t.test('another answer than before', async (t) => {
    let image = 'old'
    const { quick, seen } = makeCounted((...asked) => {
      const answer = inFull(...asked)
      return { ...answer, body: answer.body.replace('AdmissionReview', image) }
    })
    quick(body, PATH, snapshot)
    image = 'new'
    t.match(quick(body, PATH, snapshot).body, 'new', 'the first answer is compared')
    t.strictSame(seen, { short: 0, closed: ['a stencil gave another answer than an injection'] })
    quick(body, PATH, snapshot)
    quick(body, PATH, snapshotOf(configOf({})))
    t.equal(seen.short, 0, 'closed for good')
    t.equal(seen.closed.length, 1, 'told once')
  })
  t.test('an error on the way', async (t) => {
    let calls = 0
    const { quick, seen } = makeCounted((...asked) => {
      calls += 1
      if (calls === 3) throw new Error('broke')
      return inFull(...asked)
    })
    const answer = quick(body, PATH, snapshot)
    t.strictSame(answer, inFull(body, PATH, snapshot), 'nobody notices')
    t.match(seen, { short: 0, closed: [{ message: 'broke' }] })
    t.strictSame(quick(body, PATH, snapshot), answer)
    t.equal(seen.short, 0)
  })
})

t.test('little time goes into cutting', async (t) => {
  const snapshot = CURRENT
  const jobs: (() => void)[] = []
  const quick = makeQuick({
    answer: inFull,
    rulesOf,
    answered: () => undefined,
    closed: () => t.fail('closed'),
    later: (job) => jobs.push(job),
    rest: 1e9,
  })
  const shape = (number: number): string => bodyOf(ordinary({ mountPath: `/data${number}` }))
  for (let number = 0; number < 10; number++) quick(shape(number), PATH, snapshot)
  t.equal(jobs.length, 1, 'one at a time')
  let steps = 0
  for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) {
    steps += 1
    job()
    t.ok(jobs.length <= 1, 'one step after the other')
  }
  t.equal(steps, 9, 'one for each body that is worked on, and the last that keeps the stencil')
  for (let number = 0; number < 10; number++) quick(shape(number), PATH, snapshot)
  t.equal(jobs.length, 0, 'and then a rest')
})

t.test('through the server: counted, and told when it is closed', async (t) => {
  let answers = 0
  const config = configOf({})
  const snapshot = { config: { image: 'x' }, isNative: () => false, annotationsOf: () => undefined }
  const stand = makeStand({
    rulesOf: () => rulesOf(config),
    snapshot: () => snapshot,
    inject: (request) => {
      answers += 1
      const decision = injectPod(request, config)
      // What must not happen: another answer to the same question.
      return decision.kind === 'inject' && answers > 1000
        ? { ...decision, pod: { ...decision.pod, metadata: { name: 'other' } } }
        : decision
    },
  })
  t.teardown(() => stand.app.close())
  const post = async (): Promise<string> => {
    const headers = { 'content-type': 'application/json' }
    const payload = reviewOf(podWith({ note: 'x' }))
    const answer = await stand.app.inject({ method: 'POST', url: '/inject', headers, payload })
    t.equal(answer.statusCode, 200)
    return answer.body
  }
  const first = await post()
  const counted = async (): Promise<Record<string, number>> => valuesOf(stand.registry)
  for (let turn = 0; turn < 200; turn++) {
    t.equal(await post(), first)
    if ((await counted())['sidecar_injector_stencil_answers_total'] === 3) break
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  t.match(await counted(), { sidecar_injector_stencil_answers_total: 3 })
  answers = 1001
  for (let turn = 0; turn < 300; turn++) await post()
  t.match(await counted(), { sidecar_injector_stencil_answers_total: 256 })
  t.match(
    await stand.registry.getSingleMetricAsString('sidecar_injector_stencils_closed'),
    /^sidecar_injector_stencils_closed 1$/m,
  )
  t.match(
    stand.lines().filter(({ level }) => level === 'error'),
    [{ msg: 'no pod is answered from a stencil any more', err: String }],
  )
})
