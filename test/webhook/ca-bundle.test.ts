import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { ApiRequest } from '../../cluster/api.ts'
import { REGISTRATIONS } from '../../cluster/registrations.ts'
import { readBundle, whyUnverified, type Bundle } from '../../cluster/verify.ts'
import type { JsonObject } from '../../core/json.ts'
import { bad, good } from '../../core/problem.ts'
import { keepBundles, type BundleKeeper, type BundleSource } from '../../webhook/ca-bundle.ts'
import { patchAll, type Patcher } from '../../webhook/ca-bundle/patcher.ts'
import { labelSelectorOf, readRegistration } from '../../webhook/ca-bundle/registrations.ts'
import type { Leader } from '../../webhook/leader.ts'
import { makeThrowaway } from '../../webhook/tls/authority.ts'
import { makeCa, makeLeaf } from '../../webhook/tls/x509.ts'
import { at } from './at.ts'
import { makeFakeStore, type FakeStore } from './fake-store.ts'

const HOST = 'sidecar-injector.mesh.svc'
const now = new Date()
const bundleFrom = (...texts: readonly string[]): Bundle => {
  const read = readBundle('ca', texts.join('\n'))
  if (!read.ok) throw new Error(JSON.stringify(read.problems))
  return read.value
}
const base64 = (text: string) => Buffer.from(text).toString('base64')

const [mine, other] = [
  await makeThrowaway([HOST, '127.0.0.1', '::1'], now),
  await makeThrowaway([HOST], now),
]
const bundle = bundleFrom(mine.ca)

t.test('a bundle is certificates and nothing else', async (t) => {
  const text = `# comment\n${mine.pair.key}${mine.ca}\n\n${other.ca}`
  t.match(readBundle('ca', text), { ok: true, value: { text: mine.ca + other.ca } })
  t.match(readBundle('ca', mine.pair.key), { ok: false, problems: [{ path: 'ca', got: 'none' }] })
  const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
  t.match(readBundle('ca', mine.ca + broken), {
    ok: false,
    problems: [{ got: 'block 2 that cannot be read' }],
  })
})

t.test('whether a bundle verifies what is served', async (t) => {
  const validity = { now, validDays: 9 }
  const root = await makeCa({ ...validity, commonName: 'root' })
  const between = await makeLeaf(root, { ...validity, commonName: 'between', hosts: [HOST] })
  const notSigning = await makeLeaf(between, { ...validity, commonName: 'x', hosts: [HOST] })
  const past = { now: new Date(now.getTime() - 10 * 86_400_000), validDays: 9 }
  const oldLeaf = await makeLeaf(root, { ...past, commonName: 'old', hosts: [HOST] })
  const oldRoot = await makeCa({ ...past, commonName: 'old root' })
  const ofOldRoot = await makeLeaf(oldRoot, { ...validity, commonName: 'y', hosts: [HOST] })
  const serves = { chain: mine.pair.cert, trusted: bundle, host: HOST }
  const cases = [
    { what: 'its own CA', ...serves },
    { what: 'an address', ...serves, host: '127.0.0.1' },
    { what: 'an IPv6 address', ...serves, host: '::1' },
    { what: 'among others', ...serves, trusted: bundleFrom(other.ca, mine.ca) },
    { what: 'the certificate itself', ...serves, trusted: bundleFrom(mine.pair.cert) },
    { what: 'another name', ...serves, host: 'example.org', why: /not for example.org/ },
    { what: 'another address', ...serves, host: '127.0.0.2', why: /not for 127/ },
    { what: 'no name', ...serves, host: '', why: /not for/ },
    { what: 'another CA', ...serves, trusted: bundleFrom(other.ca), why: /no certificate of/ },
    {
      what: 'an expired leaf',
      ...serves,
      chain: oldLeaf.certificate,
      trusted: bundleFrom(root.certificate),
      why: /not valid now/,
    },
    {
      what: 'an expired CA',
      ...serves,
      chain: ofOldRoot.certificate,
      trusted: bundleFrom(oldRoot.certificate),
      why: /no certificate of/,
    },
    {
      what: 'a leaf that signs',
      ...serves,
      chain: `${notSigning.certificate}\n${between.certificate}`,
      trusted: bundleFrom(root.certificate),
      why: /no certificate of/,
    },
    { what: 'nothing served', ...serves, chain: '', why: /no certificate is served/ },
  ]
  for (const { what, chain, trusted, host, ...rest } of cases) {
    const why = whyUnverified(chain, trusted, host, now)
    if ('why' in rest) t.match(why, rest.why, what)
    else t.equal(why, undefined, what)
  }
})

