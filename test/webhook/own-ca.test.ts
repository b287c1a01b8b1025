import { X509Certificate } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { isObject } from '../../core/json.ts'
import { keepAuthority, type Keeper } from '../../webhook/authority/keeper.ts'
import { makeAuthority, makeServing } from '../../webhook/authority/leaf.ts'
import { watchLeaves } from '../../webhook/authority/leaves.ts'
import { nextStep, type Step } from '../../webhook/authority/rotation.ts'
import {
  bundleOf,
  printSecret,
  printStep,
  readState,
  type AuthorityState,
  type Kept,
} from '../../webhook/authority/state.ts'
import type { Certified } from '../../webhook/tls/reload.ts'
import { whyUnverified } from '../../cluster/verify.ts'
import { makeLeaf, makeCa, printKey, readCa } from '../../webhook/tls/x509.ts'
import { startFakeApi } from '../cluster/fake-api.ts'
import { makeFakeStore } from './fake-store.ts'

const secret = { namespace: 'mesh', name: 'ca' }
const SECRETS = '/api/v1/namespaces/mesh/secrets'
const PATH = `${SECRETS}/ca`
const HOST = 'sidecar-injector.mesh.svc'
const DAY = 86_400_000

const now = new Date()
const later = (days: number) => new Date(now.getTime() + days * DAY)
const [one, two] = [await makeAuthority(now), await makeAuthority(now)]
const kept: Kept = { ca: one, next: undefined, old: '', oldUntil: undefined, leaves: '' }
const steady: AuthorityState = {
  ...kept,
  resourceVersion: '7',
  hasAnnotations: true,
  request: undefined,
}

function good<T>(read: { ok: true; value: T } | { ok: false; problems: unknown }): T {
  if (!read.ok) throw new Error(JSON.stringify(read.problems))
  return read.value
}

t.test('the state in the Secret reads back as it was written', async (t) => {
  const states: readonly Kept[] = [
    kept,
    { ...kept, next: two, leaves: now.toISOString() },
    { ...kept, old: two.cert, oldUntil: later(9) },
  ]
  for (const state of states) {
    const read = good(readState('Secret mesh/ca', printSecret('ca', {}, state)))
    t.match(read, { ...state, request: undefined, resourceVersion: '' })
    const bundle = good(bundleOf(read))
    t.equal(bundle.certificates.length, state === kept ? 1 : 2)
    t.notMatch(bundle.text, 'PRIVATE')
  }
})

t.test('what is no own CA is said without showing it', async (t) => {
  const broken = { data: { 'ca.crt': Buffer.from(one.cert).toString('base64') } }
  const empty = { data: { 'next-ca.crt': Buffer.from('x').toString('base64') } }
  t.strictSame(readState('Secret mesh/ca', broken), {
    ok: false,
    problems: [{ path: 'Secret mesh/ca ca.key', got: 'none', want: 'the key of ca.crt' }],
  })
  t.match(readState('Secret mesh/ca', empty), {
    problems: [
      { path: 'Secret mesh/ca ca.crt', got: 'none' },
      { path: 'Secret mesh/ca next-ca.crt', got: 'none' },
      { path: 'Secret mesh/ca ca.key' },
      { path: 'Secret mesh/ca next-ca.key' },
    ],
  })
})

t.test('a patch writes what changed, for the version that was read', async (t) => {
  const bare = { ...steady, hasAnnotations: false, request: 'leaf' }
  t.strictSame(printStep(bare, { ...bare, leaves: 'x', request: undefined }), [
    { op: 'test', path: '/metadata/resourceVersion', value: '7' },
    { op: 'add', path: '/metadata/annotations', value: {} },
    { op: 'add', path: '/metadata/annotations/sidecar-injector.io~1leaves-since', value: 'x' },
    { op: 'remove', path: '/metadata/annotations/sidecar-injector.io~1rotate' },
  ])
})

