/** The Helm chart: what it renders to, that API servers take it, and the webhook run from what it says. */
import { execa } from 'execa'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { isArray, isObject, type Json, type JsonObject } from '../../core/json.ts'
import { readYaml } from '../../core/yaml.ts'
import { makeMetrics } from '../../cni-plugin/install/metrics.ts'
import { makeRepairMetrics } from '../../cni-plugin/repair/metrics.ts'
import { need } from '../require.ts'
import { writeAccount } from './account.ts'
import { chart, helm, renderChart } from './chart.ts'
import { releases } from './chart-releases.ts'
import { startControlPlane, toolsUnavailable, type ControlPlane } from './control-plane.ts'
import {
  argsHere,
  argsOf,
  crdOf,
  CRDS,
  deploymentOf,
  membersOf,
  redirect,
  untilPods,
} from './deployed.ts'
import { startFleet, untilInjected } from './fleet.ts'
import { apply, applyQuietly, deploy, only, render, renderWith, titleOf } from './manifests.ts'
import { at, containersOf, create, createNamespace, listAt, textAt } from './objects.ts'
import { until } from './until.ts'

const TOOLS = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kubectl', 'helm', 'promtool']
const NAMESPACE = 'sidecar-injector'

/** Kinds of others; what they say does not matter here. */
const FOREIGN = [
  ['Issuer', 'cert-manager.io', 'v1'],
  ['Certificate', 'cert-manager.io', 'v1'],
  ['PodMonitor', 'monitoring.coreos.com', 'v1'],
  ['ServiceMonitor', 'monitoring.coreos.com', 'v1'],
  ['PrometheusRule', 'monitoring.coreos.com', 'v1'],
  ['ProxyConfig', 'networking.istio.io', 'v1beta1'],
] as const

t.test('the chart', need(toolsUnavailable(TOOLS)), async (t) => {
  const controlPlane = await startControlPlane()
  t.teardown(() => controlPlane.stop())
  for (const name of ['istio-system', NAMESPACE, 'sidecar-cni', 'shop', 'plain', '0', '2024']) {
    await createNamespace(controlPlane, name)
  }
  for (const [kind, group, version] of FOREIGN) {
    await create(controlPlane, CRDS, crdOf(kind, group, version))
  }
  await t.test('equals the kustomize bases', (t) => equality(t, controlPlane))
  await t.test('each way to a certificate has Secrets of its own', (t) => secrets(t, controlPlane))
  await t.test('stays away from another active injector', (t) => others(t, controlPlane))
  await t.test('is taken strictly and without a warning', async (t) => {
    for (const { set, namespace, values, name } of releases) {
      const objects = await renderChart(set, namespace, values, name)
      const said = await until('the API server to know all kinds', async () => {
        const said = await apply(controlPlane, objects)
        return /no matches for kind/.test(said.stderr) ? undefined : said
      })
      t.strictSame(said, { exitCode: 0, stderr: '' }, set.join(' ') || 'the defaults')
    }
    // What decides about pods goes again; the rest of one release is the next one's.
    const kinds = 'mutatingwebhookconfigurations,validatingadmissionpolicybindings'
    await controlPlane.kubectl(['delete', kinds, '--all'])
  })
  await t.test('the webhook as rendered', (t) => live(t, controlPlane))
})

