/** The command `explain` on manifests: the answer, both gates, the fields, and how it ends. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { Refusal } from '../../core/problem.ts'
import { explainCommand, type Flags } from '../../explain/command.ts'
import { explainFiles } from '../../explain/run.ts'

const folder = mkdtempSync(join(tmpdir(), 'explain-'))
t.teardown(() => {
  rmSync(folder, { recursive: true })
})

function file(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

/** What the command gives for arguments, read by the command's own parser. */
async function explain(args: readonly string[], isTerminal = false): Promise<string> {
  const command = explainCommand()
    .exitOverride()
    .configureOutput({ writeErr: () => undefined })
  let flags: Flags | undefined
  command.action((given: Flags) => {
    flags = given
  })
  await command.parseAsync([...args], { from: 'user' })
  if (flags === undefined) throw new Error('no flags')
  return explainFiles(flags, {}, isTerminal)
}

const webhooks = join(import.meta.dirname, '../../deploy/base/mutatingwebhookconfiguration.yaml')
const spec = 'spec: {containers: [{name: app, image: example/app:1}]}'
const deployment = (labels: string) =>
  `apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec:\n  template:\n    metadata: {labels: ${labels}}\n    ${spec}\n`
const plain = file('plain.yaml', deployment('{app: web}'))

