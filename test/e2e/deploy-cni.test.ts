/** The manifests of deploy/cni, judged by a real API server and by the programs that they start. */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { Registry } from 'prom-client'
import t, { type Test } from 'tap'
import { makeApi, type Api } from '../../cluster/api.ts'
import { connect } from '../../cluster/connect.ts'
import { decideFarewell } from '../../cni-plugin/install/farewell.ts'
import { makeKubeconfigs } from '../../cni-plugin/install/kubeconfig.ts'
import { PLATFORMS } from '../../cni-plugin/install/platform.ts'
import { readSettings, type Settings } from '../../cni-plugin/install/settings.ts'
import { SETTINGS } from '../../cni-plugin/install/table.ts'
import { runRepair } from '../../cni-plugin/repair/repair.ts'
import {
  readRepairSettings,
  REPAIR_SETTINGS,
  type RepairSettings,
} from '../../cni-plugin/repair/settings.ts'
import type { JsonObject } from '../../core/json.ts'
import { formatProblem } from '../../core/problem.ts'
import { printYaml } from '../../core/yaml.ts'
import { need } from '../require.ts'
import { grantsOf, makeAudit, type Audit } from './account.ts'
import { controlPlaneUnavailable, startControlPlane, type ControlPlane } from './control-plane.ts'
import { apply, applyQuietly, deploy, only, render } from './manifests.ts'
import { at, create, createNamespace, listAt, messageOf, textAt } from './objects.ts'
import { until } from './until.ts'

const NAMESPACE = 'sidecar-cni'
const USER = `system:serviceaccount:${NAMESPACE}:sidecar-cni`
const cni = join(deploy, 'cni')

/** Components on deploy/cni/base, and the mode of the repair that they come to. */
const COMPOSED = [
  { components: [], mode: 'off' },
  { components: ['repair-in-place'], mode: 'repair' },
  { components: ['repair-delete'], mode: 'delete' },
  { components: ['repair-label'], mode: 'label' },
  { components: ['pod-source-api', 'repair-delete'], mode: 'delete' },
  { components: ['platform-gke', 'repair-label'], mode: 'label' },
] as const

type Preset = {
  readonly who: string
  readonly objects: readonly JsonObject[]
  readonly mode: string
}

t.test('deploy/cni', need(controlPlaneUnavailable()), async (t) => {
  const audit = await makeAudit(USER)
  t.teardown(() => rm(audit.folder, { recursive: true, force: true }))
  const controllers = ['serviceaccount-controller', 'namespace-controller']
  const controlPlane = await startControlPlane({ controllers, apiServerArgs: audit.args })
  t.teardown(() => controlPlane.stop())
  const presets = await renderAll(controlPlane)
  const [first] = presets
  await applyQuietly(controlPlane, [only(first?.objects ?? [], 'Namespace')])

  await t.test('taken strictly and without a warning', async (t) => {
    for (const { who, objects } of presets) {
      const said = await apply(controlPlane, objects, '--dry-run=server')
      t.strictSame(said, { exitCode: 0, stderr: '' }, who)
    }
  })
  await t.test('variables are those that the programs read', (t) => variables(t, presets))
  await t.test('directories are those of the platforms', (t) => directories(t, presets))
  await t.test('capabilities and mounts follow the mode', (t) => privileges(t, presets))
  for (const mode of ['label', 'delete'] as const) {
    const preset = presets.find((one) => one.mode === mode && /pod-source|label$/.test(one.who))
    await t.test(`the account may do what mode ${mode} does, and no more`, (t) =>
      rights(t, controlPlane, preset?.objects ?? [], audit),
    )
  }
})

async function renderAll(controlPlane: ControlPlane): Promise<readonly Preset[]> {
  const presets: Preset[] = []
  for (const { components, mode } of COMPOSED) {
    const who = ['base', ...components].join(', ')
    const folder = join(controlPlane.processes.folder, 'overlays', who.replaceAll(/\W+/g, '-'))
    await mkdir(folder, { recursive: true })
    const overlay = {
      apiVersion: 'kustomize.config.k8s.io/v1beta1',
      kind: 'Kustomization',
      resources: [relative(folder, join(cni, 'base'))],
      components: components.map((name) => relative(folder, join(cni, 'components', name))),
    }
    await writeFile(join(folder, 'kustomization.yaml'), printYaml(overlay))
    presets.push({ who, mode, objects: await render(controlPlane, folder) })
  }
  presets.push({ who: 'the guide', mode: 'label', objects: await renderGuide(controlPlane) })
  for (const folder of [
    '.',
    ...readdirSync(join(cni, 'platforms')).map((name) => `platforms/${name}`),
  ]) {
    const objects = await render(controlPlane, join(cni, folder))
    presets.push({ who: `deploy/cni/${folder}`, mode: 'repair', objects })
  }
  return presets
}

