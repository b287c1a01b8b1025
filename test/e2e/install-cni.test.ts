/** The installer against a real API server: certificates, accounts, tokens, and what an uninstall looks like. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Api } from '../../cluster/api.ts'
import { openApi } from '../../cni-plugin/install/cluster.ts'
import { startInstaller } from '../../cni-plugin/install/run.ts'
import { readSettings, type Settings } from '../../cni-plugin/install/settings.ts'
import { readKubeconfig } from '../../cni-plugin/kubeconfig.ts'
import { load, makeNode, primary, put, types } from '../cni-plugin/install/node.ts'
import { need } from '../require.ts'
import { controlPlaneUnavailable, startControlPlane, type ControlPlane } from './control-plane.ts'

t.test('the installer and an API server', need(controlPlaneUnavailable()), async (t) => {
  const controlPlane = await startControlPlane({ controllers: ['serviceaccount-controller'] })
  t.teardown(() => controlPlane.stop())
  await createObjects(controlPlane)
  const node = await makeNode()
  t.teardown(node.close)
  put(join(node.netDir, '10-main.conflist'), primary())
  const account = join(node.root, 'account')
  writeFileSync(join(account, 'token'), await tokenOf(controlPlane, 'sidecar-cni'))
  writeFileSync(join(account, 'ca.crt'), controlPlane.caPem)
  const { hostname, port } = new URL(controlPlane.url)
  const env = {
    ...node.env,
    POD_SOURCE: 'auto',
    KUBERNETES_SERVICE_HOST: hostname,
    KUBERNETES_SERVICE_PORT: port,
    KUBERNETES_SERVICE_PROTOCOL: 'https',
  }
  const settings = read(env)
  const lines: string[] = []
  const start = () =>
    startInstaller(settings, {
      log: (level, message, fields) => lines.push(`${level} ${message} ${JSON.stringify(fields)}`),
      write: () => undefined,
      env: {},
    })

  await t.test('a runtime without annotations: the plugin gets a token of its own', async (t) => {
    const running = await start()
    t.match(running.state(), { isReady: true }, lines.join('\n'))
    t.match(load(node).plugins.at(-1), { type: 'sidecar-cni', pod_source: 'api' })
    const credentials = readKubeconfig(join(node.root, 'lib/kubeconfig'))
    const life = endOf(credentials.token ?? '') - Date.now() / 1000
    t.ok(life > 86_000 && life <= 86_400, `a token for a day, got ${life} s`)
    t.equal(credentials.ca, controlPlane.caPem)

    const own = join(node.root, 'own')
    mkdirSync(own)
    writeFileSync(join(own, 'token'), credentials.token ?? '')
    const api = await opened(
      read({ ...env, SERVICE_ACCOUNT_DIR: own, KUBE_CA_FILE: settings.caFile }),
    )
    const status = async (path: string): Promise<number> => (await api.call({ path })).status
    t.equal(await status('/api/v1/namespaces/default/pods/none'), 404, 'it may read pods')
    t.equal(await status('/api/v1/namespaces/default/pods'), 403, 'but not list them')
    t.equal(await status('/api/v1/namespaces/mesh/secrets/none'), 403)
    t.equal(await running.stop('SIGTERM'), 0)
    t.ok(types(load(node)).includes('sidecar-cni'), 'the DaemonSet is there: an upgrade')
  })

  await t.test('an API server that shows another certificate is not believed', async (t) => {
    const file = join(node.root, 'wrong.crt')
    writeFileSync(file, '')
    const api = await opened(read({ ...env, KUBE_CA_FILE: file }))
    await t.rejects(api.call({ path: '/version' }), /certificate/)
    const blind = await opened(read({ ...env, KUBE_CA_FILE: file, SKIP_TLS_VERIFY: 'true' }))
    t.equal((await blind.call({ path: '/version' })).status, 200)
  })

  await t.test('an uninstall that took the account first', async (t) => {
    const running = await start()
    t.ok(types(load(node)).includes('sidecar-cni'))
    const path = '/api/v1/namespaces/mesh/serviceaccounts/sidecar-cni'
    t.equal((await controlPlane.request('DELETE', path)).status, 200)
    // An API server believes a token for some seconds after its account is gone.
    const api = await opened(settings)
    for (let wait = 0; wait < 300; wait++) {
      if ((await api.call({ path: '/api/v1/nodes/node-1' })).status === 401) break
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    t.equal(await running.stop('SIGTERM'), 0)
    t.match(lines.at(-1), /clean-up done/)
    t.strictSame(JSON.parse(readFileSync(join(node.netDir, '10-main.conflist'), 'utf8')), primary())
  })
  rmSync(account, { recursive: true })

  async function opened(settings: Settings): Promise<Api> {
    const api = await openApi(settings)
    if (api === undefined) throw new Error('no API server')
    t.teardown(api.close)
    return api
  }
})

function read(env: Readonly<Record<string, string>>): Settings {
  const settings = readSettings({ argv: [], env, programDir: '/' })
  if (!settings.ok) throw new Error(JSON.stringify(settings.problems))
  return settings.value
}

/** When a token ends, seconds since 1970. */
function endOf(token: string): number {
  const claims: { readonly exp: number } = JSON.parse(
    Buffer.from(token.split('.')[1] ?? '', 'base64url').toString(),
  )
  return claims.exp
}

