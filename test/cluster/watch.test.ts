import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { keepObjects } from '../../cluster/kept.ts'
import { delayAfter, WATCH_TIMING, type WatchTiming } from '../../cluster/timing.ts'
import { watchObjects, watchOne, type ObjectWatch, type Watched } from '../../cluster/watch.ts'
import { isObject, type JsonObject } from '../../core/json.ts'
import { startFakeApi, type Fault, type FakeApi } from './fake-api.ts'

const PATH = '/api/v1/namespaces/mesh/configmaps'

const QUICK: Partial<WatchTiming> = {
  watchSeconds: 1,
  graceMs: 200,
  answerMs: 300,
  leastDelayMs: 10,
  mostDelayMs: 50,
  absentMs: 50,
}

/** Keeps `data.v`, a text. */
function keep({ data }: JsonObject): string | undefined {
  const text = isObject(data) ? data['v'] : undefined
  return typeof text === 'string' ? text : undefined
}

const v = (text: string): JsonObject => ({ data: { v: text } })

type Watching = {
  readonly fake: FakeApi
  readonly watch: ObjectWatch<string>
  /** What the watch told, a line each. */
  readonly told: string[]
  readonly now: () => Record<string, string>
}

async function start(
  t: Test,
  fake: FakeApi,
  more: Partial<Watched<string>> = {},
): Promise<Watching> {
  const told: string[] = []
  const watch = watchObjects<string>(fake.api, {
    path: PATH,
    keep,
    timing: QUICK,
    onFailure: (failure) => told.push(`failure: ${failure?.error ?? 'none'}`),
    ...more,
  })
  t.teardown(watch.close)
  watch.onChange((objects) => told.push([...objects].map((pair) => pair.join('=')).join(' ')))
  return { fake, watch, told, now: () => Object.fromEntries(watch.current()) }
}

async function until(isDone: () => boolean): Promise<void> {
  for (let tries = 0; tries < 1000 && !isDone(); tries++) await sleep(10)
}

const lists = ({ asked }: FakeApi) => asked.filter(({ query }) => query['watch'] === undefined)

t.test('a list, then what changes, each told once', async (t) => {
  const fake = await startFakeApi(t)
  fake.set(PATH, 'a', v('1'))
  const { watch, told, now } = await start(t, fake, { labelSelector: 'x=y' })
  t.equal(watch.isSynced(), false)
  t.strictSame(now(), {})
  await until(() => fake.asked.length === 2)
  const first = watch.current()
  fake.set(PATH, 'b', v('1'))
  fake.set(PATH, 'b', { ...v('1'), metadata: { annotations: { noise: 'yes' } } })
  fake.set(PATH, 'c', {})
  fake.set(PATH, 'a', v('2'))
  fake.remove(PATH, 'b')
  await until(() => told.length === 4)
  t.strictSame(told, ['mesh/a=1', 'mesh/a=1 mesh/b=1', 'mesh/a=2 mesh/b=1', 'mesh/a=2'])
  t.strictSame([...first], [['mesh/a', '1']], 'a snapshot does not change')
  t.match(fake.asked, [
    { path: PATH, query: { labelSelector: 'x=y', limit: '500' } },
    {
      path: PATH,
      query: {
        labelSelector: 'x=y',
        watch: 'true',
        allowWatchBookmarks: 'true',
        resourceVersion: '101',
        timeoutSeconds: '1',
      },
    },
  ])
  watch.close()
  fake.set(PATH, 'd', v('1'))
  await sleep(50)
  t.equal(told.length, 4, 'closed means quiet')
})

/** Counts how often somebody goes through all of it. */
class CountingMap<T> extends Map<string, T> {
  walks = 0;

  override [Symbol.iterator](): ReturnType<Map<string, T>['entries']> {
    this.walks++
    return super.entries()
  }
}

t.test('a change of what is not kept does not go through all others', (t) => {
  const keeper = keepObjects(({ data }) => data)
  const told: unknown[] = []
  keeper.onChange((objects) => told.push(objects))
  const all = new CountingMap<NonNullable<JsonObject['data']>>()
  const named = (name: string, more: JsonObject): JsonObject => ({ ...more, metadata: { name } })
  for (const name of ['a', 'b', 'c']) keeper.put(all, named(name, v('1')))
  keeper.replace(all)
  keeper.changed(named('a', { ...v('1'), status: { noise: 'yes' } }))
  keeper.changed(named('other', { status: { noise: 'yes' } }))
  t.equal(all.walks, 0)
  t.equal(keeper.current(), all)
  keeper.changed(named('a', v('2')))
  t.ok(all.walks > 0, 'it does where something changed: a snapshot is another map')
  t.equal(told.length, 2)
  t.strictSame([...keeper.current().keys()], ['b', 'c', 'a'].sort())
  t.strictSame(keeper.current().get('a'), { v: '2' })
  t.end()
})

