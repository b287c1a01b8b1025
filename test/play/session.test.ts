/** What the page computes, without a browser. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { look, type Input } from '../../play/session.ts'

const nginx = readFileSync(
  join(import.meta.dirname, '../../examples/nginx-deployment.yaml'),
  'utf8',
)
const none = {
  values: '',
  mesh: '',
  istioVersion: 'current',
  isNative: false,
  isCni: false,
} as const

const twoPods = `# two pods in one stream
apiVersion: v1
kind: Pod
metadata: {name: a, annotations: {sidecar.istio.io/proxyCPU: 200m}}
spec: {containers: [{name: app, image: app}]}
---
apiVersion: v1
kind: Pod
metadata:
  name: b
  labels: {sidecar.istio.io/inject: "false"}
spec:
  containers:
  - name: app
    image: app
---
kind: List
apiVersion: v1
items:
- apiVersion: batch/v1
  kind: CronJob
  metadata: {name: c}
  spec:
    jobTemplate:
      spec:
        template:
          spec:
            containers:
            - name: app
              image: app
              livenessProbe: {httpGet: {path: /, port: 80}}
`

t.test('every line that injection wrote has a reason', async (t) => {
  const inputs: readonly Input[] = [
    { ...none, manifest: nginx },
    { ...none, manifest: twoPods },
    { ...none, manifest: nginx, isCni: true },
    { ...none, manifest: nginx, isNative: true },
    { ...none, manifest: twoPods, istioVersion: '1.17' },
    { ...none, manifest: nginx, istioVersion: '1.8' },
    { ...none, manifest: nginx, values: 'global: {logAsJson: true}', mesh: 'trustDomain: x.org' },
  ]
  for (const input of inputs) {
    const view = look(input)
    t.strictSame(view.problems, [])
    const added = view.lines.filter((line) => line.in === 'new')
    t.ok(added.length > 50)
    t.strictSame(
      added.filter(({ why, text }) => why === undefined && !isFrame(text)),
      [],
    )
  }
})

t.test('the lines are the manifest and what is added to it', async (t) => {
  const { lines, fates } = look({ ...none, manifest: twoPods })
  const kept = lines.filter((line) => line.in !== 'new').map(({ text }) => text)
  t.equal(kept.join('\n'), twoPods.trimEnd())
  t.strictSame(
    fates.map(({ title, isInjected }) => [title, isInjected]),
    [
      ['Pod a', true],
      ['Pod b', false],
      ['CronJob c', true],
    ],
  )
})

t.test('what an annotation asked for says so', async (t) => {
  const { lines } = look({ ...none, manifest: twoPods })
  const line = lines.find(({ text }) => text.includes('200m') && !text.startsWith('metadata'))
  t.match(line?.why, /sidecar\.istio\.io\/proxyCPU/)
})

t.test('CNI mode joins the values that are given', async (t) => {
  const values = 'pilot:\n  cni:\n    provider: default\nglobal:\n  hub: example.com/istio\n'
  const { lines, problems } = look({ ...none, manifest: nginx, values, isCni: true })
  t.strictSame(problems, [])
  const text = lines.map((line) => line.text).join('\n')
  t.match(text, 'istio-validation')
  t.match(text, 'example.com/istio/proxyv2')
})

t.test('what cannot be read is told, with its place', async (t) => {
  const rows = [
    { input: { ...none, manifest: 'a: [' }, says: /^manifest:1:/ },
    { input: { ...none, manifest: nginx, values: 'global: 1' }, says: /^values/ },
    { input: { ...none, manifest: nginx, mesh: 'defaultConfig: []' }, says: /^mesh/ },
    {
      input: { ...none, manifest: 'kind: Pod\napiVersion: v1\nspec: {containers: 7}' },
      says: /containers/,
    },
  ]
  for (const { input, says } of rows) {
    const { problems, lines } = look(input)
    t.match(problems.join('\n'), says)
    t.strictSame(lines, [])
  }
})

/** Brackets that hold what was there before. */
function isFrame(text: string): boolean {
  return /^[\s{}[\],]*$/.test(text)
}
