/** The guide for Helm: its commands are run in their order, and its values render. */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readYaml } from '../../core/yaml.ts'
import { chart, helm, runLine } from '../e2e/chart.ts'
import { startControlPlane, toolsUnavailable, type ControlPlane } from '../e2e/control-plane.ts'
import { create, createNamespace, listAt, textAt } from '../e2e/objects.ts'
import { need } from '../require.ts'
import { lostOf, writeMine } from './mine.ts'
import { blocksOf } from './page.ts'

const root = join(import.meta.dirname, '../..')
const blocks = blocksOf(join(root, 'docs/guides/install.md'))
const TOOLS = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kubectl', 'helm']

t.test('the page', need(toolsUnavailable(TOOLS)), async (t) => {
  t.strictSame(
    [...new Set(blocks.map(({ info }) => info))].sort(),
    ['sh', 'sh in a cluster with nodes', 'sh instead', 'yaml values'],
    'has commands and values, and says which commands need nodes',
  )
  const controlPlane = await startControlPlane()
  t.teardown(() => controlPlane.stop())
  await writeMine(controlPlane)
  await createNamespace(controlPlane, 'istio-system')
  for (const { info, line, text } of blocks) {
    if (info === 'yaml values') await t.test(`line ${line}: values`, (t) => values(t, text))
    if (info === 'sh instead') await startAnew(t, controlPlane)
    if (info !== 'sh' && info !== 'sh instead') continue
    for (const command of text.trimEnd().split('\n')) {
      await t.test(`${line}: ${command}`, (t) => run(t, controlPlane, command))
    }
  }
  await t.test('afterwards pods can be created, and nothing of ours is left', async (t) => {
    const { body } = await controlPlane.request('GET', REGISTRATIONS)
    t.strictSame(listAt(body, 'items'), [])
    const spec = { containers: [{ name: 'app', image: 'nginx' }] }
    const pod = await create(controlPlane, '/api/v1/namespaces/shop/pods', {
      metadata: { name: 'after' },
      spec,
    })
    t.equal(listAt(pod, 'spec', 'containers').length, 1)
  })
})

const REGISTRATIONS = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations'

/** The registrations that must be there after a command; all others change none. */
const effects: readonly { readonly after: RegExp; readonly left: readonly string[] }[] = [
  { after: /^helm install injector .* -f mine\.yaml$/, left: ['sidecar-injector'] },
  { after: /^helm install injector .* webhook\.enabled=false$/, left: [] },
  { after: /^helm upgrade injector .* -f mine\.yaml$/, left: ['sidecar-injector'] },
  {
    after: /^helm install injector-canary /,
    left: ['sidecar-injector', 'sidecar-injector-canary'],
  },
  { after: /^kubectl delete mutating/, left: [] },
]

/** What follows is for a cluster that has no release yet. */
async function startAnew(t: Test, controlPlane: ControlPlane): Promise<void> {
  const away = 'helm uninstall injector --namespace sidecar-injector --wait'
  const { exitCode, stderr } = await runLine(controlPlane, away)
  t.equal(exitCode, 0, stderr)
}

async function run(t: Test, controlPlane: ControlPlane, command: string): Promise<void> {
  const { exitCode, stderr } = await runLine(controlPlane, command)
  t.equal(exitCode, 0, stderr)
  t.strictSame(await lostOf(controlPlane), [], 'what mine.yaml says')
  for (const { left } of effects.filter(({ after }) => after.test(command))) {
    const { body } = await controlPlane.request('GET', REGISTRATIONS)
    t.strictSame(
      listAt(body, 'items')
        .map((one) => textAt(one, 'metadata', 'name'))
        .sort(),
      left,
    )
  }
}

/** Each block renders by itself, and what it sets is in what comes out. */
async function values(t: Test, text: string): Promise<void> {
  const read = readYaml('values', text)
  t.ok(read.ok)
  const where = ['--namespace', 'sidecar-injector', '--kube-version', '1.36.3']
  const { exitCode, stdout, stderr } = await helm(
    ['template', 'x', chart, ...where, '--values', '-'],
    text,
  )
  t.equal(exitCode, 0, stderr)
  for (const [, value = ''] of text.matchAll(/(?:hub|repository|digest|image|name): (\S+)$/gm)) {
    t.ok(stdout.includes(value), value)
  }
  if (text.includes('monitoring:')) {
    for (const kind of ['PodMonitor', 'PrometheusRule']) t.match(stdout, `kind: ${kind}`)
  }
  if (text.startsWith('cni:')) t.match(stdout, '/home/kubernetes/bin')
  if (text.includes('pilot:')) t.match(stdout, /^ +pilot:\n +cni:\n +enabled: true$/m)
}
