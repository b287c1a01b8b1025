/** Why a pod has no sidecar: scenarios on a real API server, each with its true cause in the first line. */
import { execa } from 'execa'
import { readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { makeApi, type Api } from '../../cluster/api.ts'
import { connect } from '../../cluster/connect.ts'
import { REGISTRATIONS } from '../../cluster/registrations.ts'
import { headline } from '../../explain/live-causes.ts'
import { dial } from '../../cluster/dial.ts'
import { readTarget } from '../../cluster/target.ts'
import { explainLive } from '../../explain/live.ts'
import { isObject, type JsonObject } from '../../core/json.ts'
import { readYaml } from '../../core/yaml.ts'
import { makeThrowaway } from '../../webhook/tls/authority.ts'
import { need } from '../require.ts'
import { controlPlaneUnavailable, startControlPlane, type ControlPlane } from './control-plane.ts'
import { containersOf, create, listAt, messageOf } from './objects.ts'
import { configMap, HOME } from './single.ts'
import { until } from './until.ts'
import { startWebhook, type Webhook } from './webhook-process.ts'

const root = join(import.meta.dirname, '../..')
const program = join(root, 'dist/cli/main.js')
const INJECT = 'sidecar.istio.io/inject'
const REV = 'istio.io/rev'
const INJECTION = 'istio-injection'
const MAP = `/api/v1/namespaces/${HOME}/configmaps/istio-sidecar-injector`
const MERGE = 'application/merge-patch+json'

/** Without its admission plugin nobody writes the ServiceAccount, which tokens need. */
const SPEC = { serviceAccountName: 'default', containers: [{ name: 'app', image: 'app:1' }] }

type Labels = Readonly<Record<string, string>>

/** A pod of its own namespace and what the first line says of it, without `pod NAMESPACE/web`. */
type Scenario = {
  readonly who: string
  readonly namespace: string
  readonly labels?: Labels
  readonly metadata?: object
  readonly spec?: object
  readonly says: string
}

const ENTRY = 'sidecar-injector/namespace.sidecar-injector.io'
const none = (cause: string): string => `has no sidecar: ${cause}`
const serves = (revision: string): string =>
  `which no installed webhook serves; served: ${revision}`

/** With our own entries installed, of the default revision. */
const byDefault: readonly Scenario[] = [
  {
    who: 'nobody asks',
    namespace: 'plain',
    says: none('neither the namespace nor the pod has a label that asks for a sidecar'),
  },
  {
    who: 'the namespace says disabled',
    namespace: 'disabled',
    labels: { [INJECTION]: 'disabled' },
    says: none('the namespace has the label istio-injection=disabled'),
  },
  {
    who: 'disabled beside a revision',
    namespace: 'disabled-rev',
    labels: { [INJECTION]: 'disabled', [REV]: 'default' },
    says: none('the namespace has the label istio-injection=disabled'),
  },
  {
    who: 'a capital letter too many',
    namespace: 'capital',
    labels: { [INJECTION]: 'Enabled' },
    says: none(
      'the label istio-injection of the namespace is "Enabled"; anything but "enabled" keeps its pods out',
    ),
  },
  {
    who: 'the label of the pod says no',
    namespace: 'label-no',
    labels: { [INJECTION]: 'enabled' },
    metadata: { labels: { [INJECT]: 'false' } },
    says: none('the pod has the label sidecar.istio.io/inject=false'),
  },
  {
    who: 'the annotation of the pod says no',
    namespace: 'annotation-no',
    labels: { [INJECTION]: 'enabled' },
    metadata: { annotations: { [INJECT]: 'false' } },
    says: none(
      `the webhook is asked and leaves it alone: the pod's annotation says no, and no label stands before it: sidecar.istio.io/inject is "false" (annotation-opt-out)`,
    ),
  },
  {
    who: 'the network of the node',
    namespace: 'host-network',
    labels: { [INJECTION]: 'enabled' },
    spec: { hostNetwork: true },
    says: none(
      `the pod shares its node's network, where redirecting would catch the whole node: spec.hostNetwork is "true" (host-network)`,
    ),
  },
  {
    who: 'a mirror pod',
    namespace: 'mirror',
    labels: { [INJECTION]: 'enabled' },
    metadata: { annotations: { 'kubernetes.io/config.mirror': 'x' } },
    spec: { nodeName: 'node' },
    says: none(
      'the pod is the image of a static pod: the kubelet runs its own file, not this: kubernetes.io/config.mirror is "x" (mirror-pod)',
    ),
  },
  {
    who: 'a namespace of the cluster itself',
    namespace: 'kube-public',
    metadata: { labels: { [INJECT]: 'true' } },
    says: none(
      'the namespace is one whose pods are never injected: metadata.namespace is "kube-public" (ignored-namespace)',
    ),
  },
  {
    who: 'the namespace of the webhook',
    namespace: 'sidecar-injector',
    labels: { [INJECTION]: 'enabled' },
    says: none(
      `${ENTRY}: it wants kubernetes.io/metadata.name notin (kube-system,kube-public,kube-node-lease,local-path-storage,sidecar-injector), and the namespace has kubernetes.io/metadata.name=sidecar-injector`,
    ),
  },
  {
    who: 'a revision of the namespace that nobody serves',
    namespace: 'rev-unserved',
    labels: { [REV]: 'canary' },
    says: none(`the namespace asks for the revision "canary" (istio.io/rev), ${serves('default')}`),
  },
  {
    who: 'a revision of the pod that nobody serves',
    namespace: 'pod-rev-unserved',
    metadata: { labels: { [REV]: 'canary' } },
    says: none(`the pod asks for the revision "canary" (istio.io/rev), ${serves('default')}`),
  },
  {
    who: 'True is not true',
    namespace: 'pod-text',
    metadata: { labels: { [INJECT]: 'True' } },
    says: none(
      'the label sidecar.istio.io/inject of the pod is "True"; only exactly "true" asks for a sidecar',
    ),
  },
  {
    who: 'an annotation where a label is needed',
    namespace: 'annotation-yes',
    metadata: { annotations: { [INJECT]: 'true' } },
    says: none(
      'the pod asks by the annotation sidecar.istio.io/inject, which the API server does not look at: it must be a label',
    ),
  },
  {
    who: 'it has one',
    namespace: 'enabled',
    labels: { [INJECTION]: 'enabled' },
    says: 'has a sidecar: the revision "default" put it in',
  },
]

/** With a policy of the injector's own; `config` is the key of its ConfigMap. */
const byPolicy: readonly (Scenario & { readonly config: string })[] = [
  {
    who: 'the policy is not to inject',
    namespace: 'policy-off',
    config: 'policy: disabled',
    says: none(
      'the webhook is asked and leaves it alone: the pod says nothing, and the policy is not to inject: policy is "disabled" (policy-disabled)',
    ),
  },
  {
    who: 'the policy is a typo',
    namespace: 'policy-typo',
    config: 'policy: enable',
    says: none(
      'the webhook is asked and leaves it alone: the configured policy is no policy, so that nothing is injected: policy is "enable" (policy-illegal)',
    ),
  },
  {
    who: 'a selector of the operator',
    namespace: 'policy-never',
    metadata: { labels: { app: 'batch' } },
    config: 'neverInjectSelector: [{matchLabels: {app: batch}}]',
    says: none(
      'the webhook is asked and leaves it alone: a selector of neverInjectSelector takes the pod: neverInjectSelector[0] is "{\\"matchLabels\\":{\\"app\\":\\"batch\\"}}" (never-selector)',
    ),
  },
]

/** With the entries of the revision `canary` only. */
const byCanary: readonly Scenario[] = [
  {
    who: 'enabled, and no default revision',
    namespace: 'canary-enabled',
    labels: { [INJECTION]: 'enabled' },
    says: none(
      `the namespace has istio-injection=enabled, which is for the default revision, and no installed webhook serves it; served: canary`,
    ),
  },
  {
    who: 'enabled hides the right revision',
    namespace: 'canary-both',
    labels: { [INJECTION]: 'enabled', [REV]: 'canary' },
    says: none(
      `the namespace has istio-injection=enabled, which is for the default revision, and no installed webhook serves it; served: canary`,
    ),
  },
  {
    who: 'the pod says true, and no default revision',
    namespace: 'canary-pod',
    metadata: { labels: { [INJECT]: 'true' } },
    says: none(
      `the pod has sidecar.istio.io/inject=true, which is for the default revision, and no installed webhook serves it; served: canary`,
    ),
  },
]

/** With a changed registration of ours, in a namespace that it takes. */
const byFault: readonly {
  readonly who: string
  readonly change: (entry: object, webhook: Webhook) => object
  readonly says: string
}[] = [
  {
    who: 'nobody listens, and Ignore lets pods in',
    change: (entry) => ({ ...entry, ...ignoring({ url: 'https://127.0.0.1:1/inject' }) }),
    says: ignored(
      'nobody answers at https://127.0.0.1:1/inject, tried from here: connect ECONNREFUSED 127.0.0.1:1',
    ),
  },
  {
    who: 'there is no Service',
    change: (entry) => ({ ...entry, ...ignoring({ service: { namespace: HOME, name: 'gone' } }) }),
    says: ignored('there is no Service istio-system/gone'),
  },
  {
    who: 'the Service has nobody behind it',
    change: (entry) => ({ ...entry, ...ignoring({ service: { namespace: HOME, name: 'empty' } }) }),
    says: ignored('no ready endpoint is behind the Service istio-system/empty'),
  },
  {
    who: 'the Service has another port',
    change: (entry) => ({
      ...entry,
      ...ignoring({ service: { namespace: HOME, name: 'empty', port: 8443 } }),
    }),
    says: ignored('the Service istio-system/empty has no port 8443'),
  },
  {
    who: 'the caBundle is another one',
    change: (entry, { port }) => ({
      ...entry,
      ...ignoring({ url: `https://127.0.0.1:${port}/inject`, caBundle: base64(OTHER_CA) }),
    }),
    says: ignored(
      'its caBundle does not verify what 127.0.0.1:PORT serves: no certificate of the bundle signed the served one',
    ),
  },
  {
    who: 'the caBundle has expired',
    change: (entry, { port }) => ({
      ...entry,
      ...ignoring({ url: `https://127.0.0.1:${port}/inject`, caBundle: base64(EXPIRED_CA) }),
    }),
    says: ignored('every certificate of its caBundle has expired, the last at TIME'),
  },
  {
    who: 'a condition in CEL',
    change: (entry) => ({
      ...entry,
      matchConditions: [{ name: 'odd', expression: 'request.userInfo.username == "nobody"' }],
    }),
    says: `has no sidecar, and why cannot be told from here: ${ENTRY}: its condition odd was not evaluated, only the API server can: request.userInfo.username == "nobody"`,
  },
  {
    who: 'a label of the operator',
    change: (entry) => ({
      ...entry,
      namespaceSelector: { matchLabels: { [INJECTION]: 'enabled', team: 'mesh' } },
    }),
    says: none(`${ENTRY}: it wants team in (mesh), and the namespace has no label team`),
  },
  {
    who: 'switched off as istioctl does it',
    change: (entry) => ({
      ...entry,
      objectSelector: { matchLabels: { 'istio.io/deactivated': 'never-match' } },
    }),
    says: none(
      'no webhook of an injector is installed that asks for the creation of pods: those there are switched off',
    ),
  },
]

function ignoring(clientConfig: object): object {
  return { failurePolicy: 'Ignore', clientConfig }
}

function ignored(why: string): string {
  return none(
    `the webhook ${ENTRY} cannot be asked, and its failurePolicy Ignore lets pods in without: ${why}`,
  )
}

const OTHER_CA = (await makeThrowaway(['other'], new Date())).ca
const EXPIRED_CA = (await makeThrowaway(['old'], new Date('2020-01-01'))).ca

t.test('why not, on a real API server', need(controlPlaneUnavailable()), async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'why-not-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const auditLog = join(folder, 'audit.log')
  await writeFile(join(folder, 'audit.yaml'), JSON.stringify(AUDIT))
  const controlPlane = await startControlPlane({
    controllers: [],
    apiServerArgs: [
      '--disable-admission-plugins=ServiceAccount',
      `--audit-policy-file=${join(folder, 'audit.yaml')}`,
      `--audit-log-path=${auditLog}`,
    ],
  })
  t.teardown(() => controlPlane.stop())
  const { request, kubeconfigPath } = controlPlane
  const api = makeApi(await connect({ kubeconfig: kubeconfigPath }))
  t.teardown(() => {
    api.close()
  })
  await makeNamespace(controlPlane, HOME)
  const maps = `/api/v1/namespaces/${HOME}/configmaps`
  await create(controlPlane, maps, configMap('istio', { mesh: '{}' }))
  const data = { config: 'policy: enabled', values: '{}' }
  await create(controlPlane, maps, configMap('istio-sidecar-injector', data))
  await create(controlPlane, `/api/v1/namespaces/${HOME}/services`, {
    metadata: { name: 'empty' },
    spec: { ports: [{ port: 443 }] },
  })
  const webhook = await startWebhook(controlPlane, [
    ...['--config-from-cluster', '--kubeconfig', kubeconfigPath, '--istioNamespace', HOME],
  ])
  const world: World = { controlPlane, api, webhook }

  await t.test('nothing is installed', async (t) => {
    await makePod(world, { namespace: 'early', labels: { [INJECTION]: 'enabled' } })
    await tells(
      t,
      world,
      'early/web',
      none('no webhook of an injector is installed that asks for the creation of pods'),
    )
  })

  await pause(1100)
  await install(world, entriesOfBase(webhook))
  await untilTaken(world, 'early', true)
  for (const scenario of byDefault) {
    await t.test(scenario.who, async (t) => {
      await makePod(world, scenario)
      await tells(t, world, `${scenario.namespace}/web`, scenario.says)
    })
  }

  await t.test('the webhook came after the pod', async (t) => {
    const when = 'was installed at TIME, after the pod was created at TIME; create it again'
    await tells(t, world, 'early/web', none(`the webhook ${ENTRY} ${when}`))
  })

  await t.test('the label stands on the Deployment, not on its pods', async (t) => {
    await makeNamespace(controlPlane, 'misplaced')
    await create(controlPlane, '/apis/apps/v1/namespaces/misplaced/deployments', deployment({}))
    const where =
      'stands on the Deployment web itself, where it does not count: it belongs among the labels of its pod template'
    await tells(
      t,
      world,
      'misplaced/deploy/web',
      `get no sidecar: the label sidecar.istio.io/inject=true ${where}`,
    )
  })

  await t.test('a template that cannot be injected', async (t) => {
    await makeNamespace(controlPlane, 'refused', { [INJECTION]: 'enabled' })
    const annotations = { 'traffic.sidecar.istio.io/excludeInboundPorts': 'x' }
    await create(
      controlPlane,
      '/apis/apps/v1/namespaces/refused/deployments',
      deployment({ annotations }),
    )
    await tells(
      t,
      world,
      'refused/deployment/web',
      'cannot be created: the webhook denies it: traffic.sidecar.istio.io/excludeInboundPorts: got "x", want a port from 0 to 65535, in a list separated by commas',
    )
    const { metadata, spec } = deployment({ annotations }).spec.template
    const { status, body } = await request('POST', '/api/v1/namespaces/refused/pods', {
      metadata: { ...metadata, name: 'web' },
      spec,
    })
    t.equal(status, 400, messageOf(body))
  })

  await t.test('what was written after the pod was created', async (t) => {
    await makePod(world, { namespace: 'late-namespace' })
    await makePod(world, { namespace: 'late-pod' })
    await makePod(world, { namespace: 'late-no' })
    await pause(1100)
    await label(world, '/api/v1/namespaces/late-namespace', { [INJECTION]: 'enabled' })
    await label(world, '/api/v1/namespaces/late-pod/pods/web', { [INJECT]: 'true' })
    await label(world, '/api/v1/namespaces/late-no/pods/web', { [INJECT]: 'false' })
    const when = 'at TIME (by unknown), after the pod was created at TIME; create it again'
    await tells(
      t,
      world,
      'late-namespace/web',
      none(`the namespace got istio-injection=enabled ${when}`),
    )
    await tells(t, world, 'late-pod/web', none(`the pod got sidecar.istio.io/inject=true ${when}`))
    const nobody = 'neither the namespace nor the pod has a label that asks for a sidecar'
    await tells(t, world, 'late-no/web', none(nobody))
  })

  await t.test('the audit log has the decision and its reason', async (t) => {
    const key = (name: string) => `namespace.sidecar-injector.io/${name}`
    t.strictSame(await auditOf(auditLog, 'annotation-no'), {
      [key('decision')]: 'skip',
      [key('reason')]: 'annotation-opt-out',
      [key('why')]:
        `the pod's annotation says no, and no label stands before it: sidecar.istio.io/inject is "false" (annotation-opt-out)`,
    })
    t.match(await auditOf(auditLog, 'enabled'), { [key('decision')]: 'inject' })
    t.match(await auditOf(auditLog, 'refused'), { [key('decision')]: 'reject' })
  })

  await t.test('what runs, and what injection would make of it now', async (t) => {
    const differ = (...args: readonly string[]) =>
      execa(process.execPath, [program, 'diff', ...args, '--kubeconfig', kubeconfigPath], {
        reject: false,
        extendEnv: false,
      })
    const same = await differ('--live', 'enabled/web')
    t.strictSame([same.exitCode, same.stdout], [0, ''], same.stderr)
    t.match(
      same.stderr,
      /^pod enabled\/web: nothing differs; injected with this configuration, [0-9a-f]{64}; injected: /,
    )
    await request('PATCH', MAP, { data: { values: '{"global":{"hub":"other.example"}}' } }, MERGE)
    const other = await differ('--live', 'enabled/web')
    t.equal(other.exitCode, 1, other.stderr)
    t.match(other.stdout, /^--- a\/pod enabled\/web\n\+\+\+ b\/pod enabled\/web\n/)
    t.match(other.stdout, /^\+.*image: other\.example\/proxyv2/m)
    t.notMatch(other.stdout, /terminationMessage|kube-api-access/)
    const json = await differ('--live', 'enabled/web', '--output', 'json')
    const [report] = JSON.parse(json.stdout) as readonly { configuration: JsonObject }[]
    t.not(report?.configuration['carried'], report?.configuration['now'])
    await request('PATCH', MAP, { data: { values: '{}' } }, MERGE)
    const gone = await differ('--live', 'enabled/nobody')
    t.equal(gone.exitCode, 2)
    t.equal((await differ()).exitCode, 2)
  })

  for (const scenario of byPolicy) {
    await t.test(scenario.who, async (t) => {
      await request('PATCH', MAP, { data: { config: scenario.config } }, MERGE)
      await makeNamespace(controlPlane, scenario.namespace, { [INJECTION]: 'enabled' })
      await untilTaken(world, scenario.namespace, false, scenario.metadata)
      await makePod(world, scenario)
      await tells(t, world, `${scenario.namespace}/web`, scenario.says)
    })
  }
  await request('PATCH', MAP, { data: { config: 'policy: enabled' } }, MERGE)
  await untilTaken(world, 'early', true)

  await t.test('two injectors, one namespace', async (t) => {
    const [, , ours] = entriesOfBase(webhook)
    const theirs = {
      ...ours,
      name: 'namespace.sidecar-injector.istio.io',
      clientConfig: { url: 'https://127.0.0.1:1/inject' },
    }
    await create(controlPlane, REGISTRATIONS, registrationOf('istio-sidecar-injector', [theirs]))
    await create(controlPlane, '/apis/apps/v1/namespaces/enabled/deployments', deployment({}))
    await tells(
      t,
      world,
      'enabled/deployment/web',
      'cannot be created: the webhook istio-sidecar-injector/namespace.sidecar-injector.istio.io cannot be asked, and its failurePolicy Fail refuses pods then: nobody answers at https://127.0.0.1:1/inject, tried from here: connect ECONNREFUSED 127.0.0.1:1',
    )
    const same = {
      ...theirs,
      clientConfig: { ...ours?.clientConfig, url: webhookUrl(webhook, '/inject/net/b') },
    }
    await request('DELETE', `${REGISTRATIONS}/istio-sidecar-injector`)
    await create(controlPlane, REGISTRATIONS, registrationOf('istio-sidecar-injector', [same]))
    await tells(
      t,
      world,
      'enabled/deployment/web',
      `get a sidecar: two injectors take it and stop each other, istio-sidecar-injector/namespace.sidecar-injector.istio.io and ${ENTRY}: the namespace has the label istio-injection=enabled`,
    )
    await request('DELETE', `${REGISTRATIONS}/istio-sidecar-injector`)
  })

  await makeNamespace(controlPlane, 'fault', { [INJECTION]: 'enabled' })
  for (const [index, { who, change, says }] of byFault.entries()) {
    await t.test(who, async (t) => {
      const [, , entry] = entriesOfBase(webhook)
      await install(world, [{ ...entry, ...change(entry ?? {}, webhook) }])
      await untilTaken(world, 'fault', false)
      await makePod(world, { namespace: 'fault', name: `web${index}` })
      await tells(t, world, `fault/web${index}`, says)
    })
  }

  await t.test('it answers again, and gave no answer then', async (t) => {
    const [, , entry] = entriesOfBase(webhook)
    await makePod(world, { namespace: 'fault', name: 'ignored' })
    await install(world, [{ ...entry, ...ignoring(entry?.clientConfig ?? {}) }])
    const first = await lineOf(world, 'fault/ignored')
    // The registration was replaced a moment ago, which may be a second later than the pod.
    t.ok(
      first.endsWith('all that can be seen now would give it a sidecar; create it again') ||
        first.endsWith('after the pod was created at TIME; create it again'),
      first,
    )
  })

  await t.test('nobody listens, and Fail refuses pods', async (t) => {
    const [, , entry] = entriesOfBase(webhook)
    await install(world, [{ ...entry, clientConfig: { url: 'https://127.0.0.1:1/inject' } }])
    await create(controlPlane, '/apis/apps/v1/namespaces/fault/deployments', deployment({}))
    const why =
      'nobody answers at https://127.0.0.1:1/inject, tried from here: connect ECONNREFUSED 127.0.0.1:1'
    await tells(
      t,
      world,
      'fault/deployment/web',
      `cannot be created: the webhook ${ENTRY} cannot be asked, and its failurePolicy Fail refuses pods then: ${why}`,
    )
  })

  await install(world, entriesOfBase(webhook, 'canary'), 'canary')
  await untilTaken(world, 'fault', false)
  for (const scenario of byCanary) {
    await t.test(scenario.who, async (t) => {
      await makePod(world, scenario)
      await tells(t, world, `${scenario.namespace}/web`, scenario.says)
    })
  }

  await t.test('injected by another revision than the one that would now', async (t) => {
    await request(
      'PATCH',
      '/api/v1/namespaces/enabled',
      { metadata: { labels: { [INJECTION]: null, [REV]: 'canary' } } },
      MERGE,
    )
    await tells(
      t,
      world,
      'enabled/web',
      'has a sidecar: the revision "default" put it in, and "canary" takes such pods now: the namespace has the label istio.io/rev=canary; create it again to change over',
    )
  })

  await t.test('the command', async (t) => {
    const run = (...args: readonly string[]) =>
      execa(process.execPath, [program, 'explain', ...args, '--kubeconfig', kubeconfigPath], {
        reject: false,
        extendEnv: false,
      })
    const human = await run('--live', 'disabled/web')
    t.equal(human.exitCode, 0, human.stderr)
    t.equal(
      human.stdout.split('\n')[0],
      'pod disabled/web has no sidecar: the namespace has the label istio-injection=disabled',
    )
    const json = await run('--live', 'disabled/pod/web', '--output', 'json')
    t.match(JSON.parse(json.stdout), {
      kind: 'Pod',
      fate: 'none',
      code: 'not-asked',
      gate: { outcome: 'left', reason: 'namespace-opted-out' },
    })
    const missing = await run('--live', 'disabled/nobody')
    t.strictSame(
      [missing.exitCode, missing.stderr],
      [1, 'pod disabled/nobody: got "nothing", want one that exists and may be read'],
    )
    t.equal((await run('--live', 'a/b/c/d')).exitCode, 1)
    t.equal((await run()).exitCode, 2)
  })
})

