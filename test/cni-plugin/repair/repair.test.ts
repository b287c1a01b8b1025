/** The repair at work: what it asks of an API server in each mode, and rules in a real namespace. */
import { spawn, spawnSync } from 'node:child_process'
import { Registry } from 'prom-client'
import t, { type Test } from 'tap'
import { runRepair } from '../../../cni-plugin/repair/repair.ts'
import { readRepairSettings } from '../../../cni-plugin/repair/settings.ts'
import type { ApiAnswer, ApiRequest } from '../../../cluster/api.ts'
import { injectPod } from '../../../core/inject/inject.ts'
import type { Json, JsonObject } from '../../../core/json.ts'
import { startFakeApi } from '../../cluster/fake-api.ts'
import { until } from '../../e2e/until.ts'
import { kernelUnavailable } from '../../iptables-init/lab.ts'
import { need } from '../../require.ts'
import { configOf, requestFor } from '../../support/config.ts'

const PODS = '/api/v1/pods'
const SHOP = '/api/v1/namespaces/shop/pods'
const EVENTS = '/apis/events.k8s.io/v1/namespaces/shop/events'
const IP = '10.77.1.9'

/** An injected pod of the shop, whose validation has just failed for the `restarts`th time. */
function pod(
  name: string,
  restarts = 1,
  change: (injected: JsonObject) => JsonObject = (same) => same,
): JsonObject {
  const values = '{"pilot":{"cni":{"enabled":true}},"sidecarInjector":{"cniAnnotation":true}}'
  const given = {
    metadata: { name, namespace: 'shop' },
    spec: { containers: [{ name: 'app', image: 'a' }] },
  }
  const decision = injectPod(requestFor(given), configOf({ values }))
  if (decision.kind !== 'inject') throw new Error(decision.kind)
  const injected = change(JSON.parse(JSON.stringify(decision.pod)) as JsonObject)
  const failed = {
    name: 'istio-validation',
    restartCount: restarts,
    state: { terminated: { exitCode: 126 } },
  }
  return {
    ...injected,
    metadata: { ...(injected['metadata'] as JsonObject), namespace: 'shop', uid: `uid-${name}` },
    status: { phase: 'Pending', podIP: IP, podIPs: [{ ip: IP }], initContainerStatuses: [failed] },
  }
}

const well = (name: string): JsonObject => ({
  ...pod(name),
  status: { phase: 'Running', podIP: IP },
})

