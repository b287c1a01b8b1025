import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import type { InjectRequest } from '../../core/inject/decision.ts'
import { injectPod } from '../../core/inject/inject.ts'
import { parseDocuments } from '../../core/yaml.ts'
import { injectSource } from '../../kube-inject/results.ts'
import { configOf } from '../support/config.ts'
import { injectText } from '../support/inject-text.ts'

const config = configOf({})
const setting = {
  inject: (request: InjectRequest) => injectPod(request, config),
  nativeSidecars: false,
  namespace: 'shop',
}
const back = { ...setting, isWayBack: true }

const manifests = new URL('../fixtures/manifests/', import.meta.url)
const pods = new URL('../fixtures/pods/', import.meta.url)

/** Where injection overwrites something, so that the way back cannot be byte for byte. */
const OVERWRITTEN: Readonly<Record<string, string>> = {
  'anchors.yaml': 'an alias of labels is written out',
  'shared-list.yaml': 'aliases of what changes are written out',
  'pretty.json': 'an empty map gives way',
  'scalars.yaml': 'keys without a value give way',
  'http-probes.yaml': 'a named port becomes its number',
  'prometheus-targets.yaml': 'a list of targets is moved, its blanks are not remembered',
}

const all = [manifests, pods].flatMap((folder) =>
  readdirSync(folder).map((name) => ({ name, text: readFileSync(new URL(name, folder), 'utf8') })),
)

t.test('what was only added to comes back byte for byte', async (t) => {
  for (const { name, text } of all) {
    const injected = injectText(name, text, setting)
    const returned = injectText(name, injected, back)
    if (name in OVERWRITTEN) t.not(returned, text, `${name}: still listed for a reason`)
    else t.equal(returned, text, name)
    const again = injectText(name, returned, setting)
    t.strictSame(valuesOf(again), valuesOf(injected), `${name}: and injects to the same again`)
  }
})

function valuesOf(text: string): unknown[] {
  return [...parseDocuments('f', text)].map((read) => (read.ok ? read.value.value : read.problems))
}

t.test('what was overwritten means the same as before, and nothing else changes', async (t) => {
  const rows = [
    { name: 'http-probes.yaml', was: 'port: web', is: 'port: 8080' },
    { name: 'prometheus-targets.yaml', was: '"9102:/a, 9103"', is: '9102:/a,9103' },
    { name: 'pretty.json', was: '            "metadata": {},\n', is: '' },
  ]
  for (const { name, was, is } of rows) {
    const { text } = all.find((one) => one.name === name) ?? { text: '' }
    t.match(text, was)
    const returned = injectText(name, injectText(name, text, setting), back)
    t.equal(returned, text.replace(was, is), name)
  }
})

t.test('an author of one of the keys keeps it', async (t) => {
  const pod = (labels: string): string =>
    `apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  labels:\n${labels}spec:\n  containers:\n  - name: a\n    image: a\n`
  const rows = [
    '    app: web\n    service.istio.io/canonical-name: web\n',
    '    service.istio.io/canonical-name: web\n    app: web\n',
    '    app: web\n    version: v1\n',
  ]
  for (const labels of rows) {
    t.equal(injectText('p', injectText('p', pod(labels), setting), back), pod(labels), labels)
  }
})

t.test('another configuration is told, and the sidecar goes all the same', async (t) => {
  const text =
    'apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\nspec:\n  containers:\n  - name: a\n    image: a\n'
  const other = configOf({ values: '{"global": {"proxy": {"logLevel": "debug"}}}' })
  const injected = injectText('p', text, {
    ...setting,
    inject: (request: InjectRequest) => injectPod(request, other),
  })
  const [result] = [...injectSource({ name: 'p', below: 'p', text: injected }, back)]
  t.match(result?.warnings, [
    /Pod "p": it was injected with another configuration, or changed since/,
  ])
  t.notMatch(result?.text, 'istio-proxy')
  t.match(result?.objects, [{ decision: 'uninject', removed: { containers: ['istio-proxy'] } }])
})

t.test('marks that cannot be read are named, and nothing is taken out', async (t) => {
  const text =
    'apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  annotations:\n    sidecar.istio.io/status: "{"\nspec: {containers: [{name: a}]}\n'
  t.throws(() => injectText('p', text, back), {
    message: /sidecar\.istio\.io\/status: got "\{", want a JSON object/,
  })
})