/** Metadata of every pod that is created. */
const AUDIT = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived'],
  rules: [
    { level: 'Metadata', verbs: ['create'], resources: [{ group: '', resources: ['pods'] }] },
    { level: 'None' },
  ],
}

/** The annotations of ours in the audit log, for the last pod that was created there. */
async function auditOf(file: string, namespace: string): Promise<unknown> {
  const lines = (await readFile(file, 'utf8')).trimEnd().split('\n')
  const events = lines.map((line) => JSON.parse(line) as JsonObject)
  const own = events.filter(
    ({ objectRef, requestURI }) =>
      isObject(objectRef) &&
      objectRef['namespace'] === namespace &&
      typeof requestURI === 'string' &&
      !requestURI.includes('dryRun=All'),
  )
  const { annotations } = own.at(-1) ?? {}
  const named = Object.entries(isObject(annotations) ? annotations : {})
  return Object.fromEntries(
    named.filter(([key]) => key.startsWith('namespace.sidecar-injector.io/')),
  )
}

/** What the scenarios play in. */
type World = { readonly controlPlane: ControlPlane; readonly api: Api; readonly webhook: Webhook }

type Entry = { readonly name: string; readonly clientConfig?: object }

/** The entries of deploy/base, calling the webhook of this test. */
function entriesOfBase(webhook: Webhook, revision = 'default'): readonly Entry[] {
  const text = readFileSync(join(root, 'deploy/base/mutatingwebhookconfiguration.yaml'), 'utf8')
  const read = readYaml('base', text.replaceAll('- "default"', `- "${revision}"`))
  const entries = listAt(read.ok ? read.value : undefined, 'webhooks') as readonly Entry[]
  const clientConfig = { url: webhookUrl(webhook, '/inject'), caBundle: base64(webhook.caPem) }
  return entries
    .slice(0, revision === 'default' ? 4 : 2)
    .map((entry) => ({ ...entry, clientConfig }))
}

