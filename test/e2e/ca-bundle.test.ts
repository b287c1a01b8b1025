/** Who writes the caBundle, what they leave alone, and what becomes of it when they die. */
import t, { type Test } from 'tap'
import { FIELD_MANAGER } from '../../webhook/ca-bundle/patcher.ts'
import { REGISTRATIONS } from '../../cluster/registrations.ts'
import { need } from '../require.ts'
import {
  attemptsOf,
  bundlesOf,
  damage,
  fieldsOf,
  leadersOf,
  LEASE_SECONDS,
  NONSENSE,
  readLease,
  startOwnCaFleet,
} from './cluster-duties.ts'
import { controlPlaneUnavailable, startControlPlane, type ControlPlane } from './control-plane.ts'
import { register, registrationOf, type Fleet } from './fleet.ts'
import { startIstiod } from './istiod.ts'
import { at, create, createNamespace, listAt } from './objects.ts'
import { until } from './until.ts'

const MESHED = 'meshed'
const OURS = 'sidecar-injector'
const ENTRY = 'namespace.sidecar-injector.io'

t.test('the caBundle of a fleet', need(controlPlaneUnavailable()), async (t) => {
  const controlPlane = await startControlPlane({ controllers: ['serviceaccount-controller'] })
  t.teardown(() => controlPlane.stop())
  await createNamespace(controlPlane, MESHED, { 'istio-injection': 'enabled' })
  const fleet = await startOwnCaFleet(controlPlane)
  t.teardown(() => fleet.close())
  await register(controlPlane, MESHED, registrationOf(fleet.url))

  await t.test('one replica wrote it, that field and no other', (t) =>
    oneWriter(t, controlPlane, fleet),
  )
  await t.test('what is not ours is left alone, and ours by others', (t) =>
    neighbours(t, controlPlane, fleet),
  )
  await t.test('damaged by hand it is mended', (t) => mended(t, controlPlane, fleet))
  await t.test('a leader that is told to go is followed at once', (t) =>
    succeeded(t, controlPlane, fleet, 'SIGTERM'),
  )
  await t.test('a leader that stands still is followed, and does not write afterwards', (t) =>
    paused(t, controlPlane, fleet),
  )
  await t.test('a leader that is killed is followed after the time of its lease', (t) =>
    succeeded(t, controlPlane, fleet, 'SIGKILL'),
  )
})

async function oneWriter(t: Test, controlPlane: ControlPlane, fleet: Fleet): Promise<void> {
  const [leader = '', ...others] = await leadersOf(fleet)
  t.strictSame(others, [], 'one leader')
  for (const name of fleet.replicas()) {
    t.equal(await attemptsOf(fleet, name), name === leader ? 1 : 0, name)
  }
  const clientConfig = { 'f:clientConfig': { 'f:caBundle': {} } }
  t.strictSame(await fieldsOf(controlPlane, OURS, FIELD_MANAGER), [
    { [`k:{"name":"${ENTRY}"}`]: clientConfig },
  ])
}

async function neighbours(t: Test, controlPlane: ControlPlane, fleet: Fleet): Promise<void> {
  const [ours] = listAt(registrationOf(fleet.url), 'webhooks')
  const entry = (name: string, url = fleet.url) => ({
    ...(typeof ours === 'object' ? ours : {}),
    name,
    clientConfig: { url, caBundle: NONSENSE },
    namespaceSelector: { matchLabels: { nobody: 'here' } },
  })
  const both = { 'sidecar-injector.io/rev': 'default', 'istio.io/rev': 'default' }
  const objects = [
    {
      metadata: { name: 'mixed', labels: both },
      webhooks: [
        entry('a.sidecar-injector.istio.io'),
        entry('a.sidecar-injector.io'),
        entry('a.other.example.org'),
      ],
    },
    {
      metadata: { name: 'istiod', labels: { 'istio.io/rev': 'default' } },
      webhooks: [entry('b.sidecar-injector.istio.io'), entry('b.sidecar-injector.io')],
    },
    {
      metadata: { name: 'canary', labels: { 'sidecar-injector.io/rev': 'canary' } },
      webhooks: [entry('c.sidecar-injector.io')],
    },
    {
      metadata: { name: 'elsewhere', labels: both },
      webhooks: [entry('d.sidecar-injector.io', 'https://elsewhere.example.org/')],
    },
    {
      metadata: {
        name: 'managed',
        labels: both,
        annotations: { 'cert-manager.io/inject-ca-from': 'a/b' },
      },
      webhooks: [entry('e.sidecar-injector.io')],
    },
  ]
  const istiod = startIstiod(controlPlane)
  t.teardown(istiod.stop)
  for (const object of objects) {
    await create(controlPlane, REGISTRATIONS, { ...REGISTRATION, ...object })
  }
  const right = (await bundlesOf(controlPlane, OURS))[ENTRY] ?? ''
  const want: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    mixed: {
      'a.sidecar-injector.istio.io': istiod.bundle,
      'a.sidecar-injector.io': right,
      'a.other.example.org': 'nonsense',
    },
    istiod: { 'b.sidecar-injector.istio.io': istiod.bundle, 'b.sidecar-injector.io': 'nonsense' },
    canary: { 'c.sidecar-injector.io': 'nonsense' },
    elsewhere: { 'd.sidecar-injector.io': 'nonsense' },
    managed: { 'e.sidecar-injector.io': 'nonsense' },
  }
  const all = async () => {
    const found: Record<string, Readonly<Record<string, string>>> = {}
    for (const name of Object.keys(want)) found[name] = await bundlesOf(controlPlane, name)
    return found
  }
  const isRight = async () => JSON.stringify(await all()) === JSON.stringify(want)
  await until(
    'both to have written theirs',
    async () => ((await isRight()) ? true : undefined),
    async () => JSON.stringify(await all()),
  )
  for (let time = 0; time < 5; time++) {
    await damage(controlPlane, 'mixed', 0)
    await damage(controlPlane, 'mixed', 1)
    await until('both to have mended theirs', async () => ((await isRight()) ? true : undefined))
  }
  const writes = istiod.writes()
  t.ok(writes >= 6, `istiod wrote ${writes} times`)
  t.strictSame(await all(), want)
  await until('two to be done with each other', async () => {
    const before = JSON.stringify(await versions(controlPlane))
    await new Promise((resolve) => setTimeout(resolve, 1000))
    return before === JSON.stringify(await versions(controlPlane)) ? true : undefined
  })
  await istiod.stop()
}