t.test('a watch that ends goes on where it was, without a list', async (t) => {
  const fake = await startFakeApi(t)
  fake.set(PATH, 'a', v('1'))
  const { now, told } = await start(t, fake)
  await until(() => fake.asked.length === 2)
  fake.send({ type: 'BOOKMARK', object: { metadata: { resourceVersion: '150' } } })
  await sleep(20)
  fake.endWatches('end')
  await until(() => fake.asked.length === 3)
  t.equal(fake.asked[2]?.query['resourceVersion'], '150')
  fake.set(PATH, 'a', v('2'))
  await until(() => now()['mesh/a'] === '2')
  t.strictSame(told, ['mesh/a=1', 'mesh/a=2'])
})

t.test('a list of many pages is one list', async (t) => {
  const fake = await startFakeApi(t)
  fake.pageSize = 2
  for (const name of ['a', 'b', 'c', 'd', 'e']) fake.set(PATH, name, v(name))
  const { told } = await start(t, fake)
  await until(() => told.length > 0)
  t.strictSame(told, ['mesh/a=a mesh/b=b mesh/c=c mesh/d=d mesh/e=e'])
})

const faults: readonly {
  readonly who: string
  readonly hit: (fake: FakeApi) => void
  readonly says?: string
}[] = [
  {
    who: 'a broken connection',
    hit: (fake) => {
      fake.endWatches('cut')
    },
    says: 'connection broke',
  },
  {
    who: 'a connection that swallows',
    hit: (fake) => {
      fake.endWatches('mute')
    },
    says: 'the connection of a watch went silent',
  },
  {
    who: 'a version that is too old, as an event',
    hit: (fake) => {
      fake.send({ type: 'ERROR', object: { code: 410, message: 'too old' } })
    },
  },
  {
    who: 'another error event',
    hit: (fake) => {
      fake.send({ type: 'ERROR', object: { code: 500, message: 'etcd is gone' } })
    },
    says: 'etcd is gone',
  },
  {
    who: 'an event that is none',
    hit: (fake) => {
      fake.send('what')
    },
    says: 'got "what"',
  },
  {
    who: 'an object without a version',
    hit: (fake) => {
      fake.send({ type: 'ADDED', object: {} })
    },
    says: 'a watch event',
  },
  {
    who: 'a type that is not known',
    hit: (fake) => {
      fake.send({ type: 'X', object: { metadata: { resourceVersion: '1' } } })
    },
    says: 'a watch event',
  },
]

for (const { who, hit, says } of faults) {
  t.test(`${who}: what was known stays, and what was missed is found`, async (t) => {
    const fake = await startFakeApi(t)
    fake.set(PATH, 'a', v('1'))
    const { now, told, watch } = await start(t, fake)
    await until(() => fake.asked.length === 2)
    hit(fake)
    fake.setUnheard(PATH, 'a', v('2'))
    t.strictSame(now(), { 'mesh/a': '1' })
    await until(() => now()['mesh/a'] === '2' && watch.failure() === undefined)
    t.strictSame(now(), { 'mesh/a': '2' })
    const failures = told.filter((line) => line.startsWith('failure'))
    t.match(failures, says === undefined ? [] : [says, 'failure: none'])
    t.equal(failures.length, says === undefined ? 0 : 2)
  })
}

const refusals: readonly { readonly who: string; readonly fault: Fault; readonly says: string }[] =
  [
    {
      who: 'no right to read',
      fault: { do: 'refuse', status: 403, message: 'configmaps is forbidden: User "x"' },
      says: 'HTTP 403: configmaps is forbidden: User "x"',
    },
    { who: 'an overloaded server', fault: { do: 'refuse', status: 429 }, says: 'HTTP 429' },
    { who: 'a server that says nothing', fault: { do: 'mute' }, says: 'no answer of http://127' },
    { who: 'a server that hangs up', fault: { do: 'cut' }, says: 'socket hang up' },
    { who: 'no list', fault: { do: 'say', text: 'hello' }, says: 'want a list' },
    { who: 'half a list', fault: { do: 'say', text: '{"items":[' }, says: 'want a list' },
    { who: 'a kind that is not there', fault: { do: 'refuse', status: 404 }, says: 'HTTP 404' },
  ]