function webhookUrl({ port }: Webhook, path: string): string {
  return `https://127.0.0.1:${port}${path}`
}

function registrationOf(name: string, webhooks: readonly object[], revision = 'default') {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: { name, labels: { 'sidecar-injector.io/rev': revision } },
    webhooks,
  }
}

/** Replaces our registration. */
async function install(
  { controlPlane }: World,
  webhooks: readonly object[],
  revision = 'default',
): Promise<void> {
  const name = 'sidecar-injector'
  await controlPlane.request('DELETE', `${REGISTRATIONS}/${name}`)
  await create(controlPlane, REGISTRATIONS, registrationOf(name, webhooks, revision))
}

/** Waits until the API server, and the webhook, give pods there a sidecar, or none. */
async function untilTaken(
  { controlPlane }: World,
  namespace: string,
  wanted: boolean,
  metadata: object = {},
): Promise<void> {
  const path = `/api/v1/namespaces/${namespace}/pods?dryRun=All`
  let last = ''
  await until(
    `${namespace}: sidecar ${String(wanted)}`,
    async () => {
      const { status, body } = await controlPlane.request(
        'POST',
        path,
        podOf('probe', { metadata }),
      )
      last = `${status} ${messageOf(body)} ${containersOf(body).join()}`
      const isThere = containersOf(body).includes('istio-proxy')
      return status === 201 && isThere === wanted ? true : undefined
    },
    async () => `${last}\n${await controlPlane.processes.log('webhook')}`,
    15,
  )
}

