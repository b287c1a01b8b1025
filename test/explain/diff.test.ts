import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { injectAgain } from '../../explain/diff-again.ts'
import { diffCommand } from '../../explain/diff-command.ts'
import { asManifest, inOrder, withoutDefaults } from '../../explain/diff-live.ts'
import { diff } from '../../core/inject/patch.ts'
import type { InjectConfig } from '../../core/inject/config.ts'
import { injectPod } from '../../core/inject/inject.ts'
import type { InjectRequest } from '../../core/inject/decision.ts'
import { readConfig } from '../../kube-inject/config.ts'
import { isObject, type JsonObject } from '../../core/json.ts'

const flags = { istioVersion: 'current', revision: '' } as const
const values = (hub: string) => ({ path: 'values', text: `global: {hub: ${hub}, tag: "1"}` })
const one = await readConfig(flags, {}, { values: values('one') })
const two = await readConfig(flags, {}, { values: values('two') })

const plain: JsonObject = {
  metadata: { name: 'web', namespace: 'shop', labels: { app: 'web' } },
  spec: { containers: [{ name: 'app', image: 'app:1', ports: [{ containerPort: 80 }] }] },
}

function requestOf(pod: JsonObject): InjectRequest {
  const owner = { apiVersion: 'v1', kind: 'Pod', name: 'web', namespace: 'shop' }
  return { pod, owner, nativeSidecars: false, door: 'kube-inject', proxyEnvs: {} }
}

function injectedWith(config: InjectConfig): JsonObject {
  const decision = injectPod({ ...requestOf(plain), door: 'webhook' }, config)
  if (decision.kind !== 'inject' || !isObject(decision.pod)) throw new Error(decision.kind)
  return decision.pod
}

const same = (pod: JsonObject): JsonObject => pod

/** What differs between a pod and what injection makes of it now: the paths. */
function pathsOf(pod: JsonObject, config: InjectConfig, shape = same): readonly string[] {
  const { decision } = injectAgain(requestOf(pod), config, shape)
  if (decision.kind !== 'inject') throw new Error(decision.kind)
  return diff(decision.before, decision.pod).map(({ path }) => path)
}

t.test('nothing differs where the configuration is the same', async (t) => {
  t.strictSame(pathsOf(injectedWith(one), one), [])
})

t.test('nor where the API server put it in order and filled in defaults', async (t) => {
  const live = JSON.parse(
    JSON.stringify(inOrder(injectedWith(one)))
      .replaceAll('"image":', '"terminationMessagePath":"/dev/termination-log","image":')
      .replaceAll('"fieldPath":', '"apiVersion":"v1","fieldPath":'),
  ) as JsonObject
  const request = requestOf(asManifest(live))
  const { decision } = injectAgain(request, one, withoutDefaults)
  if (decision.kind !== 'inject') throw new Error(decision.kind)
  t.strictSame(diff(inOrder(decision.before), inOrder(decision.pod)), [])
})

t.test('another configuration changes what it is about, and the hash', async (t) => {
  const changed = pathsOf(injectedWith(one), two)
  t.strictSame(
    [...changed].sort(),
    [
      '/metadata/annotations/sidecar.istio.io~1status',
      '/spec/containers/1/image',
      '/spec/initContainers/0/image',
    ].sort(),
  )
  const { carried } = injectAgain(requestOf(injectedWith(one)), two, same)
  t.equal(carried?.version, one.version)
  t.not(one.version, two.version)
})

t.test('what was changed by hand is changed back', async (t) => {
  const text = JSON.stringify(injectedWith(one)).replaceAll('one/proxyv2:1', 'else/proxyv2:1')
  const paths = pathsOf(JSON.parse(text) as JsonObject, one)
  t.strictSame([...paths].sort(), ['/spec/containers/1/image', '/spec/initContainers/0/image'])
})

t.test('a pod that was not injected gets it all, and carries nothing', async (t) => {
  const { decision, carried } = injectAgain(requestOf(plain), one, same)
  t.equal(decision.kind, 'inject')
  t.equal(carried, undefined)
})

t.test('the policy is that of the webhook', async (t) => {
  const off = await readConfig(flags, {}, { injectConfig: { path: 'c', text: 'policy: disabled' } })
  t.equal(injectAgain(requestOf(plain), off, same).decision.kind, 'skip')
})

t.test('a mark that cannot be read is told, and nothing is taken out', async (t) => {
  const pod = { metadata: { annotations: { 'sidecar.istio.io/status': '{' } } }
  const { decision } = injectAgain(requestOf(pod), one, same)
  t.match(decision, { kind: 'reject', problems: [{ path: 'sidecar.istio.io/status', got: '{' }] })
})

t.test('a live pod without what the API server wrote', async (t) => {
  const manifest = asManifest({
    apiVersion: 'v1',
    metadata: {
      name: 'web',
      uid: 'u',
      managedFields: [],
      labels: { priority: '0', restartPolicy: 'Always' },
    },
    spec: {
      restartPolicy: 'Always',
      containers: [
        {
          name: 'app',
          ports: [{ containerPort: 80, protocol: 'TCP' }],
          resources: {},
          env: [{ name: 'A', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'x' } } }],
          volumeMounts: [
            {
              name: 'kube-api-access-abcde',
              mountPath: '/var/run/secrets/kubernetes.io/serviceaccount',
            },
          ],
          readinessProbe: { httpGet: { path: '/', port: 1, scheme: 'HTTPS' }, periodSeconds: 10 },
        },
      ],
      volumes: [{ name: 'kube-api-access-abcde' }, { name: 'a', secret: { defaultMode: 420 } }],
    },
    status: { phase: 'Running' },
  })
  t.strictSame(manifest, {
    apiVersion: 'v1',
    metadata: { name: 'web', labels: { priority: '0', restartPolicy: 'Always' } },
    spec: {
      containers: [
        {
          name: 'app',
          ports: [{ containerPort: 80 }],
          env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'x' } } }],
          readinessProbe: { httpGet: { path: '/', port: 1, scheme: 'HTTPS' } },
        },
      ],
      volumes: [{ name: 'a', secret: {} }],
    },
  })
  t.strictSame(withoutDefaults(manifest), manifest, 'and nothing more the second time')
})

t.test('standard input is read once: a second name for it is refused', async (t) => {
  const command = diffCommand()
    .exitOverride()
    .configureOutput({ writeErr: () => undefined })
  const argv = ['-f', '-', '-f', '-']
  t.rejects(command.parseAsync(argv, { from: 'user' }), /standard input can be read only once/)
})

t.test('the reference page has every flag in the words of the help', async (t) => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/reference/diff.md'), 'utf8')
  for (const { flags, description } of diffCommand().options) {
    const row = `| \`${flags}\` | ${description}`
    t.ok(page.replaceAll('\\|', '|').includes(row), flags)
  }
})
