/** `check` against its judges: what Pod Security, LimitRange and ResourceQuota refuse, the API server says itself. */
import { execa } from 'execa'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { policyOf } from '../../core/analysis/pod-security/level.ts'
import { violationsOf } from '../../core/analysis/pod-security/violations.ts'
import { injectPod } from '../../core/inject/inject.ts'
import { readPod } from '../../core/inject/pod-shape.ts'
import { isArray, isObject, type JsonObject } from '../../core/json.ts'
import { configOf, requestFor } from '../support/config.ts'
import { checkObjects } from '../check/run-check.ts'
import { container, deployment, withSpec } from '../check/helpers.ts'
import { need } from '../require.ts'
import { controlPlaneUnavailable, startControlPlane, type ControlPlane } from './control-plane.ts'
import { until } from './until.ts'

const root = join(import.meta.dirname, '../..')

/** Every reason of Kubernetes' own policy, as its messages begin it. */
const REASONS = [
  ...['host namespaces', 'privileged', 'non-default capabilities', 'hostPath volumes', 'hostPort'],
  ...['probe or lifecycle host', 'forbidden AppArmor profile', 'seLinuxOptions', 'procMount'],
  ...['seccompProfile', 'forbidden sysctls', 'hostProcess', 'restricted volume types'],
  ...['allowPrivilegeEscalation != false', 'runAsNonRoot != true', 'runAsUser=0'],
  'unrestricted capabilities',
]

const SECURE = {
  allowPrivilegeEscalation: false,
  runAsNonRoot: true,
  capabilities: { drop: ['ALL'] },
  seccompProfile: { type: 'RuntimeDefault' },
}
const app = (securityContext: JsonObject, more: JsonObject = {}): JsonObject => ({
  containers: [container({ securityContext: { ...SECURE, ...securityContext }, ...more })],
})

/** Specs of pods, each with something that some level forbids, or nearly. */
const SPECS: Readonly<Record<string, JsonObject>> = {
  plain: { containers: [container()] },
  secure: app({}),
  'secure by the pod': {
    securityContext: {
      runAsNonRoot: true,
      seccompProfile: { type: 'Localhost', localhostProfile: 'a' },
    },
    containers: [
      container({
        securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
      }),
    ],
  },
  privileged: app({ privileged: true, allowPrivilegeEscalation: true }),
  NET_BIND_SERVICE: app({ capabilities: { drop: ['ALL'], add: ['NET_BIND_SERVICE'] } }),
  CHOWN: app({ capabilities: { drop: ['ALL'], add: ['CHOWN'] } }),
  SYS_TIME: app({ capabilities: { add: ['SYS_TIME'] } }),
  'drops one': app({ capabilities: { drop: ['NET_RAW'] } }),
  'host namespaces': { ...app({}), hostPID: true, hostIPC: true },
  hostPath: { ...app({}), volumes: [{ name: 'v', hostPath: { path: '/v' } }] },
  nfs: { ...app({}), volumes: [{ name: 'v', nfs: { server: 'a', path: '/' } }] },
  'volumes that are fine': {
    ...app({}),
    volumes: [
      { name: 'a', emptyDir: {} },
      { name: 'b' },
      { name: 'c', configMap: { name: 'x' } },
      { name: 'd', csi: { driver: 'x.example.com' } },
      { name: 'e', secret: { secretName: 'x' } },
    ],
  },
  hostPort: app({}, { ports: [{ containerPort: 80, hostPort: 80 }] }),
  'probe of a host': app({}, { livenessProbe: { httpGet: { host: '10.0.0.1', port: 80 } } }),
  'hook of a host': app({}, { lifecycle: { preStop: { tcpSocket: { host: 'a', port: 80 } } } }),
  apparmor: app({ appArmorProfile: { type: 'Unconfined' } }),
  'apparmor default': app({ appArmorProfile: { type: 'RuntimeDefault' } }),
  'selinux type': app({ seLinuxOptions: { type: 'spc_t' } }),
  'selinux engine': app({ seLinuxOptions: { type: 'container_engine_t' } }),
  'selinux user': { ...app({}), securityContext: { seLinuxOptions: { user: 'root' } } },
  'no seccomp': app({ seccompProfile: { type: 'Unconfined' } }),
  'no seccomp by the pod': {
    ...app({}),
    securityContext: { seccompProfile: { type: 'Unconfined' } },
  },
  sysctl: { ...app({}), securityContext: { sysctls: [{ name: 'kernel.msgmax', value: '1' }] } },
  'safe sysctl': {
    ...app({}),
    securityContext: { sysctls: [{ name: 'net.ipv4.tcp_rmem', value: '4096 87380 6291456' }] },
  },
  unmasked: { ...app({ procMount: 'Unmasked' }), hostUsers: false },
  root: app({ runAsUser: 0, runAsNonRoot: false }),
  'root in a user namespace': { ...app({ runAsUser: 0, runAsNonRoot: false }), hostUsers: false },
  'pod says root': { ...app({}), securityContext: { runAsNonRoot: false } },
  'init container': { ...app({}), initContainers: [{ name: 'early', image: 'a' }] },
  windows: {
    os: { name: 'windows' },
    containers: [container({ securityContext: { runAsNonRoot: true } })],
  },
  'windows host': {
    os: { name: 'windows' },
    hostNetwork: true,
    containers: [
      container({ securityContext: { windowsOptions: { hostProcess: true, runAsUserName: 'a' } } }),
    ],
  },
}