async function makeNamespace(
  { request }: ControlPlane,
  name: string,
  labels: Labels = {},
): Promise<void> {
  const { status, body } = await request('POST', '/api/v1/namespaces', {
    metadata: { name, labels },
  })
  if (status !== 201 && status !== 409) throw new Error(messageOf(body))
}

/** Creates a pod for good, in a namespace that is made where there is none. */
async function makePod(
  { controlPlane }: World,
  scenario: Pick<Scenario, 'namespace' | 'labels' | 'metadata' | 'spec'> & {
    readonly name?: string
  },
): Promise<void> {
  const { namespace, labels, name = 'web' } = scenario
  await makeNamespace(controlPlane, namespace, labels)
  await create(controlPlane, `/api/v1/namespaces/${namespace}/pods`, podOf(name, scenario))
}

function podOf(name: string, { metadata, spec }: Pick<Scenario, 'metadata' | 'spec'>): object {
  return {
    metadata: { name, ...metadata },
    spec: { ...SPEC, ...spec },
  }
}

function deployment(metadata: object) {
  const labels = { app: 'web' }
  const template = {
    metadata: { labels, ...metadata },
    spec: SPEC,
  }
  return {
    metadata: { name: 'web', labels: { [INJECT]: 'true' } },
    spec: { selector: { matchLabels: labels }, template },
  }
}