t.test('values', need(toolsUnavailable(['helm'])), async (t) => {
  const rows = [
    { set: 'replicas=3', want: /additional properties 'replicas' not allowed/ },
    { set: `revision=${'r'.repeat(47)}`, want: /'\/revision': maxLength: got 47, want 46/ },
    {
      set: 'priorityClass.create=false',
      want: /priorityClass\.name: got no name with priorityClass\.create=false/,
    },
    { set: 'revision=Bad_One', want: /'\/revision': .*does not match pattern/s },
    {
      set: 'webhook.failurePolicy=Maybe',
      want: /'\/webhook\/failurePolicy': value must be one of/,
    },
    { set: 'image.digest=latest', want: /'\/image\/digest': .*does not match pattern/s },
    { set: 'cni.platform=eks', want: /'\/cni\/platform': value must be one of/ },
    { set: 'extraArgs={drain}', want: /'\/extraArgs\/0': .*does not match pattern/s },
    {
      set: 'injection.source=istio,injection.mesh.trustDomain=x',
      want: /injection\.mesh: got a mesh with injection\.source istio/,
    },
  ]
  for (const { set, want } of rows) {
    const { exitCode, stderr } = await helm([
      'template',
      'x',
      chart,
      '--kube-version',
      '1.36.3',
      '--set',
      set,
    ])
    t.equal(exitCode, 1, set)
    t.match(stderr, want)
  }
  const lint = await helm(['lint', chart, '--strict', '--kube-version', '1.36.3'])
  t.equal(lint.exitCode, 0, lint.stdout)
})

t.test('what is rendered', need(toolsUnavailable(['helm'])), async (t) => {
  await t.test("Istio's CNI mode is its own without cni.enabled", async (t) => {
    for (const { set, want } of [
      { set: 'cni.enabled=false', want: undefined },
      { set: 'cni.enabled=true', want: { cni: { enabled: true, namespace: 'sidecar-cni' } } },
    ]) {
      const map = (await renderChart([set])).find(
        (one) => titleOf(one) === 'ConfigMap sidecar-injector',
      )
      const values = readYaml('values', textAt(map, 'data', 'values'))
      t.strictSame(values.ok && at(values.value, 'pilot'), want, set)
    }
  })
  await t.test('further volumes, with and without ours', async (t) => {
    const files = `
      extraVolumes: [{name: callers, configMap: {name: callers}}]
      extraVolumeMounts: [{name: callers, mountPath: /etc/callers}]
    `
    for (const { set, want } of [
      { set: [ISTIO], want: ['callers'] },
      { set: ['certificate.source=secret'], want: ['tls', 'injection', 'callers'] },
    ]) {
      const spec = at(
        only(await renderChart(set, NAMESPACE, files), 'Deployment'),
        ...['spec', 'template', 'spec'],
      )
      const [webhook] = listAt(spec, 'containers')
      const names = (list: readonly unknown[]) => list.map((one) => textAt(one, 'name'))
      t.strictSame(names(listAt(spec, 'volumes')), want)
      t.strictSame(names(listAt(webhook, 'volumeMounts')), want)
    }
  })
})

/** All of it, so that no part is without work. */
const ON = ['cni.enabled=true', 'monitoring.podMonitor.enabled=true']

t.test(
  'a value that is taken away is told by name',
  need(toolsUnavailable(['helm'])),
  async (t) => {
    const values = readYaml('values.yaml', readFileSync(join(chart, 'values.yaml'), 'utf8'))
    if (!values.ok) throw new Error(JSON.stringify(values.problems))
    const troubles: string[] = []
    for (const key of keysOf(values.value)) {
      const names = key.split('.')
      const taken = names.reduceRight<Json>((inner, name) => ({ [name]: inner }), null)
      const more = ON.filter((setting) => !setting.startsWith(key)).flatMap((one) => ['--set', one])
      const args = ['template', 'x', chart, '--kube-version', '1.36.3', '--values', '-', ...more]
      const { exitCode, stderr } = await helm(args, JSON.stringify(taken))
      const isTold = stderr.includes(`missing property '${names.at(-1) ?? ''}'`)
      if (exitCode !== 0 && !isTold && !/: got .*, want /.test(stderr)) {
        troubles.push(`${key}: ${stderr}`)
      }
    }
    t.strictSame(troubles, [])
  },
)