async function tokenOf(controlPlane: ControlPlane, name: string): Promise<string> {
  const path = `/api/v1/namespaces/mesh/serviceaccounts/${name}/token`
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} }
  const answer = await controlPlane.request('POST', path, body)
  return (answer.body as { status: { token: string } }).status.token
}

/** A node with a runtime of before, the DaemonSet, both accounts, and the rights that each needs. */
async function createObjects(controlPlane: ControlPlane): Promise<void> {
  const create = async (path: string, kind: string, body: object): Promise<void> => {
    const apiVersion = path.replace(/^\/apis?\//, '').replace(/\/(namespaces\/mesh\/)?[a-z]+$/, '')
    const answer = await controlPlane.request('POST', path, { apiVersion, kind, ...body })
    if (answer.status !== 201) throw new Error(`${path}: ${JSON.stringify(answer.body)}`)
  }
  const core = '/api/v1/namespaces/mesh'
  const rbac = '/apis/rbac.authorization.k8s.io/v1'
  const named = (name: string): object => ({ metadata: { name } })
  const rule = (group: string, resource: string, verb: string): object => ({
    apiGroups: [group],
    resources: [resource],
    verbs: [verb],
  })
  await create('/api/v1/namespaces', 'Namespace', named('mesh'))
  await create('/api/v1/nodes', 'Node', named('node-1'))
  const nodeInfo = { containerRuntimeVersion: 'cri-o://1.28.0', osImage: 'Debian' }
  const patch = JSON.stringify({ status: { nodeInfo } })
  const merge = 'application/merge-patch+json'
  await controlPlane.request('PATCH', '/api/v1/nodes/node-1/status', patch, merge)
  const roles = {
    'sidecar-cni': [
      rule('', 'nodes', 'get'),
      rule('apps', 'daemonsets', 'get'),
      rule('', 'serviceaccounts/token', 'create'),
    ],
    'sidecar-cni-plugin': [rule('', 'pods', 'get')],
  }
  for (const [name, rules] of Object.entries(roles)) {
    await create(`${core}/serviceaccounts`, 'ServiceAccount', named(name))
    await create(`${rbac}/clusterroles`, 'ClusterRole', { ...named(name), rules })
    await create(`${rbac}/clusterrolebindings`, 'ClusterRoleBinding', {
      ...named(name),
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
      subjects: [{ kind: 'ServiceAccount', namespace: 'mesh', name }],
    })
  }
  const labels = { app: 'agent' }
  await create('/apis/apps/v1/namespaces/mesh/daemonsets', 'DaemonSet', {
    ...named('sidecar-cni'),
    spec: {
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'a', image: 'a' }] } },
    },
  })
}