const LEVELS = [
  ['baseline', 'latest'],
  ['restricted', 'latest'],
  ['restricted', 'v1.28'],
] as const

const SECCOMP = '"global":{"proxy":{"seccompProfile":{"type":"RuntimeDefault"}}}'
const FORMS = [
  { who: 'as it is', config: undefined },
  { who: 'injected', config: configOf({}) },
  {
    who: 'injected with CNI',
    config: configOf({ values: `{"pilot":{"cni":{"enabled":true}},${SECCOMP}}` }),
  },
]

const labelsOf = (level: string, version: string) => ({
  'istio-injection': 'enabled',
  'pod-security.kubernetes.io/enforce': level,
  'pod-security.kubernetes.io/enforce-version': version,
})

t.test('check and the API server', need(controlPlaneUnavailable()), async (t) => {
  const controlPlane = await startControlPlane({
    apiServerArgs: ['--allow-privileged=true'],
    controllers: ['serviceaccount-controller', 'deployment-controller', 'replicaset-controller'],
  })
  t.teardown(() => controlPlane.stop())
  await t.test('Pod Security: the same verdict for the same reasons', (t) =>
    security(t, controlPlane),
  )
  await t.test('LimitRange and ResourceQuota: the same verdict', (t) => bounds(t, controlPlane))
  await t.test('--live', (t) => live(t, controlPlane))
})

async function makeNamespace(
  controlPlane: ControlPlane,
  name: string,
  labels: JsonObject,
): Promise<void> {
  const body = { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } }
  await controlPlane.request('POST', '/api/v1/namespaces', body)
  await until(`service account of ${name}`, async () => {
    const path = `/api/v1/namespaces/${name}/serviceaccounts/default`
    return (await controlPlane.request('GET', path)).status === 200 || undefined
  })
}

/** Posts a pod as a dry run; gives nothing when it is taken, else the reasons of the refusal. */
async function refusal(
  controlPlane: ControlPlane,
  namespace: string,
  pod: unknown,
): Promise<string | undefined> {
  const path = `/api/v1/namespaces/${namespace}/pods?dryRun=All`
  const { status, body } = await controlPlane.request('POST', path, pod)
  return status === 201 ? undefined : String(isObject(body) ? body['message'] : body)
}