/** A configuration with one entry of ours, one of istiod's and one of nobody we know. */
function configuration(metadata: JsonObject = {}, caBundle?: string): JsonObject {
  const service = { name: 'sidecar-injector', namespace: 'mesh', path: '/inject', port: 443 }
  const mineConfig = { service, ...(caBundle === undefined ? {} : { caBundle }) }
  const foreign = { service: { name: 'istiod', namespace: 'istio-system' }, caBundle: 'Zm9v' }
  return {
    metadata: { labels: { 'sidecar-injector.io/rev': 'default' }, ...metadata },
    webhooks: [
      { name: 'namespace.sidecar-injector.istio.io', clientConfig: foreign },
      { name: 'namespace.sidecar-injector.io', clientConfig: mineConfig, failurePolicy: 'Fail' },
      { name: 'not-sidecar-injector.io', clientConfig: foreign },
    ],
  }
}

t.test('which entries are ours', async (t) => {
  const label = (value: string) => ({ name: 'c', labels: { 'sidecar-injector.io/rev': value } })
  const ours = {
    name: 'c',
    isForeign: false,
    entries: [{ name: 'namespace.sidecar-injector.io', index: 1, host: HOST }],
  }
  const cases = [
    { what: 'the default revision', metadata: label('default'), revision: '', want: ours },
    { what: 'another revision', metadata: label('canary'), revision: '', want: undefined },
    { what: 'our revision', metadata: label('canary'), revision: 'canary', want: ours },
    {
      what: "Istio's label",
      metadata: { name: 'c', labels: { 'istio.io/rev': 'default' } },
      revision: '',
      want: undefined,
    },
    { what: 'no labels', metadata: { name: 'c', labels: null }, revision: '', want: undefined },
    ...['inject-ca-from', 'inject-ca-from-secret', 'inject-apiserver-ca'].map((key) => ({
      what: key,
      metadata: { ...label('default'), annotations: { [`cert-manager.io/${key}`]: 'ns/c' } },
      revision: '',
      want: { ...ours, isForeign: true },
    })),
  ]
  for (const { what, metadata, revision, want } of cases) {
    const found = readRegistration(configuration(metadata), revision)
    if (want === undefined) t.equal(found, undefined, what)
    else t.match(found, want, what)
  }
  t.equal(labelSelectorOf(''), 'sidecar-injector.io/rev=default')
  t.equal(labelSelectorOf('canary'), 'sidecar-injector.io/rev=canary')
  const hosts = [
    { url: 'https://127.0.0.1:8443/inject', host: '127.0.0.1' },
    { url: 'https://[::1]:8443/inject', host: '::1' },
    { url: 'https://injector.example.org/inject', host: 'injector.example.org' },
    { url: 'nonsense', host: '' },
  ]
  for (const { url, host } of hosts) {
    const webhooks = [{ name: 'x.sidecar-injector.io', clientConfig: { url } }]
    const found = readRegistration({ metadata: label('default'), webhooks }, '')
    t.equal(found?.entries[0]?.host, host, url)
  }
})

const PATH = `${REGISTRATIONS}/ours`

type Told = { readonly lines: string[]; readonly patcher: Patcher }