const steps: readonly {
  readonly what: string
  readonly state: Partial<AuthorityState>
  readonly inSyncMs?: number
  readonly now?: Date
  readonly want: Partial<Step> | undefined
}[] = [
  { what: 'nothing to do', state: {}, want: undefined },
  { what: 'leaves asked for', state: { request: 'leaf' }, want: { do: 'renew-leaves' } },
  {
    what: 'a CA asked for',
    state: { request: 'ca' },
    want: { do: 'publish-next', why: 'asked for', oldUntil: undefined },
  },
  {
    what: 'nonsense asked for',
    state: { request: 'moon' },
    want: { do: 'ignore', request: 'moon' },
  },
  { what: 'published, but not for long', state: { next: two }, inSyncMs: 59_999, want: undefined },
  { what: 'published for long enough', state: { next: two }, want: { do: 'switch' } },
  {
    what: 'another CA asked for while one is on its way',
    state: { next: two, request: 'ca' },
    inSyncMs: 0,
    want: undefined,
  },
  { what: 'switched, but not for long', state: { old: two.cert }, inSyncMs: 0, want: undefined },
  { what: 'switched for long enough', state: { old: two.cert }, want: { do: 'retire-old' } },
  {
    what: 'old leaves may still be served',
    state: { old: two.cert, oldUntil: later(1) },
    want: undefined,
  },
  {
    what: 'the last old leaf has ended',
    state: { old: two.cert, oldUntil: later(-1) },
    want: { do: 'retire-old' },
  },
  { what: 'a CA of middle age', state: {}, now: later(2900), want: undefined },
  {
    what: 'a CA of old age',
    state: {},
    now: later(2930),
    want: { do: 'publish-next', oldUntil: later(2930 + 91) },
  },
]

t.test('the next step', async (t) => {
  for (const { what, state, inSyncMs = 60_000, want, ...rest } of steps) {
    const facts = { now: rest.now ?? now, inSyncMs, delayMs: 60_000 }
    const step = nextStep({ ...steady, ...state }, facts)
    if (want === undefined) t.equal(step, undefined, what)
    else t.match(step, want, what)
  }
})

t.test('a leaf of the CA', async (t) => {
  const made = good(await makeServing('ca', one, [HOST, '127.0.0.1'], now))
  const bundle = good(bundleOf(steady))
  for (const host of [HOST, '127.0.0.1']) {
    t.equal(whyUnverified(made.pair.cert, bundle, host, now), undefined, host)
  }
  t.equal(Math.round((made.notAfter.getTime() - now.getTime()) / DAY), 90)
  const end = later(3640)
  const last = good(await makeServing('ca', one, [HOST], end))
  t.ok(last.notAfter <= new Date(new X509Certificate(one.cert).validTo), 'ends with its CA')
  const problems: readonly (readonly [Partial<typeof one>, Date, string])[] = [
    [{ key: two.key }, now, 'another key'],
    [{ key: 'x' }, now, 'no key to be read'],
    [{ cert: 'x' }, now, 'no certificate'],
    [{}, later(3651), 'valid to '],
  ]
  for (const [part, at, got] of problems) {
    const read = await makeServing('ca', { ...one, ...part }, [HOST], at)
    t.match(read, { ok: false, problems: [{ path: 'ca', got: new RegExp(`^${got}`) }] }, got)
  }
  const root = await makeCa({ commonName: 'r', now, validDays: 1 })
  const leaf = await makeLeaf(root, { commonName: 'l', now, validDays: 1, hosts: [] })
  t.match(await readCa('ca', leaf.certificate, await printKey(leaf)), {
    problems: [{ got: 'a certificate of no CA' }],
  })
})

/** A keeper over a store. */
function keeperOf(store: ReturnType<typeof makeFakeStore>, known?: Kept) {
  const done: string[] = []
  const keeper: Keeper = {
    api: store.api,
    secret,
    labels: { app: 'x' },
    delayMs: 1000,
    known: () => known,
    did: (what) => done.push(what),
    failed: (what, why) => done.push(`${what} failed: ${why}`),
  }
  return { source: keepAuthority(keeper), done }
}

t.test('a CA from its making to the end of its rotation, over leaders that die', async (t) => {
  const store = makeFakeStore()
  const first = keeperOf(store)
  const before = good(await first.source.load()).text
  t.strictSame(first.done, ['make'])
  t.match(store.get(PATH), { kind: 'Secret', metadata: { name: 'ca', labels: { app: 'x' } } })
  t.strictSame(await first.source.advance(0), { isDone: true, waitMs: undefined })

  const secretNow = store.get(PATH)
  const metadata = isObject(secretNow?.['metadata']) ? secretNow['metadata'] : {}
  const annotations = { 'sidecar-injector.io/rotate': 'ca' }
  store.set(PATH, { ...secretNow, metadata: { ...metadata, annotations } })
  const bundles: string[] = []
  for (const inSyncMs of [0, 999, 1000, 0, 1000, 0]) {
    // Each time another leader, which knows nothing but the Secret.
    const { source, done } = keeperOf(store)
    bundles.push(good(await source.load()).text)
    const { isDone, waitMs } = await source.advance(inSyncMs)
    bundles.push(isDone ? `wait ${String(waitMs)}` : done.join())
  }
  t.strictSame(
    bundles.filter((_, index) => index % 2 === 1),
    ['publish-next', 'wait 1', 'switch', 'wait 1000', 'retire-old', 'wait undefined'],
  )
  const after = good(await keeperOf(store).source.load()).text
  t.not(after, before)
  t.equal(bundles[0], before)
  t.equal(bundles[2], before + after, 'both are published before the switch')
  t.equal(bundles[6], after + before, 'and after it')
  t.equal(bundles[10], after)
})

