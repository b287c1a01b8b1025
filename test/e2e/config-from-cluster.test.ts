/** The configuration in a cluster, followed there with as few rights as suffice: what is bad changes nothing, and is told. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { MERGE_PATCH } from '../../cluster/api.ts'
import { need } from '../require.ts'
import { controlPlaneUnavailable, startControlPlane, type ControlPlane } from './control-plane.ts'
import { at, create, listAt, messageOf, textAt } from './objects.ts'
import { configMap, HOME, startSingle, valuesWith } from './single.ts'
import { until } from './until.ts'

const MAPS = `/api/v1/namespaces/${HOME}/configmaps`
const RBAC = '/apis/rbac.authorization.k8s.io/v1'
const ISTIO = 'istio'
const INJECTOR = 'istio-sidecar-injector'
const PROXY_CONFIGS = '/apis/networking.istio.io/v1beta1/namespaces/shop/proxyconfigs'

const GOOD = { config: 'policy: enabled', values: valuesWith('example.com/one') }

/** Updates that are refused: what readiness, the log and an Event say, and about what. */
const bad: readonly {
  readonly who: string
  readonly name: string
  readonly data: Readonly<Record<string, string | null>> | undefined
  readonly says: string
}[] = [
  {
    who: 'a bad template',
    name: INJECTOR,
    data: { config: 'templates:\n  own: "{{#if pod}}"' },
    says: 'template own:1',
  },
  {
    who: 'a template that breaks on every pod',
    name: INJECTOR,
    data: { config: 'templates:\n  own: "spec: 7"\ndefaultTemplates: [own]' },
    says: 'template own',
  },
  {
    who: 'bad values',
    name: INJECTOR,
    data: { ...GOOD, values: 'global: {hub' },
    says: `ConfigMap ${HOME}/${INJECTOR}, values`,
  },
  {
    who: 'a bad mesh',
    name: ISTIO,
    data: { mesh: 'defaultConfig: {concurrency: many}' },
    says: `ConfigMap ${HOME}/${ISTIO}, mesh`,
  },
  {
    who: 'a deleted key',
    name: INJECTOR,
    data: { values: null },
    says: `ConfigMap ${HOME}/${INJECTOR}: got "keys config", want the key values`,
  },
  {
    who: 'a deleted ConfigMap',
    name: INJECTOR,
    data: undefined,
    says: `ConfigMap ${HOME}/${INJECTOR}: got "nothing", want a ConfigMap of this name`,
  },
]