/** The API server, the repair that watches it, and what was asked beside lists and watches. */
async function start(t: Test, env: Readonly<Record<string, string>>) {
  const fake = await startFakeApi(t)
  const store = new Map<string, JsonObject>()
  const calls: ApiRequest[] = []
  const answers: ((request: ApiRequest) => ApiAnswer | undefined)[] = []
  const read = readRepairSettings({ REPAIR_HOST_PROC: '/proc', ...env }, '/host')
  if (!read.ok) throw new Error(JSON.stringify(read.problems))
  const call = async (request: ApiRequest): Promise<ApiAnswer> => {
    if (request.path === PODS) return fake.api.call(request)
    calls.push(request)
    for (const answer of answers) {
      const given = answer(request)
      if (given !== undefined) return given
    }
    if (request.path === EVENTS) return { status: 201, body: {} }
    const found = store.get(request.path.replace(/\/status$/, '').slice(SHOP.length + 1))
    if (found === undefined) return { status: 404, body: {} }
    return { status: 200, body: found }
  }
  const registry = new Registry()
  const lines: string[] = []
  const set = (one: JsonObject): void => {
    const { name } = one['metadata'] as { readonly name: string }
    store.set(name, one)
    fake.set(PODS, name, one)
  }
  fake.set(PODS, 'none', {})
  return {
    fake,
    store,
    calls,
    answers,
    lines,
    set,
    registry,
    run: () => {
      const repair = runRepair({
        settings: read.value,
        api: { ...fake.api, call },
        node: 'node-1',
        rules: { iptablesMode: 'auto', ipv6: 'auto' },
        path: process.env['PATH'],
        log: (level, message, fields) =>
          lines.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`),
        registry,
        delay: 20,
      })
      t.teardown(() => repair.close())
      return repair
    },
    counted: async (result: string): Promise<number> => {
      const text = await registry.metrics()
      const [, count = '0'] =
        new RegExp(`repaired_total{[^}]*result="${result}"} (\\d+)`).exec(text) ?? []
      return Number(count)
    },
    asked: (method: string): readonly ApiRequest[] =>
      calls.filter((one) => (one.method ?? 'GET') === method),
  }
}

type World = Awaited<ReturnType<typeof start>>

async function counts(world: World, result: string, count: number): Promise<void> {
  await until(
    `${count} times ${result}`,
    async () => ((await world.counted(result)) >= count ? true : undefined),
    async () => world.lines.join('\n'),
  )
}

const reasons = (world: World): readonly (Json | undefined)[] =>
  world.asked('POST').map(({ body }) => (body as JsonObject)['reason'])

t.test('delete: the pod as it was seen, and an Event', async (t) => {
  const world = await start(t, { REPAIR_MODE: 'delete', REPAIR_LABEL_SELECTORS: 'app=web' })
  world.set(pod('broken'))
  world.set(well('well'))
  world.run()
  await counts(world, 'success', 1)
  const [list] = world.fake.asked
  t.match(list?.query, { fieldSelector: 'spec.nodeName=node-1', labelSelector: 'app=web' })
  const [{ path, body } = { path: '', body: {} }, ...more] = world.asked('DELETE')
  t.equal(path, `${SHOP}/broken`)
  t.match(body, { preconditions: { uid: 'uid-broken', resourceVersion: /^\d+$/ } })
  t.strictSame(more, [], 'and no other')
  const [event] = world.asked('POST')
  t.match(event?.body, {
    type: 'Warning',
    reason: 'DeletedBrokenPod',
    eventTime: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/,
    regarding: { kind: 'Pod', namespace: 'shop', name: 'broken', uid: 'uid-broken' },
    reportingInstance: 'node-1',
  })
  t.match(await world.registry.metrics(), /sidecar_cni_repair_pods_broken 1/)
})

t.test('delete: a pod that changed meanwhile, and one that is gone', async (t) => {
  const world = await start(t, { REPAIR_MODE: 'delete' })
  const versionOf = ({ body }: ApiRequest): string => {
    const { preconditions } = body as {
      readonly preconditions: { readonly resourceVersion: string }
    }
    return preconditions.resourceVersion
  }
  let old: string | undefined
  world.answers.push((request) => {
    if (request.method !== 'DELETE') return undefined
    if (old === undefined) world.set(pod('broken'))
    old ??= versionOf(request)
    return versionOf(request) === old ? { status: 409, body: {} } : undefined
  })
  world.set(pod('broken'))
  world.run()
  await counts(world, 'success', 1)
  const versions = world.asked('DELETE').map(versionOf)
  t.ok(versions.length >= 2 && versions[0] === old && versions.at(-1) !== old, versions.join())
  world.set(pod('gone'))
  world.store.delete('gone')
  await counts(world, 'skip', 1)
})

t.test('label: once, by the status', async (t) => {
  const world = await start(t, { REPAIR_MODE: 'label', REPAIR_LABEL_KEY: 'a/b' })
  world.set(pod('broken'))
  const labelled = pod('labelled')
  world.set({
    ...labelled,
    metadata: { ...(labelled['metadata'] as JsonObject), labels: { 'a/b': 'x' } },
  })
  world.run()
  await counts(world, 'success', 1)
  await counts(world, 'skip', 1)
  const patches = world.asked('PATCH')
  t.strictSame(
    patches.map(({ path, contentType, body }) => ({ path, contentType, body })),
    [
      {
        path: `${SHOP}/broken/status`,
        contentType: 'application/merge-patch+json',
        body: { metadata: { uid: 'uid-broken', labels: { 'a/b': 'true' } } },
      },
    ],
  )
})

t.test('an API server that refuses: five attempts, and again at the next failure', async (t) => {
  const world = await start(t, { REPAIR_MODE: 'delete' })
  world.answers.push(({ method }) =>
    method === 'DELETE' ? { status: 500, body: { message: 'no' } } : undefined,
  )
  world.set(pod('broken'))
  world.run()
  await counts(world, 'fail', 1)
  t.equal(world.asked('DELETE').length, 5)
  world.set(pod('broken', 1))
  world.set(pod('broken', 2))
  await counts(world, 'fail', 2)
  t.equal(world.asked('DELETE').length, 10)
  t.match(world.lines.join('\n'), /HTTP 500: no/)
})

t.test('off: nothing is asked', async (t) => {
  const world = await start(t, {})
  await world.run().close()
  t.strictSame([world.fake.asked, world.calls], [[], []])
})

t.test('repair: what is left alone', async (t) => {
  const world = await start(t, { REPAIR_MODE: 'repair' })
  const key = 'sidecar-injector.io/redirect-plan'
  const forged = pod('forged', 1, (injected) => {
    const metadata = injected['metadata'] as JsonObject
    const { [key]: text, ...others } = metadata['annotations'] as Readonly<Record<string, string>>
    const annotations = { ...others, [key]: text?.replace('15001', '25001') ?? '' }
    return { ...injected, metadata: { ...metadata, annotations } }
  })
  world.set(forged)
  world.run()
  await counts(world, 'fail', 1)
  t.strictSame(reasons(world), ['ChangedRedirectPlan'])
  // Meanwhile another pod has taken the name.
  world.set(pod('reborn'))
  const reborn = pod('reborn')
  world.store.set('reborn', {
    ...reborn,
    metadata: { ...(reborn['metadata'] as JsonObject), uid: 'other' },
  })
  await counts(world, 'skip', 1)
  world.set(pod('nowhere'))
  await counts(world, 'fail', 2)
  t.match(world.lines.join('\n'), /no process of the node is in pod uid-nowhere/)
})

t.test(
  'repair: rules in the namespace of a pod that runs',
  need(kernelUnavailable()),
  async (t) => {
    const script = `ip link set lo up; ip addr add ${IP}/32 dev lo; echo up; exec sleep 60`
    const holder = spawn('unshare', ['--net', 'sh', '-c', script])
    t.teardown(() => holder.kill('SIGKILL'))
    await new Promise((resolve) => holder.stdout.once('data', resolve))
    const saved = (): string => {
      const { stdout } = spawnSync('nsenter', [
        `--net=/proc/${holder.pid}/ns/net`,
        '--',
        'iptables-nft-save',
      ])
      return String(stdout)
        .replace(/^#.*\n/gm, '')
        .replace(/\[\d+:\d+\]/g, '')
    }
    const world = await start(t, { REPAIR_MODE: 'repair' })
    t.notMatch(saved(), /ISTIO/)
    world.set(pod('web'))
    world.run()
    await counts(world, 'success', 1)
    const rules = saved()
    t.match(rules, /-A ISTIO-REDIRECT -p tcp -j REDIRECT --to-ports 15001/)
    t.match(rules, /-A OUTPUT .*-j ISTIO-OUTPUT/)
    t.strictSame(reasons(world), ['RepairedBrokenPod'])
    // It fails again before it sees the rules, then finds them; later it is broken once more.
    world.set(pod('web', 2))
    world.set(well('web'))
    world.set(pod('web', 3))
    await counts(world, 'success', 2)
    t.equal(saved(), rules, 'twice is as good as once')
    t.match(world.lines.join('\n'), /nothing to do/)
    t.equal(world.asked('POST').length, 2, 'one Event each time')
  },
)
