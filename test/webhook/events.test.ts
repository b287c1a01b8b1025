import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { ApiAnswer, ApiRequest } from '../../cluster/api.ts'
import { isObject } from '../../core/json.ts'
import { makeEvents, type EventLimits, type Happening } from '../../webhook/events.ts'
import { makeBook } from '../../webhook/events/book.ts'
import { makeBucket } from '../../webhook/token-bucket.ts'
import { creation, eventName } from '../../webhook/events/object.ts'

const regarding = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-1', namespace: 'shop' }
const refused: Happening = { regarding, type: 'Warning', reason: 'Refused', note: 'a: got b' }
const about = (name: string): Happening => ({ ...refused, regarding: { ...regarding, name } })
const at = new Date('2026-01-02T03:04:05.678Z')
const reporter = { controller: 'example.io/x', instance: 'pod-1' }
const QUICK = { entries: 3, restMs: 100, seriesMs: 1000, tries: 3 }

t.test('what the API server is sent', async (t) => {
  const once = { count: 1, firstAt: at, lastAt: at }
  t.strictSame(creation('web-1.f', refused, once, reporter), {
    method: 'POST',
    path: '/apis/events.k8s.io/v1/namespaces/shop/events',
    body: {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name: 'web-1.f', namespace: 'shop' },
      eventTime: '2026-01-02T03:04:05.678000Z',
      reportingController: 'example.io/x',
      reportingInstance: 'pod-1',
      action: 'InjectSidecar',
      reason: 'Refused',
      regarding,
      note: 'a: got b',
      type: 'Warning',
    },
  })
  const cluster = { apiVersion: 'v1', kind: 'Node', name: '../x' }
  const long = { ...refused, regarding: cluster, note: `\n\u001b[31m${'é'.repeat(2000)}` }
  const { path, body } = creation('x', long, { ...once, count: 3 }, reporter)
  t.equal(path, '/apis/events.k8s.io/v1/namespaces/default/events')
  t.match(body, {
    metadata: { namespace: 'default' },
    note: /^\\u000a\\u001b\[31mé+…$/,
    series: { count: 3, lastObservedTime: '2026-01-02T03:04:05.678000Z' },
  })
  const bytes = Buffer.byteLength(JSON.stringify(isObject(body) && body['note'])) - 4
  t.equal(bytes <= 1024 && bytes > 1020, true, 'bytes count')
  t.equal(eventName(regarding, 'f'), 'web-1.f')
  for (const name of ['', 'A', 'a b', '../x', 'x'.repeat(300)]) {
    t.equal(eventName({ ...regarding, name }, 'f'), 'unnamed.f')
  }
})

t.test(
  'the bucket gives its burst, then one by one, and never saves more than the burst',
  async (t) => {
    const bucket = makeBucket({ burst: 2, everyMs: 100 }, 0)
    const asked = [0, 0, 0, 50, 100, 101, 10_000, 10_000, 10_000]
    t.strictSame(
      asked.map((now) => bucket.take(now)),
      [0, 0, 100, 50, 0, 99, 0, 0, 100],
    )
  },
)

t.test('the book counts the same together, and tells no faster than it may', async (t) => {
  const book = makeBook(QUICK)
  t.match(book.next(0), { do: 'wait', ms: Infinity })
  book.record(refused, 0, at)
  book.record(refused, 1, at)
  const first = book.next(1)
  t.match(first, { do: 'tell', entry: { name: undefined, occurrence: { count: 2 } } })
  if (first.do !== 'tell') return
  book.record(refused, 2, at)
  book.told(first.key, 'e', 2, 10)
  t.strictSame(book.next(10), { do: 'wait', ms: 100 })
  t.match(book.next(110), { do: 'tell', entry: { name: 'e', occurrence: { count: 3 } } })
  book.told(first.key, 'e', 3, 110)
  book.record(refused, 1500, at)
  t.match(book.next(1500), { entry: { name: undefined, occurrence: { count: 1 } } }, 'a new series')
  book.record({ ...refused, note: 'other' }, 1500, at)
  book.told(first.key, 'e', 1, 1500)
  t.match(
    book.next(1500),
    { entry: { happening: { note: 'other' } } },
    'another note, another Event',
  )
})

t.test('a full book forgets what was told and drops the rest', async (t) => {
  const book = makeBook(QUICK)
  const record = (name: string) => book.record(about(name), 0, at)
  t.strictSame(['a', 'b', 'c', 'd', 'a'].map(record), [true, true, true, false, true])
  const next = book.next(0)
  if (next.do !== 'tell') throw new Error('want something to tell')
  t.match(next.entry.happening.regarding.name, 'b', 'the oldest first')
  book.told(next.key, 'e', 1, 0)
  t.strictSame(['d', 'e'].map(record), [true, false])
})