function patcherFor(store: FakeStore): Told {
  const lines: string[] = []
  const say = (what: string) => (name: string, more?: string | readonly string[]) => {
    lines.push([what, name, more ?? ''].join(' ').trimEnd())
  }
  const report = {
    attempted: say('attempted'),
    retried: say('retried'),
    failed: say('failed'),
    patched: say('patched'),
    foreign: say('foreign'),
  }
  return { lines, patcher: { api: store.api, revision: '', report } }
}

t.test('only the caBundle of our entries is written, and only where it differs', async (t) => {
  const store = makeFakeStore()
  store.set(PATH, configuration())
  const { lines, patcher } = patcherFor(store)
  const before = store.get(PATH)
  t.strictSame(await patchAll(patcher, bundle, mine.pair.cert), { written: 1, isInSync: true })
  const [write] = store.writes
  t.strictSame(write?.query, { fieldManager: 'sidecar-injector' })
  t.strictSame(write?.body, [
    { op: 'test', path: '/webhooks/1/name', value: 'namespace.sidecar-injector.io' },
    {
      op: 'test',
      path: '/webhooks/1/clientConfig',
      value: at(before, 'webhooks', 1, 'clientConfig'),
    },
    { op: 'add', path: '/webhooks/1/clientConfig/caBundle', value: base64(bundle.text) },
  ])
  t.strictSame(await patchAll(patcher, bundle, mine.pair.cert), { written: 0, isInSync: true })
  t.equal(store.writes.length, 1)
  t.strictSame(lines, ['attempted ours', 'patched ours namespace.sidecar-injector.io'])
})

const outcomes: readonly {
  readonly what: string
  readonly object: JsonObject
  readonly served?: string
  readonly fault?: (
    store: FakeStore,
    request: ApiRequest,
    count: number,
  ) => ReturnType<FakeStore['fault']>
  readonly says: readonly (string | RegExp)[]
  readonly isInSync: boolean
  readonly bundle: unknown
}[] = [
  {
    what: 'a bundle that would not verify what is served',
    object: configuration({}, 'AAAA'),
    served: other.pair.cert,
    says: ['failed ours bundle_unverifiable'],
    isInSync: true,
    bundle: 'AAAA',
  },
  {
    what: 'an object of cert-manager',
    object: configuration({ annotations: { 'cert-manager.io/inject-ca-from': 'mesh/ca' } }, 'AAAA'),
    says: ['foreign ours'],
    isInSync: true,
    bundle: 'AAAA',
  },
  {
    what: 'no entry of ours',
    object: { ...configuration(), webhooks: [] },
    says: ['failed ours webhook_entry_not_found'],
    isInSync: true,
    bundle: undefined,
  },
  {
    what: 'a refusal',
    object: configuration(),
    fault: (_store, { method }) =>
      method === 'PATCH' ? { status: 403, body: { message: 'no' } } : undefined,
    says: ['attempted ours', 'failed ours webhook_update_failure'],
    isInSync: false,
    bundle: undefined,
  },
  {
    what: 'a list that is refused',
    object: configuration(),
    fault: () => ({ status: 403, body: { message: 'no' } }),
    says: ['failed  webhook_update_failure'],
    isInSync: false,
    bundle: undefined,
  },
  {
    what: 'somebody who writes at the same time',
    object: configuration(),
    fault: (store, { method }, count) => {
      if (method === 'PATCH' && count < 3) store.set(PATH, configuration({}, `AAA${count}`))
      return undefined
    },
    says: ['attempted ours', 'retried ours', 'patched ours'],
    isInSync: true,
    bundle: base64(bundle.text),
  },
  {
    what: 'a busy API server',
    object: configuration(),
    fault: (_store, { method }) =>
      method === 'PATCH' ? { status: 503, body: { message: 'busy' } } : undefined,
    says: [
      'attempted ours',
      ...Array<string>(4).fill('retried ours'),
      'failed ours webhook_update_failure',
    ],
    isInSync: false,
    bundle: undefined,
  },
  {
    what: 'an object that goes away',
    object: configuration(),
    fault: (store, { method }) => {
      if (method === 'PATCH') store.remove(PATH)
      return undefined
    },
    says: ['attempted ours', 'failed ours webhook_config_not_found'],
    isInSync: true,
    bundle: undefined,
  },
]

