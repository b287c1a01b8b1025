import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { at } from './at.ts'
import { standForLeader, whileLeading, type Leader } from '../../webhook/leader.ts'
import { newLease, readLease, release, renewal, takeOver } from '../../webhook/leader/lease.ts'
import { makeFakeStore, type FakeStore } from './fake-store.ts'

const LEASES = '/apis/coordination.k8s.io/v1/namespaces/mesh/leases'
const LEASE = `${LEASES}/injector`
/** Seconds of a lease. On a busy machine a process may well stand still for half a one, and lose a shorter lease. */
const SECONDS = 2

const now = new Date('2026-01-02T03:04:05.678Z')
const microNow = '2026-01-02T03:04:05.678000Z'
const claim = { holder: 'b', seconds: 15, now }
const held = readLease({
  metadata: { resourceVersion: '7' },
  spec: {
    holderIdentity: 'a',
    leaseDurationSeconds: 15,
    leaseTransitions: 3,
    preferredHolder: 'c',
  },
})
const unchanged = { op: 'test', path: '/metadata/resourceVersion', value: '7' }

t.test('what is written into a Lease', async (t) => {
  t.strictSame(newLease('injector', claim), {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name: 'injector' },
    spec: {
      holderIdentity: 'b',
      leaseDurationSeconds: 15,
      renewTime: microNow,
      acquireTime: microNow,
      leaseTransitions: 0,
    },
  })
  t.strictSame(takeOver(held, claim), [
    unchanged,
    { op: 'add', path: '/spec/holderIdentity', value: 'b' },
    { op: 'add', path: '/spec/leaseDurationSeconds', value: 15 },
    { op: 'add', path: '/spec/renewTime', value: microNow },
    { op: 'add', path: '/spec/acquireTime', value: microNow },
    { op: 'add', path: '/spec/leaseTransitions', value: 4 },
  ])
  t.strictSame(renewal(held, { ...claim, holder: 'a' }), [
    unchanged,
    { op: 'add', path: '/spec/holderIdentity', value: 'a' },
    { op: 'add', path: '/spec/leaseDurationSeconds', value: 15 },
    { op: 'add', path: '/spec/renewTime', value: microNow },
  ])
  t.match(release(held, now)[1], { path: '/spec/holderIdentity', value: '' })
  const bare = readLease({ metadata: { resourceVersion: '7' } })
  t.match(bare, { holder: '', seconds: 0, transitions: 0 })
  t.match(takeOver(bare, claim), [unchanged, { path: '/spec', value: { holderIdentity: 'b' } }])
})

type Contender = Leader & {
  readonly wire: { /** Whether its calls get no answer. */ isCut: boolean }
  readonly failures: readonly string[]
}

function contend(t: Test, store: FakeStore, identity: string): Contender {
  const failures: string[] = []
  const wire = { isCut: false }
  const api: FakeStore['api'] = {
    call: async (request) => {
      if (wire.isCut) throw new Error('no route')
      return store.api.call(request)
    },
  }
  const leader = standForLeader({
    api,
    namespace: 'mesh',
    name: 'injector',
    identity,
    seconds: SECONDS,
    failed: (why) => failures.push(why),
  })
  t.teardown(leader.close)
  return { ...leader, wire, failures }
}

/** Waits, and sees to it that never two lead. Gives the milliseconds it took. */
async function until(isSo: () => boolean, all: readonly Leader[] = []): Promise<number> {
  const began = performance.now()
  while (!isSo()) {
    if (all.filter((one) => one.isLeading()).length > 1) throw new Error('two lead')
    if (performance.now() - began > 20_000) throw new Error('want it within 20 s')
    await sleep(1)
  }
  return performance.now() - began
}

const holder = (store: FakeStore) => at(store.get(LEASE), 'spec', 'holderIdentity')
const transitions = (store: FakeStore) => at(store.get(LEASE), 'spec', 'leaseTransitions')

t.test('one leads and stays; cut off it stops before the other begins', async (t) => {
  const store = makeFakeStore()
  const a = contend(t, store, 'a')
  await until(a.isLeading)
  const b = contend(t, store, 'b')
  const both = [a, b]
  const changes: string[] = []
  a.onChange((leads) => changes.push(`a ${String(leads)}`))
  b.onChange((leads) => changes.push(`b ${String(leads)}`))
  await sleep(2 * SECONDS * 1000)
  t.strictSame([a.isLeading(), b.isLeading(), holder(store)], [true, false, 'a'])
  a.wire.isCut = true
  await until(() => !a.isLeading(), both)
  t.equal(b.isLeading(), false, 'there is a time without a leader')
  await until(b.isLeading, both)
  t.strictSame([holder(store), transitions(store)], ['b', 1])
  t.strictSame(changes, ['a false', 'b true'])
  t.strictSame(a.failures, ['no route'], 'said once')
  a.wire.isCut = false
  await sleep(SECONDS * 1000)
  t.strictSame([a.isLeading(), b.isLeading()], [false, true], 'back, but not in the lead')
  b.wire.isCut = true
  await until(a.isLeading, both)
  t.equal(transitions(store), 2, 'and in the lead again when the other is gone')
})

t.test('who leaves gives the lease back', async (t) => {
  const store = makeFakeStore()
  const a = contend(t, store, 'a')
  await until(a.isLeading)
  const b = contend(t, store, 'b')
  await sleep(100)
  await a.close()
  t.strictSame([a.isLeading(), holder(store)], [false, ''])
  await until(b.isLeading)
  t.equal(transitions(store), 1)
})

t.test('a Lease that is deleted is made anew', async (t) => {
  const store = makeFakeStore()
  const a = contend(t, store, 'a')
  await until(a.isLeading)
  store.remove(LEASE)
  await until(() => holder(store) === 'a')
  t.strictSame([a.isLeading(), transitions(store)], [true, 0])
})

t.test('a lease of somebody who is gone is waited for by our own clock', async (t) => {
  const store = makeFakeStore()
  // Its time is long over by its own clock, and says nothing about when it was written.
  const spec = {
    holderIdentity: 'gone',
    leaseDurationSeconds: 1,
    renewTime: '2001-01-01T00:00:00.000000Z',
  }
  store.set(LEASE, { metadata: {}, spec })
  const b = contend(t, store, 'b')
  const ms = await until(b.isLeading)
  t.ok(ms >= 833, `waited ${String(Math.round(ms))} ms`)
})

t.test('two that come at once: one wins', async (t) => {
  const store = makeFakeStore()
  const all = ['a', 'b', 'c', 'd'].map((name) => contend(t, store, name))
  await until(() => all.some((one) => one.isLeading()), all)
  await sleep(200)
  t.equal(all.filter((one) => one.isLeading()).length, 1)
})

t.test('a process that stood still writes nothing when it goes on', async (t) => {
  const store = makeFakeStore()
  const a = contend(t, store, 'a')
  await until(a.isLeading)
  const guarded = whileLeading(store.api, a)
  const write = { method: 'PATCH', path: LEASE, body: [] } as const
  t.equal((await guarded.call(write)).status, 200)
  // As after SIGSTOP: nothing ran, no timer, no renewal, and the clock went on.
  const end = performance.now() + SECONDS * 1000
  while (performance.now() < end);
  t.equal(a.isLeading(), false)
  await t.rejects(guarded.call(write), { message: 'the lease is over' })
  t.equal((await guarded.call({ path: LEASE })).status, 200, 'reading is always allowed')
})