for (const { who, fault, says } of refusals) {
  t.test(`${who}, at the start and later: told, and tried until it is over`, async (t) => {
    const fake = await startFakeApi(t)
    fake.set(PATH, 'a', v('1'))
    fake.fault = () => fault
    const { now, told, watch } = await start(t, fake)
    await until(() => fake.asked.length >= 3)
    t.equal(watch.isSynced(), false)
    t.match(watch.failure(), { since: Date, error: says })
    fake.fault = () => undefined
    await until(() => watch.failure() === undefined)
    t.strictSame(now(), { 'mesh/a': '1' })
    fake.fault = () => fault
    fake.endWatches('cut')
    fake.setUnheard(PATH, 'a', v('2'))
    await until(() => watch.failure()?.error.includes(says) === true)
    t.strictSame(now(), { 'mesh/a': '1' }, 'the last good state')
    fake.fault = () => undefined
    await until(() => now()['mesh/a'] === '2' && watch.failure() === undefined)
    t.strictSame(now(), { 'mesh/a': '2' })
    t.match(told.at(-1), /failure: none|mesh\/a=2/)
  })
}

t.test('what may be listed but not watched is listed again and again', async (t) => {
  const fake = await startFakeApi(t)
  fake.set(PATH, 'a', v('1'))
  fake.fault = ({ query }) =>
    query['watch'] === 'true' ? { do: 'refuse', status: 403, message: 'no' } : undefined
  const { now, watch } = await start(t, fake)
  await until(() => watch.failure() !== undefined)
  fake.setUnheard(PATH, 'a', v('2'))
  await until(() => now()['mesh/a'] === '2')
  t.strictSame(now(), { 'mesh/a': '2' })
  t.match(watch.failure(), { error: 'HTTP 403: no' })
})

t.test('a version that is too old when the watch begins: a list, and no word', async (t) => {
  const fake = await startFakeApi(t)
  fake.set(PATH, 'a', v('1'))
  let isOld = true
  fake.fault = ({ query }) =>
    query['watch'] === 'true' && isOld ? { do: 'refuse', status: 410 } : undefined
  const { told } = await start(t, fake)
  await until(() => lists(fake).length > 1)
  isOld = false
  await sleep(100)
  t.strictSame(told, ['mesh/a=1'])
})

t.test('a CRD that is not there yet, comes, and goes', async (t) => {
  const path = '/apis/networking.istio.io/v1beta1/proxyconfigs'
  const fake = await startFakeApi(t)
  const { watch, now, told } = await start(t, fake, { path, mayBeAbsent: true })
  await until(() => watch.isSynced())
  t.equal(watch.failure(), undefined)
  fake.set(path, 'a', { ...v('1'), metadata: { namespace: 'shop' } })
  await until(() => now()['shop/a'] === '1')
  fake.fault = () => ({ do: 'refuse', status: 404 })
  fake.endWatches('end')
  await until(() => watch.current().size === 0)
  t.strictSame(told, ['', 'shop/a=1', ''])
})

t.test('the whole list is read again from time to time', async (t) => {
  const fake = await startFakeApi(t)
  fake.set(PATH, 'a', v('1'))
  const { now } = await start(t, fake, { timing: { ...QUICK, resyncMs: 1 } })
  await until(() => fake.asked.length === 2)
  // Neither an event nor a newer version: only a list can tell.
  fake.send({ type: 'BOOKMARK', object: { metadata: { resourceVersion: '999' } } })
  fake.setUnheard(PATH, 'a', v('2'))
  await until(() => now()['mesh/a'] === '2')
  t.strictSame(now(), { 'mesh/a': '2' })
})

t.test('one object: by name, there, changed, gone', async (t) => {
  const fake = await startFakeApi(t)
  fake.set(PATH, 'other', v('0'))
  const one = watchOne(fake.api, 'a', { path: PATH, keep, timing: QUICK })
  t.teardown(one.close)
  const told: unknown[] = []
  one.onChange((object) => told.push(object))
  await until(() => one.isSynced() && fake.asked.length > 1)
  t.equal(one.current(), undefined)
  t.equal(fake.asked[0]?.query['fieldSelector'], 'metadata.name=a')
  fake.endWatches('end')
  fake.set(PATH, 'a', v('1'))
  await until(() => one.current() === '1')
  fake.remove(PATH, 'a')
  await until(() => one.current() === undefined)
  t.strictSame(told, [undefined, '1', undefined])
})

t.test('delays grow to a limit, and are spread', async (t) => {
  const delays = (random: number) =>
    [1, 2, 3, 7, 8, 100].map((count) => delayAfter(count, WATCH_TIMING, random))
  t.strictSame(delays(1), [250, 500, 1000, 15_000, 15_000, 15_000])
  t.strictSame(delays(0), [125, 250, 500, 7_500, 7_500, 7_500])
})