t.test('the configuration in a cluster', need(controlPlaneUnavailable()), async (t) => {
  const controlPlane = await startControlPlane({ controllers: [] })
  t.teardown(() => controlPlane.stop())
  await create(controlPlane, '/api/v1/namespaces', { metadata: { name: HOME } })
  const webhook = await startSingle(controlPlane, await accountKubeconfig(controlPlane))
  const image = async () =>
    /"image":"([^"]*proxyv2[^"]*)"/.exec((await webhook.inject()).patch)?.[1]
  const untilImage = (wanted: string) =>
    until(
      `the image ${wanted}`,
      async () => ((await image()) === wanted ? true : undefined),
      async () => `${(await webhook.readiness()).text}\n${await webhook.log()}`,
    )

  await t.test('without rights it serves probes and says what it may not', async (t) => {
    const text = await webhook.untilReadiness(503, `configmaps "${ISTIO}" is forbidden`)
    t.match(
      text,
      /^not ready: config: not read yet: ConfigMap .*HTTP 403: configmaps "istio" is forbidden: User "system:serviceaccount:istio-system:sidecar-injector"/,
    )
    t.match(text, /not ready: nodes: not read yet; .*nodes is forbidden/)
    t.match(
      text,
      /not ready: proxyconfigs: not read yet; .*proxyconfigs\.networking\.istio\.io is forbidden/,
    )
    t.equal((await webhook.inject()).status, 503)
    await grant(controlPlane)
  })

  await t.test('without ConfigMaps it waits for them', async (t) => {
    await webhook.untilReadiness(503, `nothing good yet: ConfigMap ${HOME}/${ISTIO}: got "nothing"`)
    t.match(await webhook.log(), '"msg":"refused, there is none yet to serve"')
    await create(controlPlane, MAPS, configMap(ISTIO, { mesh: 'trustDomain: test' }))
    await create(controlPlane, MAPS, configMap(INJECTOR, GOOD))
    const text = await webhook.untilReadiness(200, 'config: read')
    t.match(text, 'ok: nodes: 0 known, sidecars are plain\n')
    t.match(text, 'ok: proxyconfigs: 0 known\n')
    t.equal(await image(), 'example.com/one/proxyv2:1')
  })

  for (const { who, name, data, says } of bad) {
    await t.test(`${who}: the last good one serves, and it is told everywhere`, async (t) => {
      const since = (await webhook.log()).length
      if (data === undefined) await controlPlane.request('DELETE', `${MAPS}/${name}`)
      else await setData(controlPlane, name, data)
      const text = await webhook.untilReadiness(200, 'the newest was refused')
      t.match(text, `ok: config: the last good one serves, the newest was refused: ${says}`)
      t.equal(await image(), 'example.com/one/proxyv2:1')
      t.match(await webhook.metric('sidecar_injector_reload_refused{what="config"}'), / 1$/)
      const line = (await webhook.log())
        .slice(since)
        .split('\n')
        .find((line) => line.includes('refused, the last good one goes on serving'))
      t.match(line, '"level":"error"')
      t.ok(line?.includes(JSON.stringify(says).slice(1, -1)), `${says} in ${line ?? 'no line'}`)
      const event = await untilEvent(controlPlane, 'Warning', says)
      t.match(event, {
        reason: 'ConfigurationRefused',
        regarding: { kind: 'ConfigMap', namespace: HOME, name, uid: /-/ },
      })
      if (data === undefined) await create(controlPlane, MAPS, configMap(INJECTOR, GOOD))
      else await setData(controlPlane, name, name === ISTIO ? { mesh: 'trustDomain: test' } : GOOD)
      await webhook.untilReadiness(200, 'config: read\n')
      t.match(await webhook.metric('sidecar_injector_reload_refused{what="config"}'), / 0$/)
    })
  }

  await t.test('good again is told, and a good change serves', async () => {
    await untilEvent(controlPlane, 'Normal', 'good again')
    await setData(controlPlane, INJECTOR, { values: valuesWith('example.com/two') })
    await untilImage('example.com/two/proxyv2:1')
  })

  await t.test('nodes decide what a proxy is', async (t) => {
    const isNative = async (spec?: object) => {
      return (await webhook.inject(spec)).patch.includes('"restartPolicy":"Always"')
    }
    t.equal(await isNative(), false)
    await createNode(controlPlane, 'new', 'v1.33.2')
    await webhook.untilReadiness(200, 'nodes: 1 known, sidecars are native')
    t.equal(await isNative(), true)
    await createNode(controlPlane, 'old', 'v1.28.5')
    await webhook.untilReadiness(200, 'nodes: 2 known, sidecars are plain')
    t.strictSame([await isNative(), await isNative({ nodeName: 'new' })], [false, true])
  })

  await t.test(
    'ProxyConfig: the CRD comes later, resources count, a bad one does not',
    async (t) => {
      const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
      await create(controlPlane, path, proxyConfigDefinition())
      await until('the CRD', async () => {
        return (await controlPlane.request('GET', PROXY_CONFIGS)).status === 200 ? true : undefined
      })
      await create(controlPlane, '/api/v1/namespaces', { metadata: { name: 'shop' } })
      await create(controlPlane, PROXY_CONFIGS, proxyConfig('three', 3))
      await webhook.untilReadiness(200, 'proxyconfigs: 1 known')
      const isThree = async () => /concurrency[\\":, ]+3\b/.test((await webhook.inject()).patch)
      t.equal(await isThree(), true)
      await patch(controlPlane, `${PROXY_CONFIGS}/three`, { spec: { concurrency: 'many' } })
      const text = await webhook.untilReadiness(200, 'refused, so that each stays as it was')
      t.match(
        text,
        'ok: proxyconfigs: 1 known; refused, so that each stays as it was: ProxyConfig shop/three: ',
      )
      t.match(await webhook.metric('sidecar_injector_reload_refused{what="proxyconfigs"}'), / 1$/)
      const event = await untilEvent(controlPlane, 'Warning', 'ProxyConfig shop/three', 'shop')
      t.match(event, { regarding: { kind: 'ProxyConfig', name: 'three', uid: /-/ } })
    },
  )
})

/** A kubeconfig of a ServiceAccount without any rights. */
async function accountKubeconfig(controlPlane: ControlPlane): Promise<string> {
  const accounts = `/api/v1/namespaces/${HOME}/serviceaccounts`
  await create(controlPlane, accounts, { metadata: { name: 'sidecar-injector' } })
  const { body } = await controlPlane.request('POST', `${accounts}/sidecar-injector/token`, {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: { expirationSeconds: 3600 },
  })
  const path = join(controlPlane.processes.folder, 'kubeconfig-of-account')
  const ca = Buffer.from(controlPlane.caPem).toString('base64')
  const cluster = { server: controlPlane.url, 'certificate-authority-data': ca }
  const config = {
    'current-context': 'test',
    clusters: [{ name: 'test', cluster }],
    users: [{ name: 'webhook', user: { token: textAt(body, 'status', 'token') } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'webhook' } }],
  }
  await writeFile(path, JSON.stringify(config), { mode: 0o600 })
  return path
}