t.test('failures: again later, a new Event for a lost one, given up in the end', async (t) => {
  const book = makeBook(QUICK)
  book.record(refused, 0, at)
  const { key } = { key: '', ...book.next(0) }
  t.equal(book.failed(key, 0, 'unanswered'), false)
  t.strictSame(book.next(0), { do: 'wait', ms: 100 })
  book.told(key, 'e', 1, 100)
  book.record(refused, 150, at)
  t.equal(book.failed(key, 200, 'gone'), false)
  t.match(book.next(200), { do: 'tell', entry: { name: undefined } })
  t.equal(book.failed(key, 200, 'unanswered'), false)
  t.equal(book.failed(key, 300, 'unanswered'), true)
  t.match(book.next(1000), { do: 'wait', ms: Infinity })
  book.record(refused, 1000, at)
  t.equal(book.failed(key, 1000, 'refused'), true, 'what is refused is not sent again')
})

type Asked = { readonly method: string; readonly path: string; readonly count: unknown }

/** An API server that answers as told. */
function standInApi(
  answer: (asked: Asked, number: number) => Promise<ApiAnswer> | ApiAnswer,
  limits: Partial<EventLimits> = {},
) {
  const asked: Asked[] = []
  const counted: string[] = []
  const failures: string[] = []
  const call = async ({ method = 'GET', path, body }: ApiRequest): Promise<ApiAnswer> => {
    const series = isObject(body) && isObject(body['series']) ? body['series'] : {}
    const one = { method, path, count: series['count'] ?? 1 }
    asked.push(one)
    return answer(one, asked.length)
  }
  const events = makeEvents(
    { call },
    'pod-1',
    {
      counted: (result) => void counted.push(result),
      failed: (why) => void failures.push(why),
    },
    { restMs: 30, ...limits },
  )
  return { events, asked, counted, failures }
}

async function until(isDone: () => boolean): Promise<void> {
  for (let tries = 0; tries < 500 && !isDone(); tries++) await sleep(10)
}

t.test('one Event for many, then its count', async (t) => {
  const { events, asked, counted } = standInApi(() => ({ status: 201, body: {} }))
  for (let count = 0; count < 100; count++) events.record(refused)
  t.strictSame(asked, [], 'nobody waits for the API server')
  await until(() => counted.length === 1)
  t.match(asked, [{ method: 'POST', count: 100 }])
  for (let count = 0; count < 100; count++) events.record(refused)
  await until(() => counted.length === 2)
  t.match(asked[1], { method: 'PATCH', path: /shop\/events\/web-1\.[0-9a-f]{16}$/, count: 200 })
  await events.close()
  events.record(refused)
  await sleep(100)
  t.equal(asked.length, 2, 'closed means quiet')
})

t.test('a forgotten Event is created again; an outage is told of once', async (t) => {
  const statuses = [201, 404, 201, 503, 200]
  const { events, asked, counted, failures } = standInApi((_, number) => {
    if (number === 6) throw new Error('connection refused')
    return { status: statuses[number - 1] ?? 403, body: { message: 'no' } }
  })
  for (const [writes, calls] of [
    [1, 1],
    [2, 3],
    [3, 5],
  ]) {
    events.record(refused)
    await until(() => counted.length === writes)
    t.equal(asked.length, calls)
  }
  t.strictSame(
    asked.map(({ method }) => method),
    ['POST', 'PATCH', 'POST', 'PATCH', 'PATCH'],
  )
  t.strictSame(failures, ['HTTP 503 no'])
  events.record(refused)
  await until(() => counted.length === 4)
  t.strictSame(counted, ['written', 'written', 'written', 'failed'])
  t.strictSame(
    failures,
    ['HTTP 503 no', 'connection refused'],
    'the refusal after it is the same outage',
  )
  await events.close()
})

t.test('a flood: the rate and the book hold, and what is too much is counted', async (t) => {
  const rate = { burst: 5, everyMs: 60_000 }
  const { events, asked, counted } = standInApi(() => ({ status: 201, body: {} }), { rate })
  for (let count = 0; count < 2000; count++) events.record(about(`web-${String(count)}`))
  t.equal(counted.filter((result) => result === 'dropped').length, 1500)
  await until(() => asked.length === 5)
  await events.close()
  t.equal(asked.length, 5)
})

t.test('an API server that never answers holds up neither a record nor the end', async (t) => {
  const limits = { closeMs: 50 }
  const { events, asked } = standInApi(() => new Promise(() => undefined), limits)
  events.record(refused)
  await until(() => asked.length === 1)
  for (let count = 0; count < 1000; count++) events.record(about(`web-${String(count)}`))
  await events.close()
  t.equal(asked.length, 1, 'one call at a time')
})
