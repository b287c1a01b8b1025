/**
 * The guide for upgrading: its commands for a cluster are run in their order, and who takes whose pods is checked, and
 * that the user's own values are still there.
 */
import { join } from 'node:path'
import t from 'tap'
import { REGISTRATIONS } from '../../cluster/registrations.ts'
import { judgeGates } from '../../core/gates/judge.ts'
import { readWebhooks } from '../../core/gates/read-webhooks.ts'
import { mapAt } from '../../cluster/members.ts'
import { isObject } from '../../core/json.ts'
import { runLine } from '../e2e/chart.ts'
import { startControlPlane, toolsUnavailable, type ControlPlane } from '../e2e/control-plane.ts'
import { at, createNamespace, listAt, messageOf } from '../e2e/objects.ts'
import { need } from '../require.ts'
import { lostOf, writeMine } from './mine.ts'
import { blocksOf } from './page.ts'

const root = join(import.meta.dirname, '../..')
const TOOLS = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kubectl', 'helm']

/** Which revision takes the pods of `shop`, `pay` and `enabled` after each block of the page. */
const wanted = [
  ['default', 'default', 'default'],
  ['canary', 'default', 'default'],
  ['default', 'default', 'default'],
  ['default', 'default', 'default'],
  ['default', 'canary', 'default'],
  ['canary', 'canary', 'canary'],
  ['default', 'default', 'default'],
  ['default', 'default', 'default'],
]

t.test('the page', need(toolsUnavailable(TOOLS)), async (t) => {
  const blocks = blocksOf(join(root, 'docs/guides/upgrading.md')).filter(
    ({ info }) => info === 'sh cluster',
  )
  t.equal(blocks.length, wanted.length)
  const controlPlane = await startControlPlane({ controllers: ['serviceaccount-controller'] })
  t.teardown(() => controlPlane.stop())
  await writeMine(controlPlane)
  await createNamespace(controlPlane, 'istio-system')
  for (const name of NAMESPACES) {
    await createNamespace(controlPlane, name, { 'istio-injection': 'enabled' })
  }
  for (const [index, { line, text }] of blocks.entries()) {
    for (const command of text.trimEnd().split('\n')) {
      const { exitCode, stderr } = await runLine(controlPlane, command)
      t.equal(exitCode, 0, `${line}: ${command}: ${stderr}`)
    }
    t.strictSame(await takers(controlPlane), wanted[index], `line ${line}`)
    t.strictSame(await lostOf(controlPlane), [], `line ${line}: what mine.yaml says`)
  }
  await t.test('a release needs nothing of another: its pods outlive that one', async (t) => {
    const [canary = ''] = blocks[0]?.text.match(/^helm install injector-canary .*$/m) ?? []
    const away = 'helm uninstall injector --namespace sidecar-injector'
    for (const command of [canary, away]) {
      const { exitCode, stderr } = await runLine(controlPlane, command)
      t.equal(exitCode, 0, `${command}: ${stderr}`)
    }
    const where = 'namespaces/sidecar-injector'
    const path = `/apis/apps/v1/${where}/deployments/sidecar-injector-canary`
    const { body: deployment } = await controlPlane.request('GET', path)
    const { status, body } = await controlPlane.request('POST', `/api/v1/${where}/pods`, {
      metadata: { name: 'canary' },
      spec: at(deployment, 'spec', 'template', 'spec'),
    })
    t.equal(status, 201, messageOf(body))
  })
})

const NAMESPACES = ['shop', 'pay', 'enabled']

/** The revision of the only entry that takes a pod, by the selectors that the API server has. */
async function takers({ request }: ControlPlane): Promise<readonly string[]> {
  const { body } = await request('GET', REGISTRATIONS)
  const items = listAt(body, 'items').filter(isObject)
  const entries = readWebhooks(
    items.map((item) => ({ ...item, kind: 'MutatingWebhookConfiguration' })),
  )
  if (!entries.ok) throw new Error('webhooks cannot be read')
  const found: string[] = []
  for (const namespace of NAMESPACES) {
    const { body: object } = await request('GET', `/api/v1/namespaces/${namespace}`)
    const namespaceLabels = isObject(object) ? mapAt(object, 'labels') : {}
    const facts = { namespace, namespaceLabels, podLabels: {}, pod: {} }
    const revisions = judgeGates(entries.value, facts).takers.map(
      ({ entry }) => entry.configuration.labels['sidecar-injector.io/rev'] ?? '',
    )
    found.push(revisions.join(' and '))
  }
  return found
}
