import { execa } from 'execa'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { parseAllDocuments } from 'yaml'
import { isArray, isObject } from '../../core/json.ts'
import { need } from '../require.ts'
import { controlPlaneUnavailable, startControlPlane, type ControlPlane } from './control-plane.ts'
import { until } from './until.ts'
import { registration, startWebhook } from './webhook-process.ts'

const root = join(import.meta.dirname, '../..')
const program = join(root, 'dist/cli/main.js')
const fixtures = join(root, 'test/fixtures/pods')

const MESHED = 'meshed'
const PLAIN = 'plain'

const leftAlone = { containers: ['app'], hasStatus: false }

const cases = [
  {
    who: 'a Pod of its own is injected',
    namespace: MESHED,
    pod: pod('ordinary'),
    want: { containers: ['app', 'istio-init', 'istio-proxy'], hasStatus: true },
  },
  {
    who: 'a namespace without the label is left alone',
    namespace: PLAIN,
    pod: pod('ordinary'),
    want: leftAlone,
  },
  {
    who: 'a Pod with the label inject=false is left alone',
    namespace: MESHED,
    pod: pod('label', { labels: { 'sidecar.istio.io/inject': 'false' } }),
    want: leftAlone,
  },
  {
    who: 'a Pod with the annotation inject=false is left alone',
    namespace: MESHED,
    pod: pod('annotation', { annotations: { 'sidecar.istio.io/inject': 'false' } }),
    want: leftAlone,
  },
  {
    who: 'a Pod in the network of its node is left alone',
    namespace: MESHED,
    pod: pod('host-network', {}, { hostNetwork: true }),
    want: leftAlone,
  },
] as const

