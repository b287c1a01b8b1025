/** `preview` on manifests: what is told, in which form, with which exit status. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { previewCommand } from '../../preview/command.ts'
import { run } from './run.ts'

const deployment = (name: string, labels = '{}', annotations = '{}'): string => `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}, namespace: shop}
spec:
  template:
    metadata: {labels: ${labels}, annotations: ${annotations}}
    spec:
      containers:
      - {name: app, image: app}
`
const NEVER = '{legacy: "yes"}'
const PORT = '{traffic.sidecar.istio.io/excludeInboundPorts: http}'

const NEW_HUB = 'global: {hub: example.com/new}\n'
const NEW_POLICY = `neverInjectSelector: [{matchLabels: ${NEVER.replaceAll('"', "'")}}]\n`

function folderOf(t: Test, manifests: string): { at: (name: string) => string; dir: string } {
  const dir = t.testdir({
    'apps.yaml': manifests,
    'hub.yaml': NEW_HUB,
    'policy.yaml': NEW_POLICY,
    'off.yaml': 'policy: disabled\n',
    'broken.yaml': 'templates: {sidecar: "{{json nothing}}"}\n',
  })
  return { at: (name) => join(dir, name), dir }
}

t.test(
  'workloads with the same change are told once, those that lose injection apart',
  async (t) => {
    const many = ['a', 'b', 'c'].map((name) => deployment(name)).join('')
    const { at } = folderOf(t, `${many}${deployment('old', NEVER)}`)
    const news = ['--new-valuesFile', at('hub.yaml'), '--new-injectConfigFile', at('policy.yaml')]
    const { out, says, status } = await run('-f', at('apps.yaml'), ...news)
    t.equal(says, '')
    t.equal(status, 0)
    const [loses, changes, ...rest] = out.split('\n\n')
    t.match(
      loses,
      /^1 workload loses injection:\n {2}a selector of neverInjectSelector takes the pod\n/,
    )
    t.match(loses, /\n {2}- \/spec\/containers\/istio-proxy: .*\n[^]*\n {4}Deployment shop\/old$/)
    t.equal(
      changes,
      [
        '3 workloads change:',
        '  ~ /spec/containers/istio-proxy/image: "docker.io/istio/proxyv2:1.30.3" → "example.com/new/proxyv2:1.30.3"',
        '  ~ /spec/initContainers/istio-init/image: "docker.io/istio/proxyv2:1.30.3" → "example.com/new/proxyv2:1.30.3"',
        '    Deployment shop/a, Deployment shop/b, Deployment shop/c',
      ].join('\n'),
    )
    t.strictSame(rest, ['4 workloads: 1 loses injection, 3 change\n'])
    t.equal((await run('-f', at('apps.yaml'), ...news, '--exit-code')).status, 1)
    const asFiles = await run('-f', at('apps.yaml'), ...news, '--as', 'kube-inject')
    t.match(asFiles.out, /4 workloads: 4 change/, 'kube-inject asks no selectors')
  },
)

t.test('pods that would be refused come first, with the reason', async (t) => {
  const { at } = folderOf(t, deployment('a') + deployment('bad', '{}', PORT))
  const off = ['--injectConfigFile', at('off.yaml')]
  const { out } = await run(
    '-f',
    at('apps.yaml'),
    ...off,
    '--new-injectConfigFile',
    at('policy.yaml'),
  )
  t.match(
    out,
    /^1 workload would be refused:\n {2}traffic\.sidecar\.istio\.io\/excludeInboundPorts: got "http", want .*\n {4}Deployment shop\/bad\n\n1 workload gains injection:\n/,
  )
  const still = await run('-f', at('apps.yaml'), '--new-valuesFile', at('hub.yaml'))
  t.match(still.out, '2 workloads: 1 changes, 1 is refused as before')
})

t.test('JSON holds every workload', async (t) => {
  const { at } = folderOf(t, deployment('a') + deployment('bad', '{}', PORT))
  const args = ['-f', at('apps.yaml'), '--new-valuesFile', at('hub.yaml'), '--output', 'json']
  const { out, status } = await run(...args, '--exit-code')
  t.equal(status, 1)
  const { workloads, summary } = JSON.parse(out)
  t.match(workloads, [
    {
      kind: 'Deployment',
      namespace: 'shop',
      name: 'a',
      effect: 'changes',
      fields: [
        {
          kind: 'changed',
          path: '/spec/containers/istio-proxy/image',
          before: 'docker.io/istio/proxyv2:1.30.3',
          after: 'example.com/new/proxyv2:1.30.3',
        },
        {},
      ],
    },
    { name: 'bad', effect: 'still-refused', problems: [{ got: 'http' }] },
  ])
  t.match(summary, { changes: 1, 'still-refused': 1, same: 0, unsent: 0 })
  const none = await run('-f', at('hub.yaml'), '--new-istio-version', '1.8', '--output', 'json')
  t.strictSame(JSON.parse(none.out).workloads, [], 'without any workload it is JSON too')
})

t.test('a diff is one that git takes, and makes the new pod of the old one', async (t) => {
  const { at, dir } = folderOf(t, deployment('a') + deployment('old', NEVER))
  const common = ['-f', at('apps.yaml'), '--new-injectConfigFile', at('policy.yaml')]
  const news = [...common, '--new-valuesFile', at('hub.yaml'), '--diff']
  const { out, says } = await run(...news)
  t.match(out, /^--- a\/shop\/Deployment\/a\.yaml\n\+\+\+ b\/shop\/Deployment\/a\.yaml\n@@/m)
  t.match(out, /^-\s+image: docker\.io\/istio\/proxyv2:1\.30\.3\n\+\s+image: example\.com\/new/m)
  t.match(out, /^-- name: istio-proxy\n|^-\s+- name: istio-proxy\n/m, 'the loss is there too')
  t.match(says, /^2 workloads: 1 loses injection, 1 changes\n$/)
  const stat = execFileSync('git', ['apply', '--numstat', '-'], { cwd: dir, input: out }).toString()
  t.match(stat, /shop\/Deployment\/a\.yaml\n.*shop\/Deployment\/old\.yaml\n$/)
})

t.test('what changes nothing', async (t) => {
  const { at } = folderOf(t, `${deployment('a')}---\nkind: ConfigMap\napiVersion: v1\n---\n`)
  const { out, status } = await run(
    ...['-f', at('apps.yaml'), '--new-istio-version', 'current', '--exit-code'],
  )
  t.strictSame({ out, status }, { out: '1 workload: 1 stays as it is\n', status: 0 })
})

t.test('native sidecars are one flag', async (t) => {
  const { at } = folderOf(t, deployment('a'))
  const { out } = await run('-f', at('apps.yaml'), '--new-native-sidecars', 'true')
  t.match(out, /- \/spec\/containers\/istio-proxy: /)
  t.match(out, /\+ \/spec\/initContainers\/istio-proxy: /)
})

t.test('a name in a manifest does not steer the terminal', async (t) => {
  const { at } = folderOf(t, deployment('"\\e[31mred"'))
  const { out } = await run('-f', at('apps.yaml'), '--new-valuesFile', at('hub.yaml'))
  t.match(out, 'Deployment shop/\\u001b[31mred')
  t.notMatch(out, '\u001b')
})

t.test('what cannot be told exits with 2', async (t) => {
  const { at } = folderOf(t, `${deployment('a')}---\na: b: c\n`)
  const fine = ['-f', at('hub.yaml'), '--new-valuesFile', at('hub.yaml')]
  const cases = [
    {
      argv: ['-f', at('apps.yaml'), '--new-valuesFile', at('hub.yaml')],
      says: /apps\.yaml:\d+:\d+/,
    },
    { argv: ['-f', at('none'), '--new-istio-version', '1.8'], says: /none: got "ENOENT/ },
    {
      argv: ['-f', at('hub.yaml'), '--new-injectConfigFile', at('broken.yaml')],
      says: /template sidecar/,
    },
    { argv: ['-f', at('hub.yaml')], says: /nothing is new/ },
    { argv: ['--new-istio-version', '1.8'], says: /either --filename or --live/ },
    { argv: [...fine, '--live'], says: /either --filename or --live/ },
    { argv: [...fine, '-A'], says: /--all-namespaces is of --live/ },
    {
      argv: [...fine, '--context', 'x'],
      says: /--context are of --live and --config-from-cluster/,
    },
    { argv: [...fine, '-i', 'x'], says: /--istioNamespace are of --config-from-cluster/ },
    { argv: [...fine, '--diff', '--output', 'json'], says: /either --diff or --output json/ },
    { argv: [...fine, '-f', '-', '-f', '-'], says: /only once/ },
    { argv: [...fine, '--as', 'x'], says: /Allowed choices/ },
  ]
  for (const { argv, says } of cases) {
    const ran = await run(...argv)
    t.equal(ran.status, 2, argv.join(' '))
    t.match(ran.says, says)
    t.equal(ran.out, '', 'nothing half is printed')
  }
})

t.test('the reference page has every flag, and no other', async (t) => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/reference/preview.md'), 'utf8')
  const [, table = ''] = /^## Flags\n([^]*?)\n## /m.exec(page) ?? []
  const named = [...table.matchAll(/^\| (.+?) \|/gm)].flatMap(([, cell = '']) => {
    return [...cell.replaceAll('\\|', '|').matchAll(/`(--?[A-Za-z-]+)/g)].map(([, flag]) => flag)
  })
  const known = previewCommand().options.flatMap(({ short, long }) => [short, long])
  t.strictSame(named.toSorted(), known.filter((flag) => flag !== undefined).toSorted())
})