/** First lines, which name the true cause. */
const answers: readonly {
  readonly what: string
  readonly text: string
  readonly args?: readonly string[]
  readonly says: RegExp
}[] = [
  {
    what: 'no webhook configuration given: the policy alone speaks',
    text: deployment('{app: web}'),
    says: /^Deployment shop\/web: injected: the pod says nothing, .*: policy is "enabled" \(policy-enabled\)$/,
  },
  {
    what: 'a namespace that says nothing is not even asked about',
    text: deployment('{app: web}'),
    args: ['--webhook-config', webhooks],
    says: /^Deployment shop\/web: not injected: neither the namespace nor the pod .* \(nobody-asks\)$/,
  },
  {
    what: 'a namespace that asks',
    text: deployment('{app: web}'),
    args: ['--webhook-config', webhooks, '--namespace-labels', 'istio-injection=enabled'],
    says: /: injected: .* \(policy-enabled\)$/,
  },
  {
    what: 'the labels of a Namespace among the manifests',
    text: `${deployment('{app: web}')}---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {istio-injection: enabled}}\n`,
    args: ['--webhook-config', webhooks],
    says: /: injected: .* \(policy-enabled\)$/,
  },
  {
    what: "the pod's own label, which the API server sees first",
    text: deployment('{sidecar.istio.io/inject: "false"}'),
    args: ['--webhook-config', webhooks, '--namespace-labels', 'istio-injection=enabled'],
    says: /: not injected: the pod has the label sidecar\.istio\.io\/inject=false \(pod-opted-out\)$/,
  },
  {
    what: 'the same without a webhook: the policy says it',
    text: deployment('{sidecar.istio.io/inject: "false"}'),
    says: /: not injected: the pod's label says no: label .* is "false" \(label-opt-out\)$/,
  },
  {
    what: 'a namespace that is never injected',
    text: deployment('{app: web}').replace('namespace: shop', 'namespace: kube-system'),
    says: /: not injected: .*: metadata\.namespace is "kube-system" \(ignored-namespace\)$/,
  },
  {
    what: 'a pod that is refused',
    text: deployment('{app: web}').replace(
      'labels: {app: web}',
      'annotations: {status.sidecar.istio.io/port: http}',
    ),
    says: /: refused: status\.sidecar\.istio\.io\/port: got "http", want /,
  },
  {
    what: 'text of the pod cannot steer a terminal',
    text: `apiVersion: v1\nkind: Pod\nmetadata: {name: "a\\e[2Jb", labels: {sidecar.istio.io/inject: "\\e[31m"}}\n${spec}\n`,
    says: /^Pod a\\u001b\[2Jb: injected: /,
  },
]

for (const { what, text, args = [], says } of answers) {
  t.test(what, async (t) => {
    const told = await explain(['-f', file('row.yaml', text), ...args])
    t.match(told.split('\n')[0], says)
    t.notOk(told.includes('\u001b'), 'no control character is left')
  })
}

t.test('both gates and every part of the pod', async (t) => {
  const told = await explain([
    ...['-f', plain, '--webhook-config', webhooks],
    ...['--namespace-labels', 'istio-injection=enabled'],
  ])
  t.match(told, /^gate 1, .*\n {2}the namespace has the label istio-injection=enabled/m)
  t.match(told, /^ {2}sidecar-injector\/namespace\.sidecar-injector\.io takes it$/m)
  t.match(told, /^ {2}passed {4}label-opt-out /m)
  t.match(told, /^ {2}spoke {5}policy-enabled .*: policy is "enabled"$/m)
  t.match(told, /^ {2}not asked policy-disabled /m)
  for (const title of [
    'init container istio-init',
    'container istio-proxy',
    'volume istio-token',
    'label security.istio.io/tlsMode',
    'annotation sidecar.istio.io/status',
  ]) {
    t.ok(told.includes(`\n${title}\n  added`), title)
  }
  t.match(
    told,
    /^ {2}args\/4 "--proxyLogLevel=warning" {2}template sidecar, line \d+: proxy\.logLevel/m,
  )
})

t.test('one field, by its place in the pod or in the workload', async (t) => {
  const inPod = await explain(['-f', plain, '--field', '/spec/initContainers/0/args/8'])
  const inWorkload = await explain([
    ...['-f', plain, '--field', '/spec/template/spec/initContainers/0/args/8'],
  ])
  t.equal(inPod, inWorkload)
  t.match(
    inPod,
    /^Deployment shop\/web: \/spec\/initContainers\/0\/args\/8: "REDIRECT"\n {2}added by template sidecar/,
  )
  t.match(inPod, /\n {2}under line \d+, \{\{#if init\.isPresent\}\} taken: mesh config/)
})

t.test("a field of the pod's own is said to be that", async (t) => {
  const told = await explain(['-f', plain, '--field', '/spec/containers/0/image'])
  t.equal(
    told,
    "Deployment shop/web: /spec/containers/0/image: the pod's own, injection leaves it as it came\n",
  )
})

t.test('JSON has the same', async (t) => {
  const [report] = JSON.parse(
    await explain(['-f', plain, '--output', 'json', '--webhook-config', webhooks]),
  ) as readonly {
    readonly answer: string
    readonly gate: { readonly outcome: string; readonly entries: readonly unknown[] }
    readonly policy: readonly { readonly answer: string }[]
    readonly origins: readonly { readonly path: string; readonly text: string }[]
  }[]
  t.match(report, {
    kind: 'Deployment',
    name: 'shop/web',
    decision: 'inject',
    reason: 'policy-enabled',
    evidence: { path: 'policy', got: 'enabled' },
    gate: { outcome: 'left', reason: 'nobody-asks' },
  })
  t.ok((report?.origins.length ?? 0) > 100)
  t.equal(report?.gate.entries.length, 4)
})

t.test('an injected manifest is told from what it was', async (t) => {
  const { injectText } = await import('../support/inject-text.ts')
  const { injectPod } = await import('../../core/inject/inject.ts')
  const { configOf } = await import('../support/config.ts')
  const config = configOf({})
  const text = injectText('plain.yaml', deployment('{app: web}'), {
    inject: (request) => injectPod(request, config),
    nativeSidecars: false,
  })
  const told = await explain(['-f', file('injected.yaml', text)])
  t.match(told, /^ {2}note: the pod is injected already/m)
  t.match(told, /^container istio-proxy\n {2}added /m)
})

t.test('colour on a terminal only', async (t) => {
  t.ok((await explain(['-f', plain], true)).includes('\u001b[32minjected: '))
})

t.test('what cannot be read is refused, wrong usage is told', async (t) => {
  await t.rejects(explain(['-f', join(folder, 'none.yaml')]), Refusal)
  await t.rejects(explain(['-f', file('bad.yaml', 'a: [')]), Refusal)
  await t.rejects(explain(['-f', plain, '--webhook-config', file('w.yaml', 'x')]), Refusal)
  await t.rejects(explain(['-f', plain, '--field', '/spec/nope']), {
    message: /--field: got "\/spec\/nope", want a JSON Pointer of a field/,
  })
  await t.rejects(explain(['-f', plain, '--namespace-labels', 'x']), { name: 'CommanderError' })
  await t.rejects(explain(['-f', plain, '--output', 'yaml']), { name: 'CommanderError' })
})

t.test('the reference page has every flag in the words of the help', async (t) => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/reference/explain.md'), 'utf8')
  for (const { flags, description } of explainCommand().options) {
    const row = `| \`${flags}\` | ${description}`
    t.ok(page.replaceAll('\\|', '|').includes(row), flags)
  }
})