t.test('a real API server and the webhook', need(controlPlaneUnavailable()), async (t) => {
  const controlPlane = await startControlPlane()
  t.teardown(() => controlPlane.stop())
  await createNamespace(controlPlane, MESHED, { 'istio-injection': 'enabled' })
  await createNamespace(controlPlane, PLAIN, {})
  const webhook = await startWebhook(controlPlane)
  await create(
    controlPlane,
    '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations',
    registration(webhook),
  )
  await until('the API server to know the webhook', async () => {
    const answer = await postPod(controlPlane, MESHED, pod('first'), 'dryRun=All')
    return shapeOf(answer.body).containers.includes('istio-proxy') ? true : undefined
  })

  await t.test('every Pod of a Deployment is injected', async (t) => {
    const path = `/apis/apps/v1/namespaces/${MESHED}/deployments`
    await create(controlPlane, path, deployment('nginx', 'nginx:1.29', 3))
    const pods = await podsOf(controlPlane, 'nginx', 3)
    const injected = { containers: ['app', 'istio-init', 'istio-proxy'], hasStatus: true }
    t.strictSame(pods.map(shapeOf), [injected, injected, injected])
  })

  await t.test('Pods from a stencil are the Pods of an injection', async (t) => {
    const path = `/apis/apps/v1/namespaces/${MESHED}/deployments`
    // The first that came was injected by itself: there was nothing else yet.
    const [first] = await podsOf(controlPlane, 'nginx', 3)
    const want = likeNginx(first, 'nginx', 'nginx:1.29')
    for (const [name, image] of [
      ['cart', 'redis:8.2'],
      ['shop', 'registry.example:5000/shop@sha256:0123'],
    ] as const) {
      await create(controlPlane, path, deployment(name, image, 40))
      for (const pod of await podsOf(controlPlane, name, 40)) {
        t.equal(likeNginx(pod, name, image), want, name)
      }
    }
    const answers = await stencilAnswers(webhook.monitoringPort)
    t.ok(answers >= 20, `${answers} of 80 Pods came from a stencil`)

    // Another ReplicaSet each, and another second: nothing of that makes another shape.
    const names = ['basil', 'fennel', 'oregano', 'saffron', 'thyme']
    for (const name of names) {
      await create(controlPlane, path, deployment(name, `registry.example/${name}:1`, 4))
      for (const pod of await podsOf(controlPlane, name, 4)) {
        t.equal(likeNginx(pod, name, `registry.example/${name}:1`), want, name)
      }
      await sleep(1000)
    }
    const more = (await stencilAnswers(webhook.monitoringPort)) - answers
    t.ok(more >= 0.9 * 4 * names.length, `${more} of 20 Pods, a second apart, came from a stencil`)
  })

  for (const c of cases) {
    await t.test(c.who, async (t) => {
      const { status, body } = await postPod(controlPlane, c.namespace, c.pod)
      t.strictSame({ status, ...shapeOf(body) }, { status: 201, ...c.want }, messageOf(body))
    })
  }

  await t.test('a Pod that asks for the impossible is refused with the reason', async (t) => {
    const key = 'traffic.sidecar.istio.io/excludeInboundPorts'
    const { body } = await postPod(
      controlPlane,
      MESHED,
      pod('odd', { annotations: { [key]: 'x' } }),
    )
    t.match(body, { kind: 'Status', status: 'Failure' })
    t.match(messageOf(body), key)
  })

  await t.test('what kube-inject prints is accepted without unknown fields', async (t) => {
    const files = (await readdir(fixtures)).filter((name) => name.endsWith('.yaml'))
    const manifests = files.flatMap((name) => ['-f', join(fixtures, name)])
    const args = [program, 'kube-inject', ...manifests]
    const { stdout } = await execa(process.execPath, args, { extendEnv: false })
    t.match(stdout, 'istio-proxy')
    for (const { object, text } of documentsOf(stdout)) {
      const name = `${textAt(object, 'kind')} ${textAt(object, 'metadata', 'name')}`
      await t.test(name, async (t) => {
        await createWhatItNames(controlPlane, object)
        const path = `${collectionOf(object)}?dryRun=All&fieldValidation=Strict`
        const { status, body } = await controlPlane.request('POST', path, text, 'application/yaml')
        t.equal(status, 201, messageOf(body))
      })
    }
  })

  await t.test('without the webhook no Pod gets past failurePolicy Fail', async (t) => {
    await controlPlane.processes.end('webhook')
    const refused = await postPod(controlPlane, MESHED, pod('orphan'))
    t.equal(refused.status, 500)
    t.match(messageOf(refused.body), 'failed calling webhook "test.sidecar-injector.io"')
    const other = await postPod(controlPlane, PLAIN, pod('not-concerned'))
    t.equal(other.status, 201, 'other namespaces go on')
  })
})

/** How many Pods came from a stencil so far; none of them differed from an injected one. */
async function stencilAnswers(monitoringPort: number): Promise<number> {
  const page = await (await fetch(`http://127.0.0.1:${monitoringPort}/metrics`)).text()
  t.match(page, /^sidecar_injector_stencils_closed 0$/m)
  return Number(/^sidecar_injector_stencil_answers_total (\d+)$/m.exec(page)?.[1])
}

/** The Pods of a Deployment, once there are as many as it wants. */
async function podsOf(
  { request }: ControlPlane,
  app: string,
  count: number,
): Promise<readonly unknown[]> {
  return until(`${count} Pods of ${app}`, async () => {
    const path = `/api/v1/namespaces/${MESHED}/pods?labelSelector=app%3D${app}`
    const items = at((await request('GET', path)).body, 'items')
    return isArray(items) && items.length === count ? items : undefined
  })
}

/** A Pod as text, with its own names in place of what differs between Pods and between Deployments. */
function likeNginx(pod: unknown, name: string, image: string): string {
  const hash = textAt(pod, 'metadata', 'labels', 'pod-template-hash')
  const annotations = at(pod, 'metadata', 'annotations')
  const labels = at(pod, 'metadata', 'labels')
  return JSON.stringify({ annotations, labels, spec: at(pod, 'spec') }, undefined, 1)
    .replaceAll(image, 'IMAGE')
    .replaceAll(hash, 'HASH')
    .replaceAll(name, 'NAME')
    .replaceAll(/kube-api-access-[a-z0-9]{5}/g, 'TOKEN')
}