t.test('every value is in the schema, and the other way round', async (t) => {
  const values = readYaml('values.yaml', readFileSync(join(chart, 'values.yaml'), 'utf8'))
  if (!values.ok) throw new Error(JSON.stringify(values.problems))
  const schema: unknown = JSON.parse(readFileSync(join(chart, 'values.schema.json'), 'utf8'))
  t.strictSame(
    keysOf(values.value),
    keysOfSchema(schema)
      .filter((key) => key !== 'global')
      .sort(),
  )
})

t.test('alerts', need(toolsUnavailable(['promtool'])), async (t) => {
  const program = join(process.env['KUBEBUILDER_ASSETS'] ?? '', 'promtool')
  const tests = join(import.meta.dirname, '../fixtures/alerts.test.yaml')
  const checked = await execa(program, ['check', 'rules', join(chart, 'files/alerts.yaml')], {
    reject: false,
  })
  t.equal(checked.exitCode, 0, checked.stdout + checked.stderr)
  const tested = await execa(program, ['test', 'rules', tests], { reject: false })
  t.equal(tested.exitCode, 0, tested.stdout + tested.stderr)
})

/** The bases lay nothing over Istio's values. */
const ISTIO = 'injection.source=istio'

/** The chart with the settings that a component stands for is what the component makes of the base. */
async function equality(t: Test, controlPlane: ControlPlane): Promise<void> {
  const rows = [
    { components: [], set: [] },
    {
      components: ['ignore', 'policy-warn'],
      set: ['webhook.failurePolicy=Ignore', 'policy.action=warn'],
    },
    { components: ['policy-deny'], set: ['policy.action=deny'] },
    { components: ['certificate-files'], set: ['certificate.source=secret'] },
    { components: ['cert-manager'], set: ['certificate.source=cert-manager'] },
    { components: ['openshift'], set: ['openshift=true'] },
  ]
  for (const { components, set } of rows) {
    const ours = comparable(await renderChart([...set, ISTIO]))
    t.strictSame(
      ours,
      comparable(await renderWith(controlPlane, components)),
      components.join(', ') || 'base',
    )
  }
  const base = await renderWith(controlPlane, [])
  for (const platform of ['default', 'gke', 'k3s', 'k3d', 'microk8s', 'openshift']) {
    const folder = platform === 'default' ? 'cni' : `cni/platforms/${platform}`
    const theirs = [...base, ...(await render(controlPlane, join(deploy, folder)))]
    const ours = await renderChart(['cni.enabled=true', `cni.platform=${platform}`, ISTIO])
    t.strictSame(comparable(ours), comparable(theirs), `cni on ${platform}`)
  }
}

/** Whoever changes from one way to the other finds no Secret there that another one wrote. */
async function secrets(t: Test, controlPlane: ControlPlane): Promise<void> {
  const manager = 'certificate.source=cert-manager'
  const rows = [
    {
      own: await renderWith(controlPlane, []),
      by: await renderWith(controlPlane, ['cert-manager']),
    },
    { own: await renderChart([]), by: await renderChart([manager]) },
    {
      own: await renderChart(['revision=canary']),
      by: await renderChart(['revision=canary', manager]),
    },
  ]
  for (const { own, by } of rows) {
    const flag = argsOf(own).find((arg) => arg.startsWith('--own-ca-secret=')) ?? ''
    const [, kept = ''] = flag.split('=')
    const written = by
      .filter((one) => one['kind'] === 'Certificate')
      .map((one) => textAt(one, 'spec', 'secretName'))
    t.match(kept, /./)
    t.equal(new Set([kept, ...written]).size, 3, [kept, ...written].join(', '))
    const signer = by.find((one) => at(one, 'spec', 'ca') !== undefined)
    t.ok(written.includes(textAt(signer, 'spec', 'ca', 'secretName')), 'the CA signs with its own')
  }
}

/** Labels and settings that a release has and a kustomization has not. */
const OF_RELEASES =
  /^(app\.kubernetes\.io\/(instance|version|managed-by|part-of|component)|helm\.sh\/chart|sidecar-injector\.io\/settings|imagePullPolicy)$/

