/** Another configuration than the one before: the sidecar becomes that one's, and what people changed in it stays. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { InjectConfig } from '../../core/inject/config.ts'
import { injectPod } from '../../core/inject/inject.ts'
import { kubeInjectCommand } from '../../kube-inject/command.ts'
import type { Inject, Setting } from '../../kube-inject/inject-document.ts'
import { injectSource } from '../../kube-inject/results.ts'
import { configOf } from '../support/config.ts'
import { injectText } from '../support/inject-text.ts'

const text = `# the shop
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web # our name
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels:
        app: web
      annotations:
        shop.example/owner: me
    spec:
      containers:
      - name: web
        image: web:1
        ports:
        - containerPort: 8080
        readinessProbe:
          httpGet:
            path: /ready
            port: 8080
      volumes:
      - name: tmp
        emptyDir: {}
`

const former = configOf({
  values: '{"global": {"tag": "1.29.0", "proxy": {"logLevel": "info"}}}',
  mesh: 'defaultConfig: {drainDuration: 30s}',
})
const today = configOf({
  values:
    '{"global": {"tag": "1.31.0", "network": "net1", "proxy": {"resources": {"limits": {"cpu": "4"}}}}}',
  mesh: 'trustDomain: example.org',
})

function injectorOf(config: InjectConfig): Inject {
  return (request) => injectPod(request, config)
}

function settingOf(config: InjectConfig, ...earlier: readonly InjectConfig[]): Setting {
  const previous = (version: string): Inject | undefined => {
    const found = earlier.find((one) => one.version === version)
    return found && injectorOf(found)
  }
  return { inject: injectorOf(config), nativeSidecars: false, previous }
}

const before = settingOf(former)
const after = settingOf(today, former)

type Edit = (text: string) => string

function replacing(was: string | RegExp, is: string): Edit {
  return (text) => {
    if (text.search(was) < 0) throw new Error(`${String(was)} is not there:\n${text}`)
    return text.replace(was, is)
  }
}

/** Edits of an injected file, and what is told to be the author's. */
const edits: readonly {
  readonly who: string
  readonly edit: Edit
  readonly kept: readonly string[]
}[] = [
  { who: 'nothing', edit: (text) => text, kept: [] },
  {
    who: 'a request',
    edit: replacing(
      'requests:\n            cpu: 100m',
      'requests:\n            cpu: 150m # measured',
    ),
    kept: ['istio-proxy: resources.requests.cpu'],
  },
  {
    who: 'a variable, with a comment',
    edit: replacing(
      '        - name: TRUST_DOMAIN\n',
      '        # for the audit\n        - name: AUDIT\n          value: "on"\n        - name: TRUST_DOMAIN\n',
    ),
    kept: ['istio-proxy: env[AUDIT]'],
  },
  {
    who: 'a variable behind the last one, and its volume',
    edit: (text) =>
      replacing(
        '        volumeMounts:\n        - name: workload-socket',
        '        volumeMounts:\n        - name: tmp\n          mountPath: /tmp\n        - name: workload-socket',
      )(text),
    kept: ['istio-proxy: volumeMounts[/tmp]'],
  },
  {
    who: 'an argument more',
    edit: replacing(
      '        - --log_output_level=default:info\n        env:',
      '        - --log_output_level=default:info\n        - --log_as_json\n        env:',
    ),
    kept: ['istio-proxy: args'],
  },
  {
    who: 'a check that is taken out',
    edit: replacing(/ {8}startupProbe:\n(?: {10}.*\n)+/, ''),
    kept: ['istio-proxy: startupProbe'],
  },
  {
    who: 'a volume of the sidecar',
    edit: replacing(
      /name: istio-envoy\n( *)emptyDir:\n *medium: Memory/,
      'name: istio-envoy\n$1emptyDir:\n$1  medium: ""',
    ),
    kept: ['volume istio-envoy: emptyDir.medium'],
  },
  {
    who: 'the init container',
    edit: replacing(/(name: istio-init\n(?:.*\n)*?.*limits:\n.*\n *memory: )1Gi/, '$1512Mi'),
    kept: ['istio-init: resources.limits.memory'],
  },
  {
    who: 'comments',
    edit: (text) =>
      replacing(
        '- name: istio-proxy\n',
        '- name: istio-proxy # do not touch\n',
      )(
        replacing(
          '        env:\n        - name: PILOT',
          '        # what it is told\n        env:\n        - name: PILOT',
        )(text),
      ),
    kept: [],
  },
  {
    who: 'a label that injection wrote',
    edit: replacing('canonical-revision: latest', 'canonical-revision: v2'),
    kept: [],
  },
  {
    who: 'the rest of the pod',
    edit: (text) =>
      replacing(
        'image: web:1',
        'image: web:2',
      )(replacing('shop.example/owner: me', 'shop.example/owner: you')(text)),
    kept: [],
  },
]

for (const { who, edit, kept } of edits) {
  t.test(`${who}: as if the new sidecar had been edited so`, async (t) => {
    const edited = edit(injectText('f', text, before))
    const wanted = edit(injectText('f', text, after))
    const [result] = [...injectSource({ name: 'f', below: 'f', text: edited }, after)]
    t.equal(result?.text, wanted)
    t.strictSame(
      (result?.objects[0]?.kept ?? []).map(({ path }) => path),
      kept,
    )
    t.strictSame(result?.objects[0]?.replaced, undefined)
    const again = [...injectSource({ name: 'f', below: 'f', text: wanted }, after)][0]
    t.equal(again?.text, wanted, 'and again changes nothing')
  })
}

