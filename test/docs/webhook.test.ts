/** The guide for running the webhook: its commands and overlays do what the page says. */
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import t, { type Test } from 'tap'
import {
  controlPlaneUnavailable,
  startControlPlane,
  type ControlPlane,
} from '../e2e/control-plane.ts'
import { deploy, only, render } from '../e2e/manifests.ts'
import { at, listAt, textAt } from '../e2e/objects.ts'
import { makeThrowaway } from '../../webhook/tls/authority.ts'
import { need } from '../require.ts'
import { blocksOf, wordsOf } from './page.ts'

const root = join(import.meta.dirname, '../..')
const page = readFileSync(join(root, 'docs/guides/webhook.md'), 'utf8')

const blocks = blocksOf(join(root, 'docs/guides/webhook.md'))
const commands = blocks
  .filter(({ info }) => info === 'sh')
  .flatMap(({ line, text }) =>
    text
      .trimEnd()
      .split('\n')
      .map((command, index) => ({ line: line + 1 + index, command })),
  )
const overlays = blocks.filter(({ info }) => info === 'yaml overlay')

t.test('the page has commands and overlays, and says which commands need nodes', async (t) => {
  const kinds = [...new Set(blocks.map(({ info }) => info))].sort()
  t.strictSame(kinds, ['sh', 'sh in a cluster with nodes', 'yaml overlay'], 'and nothing else')
})

t.test('every file that the page names is there', async (t) => {
  for (const [, name = ''] of page.matchAll(/\| `([a-z-]+)` \|$/gm)) {
    const places = ['e2e', 'webhook'].map((room) => join(root, 'test', room, `${name}.test.ts`))
    t.ok(
      places.some((file) => existsSync(file)),
      `a test called ${name}`,
    )
  }
  for (const [, name = ''] of page.matchAll(/component `([a-z-]+)`/g)) {
    readFileSync(join(deploy, 'components', name, 'kustomization.yaml'))
  }
})

t.test('the page against an API server', need(controlPlaneUnavailable()), async (t) => {
  const controlPlane = await startControlPlane({ controllers: [] })
  t.teardown(() => controlPlane.stop())
  const mine = await writeOverlay(controlPlane, 'mine', overlays[0]?.text ?? '')
  for (const name of ['istio-system', 'shop']) {
    await controlPlane.kubectl(['create', 'namespace', name])
  }
  // The leader makes it, which does not run here.
  await controlPlane.kubectl(['create', 'namespace', 'sidecar-injector'])
  const secret = ['-n', 'sidecar-injector', 'create', 'secret', 'generic', 'sidecar-injector-ca']
  await controlPlane.kubectl(secret)
  for (const { line, command } of commands) {
    if (isChanging(line)) continue
    await t.test(`line ${line}: ${command}`, (t) => run(t, controlPlane, command, mine))
    if (command !== 'kubectl apply -k deploy/mine') continue
    await t.test('another apply leaves the written caBundle alone', async (t) => {
      const { ca } = await makeThrowaway(['localhost'], new Date())
      const value = Buffer.from(ca).toString('base64')
      const patch = [{ op: 'add', path: '/webhooks/0/clientConfig/caBundle', value }]
      const type = 'application/json-patch+json'
      await controlPlane.request('PATCH', registration(), patch, type)
      await run(t, controlPlane, command, mine)
      const { body } = await controlPlane.request('GET', registration())
      t.equal(textAt(listAt(body, 'webhooks')[0], 'clientConfig', 'caBundle'), value)
    })
  }
  await t.test('from one way of the certificate to another', (t) => change(t, controlPlane))
  for (const { line, text } of overlays) {
    await t.test(`line ${line}: the overlay`, (t) => overlay(t, controlPlane, line, text))
  }
})

/** Whether a line stands where the page says how another way of the certificate is taken. */
function isChanging(line: number): boolean {
  const before = page.split('\n').slice(0, line)
  return before.findLast((one) => one.startsWith('#')) === '### Changing the way'
}