/** Objects by title, without what only one way of rendering has. */
function comparable(objects: readonly JsonObject[]): Readonly<Record<string, Json>> {
  const kept = objects.filter((one) => titleOf(one) !== `Namespace ${NAMESPACE}`)
  const named = kept.map((one): [string, Json] => {
    // kustomize's `namespace:` also writes into objects that no namespace holds.
    const isAnywhere =
      /Policy(Binding)?$/.test(textAt(one, 'kind')) && one['kind'] !== 'NetworkPolicy'
    const namespace = isAnywhere ? '' : textAt(one, 'metadata', 'namespace')
    const stripped = strip(one)
    if (isAnywhere && isObject(stripped)) {
      const { namespace: _, ...metadata } = membersOf(stripped['metadata'])
      return [titleOf(one), { ...stripped, metadata }]
    }
    return [`${titleOf(stripped)} ${namespace}`, stripped]
  })
  return Object.fromEntries(named.sort(([one], [other]) => (one < other ? -1 : 1)))
}

function strip(value: Json | undefined): Json {
  if (value === undefined) return null
  // Names of generated ConfigMaps end in a hash; indented lines of folded text get a line more.
  if (typeof value === 'string') {
    return value.replace(/^(sidecar-cni-env)-[a-z0-9]{10}$/, '$1').replace(/\n\n/g, '\n')
  }
  if (isArray(value)) {
    const items = value.map(strip)
    // kustomize puts what a patch adds in front; volumes and their mounts have no order.
    const isNamed = items.every(
      (item) => isObject(item) && ('mountPath' in item || 'hostPath' in item),
    )
    return isNamed
      ? items.sort((one, other) => (textAt(one, 'name') < textAt(other, 'name') ? -1 : 1))
      : items
  }
  if (!isObject(value)) return value
  const members = Object.entries(value).filter(([key]) => !OF_RELEASES.test(key))
  const kept = members.map(([key, member]) => [key, strip(member)] as const)
  const { labels, ...metadata } = Object.fromEntries(kept)
  // The objects of cert-manager have no labels in the base.
  const isBare = isObject(labels) && Object.keys(labels).join() === 'app.kubernetes.io/name'
  return isBare || labels === undefined ? metadata : { ...metadata, labels }
}

/** What a stand-in of istiod's has, and what makes it inactive. */
async function others(t: Test, controlPlane: ControlPlane): Promise<void> {
  const path = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations'
  const entry = (namespaceSelector: unknown) => ({
    name: 'namespace.sidecar-injector.istio.io',
    clientConfig: { url: 'https://127.0.0.1:1/inject' },
    rules: [{ operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] }],
    sideEffects: 'None',
    admissionReviewVersions: ['v1'],
    failurePolicy: 'Ignore',
    namespaceSelector,
  })
  const name = 'istio-sidecar-injector'
  const metadata = { name, labels: { 'istio.io/rev': 'default' } }
  const active = entry({ matchLabels: { 'istio-injection': 'enabled' } })
  await create(controlPlane, path, { metadata, webhooks: [active] })
  const install = (...settings: readonly string[]) =>
    helm([
      ...['install', 'injector', chart, '--namespace', NAMESPACE, '--dry-run=server'],
      ...['--kubeconfig', controlPlane.kubeconfigPath],
      ...settings.flatMap((setting) => ['--set', setting]),
    ])
  const refused = await install()
  t.equal(refused.exitCode, 1)
  t.match(
    refused.stderr,
    /MutatingWebhookConfiguration istio-sidecar-injector: got an active injector of the same revision/,
  )
  for (const setting of [
    'webhook.enabled=false',
    'webhook.allowOtherInjectors=true',
    'revision=canary',
  ]) {
    const { exitCode, stderr } = await install(setting)
    t.equal(exitCode, 0, `${setting}: ${stderr}`)
  }
  const inactive = entry({ matchLabels: { 'istio.io/deactivated': 'never-match' } })
  await controlPlane.request(
    'PATCH',
    `${path}/${name}`,
    { webhooks: [inactive] },
    'application/merge-patch+json',
  )
  const { exitCode, stderr } = await install()
  t.equal(exitCode, 0, stderr)
  await controlPlane.request('DELETE', `${path}/${name}`)
}

