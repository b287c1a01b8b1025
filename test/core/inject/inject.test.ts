/** The whole pipeline, on the fixtures that a user would recognise. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { injectPod } from '../../../core/inject/inject.ts'
import type { Decision, InjectRequest } from '../../../core/inject/decision.ts'
import { applyPatch, diff } from '../../../core/inject/patch.ts'
import { isObject, type Json, type JsonObject } from '../../../core/json.ts'
import { readYaml } from '../../../core/yaml.ts'
import { injectText } from '../../support/inject-text.ts'
import { answerReview } from '../../../webhook/answer.ts'
import { normal } from '../../support/normal.ts'
import { configOf, frozen, requestFor } from '../../support/config.ts'

const fixtures = join(import.meta.dirname, '../../fixtures')
const files = readdirSync(join(fixtures, 'pods')).filter((file) => file.endsWith('.yaml'))
const config = configOf({})

function load(path: string): JsonObject {
  const read = readYaml(path, readFileSync(path, 'utf8'))
  if (!read.ok || !isObject(read.value)) throw new Error(`${path}: no document`)
  return read.value
}

/** The pod, or the pod template, of a fixture. */
function podOf(file: string): JsonObject {
  const document = load(join(fixtures, 'pods', file))
  const paths: Readonly<Record<string, readonly string[]>> = {
    Pod: [],
    Deployment: ['spec', 'template'],
    CronJob: ['spec', 'jobTemplate', 'spec', 'template'],
  }
  let at: Json = document
  for (const step of paths[typeof document['kind'] === 'string' ? document['kind'] : ''] ?? [])
    at = isObject(at) ? (at[step] ?? null) : null
  if (!isObject(at)) throw new Error(`${file}: no pod`)
  return at
}

function injected(request: InjectRequest): Extract<Decision, { kind: 'inject' }> {
  const decision = injectPod(request, config)
  if (decision.kind !== 'inject') throw new Error(JSON.stringify(decision))
  return decision
}

for (const native of [false, true]) {
  t.test(`every fixture, ${native ? 'native' : 'plain'} sidecar`, async (t) => {
    for (const file of files) {
      const pod = frozen(podOf(file))
      const once = injected(requestFor(pod, { nativeSidecars: native }))
      const patch = diff(pod, once.pod)
      const patched = applyPatch(pod, patch) as JsonObject
      t.strictSame(
        patched,
        JSON.parse(JSON.stringify(once.pod)),
        `${file}: the patch applied is the injected pod`,
      )
      const twice = injected(requestFor(frozen(patched), { nativeSidecars: native }))
      t.strictSame(diff(patched, twice.pod), [], `${file}: a second time changes nothing`)
      t.not(patch.length, 0, `${file}: something was injected`)
    }
  })
}

t.test('both doors give the same pod', async (t) => {
  for (const file of files) {
    const path = join(fixtures, 'pods', file)
    const document = load(path)
    if (document['kind'] !== 'Pod') continue
    const setting = {
      inject: (request: InjectRequest) => injectPod(request, config),
      nativeSidecars: false,
      namespace: 'shop',
    }
    const text = injectText(file, readFileSync(path, 'utf8'), setting)
    const read = readYaml(file, text)
    t.equal(
      injectText(file, text, setting),
      text,
      `${file}: kube-inject a second time changes no byte`,
    )
    const review = {
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      request: { uid: 'u', namespace: 'shop', operation: 'CREATE', object: document },
    }
    const answer = answerReview(JSON.stringify(review), '/inject', injectPod, {
      config,
      isNative: () => false,
      annotationsOf: () => undefined,
    })
    const { response } = JSON.parse(answer.body) as {
      response: { allowed: boolean; patch: string }
    }
    const patch = JSON.parse(Buffer.from(response.patch, 'base64').toString()) as Parameters<
      typeof applyPatch
    >[1]
    t.strictSame(
      applyPatch(document, patch),
      read.ok ? read.value : read.problems,
      `${file}: webhook and kube-inject`,
    )
  }
})

t.test('File 1 becomes File 2', async (t) => {
  const text = readFileSync(join(fixtures, '../../examples/nginx-deployment.yaml'), 'utf8')
  const old = configOf({
    istioVersion: '1.8',
    values: readFileSync(join(fixtures, 'documents/values.yaml'), 'utf8'),
  })
  const setting = {
    inject: (request: InjectRequest) => injectPod(request, old),
    nativeSidecars: false,
  }
  const out = injectText('nginx', text, setting)
  const read = readYaml('out', out)
  const deployment = read.ok && isObject(read.value) ? read.value : {}
  const spec = deployment['spec'] as {
    readonly template: { readonly metadata: JsonObject; readonly spec: Json }
  }
  t.strictSame(
    normal({ spec: spec.template.spec }),
    normal(load(join(fixtures, 'documents/file-2.yaml'))),
    'the pod spec',
  )
  t.strictSame(
    spec.template.metadata['labels'],
    {
      app: 'nginx',
      'istio.io/rev': '',
      'security.istio.io/tlsMode': 'istio',
      'service.istio.io/canonical-name': 'nginx',
      'service.istio.io/canonical-revision': 'latest',
    },
    'the labels that the document leaves out',
  )
  t.ok(
    out.startsWith(text.slice(0, text.indexOf('    spec:'))),
    'the text before the pod is untouched',
  )
})

t.test('what is refused, with every problem', async (t) => {
  const bad = {
    metadata: {
      annotations: {
        'status.sidecar.istio.io/port': 'http',
        'sidecar.istio.io/proxyCPU': 'lots',
        'sidecar.istio.io/userVolume': '{"v":{"configMap":7}}',
        'inject.istio.io/templates': 'sidecar,nope',
      },
    },
    spec: { containers: [{ name: 'a' }] },
  }
  const decision = injectPod(requestFor(bad), config)
  t.equal(decision.kind, 'reject')
  const paths =
    decision.kind === 'reject' ? decision.problems.map((problem) => problem.path.split(':')[0]) : []
  t.strictSame([...new Set(paths)].sort(), [
    'inject.istio.io/templates',
    'sidecar.istio.io/proxyCPU',
    'sidecar.istio.io/userVolume',
    'status.sidecar.istio.io/port',
  ])
})

t.test("a wrong structure is the pod's fault, never an exception", async (t) => {
  for (const pod of [
    null,
    7,
    'x',
    [],
    { metadata: 3 },
    { spec: [] },
    { spec: { containers: 'x' } },
    { spec: { containers: [null] } },
    { metadata: { labels: [] } },
  ] as Json[]) {
    t.equal(injectPod(requestFor(pod), config).kind, 'reject', JSON.stringify(pod))
  }
})
