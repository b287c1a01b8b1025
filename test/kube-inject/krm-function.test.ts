import t from 'tap'
import { readYaml } from '../../core/yaml.ts'
import { injectList } from '../../kube-inject/krm-function.ts'

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
]

for (const { what, text, says } of refused) {
  t.test(`${what} is refused`, async (t) => {
    await t.rejects(injectList(text, {}), { message: says })
  })
}