/** A canary revision with a tag, its own configuration in files, run with exactly what is rendered. */
async function live(t: Test, controlPlane: ControlPlane): Promise<void> {
  const objects = await renderChart([
    'revision=canary',
    'revisionTags={prod}',
    'imageRegistry=registry.example.com/mesh/',
    'injection.values.global.tag=9.9',
    'policy.action=deny',
    'monitoring.prometheusRule.enabled=true',
  ])
  await create(controlPlane, '/api/v1/namespaces/istio-system/configmaps', {
    metadata: { name: 'istio-canary' },
    data: { mesh: 'trustDomain: example.org\n' },
  })
  await create(controlPlane, '/api/v1/namespaces/istio-system/configmaps', {
    metadata: { name: 'istio-sidecar-injector-canary' },
    data: {
      config: 'policy: enabled\n',
      values: '{"global": {"hub": "registry.example.com/istio", "tag": "1.30.3"}}',
    },
  })
  await controlPlane.request(
    'PATCH',
    '/api/v1/namespaces/shop',
    { metadata: { labels: { 'istio.io/rev': 'prod' } } },
    'application/merge-patch+json',
  )
  await applyQuietly(controlPlane, objects)
  const kubeconfig = await writeAccount(controlPlane, NAMESPACE, 'sidecar-injector-canary')
  const { args, folder } = await argsHere(controlPlane, objects)
  const [subcommand, ...flags] = args
  t.equal(subcommand, 'webhook')
  const fleet = await startFleet(controlPlane, { args: [...flags, '--kubeconfig', kubeconfig] })
  t.teardown(() => fleet.close())
  await redirect(controlPlane, objects, fleet)
  await untilInjected(controlPlane, 'shop')
  await create(controlPlane, '/apis/apps/v1/namespaces/shop/deployments', deploymentOf('shop'))
  const pods = await untilPods(controlPlane, 'shop', 'app=shop', 2)
  for (const pod of pods) {
    t.strictSame(containersOf(pod), ['app', 'istio-init', 'istio-proxy'])
    const text = JSON.stringify(pod)
    t.match(text, '"example.org"', "Istio's mesh")
    t.match(text, '"registry.example.com/istio/proxyv2:9.9"', "Istio's hub, the release's tag")
    t.match(text, '"registry.example.com/mesh/sidecar-injector/proxy-init:0.1.0"', 'our init image')
    t.match(text, '"istio.io/rev":"canary"', 'the real revision, not the tag')
    const proxy = listAt(pod, 'spec', 'containers').find(
      (one) => textAt(one, 'name') === 'istio-proxy',
    )
    t.equal(textAt(proxy, 'securityContext', 'seccompProfile', 'type'), 'RuntimeDefault')
  }
  await t.test('PodSecurity restricted', (t) => restricted(t, controlPlane, folder))
  await t.test('every metric of alerts and dashboard is there', async (t) => {
    const [name = ''] = fleet.replicas()
    const port = String(fleet.portsOf(name).monitoringPort)
    const page = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    const { registry } = makeMetrics()
    makeRepairMetrics(registry)
    const known = new Set(
      [...`${page}\n${await registry.metrics()}`.matchAll(/^# TYPE (\w+)/gm)].map(([, one]) => one),
    )
    const texts = ['alerts.yaml', 'dashboard.json'].map((file) =>
      readFileSync(join(chart, 'files', file), 'utf8'),
    )
    const used = new Set(
      [...texts.join('\n').matchAll(/\b(?:sidecar_|webhook_patch_|process_)\w+/g)].map(([one]) =>
        one.replace(/_bucket$/, ''),
      ),
    )
    t.ok(used.size > 10, `${used.size} metrics`)
    t.strictSame(
      [...used].filter((one) => !known.has(one)),
      [],
    )
  })
}

/** A namespace that forbids NET_ADMIN: the refusal names what helps, and what helps does. */
async function restricted(t: Test, controlPlane: ControlPlane, folder: string): Promise<void> {
  await createNamespace(controlPlane, 'strict', {
    'istio.io/rev': 'prod',
    'pod-security.kubernetes.io/enforce': 'restricted',
  })
  const securityContext = {
    allowPrivilegeEscalation: false,
    capabilities: { drop: ['ALL'] },
    runAsNonRoot: true,
    seccompProfile: { type: 'RuntimeDefault' },
  }
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'app', namespace: 'strict' },
    spec: { containers: [{ name: 'app', image: 'nginx', securityContext }] },
  }
  const dryRun = () =>
    controlPlane.kubectl(
      ['create', '--dry-run=server', '-o', 'json', '-f', '-'],
      JSON.stringify(pod),
    )
  const said = await until('a warning', async () => {
    const said = await dryRun()
    return said.stderr.includes('Warning: ') ? said : undefined
  })
  t.equal(said.exitCode, 1)
  t.match(said.stderr, 'violates PodSecurity "restricted:latest"')
  t.match(
    said.stderr,
    'Warning: namespace strict enforces PodSecurity restricted, which refuses istio-init with ' +
      'NET_ADMIN and NET_RAW: install the CNI plugin and set pilot.cni.enabled, so that pods need neither',
  )
  const answer = (exitCode: number) =>
    until(
      `exit code ${exitCode}`,
      async () => {
        const said = await dryRun()
        return said.exitCode === exitCode ? said : undefined
      },
      async () => (await dryRun()).stderr,
      30,
    )
  const taken = async () => {
    const said = await answer(0)
    t.equal(said.stderr, '', 'without a warning')
    const injected: unknown = JSON.parse(said.stdout)
    t.strictSame(containersOf(injected), ['app', 'istio-proxy', 'istio-validation'])
    t.ok(textAt(injected, 'metadata', 'annotations', 'sidecar-injector.io/redirect-plan'))
  }
  const setIstios = (values: JsonObject) =>
    controlPlane.request(
      'PATCH',
      '/api/v1/namespaces/istio-system/configmaps/istio-sidecar-injector-canary',
      { data: { values: JSON.stringify(values) } },
      'application/merge-patch+json',
    )
  // A mesh in CNI mode by Istio's own plugin: the release lays nothing over that.
  await setIstios({ pilot: { cni: { enabled: true } } })
  await taken()
  await setIstios({})
  await answer(1)
  const objects = await renderChart(['cni.enabled=true'])
  const values = objects.find((one) => titleOf(one) === 'ConfigMap sidecar-injector')
  await writeFile(join(folder, 'values'), textAt(values, 'data', 'values'))
  await taken()
}

/** Paths of all keys, down to what the schema leaves open. */
function keysOf(value: Json, path = ''): readonly string[] {
  if (!isObject(value) || OPEN.has(path)) return []
  return Object.entries(value)
    .flatMap(([key, member]) => {
      const at = path === '' ? key : `${path}.${key}`
      return [at, ...keysOf(member ?? null, at)]
    })
    .sort()
}

function keysOfSchema(schema: unknown, path = ''): readonly string[] {
  const properties = at(schema, 'properties')
  if (!isObject(properties) || OPEN.has(path)) return []
  return Object.entries(properties).flatMap(([key, member]) => {
    const at = path === '' ? key : `${path}.${key}`
    return [at, ...keysOfSchema(member, at)]
  })
}

/** Maps that are Kubernetes', Istio's or the user's. */
const OPEN = new Set([
  ...[
    'resources',
    'cni.resources',
    'injection.values',
    'injection.config',
    'certificate.issuerRef',
  ],
  'monitoring.dashboard.labels',
])
