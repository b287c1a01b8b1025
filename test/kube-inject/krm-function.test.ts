import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readYaml } from '../../core/yaml.ts'
import { injectList } from '../../kube-inject/krm-function.ts'
import { KEYS } from '../../kube-inject/krm-setting.ts'

const list = (items: string, more = ''): string =>
  `apiVersion: config.kubernetes.io/v1\nkind: ResourceList\n${more}items:\n${items}`
const pod = (name: string, more = ''): string =>
  `- apiVersion: v1\n  kind: Pod\n  metadata:\n    name: ${name} # kept\n${more}  spec:\n    containers:\n    - name: a\n      image: a\n`

t.test('items are injected, everything else stays', async (t) => {
  const text = list(`${pod('p')}- kind: X # as it is\n`)
  const { text: out, problems } = await injectList(text, {})
  t.strictSame(problems, [])
  t.match(out, /name: p # kept\n/)
  t.match(out, '- kind: X # as it is\n')
  t.match(out, '    - name: istio-proxy\n')
  t.notMatch(out, 'results:')
  t.equal((await injectList(out, {})).text, out, 'a second time changes nothing')
})

t.test('what is skipped or refused is in the results, with who it is about', async (t) => {
  const opted = pod('q', '    labels: {sidecar.istio.io/inject: "false"}\n')
  const wrong = pod('w', '    annotations: {traffic.sidecar.istio.io/excludeInboundPorts: http}\n')
  const { text, problems } = await injectList(list(opted + wrong), {})
  const read = readYaml('out', text)
  t.ok(read.ok)
  t.match(read.ok && read.value, {
    results: [
      { severity: 'info', message: /Skipping injection/, resourceRef: { kind: 'Pod', name: 'q' } },
      { severity: 'error', message: /excludeInboundPorts/, resourceRef: { name: 'w' } },
    ],
  })
  t.equal(problems.length, 1)
})

t.test('the functionConfig is the configuration', async (t) => {
  const data =
    'functionConfig:\n  data:\n    values: "global: {hub: example.org/istio}"\n    istioVersion: "1.17"\n'
  const { text } = await injectList(list(pod('p'), data), {})
  t.match(text, 'image: example.org/istio/')
  t.notMatch(text, 'istio-ca-crl', 'the templates of 1.17 know no such volume')
})

/** A functionConfig with this `data`. */
const config = (data: Readonly<Record<string, string>>): string =>
  `functionConfig: ${JSON.stringify({ data })}\n`

t.test('a hand-made change of the sidecar outlives another configuration', async (t) => {
  const [old, now] = ['7', '8'].map((tag) => `{global: {tag: "${tag}"}}`) as [string, string]
  const { text } = await injectList(list(pod('p'), config({ values: old })), {})
  const edited = text.replace('memory: 1Gi', 'memory: 3Gi').replace(config({ values: old }), '')
  t.not(edited, text)
  const after = async (data: Readonly<Record<string, string>>): Promise<string> =>
    (await injectList(`${edited}${config({ values: now, ...data })}`, {})).text
  const kept = await after({ previousValues: old })
  t.match(kept, 'proxyv2:8\n')
  t.match(kept, 'memory: 3Gi')
  t.match(kept, 'your changes of the sidecar stay')
  t.notMatch(await after({}), 'memory: 3Gi', 'unless what was there before is not known')
})

t.test('other kinds, and the way back', async (t) => {
  const rollout = `- apiVersion: argoproj.io/v1alpha1
  kind: Rollout
  metadata: {name: r}
  spec:
    template:
      spec:
        containers:
        - name: a
          image: a
`
  const kinds = config({ podTemplatePath: 'argo\nBox.example.org=/pod\n' })
  t.notMatch((await injectList(list(rollout), {})).text, 'istio-proxy')
  const { text } = await injectList(list(rollout, kinds), {})
  t.match(text, 'name: istio-proxy\n')
  const back = text.replace(kinds, config({ podTemplatePath: 'argo', uninject: 'true' }))
  const plain = list(rollout, config({ podTemplatePath: 'argo', uninject: 'true' }))
  t.equal((await injectList(back, {})).text, plain, 'byte for byte')
})

t.test('what is odd about the configuration is in the results', async (t) => {
  const injectConfig = JSON.stringify({ templates: { sidecar: '{{ .Values.global.hub }}' } })
  const { text } = await injectList(list(pod('p'), config({ injectConfig })), {})
  const read = readYaml('out', text)
  t.match(read.ok && read.value, {
    results: [{ severity: 'warning', message: /template sidecar: a Go template/ }],
  })
})

const refused = [
  {
    what: 'another kind',
    text: 'kind: List\nitems: []\n',
    says: /got .*List.*, want one document, a ResourceList/,
  },
  { what: 'two documents', text: `${list(pod('p'))}---\nkind: X\n`, says: /want one document/ },
  { what: 'no YAML', text: 'a: b: c\n', says: /standard input:1:/ },
  {
    what: 'an unknown key',
    text: list(pod('p'), 'functionConfig: {data: {hub: x}}\n'),
    says: /\/data\/hub: got "hub", want one of mesh/,
  },
  {
    what: 'a number',
    text: list(pod('p'), 'functionConfig: {data: {revision: 1}}\n'),
    says: /\/data\/revision: got "1", want a text/,
  },
  {
    what: 'an unknown version',
    text: list(pod('p'), 'functionConfig: {data: {istioVersion: "2"}}\n'),
    says: /want one of current, 1\.17, 1\.8/,
  },
  {
    what: 'a way back that is neither',
    text: list(pod('p'), config({ uninject: 'yes' })),
    says: /\/data\/uninject: got "yes", want "true" or "false"/,
  },
  {
    what: 'a kind without a path',
    text: list(pod('p'), config({ podTemplatePath: 'argo\nRollout' })),
    says: /\/data\/podTemplatePath: got "Rollout", want Kind\.group=/,
  },
  {
    what: 'an unknown version of before',
    text: list(pod('p'), config({ previousIstioVersion: '2' })),
    says: /previousIstioVersion: got "2"/,
  },
  {
    what: 'text of before that is no YAML',
    text: list(pod('p'), config({ previousMesh: 'a: [' })),
    says: /\/data\/previousMesh:1/,
  },
]

for (const { what, text, says } of refused) {
  t.test(`${what} is refused`, async (t) => {
    await t.rejects(injectList(text, {}), { message: says })
  })
}

t.test('the reference has every key', async (t) => {
  const page = readFileSync(
    join(import.meta.dirname, '../../docs/reference/kube-inject.md'),
    'utf8',
  )
  const [, section = ''] = page.split('## As a KRM function')
  for (const key of KEYS) t.ok(section.includes(`\`${key}\``), key)
})