async function security(t: Test, controlPlane: ControlPlane): Promise<void> {
  let verdicts = 0
  const seen = new Set<string>()
  for (const [level, version] of LEVELS) {
    const namespace = `${level}-${version.replaceAll('.', '-')}`
    const labels = labelsOf(level, version)
    await makeNamespace(controlPlane, namespace, labels)
    const policy = policyOf(labels, 'enforce')
    if (policy === undefined) throw new Error('no policy')
    for (const { who, config } of FORMS) {
      for (const [name, spec] of Object.entries(SPECS)) {
        const written = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web' }, spec }
        const decision = config && injectPod(requestFor(written), config)
        if (decision !== undefined && decision.kind !== 'inject') continue
        const pod = decision?.pod ?? written
        const message = await refusal(controlPlane, namespace, pod)
        if (message?.includes('is invalid')) t.fail(`${name}, ${who}: ${message}`)
        const theirs = REASONS.filter((reason) =>
          new RegExp(`(?:: |, )${escaped(reason)}s? \\(`).test(message ?? ''),
        )
        theirs.forEach((reason) => seen.add(reason))
        t.equal(theirs.length > 0, message !== undefined, message ?? 'taken')
        const read = readPod('', pod)
        const ours: readonly string[] = read.ok
          ? violationsOf(read.value, policy).map(({ reason }) => reason)
          : []
        t.strictSame(ours.toSorted(), theirs.toSorted(), `${name}, ${who}, ${level} ${version}`)
        verdicts++
      }
    }
  }
  t.strictSame([...seen].toSorted(), REASONS.toSorted(), 'every reason was given')
  t.comment(`${verdicts} verdicts of Pod Security compared`)
}

function escaped(text: string): string {
  return text.replace(/[!=]/g, '\\$&')
}

/** Bounds of a namespace, and amounts of an application's container. */
const BOUNDS: readonly (readonly [string, JsonObject, JsonObject])[] = [
  ['max below the proxy', limitRange({ type: 'Container', max: { cpu: '1', memory: '2Gi' } }), {}],
  ['max as the proxy', limitRange({ type: 'Container', max: { cpu: '2', memory: '1Gi' } }), {}],
  [
    'min above the proxy',
    limitRange({ type: 'Container', min: { cpu: '200m' } }),
    amounts('1', '1'),
  ],
  ['min as the proxy', limitRange({ type: 'Container', min: { cpu: '100m' } }), amounts('1', '1')],
  [
    'ratio',
    limitRange({ type: 'Container', maxLimitRequestRatio: { cpu: '10' } }),
    amounts('1', '1'),
  ],
  [
    'ratio as the proxy',
    limitRange({ type: 'Container', maxLimitRequestRatio: { cpu: '20' } }),
    amounts('1', '1'),
  ],
  ['pod max', limitRange({ type: 'Pod', max: { cpu: '2' } }), amounts('1', '1')],
  ['pod max that fits', limitRange({ type: 'Pod', max: { cpu: '3' } }), amounts('1', '1')],
  ['quota', withSpec('ResourceQuota', { hard: { 'limits.cpu': '10' } }), amounts('1', '1')],
]

function limitRange(item: JsonObject): JsonObject {
  return withSpec('LimitRange', { limits: [item] })
}

function amounts(request: string, limit: string): JsonObject {
  return { requests: { cpu: request }, limits: { cpu: limit } }
}

async function bounds(t: Test, controlPlane: ControlPlane): Promise<void> {
  const labels = { 'istio-injection': 'enabled' }
  const cases = BOUNDS.flatMap(([what, bound, resources]) =>
    [{}, { 'sidecar.istio.io/proxyCPU': '10m' }].map((annotations) => {
      return { what, bound, resources, annotations }
    }),
  )
  const compare = async (
    index: number,
    { what, bound, resources, annotations }: (typeof cases)[number],
  ) => {
    const namespace = `bounds-${index}`
    await makeNamespace(controlPlane, namespace, labels)
    const own = { ...bound, metadata: { name: 'bounds', namespace } }
    await setBounds(controlPlane, namespace, own)
    const web = deployment({ containers: [container({ resources })] }, { annotations })
    const metadata = { name: 'web', namespace, annotations }
    const spec = { containers: [container({ resources })] }
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata, spec }
    const decision = injectPod(requestFor(pod), configOf({}))
    if (decision.kind !== 'inject') throw new Error('not injected')
    const message = await settled(controlPlane, namespace, decision.pod)
    const refused = message !== undefined
    const objects = [
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels } },
      own,
      { ...web, metadata: { name: 'web', namespace } },
    ]
    const codes = checkObjects(objects).map(({ code }) => code)
    const says = codes.some((code) => code === 'SI0504' || code === 'SI0505')
    t.equal(says, refused, `${what}, ${JSON.stringify(annotations)}: ${message ?? 'taken'}`)
  }
  await Promise.all(cases.map((each, index) => compare(index, each)))
}