function deployment(name: string, image: string, replicas: number): unknown {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      replicas,
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: {
          containers: [{ name: 'app', image, ports: [{ containerPort: 80 }] }],
        },
      },
    },
  }
}

function pod(name: string, metadata: object = {}, spec: object = {}): unknown {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, ...metadata },
    spec: { containers: [{ name: 'app', image: 'nginx:1.29' }], ...spec },
  }
}

function postPod({ request }: ControlPlane, namespace: string, pod: unknown, query = '') {
  return request(
    'POST',
    `/api/v1/namespaces/${namespace}/pods?fieldValidation=Strict&${query}`,
    pod,
  )
}

async function create({ request }: ControlPlane, path: string, object: unknown): Promise<void> {
  const { status, body } = await request('POST', `${path}?fieldValidation=Strict`, object)
  if (status !== 201) throw new Error(`${path}: got ${status} ${messageOf(body)}, want 201`)
}

/** Creates a namespace and waits for the ServiceAccount that Pods need. */
async function createNamespace(
  controlPlane: ControlPlane,
  name: string,
  labels: Readonly<Record<string, string>>,
): Promise<void> {
  await create(controlPlane, '/api/v1/namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels },
  })
  await until(`ServiceAccount of ${name}`, async () => {
    const path = `/api/v1/namespaces/${name}/serviceaccounts/default`
    return (await controlPlane.request('GET', path)).status === 200 ? true : undefined
  })
}

type Document = { readonly object: unknown; readonly text: string }

/** The documents of a manifest, each with its own text: it is the text that the API server judges. */
function documentsOf(manifest: string): readonly Document[] {
  return parseAllDocuments(manifest).flatMap((document) => {
    const object: unknown = document.toJS()
    const [start, end] = document.range
    return object === null ? [] : [{ object, text: manifest.slice(start, end) }]
  })
}

/** The path under which objects of this kind and namespace are created. */
function collectionOf(object: unknown): string {
  const version = textAt(object, 'apiVersion')
  const root = version.includes('/') ? `/apis/${version}` : `/api/${version}`
  const plural = `${textAt(object, 'kind').toLowerCase()}s`
  return `${root}/namespaces/${namespaceOf(object)}/${plural}`
}

/** Creates the namespace and the ServiceAccount that an object names, unless they exist. */
async function createWhatItNames(controlPlane: ControlPlane, object: unknown): Promise<void> {
  const namespace = namespaceOf(object)
  const path = `/api/v1/namespaces/${namespace}`
  if ((await controlPlane.request('GET', path)).status === 404) {
    await createNamespace(controlPlane, namespace, {})
  }
  const account = textAt(object, 'spec', 'serviceAccountName') || 'default'
  const { status } = await controlPlane.request('GET', `${path}/serviceaccounts/${account}`)
  if (status !== 404) return
  await create(controlPlane, `${path}/serviceaccounts`, {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: account },
  })
}

function namespaceOf(object: unknown): string {
  return textAt(object, 'metadata', 'namespace') || 'default'
}

/** What injection shows of a Pod: all its containers, sorted, and whether the status is there. */
function shapeOf(pod: unknown) {
  const names = ['initContainers', 'containers'].flatMap((field) => {
    const list = at(pod, 'spec', field)
    return isArray(list) ? list.map((container) => textAt(container, 'name')) : []
  })
  const status = at(pod, 'metadata', 'annotations', 'sidecar.istio.io/status')
  return { containers: names.sort(), hasStatus: status !== undefined }
}

/** What the API server says of a refusal. */
function messageOf(body: unknown): string {
  return textAt(body, 'message')
}

/** The member at the end of the path, `undefined` where the path ends early. */
function at(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>((inner, key) => (isObject(inner) ? inner[key] : undefined), value)
}

/** The text at the end of the path, empty where there is none. */
function textAt(value: unknown, ...path: readonly string[]): string {
  const found = at(value, ...path)
  return typeof found === 'string' ? found : ''
}