async function label({ controlPlane }: World, path: string, labels: Labels): Promise<void> {
  const { status, body } = await controlPlane.request(
    'PATCH',
    path,
    { metadata: { labels } },
    MERGE,
  )
  if (status !== 200) throw new Error(messageOf(body))
}

/** The first line for a pod or workload, moments and ports made alike. */
async function lineOf({ api, webhook }: World, target: string): Promise<string> {
  const read = readTarget('target', target)
  if (!read.ok) throw new Error(JSON.stringify(read.problems))
  const { facts, cause } = await explainLive(
    api,
    read.value,
    { istioVersion: 'current', environment: {} },
    dial,
  )
  // What is said about a sidecar is what the API server shows.
  if (read.value.kind === 'Pod') {
    const isThere = containersOf(facts.object).includes('istio-proxy')
    if (isThere !== (cause.fate === 'sidecar')) throw new Error(`${target}: ${cause.sentence}`)
  }
  return headline(cause, facts)
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:]+Z/g, 'TIME')
    .replaceAll(`:${webhook.port}`, ':PORT')
    .replace(/ \(its names: [^)]*\)/, '')
}

async function tells(t: Test, world: World, target: string, says: string): Promise<void> {
  const line = await lineOf(world, target)
  t.equal(line.replace(/^(pods of )?\S+ \S+ /, ''), says)
  t.ok(line.includes(target.split('/')[0] ?? ''), line)
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}