/** The overlay that docs/guides/cni.md shows, as if it lay in a folder of deploy/cni. */
async function renderGuide(controlPlane: ControlPlane): Promise<readonly JsonObject[]> {
  const guide = readFileSync(join(deploy, '../docs/guides/cni.md'), 'utf8')
  const [, overlay = ''] = /```yaml\n(apiVersion: kustomize[^`]*)```/.exec(guide) ?? []
  const folder = join(controlPlane.processes.folder, 'overlays', 'guide')
  await mkdir(folder, { recursive: true })
  const text = overlay.replaceAll('../', `${relative(folder, cni)}/`)
  await writeFile(join(folder, 'kustomization.yaml'), text)
  return render(controlPlane, folder)
}

const podOf = (objects: readonly JsonObject[]): unknown =>
  at(only(objects, 'DaemonSet'), 'spec', 'template', 'spec')
const containerOf = (objects: readonly JsonObject[]): unknown =>
  listAt(podOf(objects), 'containers')[0]

/** The environment that the container starts with. */
function envOf(objects: readonly JsonObject[]): Readonly<Record<string, string>> {
  const container = containerOf(objects)
  const map = only(objects, 'ConfigMap')
  if (
    textAt(listAt(container, 'envFrom')[0], 'configMapRef', 'name') !==
    textAt(map, 'metadata', 'name')
  ) {
    throw new Error('the ConfigMap is not the one that the container reads')
  }
  const data = map['data']
  const fromField: Readonly<Record<string, string>> = {
    POD_NAMESPACE: NAMESPACE,
    NODE_NAME: 'node-1',
  }
  const own = listAt(container, 'env').map((item) => {
    const name = textAt(item, 'name')
    return [name, textAt(item, 'value') || (fromField[name] ?? '')]
  })
  return {
    ...(data as Readonly<Record<string, string>>),
    ...(Object.fromEntries(own) as Record<string, string>),
  }
}

/** What the installer and the repair make of it, with what a kubelet adds. */
function settingsOf(
  objects: readonly JsonObject[],
  url = 'https://10.0.0.1:443',
): {
  readonly installer: Settings
  readonly repair: RepairSettings
} {
  const { hostname, port } = new URL(url)
  const env = {
    ...envOf(objects),
    KUBERNETES_SERVICE_HOST: hostname,
    KUBERNETES_SERVICE_PORT: port,
  }
  const argv = listAt(containerOf(objects), 'args').map(String)
  const installer = readSettings({ argv, env, programDir: '/' })
  const repair = readRepairSettings(env, '/host')
  if (!installer.ok) throw new Error(installer.problems.map(formatProblem).join('\n'))
  if (!repair.ok) throw new Error(repair.problems.map(formatProblem).join('\n'))
  return { installer: installer.value, repair: repair.value }
}

/** Settings that no manifest names, and why that is right. */
const UNSAID: Readonly<Record<string, readonly string[]>> = {
  'a kubelet gives them': [
    'KUBERNETES_SERVICE_HOST',
    'KUBERNETES_SERVICE_PORT',
    'SERVICE_ACCOUNT_DIR',
    'KUBE_CA_FILE',
  ],
  'the manifests are built on the default': [
    'HOST_ROOT',
    'PLUGIN_NAME',
    'CNI_BINARY_SOURCE',
    'CNI_AGENT_RUN_DIR',
    'KUBECONFIG_DIR',
    'MONITORING_PORT',
    'HEALTH_PORT',
    'KUBERNETES_SERVICE_PROTOCOL',
  ],
  'for a single run by hand': ['DRY_RUN', 'PURGE'],
  'for unusual nodes, added by whoever has them': [
    'CNI_CONF_NAME',
    'OWNED_CNI_CONFIG',
    'OWNED_CNI_CONFIG_FILENAME',
    'SKIP_INSTALL_BINARIES',
    'SKIP_INSTALL_CONFIG',
    'KUBECONFIG_MODE',
    'CNI_CONF_GROUP_READ',
    'TOOL_DIRS',
    'PLUGIN_LOG_LEVEL',
    'SKIP_TLS_VERIFY',
    'REPAIR_INIT_CONTAINER_NAME',
    'REPAIR_INIT_CONTAINER_EXIT_CODE',
    'REPAIR_INIT_CONTAINER_TERMINATION_MESSAGE',
    'REPAIR_LABEL_KEY',
    'REPAIR_LABEL_VALUE',
    'REPAIR_LABEL_SELECTORS',
  ],
}

async function variables(t: Test, presets: readonly Preset[]): Promise<void> {
  const known: readonly string[] = [...SETTINGS, ...REPAIR_SETTINGS].map(({ env }) => env)
  const said = new Set(presets.flatMap(({ objects }) => Object.keys(envOf(objects))))
  t.strictSame(
    [...said].filter((name) => !known.includes(name)),
    [],
    'each is read',
  )
  const unsaid = known.filter((name) => !said.has(name)).sort()
  t.strictSame(
    unsaid,
    Object.values(UNSAID).flat().sort(),
    'each is named, or left out for a reason',
  )
  for (const { who, objects, mode } of presets) {
    const { installer, repair } = settingsOf(objects)
    t.equal(repair.mode, mode, who)
    t.strictSame(
      [...installer.excludeNamespaces].sort(),
      ['istio-system', 'kube-system', 'sidecar-cni', 'sidecar-injector'],
      who,
    )
    const hasAccount = objects.some(
      (one) => textAt(one, 'metadata', 'name') === 'sidecar-cni-plugin',
    )
    t.equal(
      installer.podSource !== 'annotations',
      hasAccount,
      `${who}: an account where one is used`,
    )
    t.match(
      textAt(only(objects, 'ConfigMap'), 'metadata', 'name'),
      /^sidecar-cni-env-[a-z0-9]{10}$/,
    )
  }
}

async function directories(t: Test, presets: readonly Preset[]): Promise<void> {
  const seen = new Set<string>()
  for (const { who, objects } of presets) {
    const { installer } = settingsOf(objects)
    const platform = PLATFORMS.find(({ name }) => name === installer.platform)
    seen.add(installer.platform)
    const volumes = listAt(podOf(objects), 'volumes')
    const mounts = listAt(containerOf(objects), 'volumeMounts')
    const hostOf = (path: string | undefined): string => {
      const name = textAt(
        mounts.find((one) => textAt(one, 'mountPath') === path),
        'name',
      )
      return textAt(
        volumes.find((one) => textAt(one, 'name') === name),
        'hostPath',
        'path',
      )
    }
    t.equal(hostOf(installer.binDir), platform?.binDir, `${who}: executables`)
    t.equal(hostOf(installer.netDir), platform?.netDir, `${who}: configuration`)
    t.equal(hostOf(installer.runDir), installer.runDir, `${who}: sockets`)
    if (installer.podSource !== 'annotations')
      t.equal(hostOf(installer.kubeconfigDir), installer.kubeconfigDir, `${who}: kubeconfig`)
  }
  const others = PLATFORMS.map(({ name }) => name).filter((name) => !seen.has(name))
  t.strictSame(others, ['minikube'], 'minikube is as default')
}

async function privileges(t: Test, presets: readonly Preset[]): Promise<void> {
  for (const { who, objects, mode } of presets) {
    const security = at(containerOf(objects), 'securityContext')
    t.strictSame(listAt(security, 'capabilities', 'drop'), ['ALL'], who)
    t.strictSame(
      listAt(security, 'capabilities', 'add'),
      [
        'DAC_OVERRIDE',
        ...(mode === 'repair' ? ['SYS_ADMIN', 'NET_ADMIN', 'NET_RAW', 'SYS_PTRACE'] : []),
      ],
      who,
    )
    t.match(
      security,
      { privileged: false, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false },
      who,
    )
    const mounts = listAt(containerOf(objects), 'volumeMounts').map((one) =>
      textAt(one, 'mountPath'),
    )
    t.equal(mounts.includes('/host/proc'), mode === 'repair', who)
    for (const label of [at(only(objects, 'DaemonSet'), 'spec', 'template', 'metadata', 'labels')])
      t.equal(textAt(label, 'sidecar.istio.io/inject'), 'false', who)
  }
}

// The account at work.

async function rights(
  t: Test,
  controlPlane: ControlPlane,
  objects: readonly JsonObject[],
  audit: Audit,
): Promise<void> {
  await applyQuietly(controlPlane, objects)
  const before = (await audit.calls()).length
  const { installer, repair: settings } = settingsOf(objects, controlPlane.url)
  const { mode } = settings
  const shop = `shop-${mode}`
  await createNamespace(controlPlane, shop)
  for (const name of ['node-1', 'node-2']) {
    const metadata = { name, labels: { 'kubernetes.io/os': 'linux' } }
    await controlPlane.request('POST', '/api/v1/nodes', { metadata })
  }
  for (const [name, where] of [
    ['here', 'node-1'],
    ['there', 'node-2'],
  ] as const)
    await breakPod(controlPlane, shop, name, where)

  const agent = await agentOn(t, controlPlane, 'node-1', mode)
  const anyone = await agentOn(t, controlPlane, undefined, mode)
  await until('the policy to be in force', async () => {
    const { status, body } = await touch(anyone, mode, shop, 'here', '?dryRun=All')
    return status === 403 && /of this node only/.test(messageOf(body)) ? true : undefined
  })
  const elsewhere = await touch(agent, mode, shop, 'there')
  t.equal(elsewhere.status, 403, messageOf(elsewhere.body))
  t.match(messageOf(elsewhere.body), /the agent of a node sees to pods of this node only/)
  if (mode === 'delete') {
    const preconditions = { uid: 'of-another-pod' }
    const stale = await agent.call({
      method: 'DELETE',
      path: podPath(shop, 'here'),
      body: { preconditions },
    })
    t.equal(stale.status, 409, 'only the pod that was seen is deleted')
  }
  const refused = (await audit.calls()).filter(({ code }) => code === 403).length

  const lines: string[] = []
  const log = (level: string, message: string, fields?: object): void =>
    void lines.push(`${level} ${message} ${JSON.stringify(fields)}`)
  const parts = { node: 'node-1', rules: { iptablesMode: 'auto', ipv6: 'auto' } as const, path: '' }
  const running = runRepair({ ...parts, settings, api: agent, log, registry: new Registry() })
  t.teardown(() => running.close())
  const label = settings.label.key
  const seen = await until(
    `mode ${mode}`,
    async () => {
      const { status, body } = await controlPlane.request('GET', podPath(shop, 'here'))
      const isSeen = status === 404 || textAt(body, 'metadata', 'deletionTimestamp') !== ''
      return isSeen || textAt(body, 'metadata', 'labels', label) === 'true' ? body : undefined
    },
    async () => lines.join('\n'),
  )
  t.equal(
    textAt(seen, 'metadata', 'labels', label),
    mode === 'label' ? 'true' : '',
    'as the mode says',
  )
  const events = `/apis/events.k8s.io/v1/namespaces/${shop}/events`
  const event = await until(
    'an Event',
    async () => {
      const { body } = await controlPlane.request('GET', events)
      return listAt(body, 'items')[0]
    },
    async () => lines.join('\n'),
    10,
  )
  t.equal(textAt(event, 'reason'), mode === 'label' ? 'LabeledBrokenPod' : 'DeletedBrokenPod')
  const there = await controlPlane.request('GET', podPath(shop, 'there'))
  t.equal(
    textAt(there.body, 'metadata', 'deletionTimestamp'),
    '',
    'the pod of another node is let be',
  )
  await running.close()
  // Deleting needs no second look at the pod, the other modes take one.
  if (mode === 'delete') await agent.call({ path: podPath(shop, 'there') })

  const farewell = await decideFarewell(installer, agent, 1)
  t.equal(farewell.kind, 'keep', farewell.because)
  if (installer.podSource !== 'annotations')
    await pluginAccount(t, controlPlane, installer, agent, shop)
  await until('the audit log', async () => {
    const calls = (await audit.calls()).slice(before)
    const used = new Set(calls.flatMap(({ grant, wide }) => [grant, wide]))
    const granted = grantsOf(ownRoles(objects))
    const unused = granted.filter(
      (grant) => !used.has(grant.replace(/\/(status|token)(?=\/|$)/, '')),
    )
    return unused.length === 0 ? true : undefined
  })
  t.equal(
    (await audit.calls()).filter(({ code }) => code === 403).length,
    refused,
    'nothing else is refused',
  )
}

/** The roles of the agent, without that of the plugin's account. */
function ownRoles(objects: readonly JsonObject[]): readonly JsonObject[] {
  return objects.filter((one) => textAt(one, 'metadata', 'name') !== 'sidecar-cni-plugin')
}

async function pluginAccount(
  t: Test,
  controlPlane: ControlPlane,
  settings: Settings,
  agent: Api,
  shop: string,
): Promise<void> {
  const log = (): void => undefined
  const text = await makeKubeconfigs(settings, agent, log).text()
  const token = textAt(listAt(JSON.parse(text), 'users')[0], 'user', 'token')
  const plugin = await apiWith(t, controlPlane, token, 'plugin')
  t.equal((await plugin.call({ path: podPath(shop, 'there') })).status, 200)
  for (const path of ['/api/v1/pods', `/api/v1/namespaces/${shop}/secrets`, '/api/v1/nodes/node-1'])
    t.equal((await plugin.call({ path })).status, 403, path)
}

const podPath = (namespace: string, name: string): string =>
  `/api/v1/namespaces/${namespace}/pods/${name}`

/** What the repair does in a mode, by hand. */
function touch(api: Api, mode: string, namespace: string, name: string, query = '') {
  const path = podPath(namespace, name)
  return mode === 'delete'
    ? api.call({ method: 'DELETE', path: `${path}${query}` })
    : api.call({
        method: 'PATCH',
        path: `${path}/status${query}`,
        body: { metadata: { labels: { x: 'y' } } },
        contentType: 'application/merge-patch+json',
      })
}

async function breakPod(
  controlPlane: ControlPlane,
  namespace: string,
  name: string,
  nodeName: string,
) {
  const image = 'x'
  await create(controlPlane, `/api/v1/namespaces/${namespace}/pods`, {
    metadata: { name, annotations: { 'sidecar.istio.io/status': '{}' } },
    spec: {
      nodeName,
      automountServiceAccountToken: false,
      initContainers: [{ name: 'istio-validation', image }],
      containers: [{ name: 'app', image }],
    },
  })
  const failed = { name: 'istio-validation', image, imageID: '', ready: false, restartCount: 1 }
  const terminated = { exitCode: 126 }
  const { status, body } = await controlPlane.request(
    'PATCH',
    `${podPath(namespace, name)}/status`,
    { status: { initContainerStatuses: [{ ...failed, state: { terminated } }] } },
    'application/merge-patch+json',
  )
  if (status !== 200) throw new Error(messageOf(body))
}

/** The API server as the agent's account sees it, with the token of a pod on that node, or of no pod. */
async function agentOn(
  t: Test,
  controlPlane: ControlPlane,
  nodeName: string | undefined,
  mode: string,
): Promise<Api> {
  const name = `agent-${mode}`
  const about: { boundObjectRef?: JsonObject } = {}
  if (nodeName !== undefined) {
    const pod = await create(controlPlane, `/api/v1/namespaces/${NAMESPACE}/pods`, {
      metadata: { name },
      spec: {
        nodeName,
        serviceAccountName: 'sidecar-cni',
        automountServiceAccountToken: false,
        containers: [{ name: 'x', image: 'x' }],
      },
    })
    about.boundObjectRef = {
      apiVersion: 'v1',
      kind: 'Pod',
      name,
      uid: textAt(pod, 'metadata', 'uid'),
    }
  }
  const path = `/api/v1/namespaces/${NAMESPACE}/serviceaccounts/sidecar-cni/token`
  const { body } = await controlPlane.request('POST', path, {
    spec: { expirationSeconds: 3600, ...about },
  })
  return apiWith(t, controlPlane, textAt(body, 'status', 'token'), `${name}-${nodeName ?? 'none'}`)
}

async function apiWith(
  t: Test,
  controlPlane: ControlPlane,
  token: string,
  name: string,
): Promise<Api> {
  const certificate = Buffer.from(controlPlane.caPem).toString('base64')
  const cluster = { server: controlPlane.url, 'certificate-authority-data': certificate }
  const file = join(controlPlane.processes.folder, `${name}.kubeconfig`)
  const config = {
    clusters: [{ name, cluster }],
    users: [{ name, user: { token } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    'current-context': name,
  }
  await writeFile(file, JSON.stringify(config), { mode: 0o600 })
  const api = makeApi(await connect({ kubeconfig: file }))
  t.teardown(() => {
    api.close()
  })
  return api
}