/** The rights that the guide names, and no more. */
async function grant(controlPlane: ControlPlane): Promise<void> {
  const name = 'sidecar-injector'
  const subjects = [{ kind: 'ServiceAccount', name, namespace: HOME }]
  const verbs = ['list', 'watch']
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', name }
  await create(controlPlane, `${RBAC}/namespaces/${HOME}/roles`, {
    metadata: { name },
    rules: [
      { apiGroups: [''], resources: ['configmaps'], resourceNames: [ISTIO, INJECTOR], verbs },
    ],
  })
  await create(controlPlane, `${RBAC}/namespaces/${HOME}/rolebindings`, {
    metadata: { name },
    roleRef: { ...roleRef, kind: 'Role' },
    subjects,
  })
  await create(controlPlane, `${RBAC}/clusterroles`, {
    metadata: { name },
    rules: [
      { apiGroups: [''], resources: ['nodes'], verbs },
      { apiGroups: ['networking.istio.io'], resources: ['proxyconfigs'], verbs },
      { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create', 'patch'] },
    ],
  })
  await create(controlPlane, `${RBAC}/clusterrolebindings`, {
    metadata: { name },
    roleRef: { ...roleRef, kind: 'ClusterRole' },
    subjects,
  })
}

async function setData(
  controlPlane: ControlPlane,
  name: string,
  data: Readonly<Record<string, string | null>>,
): Promise<void> {
  await patch(controlPlane, `${MAPS}/${name}`, { data })
}

async function patch({ request }: ControlPlane, path: string, change: object): Promise<void> {
  const { status, body } = await request('PATCH', path, change, MERGE_PATCH)
  if (status !== 200) throw new Error(`${path}: got ${status} ${messageOf(body)}, want 200`)
}

async function createNode(
  controlPlane: ControlPlane,
  name: string,
  version: string,
): Promise<void> {
  await create(controlPlane, '/api/v1/nodes', { metadata: { name } })
  const status = { nodeInfo: { kubeletVersion: version } }
  await patch(controlPlane, `/api/v1/nodes/${name}/status`, { status })
}

/** Waits for an Event of this type whose note has this in it. */
async function untilEvent(
  { request }: ControlPlane,
  type: string,
  has: string,
  namespace = HOME,
): Promise<unknown> {
  const path = `/apis/events.k8s.io/v1/namespaces/${namespace}/events`
  return until(`a ${type} Event: ${has}`, async () => {
    const items = listAt((await request('GET', path)).body, 'items')
    return items.find((item) => {
      // What was told at the start, before there was such an object, has no uid.
      const isAbout = textAt(item, 'regarding', 'uid') !== ''
      return isAbout && textAt(item, 'note').includes(has) && at(item, 'type') === type
    })
  })
}

/** As loose as can be, so that what is bad gets as far as the webhook. */
function proxyConfigDefinition(): unknown {
  const schema = {
    openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
  }
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'proxyconfigs.networking.istio.io' },
    spec: {
      group: 'networking.istio.io',
      names: { kind: 'ProxyConfig', plural: 'proxyconfigs', singular: 'proxyconfig' },
      scope: 'Namespaced',
      versions: [{ name: 'v1beta1', served: true, storage: true, schema }],
    },
  }
}

function proxyConfig(name: string, concurrency: number): unknown {
  const kind = { apiVersion: 'networking.istio.io/v1beta1', kind: 'ProxyConfig' }
  return { ...kind, metadata: { name, namespace: 'shop' }, spec: { concurrency } }
}