async function mended(t: Test, controlPlane: ControlPlane, fleet: Fleet): Promise<void> {
  const [leader = ''] = await leadersOf(fleet)
  const right = (await bundlesOf(controlPlane, OURS))[ENTRY]
  const before = await attemptsOf(fleet, leader)
  await damage(controlPlane, OURS, 0)
  const began = performance.now()
  await untilMended(controlPlane, right)
  t.comment(`mended after ${Math.round(performance.now() - began)} ms`)
  t.equal((await attemptsOf(fleet, leader)) - before, 1)
}

async function succeeded(
  t: Test,
  controlPlane: ControlPlane,
  fleet: Fleet,
  signal: 'SIGTERM' | 'SIGKILL',
): Promise<void> {
  const [leader = ''] = await leadersOf(fleet)
  const right = (await bundlesOf(controlPlane, OURS))[ENTRY]
  const transitions = Number(at(await readLease(controlPlane), 'spec', 'leaseTransitions'))
  fleet.signal(leader, signal)
  const began = performance.now()
  await damage(controlPlane, OURS, 0)
  const [next] = await until('another leader', async () => {
    const leaders = await leadersOf(fleet)
    return leaders.length > 0 ? leaders : undefined
  })
  const ms = Math.round(performance.now() - began)
  t.comment(`${next} leads ${ms} ms after ${signal}; the lease is ${LEASE_SECONDS} s`)
  t.not(next, leader)
  await untilMended(controlPlane, right)
  const lease = await readLease(controlPlane)
  t.equal(at(lease, 'spec', 'leaseTransitions'), transitions + 1)
  await fleet.ended(leader)
  await fleet.start()
}

async function paused(t: Test, controlPlane: ControlPlane, fleet: Fleet): Promise<void> {
  const { processes } = controlPlane
  const [leader = ''] = await leadersOf(fleet)
  const right = (await bundlesOf(controlPlane, OURS))[ENTRY]
  const before = await attemptsOf(fleet, leader)
  // Damaged at the same moment: the leader may have begun to mend it when it stops.
  processes.signal(leader, 'SIGSTOP')
  await damage(controlPlane, OURS, 0)
  await until('another leader', async () => {
    const leaders = await leadersOf(fleet)
    return leaders.length > 0 && !leaders.includes(leader) ? true : undefined
  })
  await untilMended(controlPlane, right)
  processes.signal(leader, 'SIGCONT')
  await damage(controlPlane, OURS, 0)
  await untilMended(controlPlane, right)
  for (let time = 0; time < 10; time++) {
    const leaders = await leadersOf(fleet)
    t.notOk(leaders.includes(leader), 'it knows that its lease is over')
    t.equal(leaders.length, 1)
  }
  t.ok((await attemptsOf(fleet, leader)) - before <= 1, 'no more than it had begun')
}

async function untilMended(controlPlane: ControlPlane, right: string | undefined): Promise<void> {
  await until('the right caBundle', async () => {
    return (await bundlesOf(controlPlane, OURS))[ENTRY] === right ? true : undefined
  })
}

async function versions({ request }: ControlPlane): Promise<readonly unknown[]> {
  const { body } = await request('GET', REGISTRATIONS)
  return listAt(body, 'items').map((item) => at(item, 'metadata', 'resourceVersion'))
}

const REGISTRATION = {
  apiVersion: 'admissionregistration.k8s.io/v1',
  kind: 'MutatingWebhookConfiguration',
}