for (const {
  what,
  object,
  served = mine.pair.cert,
  fault,
  says,
  isInSync,
  bundle: want,
} of outcomes) {
  t.test(what, async (t) => {
    const store = makeFakeStore()
    store.set(PATH, object)
    let count = 0
    store.fault = (request) => fault?.(store, request, ++count)
    const { lines, patcher } = patcherFor(store)
    t.equal((await patchAll(patcher, bundle, served)).isInSync, isInSync)
    t.match(lines, says)
    t.equal(lines.length, says.length)
    t.equal(at(store.get(PATH), 'webhooks', 1, 'clientConfig', 'caBundle'), want)
    t.equal(at(store.get(PATH), 'webhooks', 0, 'clientConfig', 'caBundle') ?? 'Zm9v', 'Zm9v')
  })
}

/** A loop over a store, and a leader that is told to lead. */
function keep(t: Test, store: FakeStore, source: Partial<BundleSource> = {}) {
  const state = { isLeading: false, refused: 0, broke: 0, inSync: [] as number[] }
  const leader: Leader = {
    isLeading: () => state.isLeading,
    onChange: () => undefined,
    close: () => Promise.resolve(),
  }
  const { patcher, lines } = patcherFor(store)
  const keeper: BundleKeeper = {
    ...patcher,
    leader,
    source: {
      load: async () => good(bundle),
      advance: async (ms) => {
        state.inSync.push(ms)
        return { isDone: true, waitMs: undefined }
      },
      ...source,
    },
    served: () => mine.pair.cert,
    refused: () => state.refused++,
    broke: () => state.broke++,
    resyncMs: 200,
  }
  const duty = keepBundles(keeper)
  t.teardown(duty.close)
  return { state, duty, lines }
}

async function until(isSo: () => boolean): Promise<void> {
  for (let tries = 0; tries < 1000 && !isSo(); tries++) await sleep(10)
}

const bundleIn = (store: FakeStore) =>
  at(store.get(PATH), 'webhooks', 1, 'clientConfig', 'caBundle')
const isRight = (store: FakeStore) => bundleIn(store) === base64(bundle.text)

t.test('a leader keeps it right, others do not', async (t) => {
  const store = makeFakeStore()
  store.set(PATH, configuration())
  const { state, duty } = keep(t, store)
  await sleep(300)
  t.equal(store.writes.length, 0, 'not leading')
  state.isLeading = true
  duty.poke()
  await until(() => isRight(store))
  t.equal(isRight(store), true)
  store.set(PATH, configuration({}, 'AAAA'))
  duty.poke()
  await until(() => isRight(store))
  t.equal(isRight(store), true, 'mended when told')
  store.set(PATH, configuration({}, 'AAAA'))
  await until(() => isRight(store))
  t.equal(isRight(store), true, 'mended without being told')
  state.inSync.length = 0
  await until(() => state.inSync.length >= 2)
  store.set(PATH, configuration({}, 'AAAA'))
  await until(() => state.inSync.at(-1) === 0 || state.inSync.length > 20)
  const at0 = state.inSync.findIndex((ms, index) => index > 0 && ms < 50)
  t.ok(at0 > 0, 'the time in sync begins anew after a repair')
})

t.test('no bundle, then one; a source that breaks', async (t) => {
  const store = makeFakeStore()
  store.set(PATH, configuration())
  let count = 0
  const load = async () => {
    count++
    if (count === 1) throw new Error('a bug')
    return count === 2 ? bad<Bundle>('ca', 'none', 'a CA') : good(bundle)
  }
  const { state, duty } = keep(t, store, { load })
  state.isLeading = true
  duty.poke()
  await until(() => isRight(store))
  t.strictSame([isRight(store), state.broke, state.refused], [true, 1, 1])
})