/** Makes a LimitRange, or a quota of which nothing is used: what the quota controller would write. */
async function setBounds(
  controlPlane: ControlPlane,
  namespace: string,
  object: JsonObject,
): Promise<void> {
  const isQuota = object['kind'] === 'ResourceQuota'
  const path = `/api/v1/namespaces/${namespace}/${isQuota ? 'resourcequotas' : 'limitranges'}`
  const { status } = await controlPlane.request('POST', path, object)
  if (status !== 201) throw new Error(`HTTP ${status}`)
  if (!isQuota) return
  const hard = (object['spec'] as JsonObject)['hard'] as JsonObject
  const used = Object.fromEntries(Object.keys(hard).map((name) => [name, '0']))
  const patch = { status: { hard, used } }
  await controlPlane.request(
    'PATCH',
    `${path}/bounds/status`,
    patch,
    'application/merge-patch+json',
  )
}

/** The answer once it has been the same for a while: admission hears of new bounds by a watch. */
async function settled(
  controlPlane: ControlPlane,
  namespace: string,
  pod: unknown,
): Promise<string | undefined> {
  const answers: (string | undefined)[] = []
  await until('an answer that stays', async () => {
    answers.push(await refusal(controlPlane, namespace, pod))
    const last = answers.slice(-5)
    return (last.length === 5 && new Set(last).size === 1) || undefined
  })
  return answers.at(-1)
}

async function live(t: Test, controlPlane: ControlPlane): Promise<void> {
  await makeNamespace(controlPlane, 'shop', {
    'istio-injection': 'enabled',
    'pod-security.kubernetes.io/warn': 'restricted',
  })
  await makeNamespace(controlPlane, 'quiet', {})
  const path = '/apis/apps/v1/namespaces/shop/deployments'
  const web = deployment({ containers: [container({ ports: [{ containerPort: 15001 }] })] })
  await controlPlane.request('POST', path, web)
  await until('pods', async () => {
    const { body } = await controlPlane.request('GET', '/api/v1/namespaces/shop/pods')
    return (isObject(body) && isArray(body['items']) && body['items'].length === 2) || undefined
  })
  const run = async (...flags: readonly string[]) => {
    const cluster = ['--live', '--kubeconfig', controlPlane.kubeconfigPath]
    const program = [join(root, 'dist/cli/main.js'), 'check', ...cluster, ...flags]
    return execa(process.execPath, program, { reject: false })
  }
  const one = await run('-n', 'shop', '--output', 'json')
  t.equal(one.exitCode, 1, one.stderr)
  const { findings } = JSON.parse(one.stdout) as { findings: Record<string, string>[] }
  const told = findings.map(({ code, kind, namespace }) => `${code} ${kind} ${namespace}`)
  t.strictSame(
    [...new Set(told)].toSorted(),
    ['SI0113 Pod shop', 'SI0305 Deployment shop', 'SI0503 Deployment shop'],
    'nobody injected the pods, and their ReplicaSet is told by its Deployment',
  )
  const all = await run('-A', '--output', 'sarif', '--severity', 'info')
  t.match(all.stdout, '"fullyQualifiedName": "Namespace quiet/metadata"')
  t.notMatch(all.stdout, 'physicalLocation')
  const absent = await run('-n', 'shop', '--config-from-cluster')
  t.equal(absent.exitCode, 1)
  t.match(absent.stderr, 'ConfigMap istio-system/istio')
}