/** The page's blocks with the overlay as the page has it changed before each; and what stands after it. */
async function change(t: Test, controlPlane: ControlPlane): Promise<void> {
  const steps = [
    { components: ['policy-deny'], files: false, sends: false },
    { components: ['policy-deny', 'certificate-files'], files: true, sends: false },
    { components: ['policy-deny', 'certificate-files'], files: true, sends: true },
  ]
  const found = blocks.filter(({ info, line }) => info === 'sh' && isChanging(line))
  t.equal(found.length, steps.length)
  const policies = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings'
  for (const [index, { components, files, sends }] of steps.entries()) {
    const named = components.map((name) => `- ../components/${name}\n`).join('')
    const text = `${overlays[0]?.text ?? ''}components:\n${named}`
    const mine = await writeOverlay(controlPlane, `change-${index}`, text)
    for (const command of (found[index]?.text ?? '').trimEnd().split('\n')) {
      await run(t, controlPlane, command, mine)
    }
    const { status } = await controlPlane.request('GET', registration())
    t.equal(status, sends ? 200 : 404, `step ${index}: whether pods are sent`)
    const binding = await controlPlane.request('GET', `${policies}/sidecar-injector`)
    t.strictSame(listAt(binding.body, 'spec', 'validationActions'), ['Deny'])
    const path = '/apis/apps/v1/namespaces/sidecar-injector/deployments/sidecar-injector'
    const { body } = await controlPlane.request('GET', path)
    const [container] = listAt(body, 'spec', 'template', 'spec', 'containers')
    const isFiles = listAt(container, 'args').some((arg) => String(arg).startsWith('--ca-file='))
    t.equal(isFiles, files, `step ${index}: the way`)
  }
}

/** What a command must have done. */
const effects: readonly {
  readonly after: RegExp
  readonly path: string
  readonly status: 200 | 404
}[] = [
  { after: / -l /, path: registration(), status: 404 },
  { after: / -k deploy\/mine$/, path: registration(), status: 200 },
  { after: / delete mutating/, path: registration(), status: 404 },
  { after: / -k deploy\/ignore$/, path: registration(), status: 200 },
]

async function run(t: Test, controlPlane: ControlPlane, command: string, mine: string) {
  const [program, ...args] = wordsOf(command).map((word) => (word === 'deploy/mine' ? mine : word))
  t.equal(program, 'kubectl')
  const absolute = args.map((word) => (word.startsWith('deploy/') ? join(root, word) : word))
  const { exitCode, stderr } = await controlPlane.kubectl(absolute)
  // Whoever made the namespace before did not apply it.
  const said = stderr.replace(/^Warning: resource namespaces\/.* missing the .*\n?/gm, '')
  t.strictSame({ exitCode, said }, { exitCode: 0, said: '' })
  for (const { after, path, status } of effects.filter(({ after }) => after.test(command))) {
    t.equal((await controlPlane.request('GET', path)).status, status, `${String(after)}: ${path}`)
  }
}

/** Renders, and shows that its patches reached what they name. */
async function overlay(t: Test, controlPlane: ControlPlane, line: number, text: string) {
  const objects = await render(controlPlane, await writeOverlay(controlPlane, `line-${line}`, text))
  const shown = JSON.stringify(objects)
  for (const [, value = ''] of text.matchAll(
    /(?:newName|mesh\.example\.com\/\w+): "?([^"\s]+)"?$/gm,
  )) {
    t.match(shown, value)
  }
  if (text.includes('isNever')) {
    const variables = at(only(objects, 'ValidatingAdmissionPolicy'), 'spec', 'variables')
    t.match(JSON.stringify(variables), '"name":"isNever"')
    t.match(JSON.stringify(variables), 'batch')
  }
  t.equal(textAt(only(objects, 'Deployment'), 'metadata', 'namespace'), 'sidecar-injector')
}

/** Writes the overlay beside copies of nothing: its paths are made to lead into deploy/. */
async function writeOverlay(
  { processes }: ControlPlane,
  name: string,
  text: string,
): Promise<string> {
  const file = join(processes.folder, 'guide', name, 'kustomization.yaml')
  await mkdir(dirname(file), { recursive: true })
  const way = relative(dirname(file), deploy)
  await writeFile(file, text.replaceAll(/^- \.\.\//gm, `- ${way}/`))
  return dirname(file)
}

function registration(): string {
  return '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/sidecar-injector'
}