t.test('a Secret that went away is put back; a foreign one is left alone', async (t) => {
  const store = makeFakeStore()
  const { source, done } = keeperOf(store, { ...kept, next: two })
  t.equal(good(await source.load()).text, one.cert + two.cert)
  t.strictSame(done, ['restore'])
  store.set(PATH, { data: { password: 'eA==' } })
  t.match(await source.load(), { ok: false })
  t.strictSame(store.get(PATH)?.['data'], { password: 'eA==' })
  t.equal(store.writes.length, 1)
  store.fault = () => ({ status: 403, body: { message: 'no' } })
  t.match(await source.load(), { ok: false, problems: [{ got: 'HTTP 403 no' }] })
})

t.test('a write that is refused is tried again, one that came late is made anew', async (t) => {
  const store = makeFakeStore()
  store.set(PATH, {
    ...printSecret('ca', {}, kept),
    metadata: { annotations: { 'sidecar-injector.io/rotate': 'leaf' } },
  })
  const { source, done } = keeperOf(store)
  await source.load()
  store.fault = ({ method }) =>
    method === 'PATCH' ? { status: 403, body: { message: 'no' } } : undefined
  t.strictSame(await source.advance(0), { isDone: true, waitMs: 1000 })
  t.strictSame(done, ['renew-leaves failed: HTTP 403 no'])
  store.fault = () => undefined
  store.set(PATH, store.get(PATH) ?? {})
  t.strictSame(await source.advance(0), { isDone: false, waitMs: undefined }, 'too late')
  await source.load()
  await source.advance(0)
  t.strictSame(done.slice(1), ['renew-leaves'])
})

t.test('each replica makes its own leaf, anew when the Secret says so', async (t) => {
  const fake = await startFakeApi(t)
  const told: string[] = []
  const report = {
    taken: ({ pair }: Certified) => told.push(new X509Certificate(pair.cert).serialNumber),
    refused: (problems: readonly { path: string; got: string }[]) =>
      told.push(problems.map(({ path, got }) => `${path}: ${got}`).join()),
  }
  fake.set(SECRETS, 'foreign')
  const leaves = watchLeaves(fake.api, secret, [HOST], report)
  t.teardown(leaves.close)
  const until = async (count: number): Promise<string> => {
    for (let tries = 0; tries < 1000 && told.length < count; tries++) await sleep(10)
    return told.at(-1) ?? ''
  }
  const write = (state: Kept): void => {
    const { metadata, ...rest } = printSecret('ca', {}, state)
    fake.set(SECRETS, 'ca', { ...rest, metadata: metadata ?? {} })
  }
  const signer = () =>
    [one, two].findIndex(({ cert }) => {
      const leaf = new X509Certificate(leaves.current()?.pair.cert ?? '')
      return leaf.verify(new X509Certificate(cert).publicKey)
    })
  t.equal(leaves.current(), undefined)
  t.match(leaves.problems(), [{ path: 'Secret mesh/ca', got: 'none yet' }])
  await until(1)
  write(kept)
  const first = await until(2)
  t.equal(signer(), 0)
  t.strictSame(leaves.problems(), [])
  write({ ...kept, next: two })
  await sleep(200)
  t.equal(told.length, 2, 'a CA that is only published changes no leaf')
  write({ ...kept, leaves: 'now' })
  t.not(await until(3), first, 'a new leaf was asked for')
  t.equal(signer(), 0)
  write({ ...kept, ca: two, old: one.cert })
  await until(4)
  t.equal(signer(), 1)
  fake.set(SECRETS, 'ca', {})
  t.match(await until(5), 'Secret mesh/ca ca.crt: none')
  t.equal(signer(), 1, 'the last leaf goes on serving')
  fake.remove(SECRETS, 'ca')
  t.match(await until(6), 'Secret mesh/ca: none yet')
  t.equal(leaves.authority()?.ca.cert, two.cert, 'what it knew last')
  write({ ...kept, ca: two })
  await until(7)
  t.strictSame(leaves.problems(), [])
})