t.test('what both changed stays the author’s, and the other is told', async (t) => {
  const edit = replacing(/( *limits:\n *cpu: )"2"/, '$1"3"')
  const edited = edit(injectText('f', text, before))
  const [result] = [...injectSource({ name: 'f', below: 'f', text: edited }, after)]
  t.equal(result?.text, injectText('f', text, after).replace(/(limits:\n *cpu: )"4"/, '$1"3"'))
  t.strictSame(result?.objects[0]?.kept, [
    { path: 'istio-proxy: resources.limits.cpu', yours: '3', configured: '4' },
  ])
  t.strictSame(result?.warnings, [
    'f:1: document 1, Deployment "web": your changes of the sidecar stay: istio-proxy: resources.limits.cpu',
  ])
})

/** The author changes the pod, and the sidecar in the file is older than that. */
const changes: readonly { readonly who: string; readonly edit: Edit }[] = [
  { who: 'another name', edit: replacing('name: web # our name', 'name: shop # our name') },
  { who: 'another port', edit: replacing('- containerPort: 8080', '- containerPort: 9090') },
  {
    who: 'an annotation about the sidecar',
    edit: replacing(
      'shop.example/owner: me\n',
      'shop.example/owner: me\n        sidecar.istio.io/proxyCPU: 300m\n',
    ),
  },
  {
    who: 'one more container',
    edit: replacing(
      /(readinessProbe:\n *httpGet:\n *path: .*\n *port: \d+\n)/,
      '$1      - name: other\n        image: other:1\n',
    ),
  },
]

for (const { who, edit } of changes) {
  t.test(`${who}: the sidecar follows the pod`, async (t) => {
    for (const setting of [after, before]) {
      const result = injectText('f', edit(injectText('f', text, before)), setting)
      t.equal(result, injectText('f', edit(text), setting))
    }
  })
}

t.test('a sidecar that was taken out by hand comes back', async (t) => {
  const gone = injectText('f', text, before).replace(/ {6}- name: istio-proxy\n(?: {8}.*\n)+/, '')
  t.notMatch(gone, '- name: istio-proxy')
  t.match(
    injectText('f', gone, after),
    '- name: istio-proxy\n        image: docker.io/istio/proxyv2:1.31.0\n',
  )
})

t.test('the same configuration leaves edits alone', async (t) => {
  for (const { who, edit } of edits) {
    const edited = edit(injectText('f', text, before))
    t.equal(injectText('f', edited, before), edited, who)
  }
})

t.test('without the old configuration, all that gives way is told with what it was', async (t) => {
  const edit = replacing(/( *limits:\n *cpu: )"2"/, '$1"3"')
  const add = replacing(
    '        - name: TRUST_DOMAIN\n',
    '        - name: AUDIT\n          value: "on"\n        - name: TRUST_DOMAIN\n',
  )
  const edited = add(edit(injectText('f', text, before)))
  const [result] = [...injectSource({ name: 'f', below: 'f', text: edited }, settingOf(today))]
  t.match(result?.text, 'image: docker.io/istio/proxyv2:1.31.0')
  t.match(result?.text, '- name: AUDIT\n')
  const { kept, replaced } = result?.objects[0] ?? {}
  t.strictSame(kept, [
    { path: 'istio-proxy: env[AUDIT].name', yours: 'AUDIT' },
    { path: 'istio-proxy: env[AUDIT].value', yours: 'on' },
  ])
  t.ok(
    replaced?.some(
      ({ path, yours }) => path === 'istio-proxy: resources.limits.cpu' && yours === '3',
    ),
    JSON.stringify(replaced),
  )
  t.match(result?.warnings, [
    /these stay, whoever wrote them: istio-proxy: env\[AUDIT\]/,
    /another configuration than those at hand.*resources\.limits\.cpu \(was "\\"3\\""\)/,
  ])
  // Every line that went is told.
  for (const [path, was] of [
    ['istio-proxy: image', 'docker.io/istio/proxyv2:1.29.0'],
    ['istio-init: image', 'docker.io/istio/proxyv2:1.29.0'],
    ['istio-proxy: env[TRUST_DOMAIN].value', 'cluster.local'],
  ] as const) {
    t.ok(
      replaced?.some((one) => one.path === path && one.yours === was),
      path,
    )
  }
})

t.test('from one Istio to another, with files and without', async (t) => {
  const folder = t.testdir({
    'a.yaml': text,
    'old.yaml': 'global: {tag: "7"}\n',
    'new.yaml': 'global: {tag: "8"}\n',
  })
  const at = (name: string): string => join(folder, name)
  const said = t.capture(process.stderr, 'write', () => true)
  const run = async (...argv: readonly string[]): Promise<string> => {
    await kubeInjectCommand().parseAsync(['-f', at('a.yaml'), '--in-place', ...argv], {
      from: 'user',
    })
    return said()
      .map(({ args }) => String(args[0]))
      .join('')
  }
  const edit = replacing('memory: 1Gi', 'memory: 3Gi')
  await run('--istio-version', '1.17')
  writeFileSync(at('a.yaml'), edit(readFileSync(at('a.yaml'), 'utf8')))
  const kept = /your changes of the sidecar stay: istio-proxy: resources\.limits\.memory\n$/
  t.match(await run(), kept, 'built-in versions are known')
  t.match(readFileSync(at('a.yaml'), 'utf8'), 'memory: 3Gi')
  t.match(await run('--valuesFile', at('old.yaml')), kept, 'from no values to some')
  const now = ['--valuesFile', at('new.yaml')]
  t.match(await run(...now, '--previous-values', at('old.yaml')), kept, 'from values to others')
  t.match(readFileSync(at('a.yaml'), 'utf8'), 'proxyv2:8\n')
  t.match(readFileSync(at('a.yaml'), 'utf8'), 'memory: 3Gi')
  await t.rejects(run('--previous-mesh', at('none')), { message: /none: got "ENOENT/ })
})
