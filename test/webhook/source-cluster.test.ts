/** The configuration from a cluster, of which a stand-in on loopback is enough here. */
import type { FastifyBaseLogger } from 'fastify'
import { Registry } from 'prom-client'
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { WatchTiming } from '../../cluster/timing.ts'
import type { ProxyConfigResource } from '../../core/inject/proxy-config-layers.ts'
import type { JsonObject } from '../../core/json.ts'
import { bad, good } from '../../core/problem.ts'
import { readConfig, type Flags } from '../../webhook/config.ts'
import type { Happening } from '../../webhook/events.ts'
import type { Injection } from '../../webhook/injection.ts'
import type { ReadConfig } from '../../webhook/injector.ts'
import { makeMetrics } from '../../webhook/metrics.ts'
import { openInjection } from '../../webhook/open-injection.ts'
import { startFakeApi, type FakeApi } from '../cluster/fake-api.ts'
import { NotReady } from '../../webhook/refusals.ts'
import { makeStand, podWith, reviewOf, valuesOf } from './stand-ins.ts'

const MAPS = '/api/v1/namespaces/istio-system/configmaps'
const PROXY_CONFIGS = '/apis/networking.istio.io/v1beta1/proxyconfigs'
const NODES = '/api/v1/nodes'

const TIMING: Partial<WatchTiming> = {
  watchSeconds: 1,
  answerMs: 300,
  leastDelayMs: 10,
  mostDelayMs: 50,
  absentMs: 50,
}

/** A configuration is its texts; `bad` in one of them is refused under its own name, `bug` throws. */
type Texts = { readonly text: string; readonly proxyConfigs: readonly string[] }

const readTexts: ReadConfig<Texts> = (sources) => {
  const texts = Object.entries(sources).toSorted()
  for (const [, { path, text }] of texts) {
    if (text.includes('bug')) throw new Error('stumbled')
    if (text.includes('bad template')) return bad('template own:1:1', text, 'a good one')
    if (text.includes('bad')) return bad(path, text, 'no bad')
  }
  const text = texts.map(([name, source]) => `${name}=${source.text}`).join(' ')
  return good({ text, proxyConfigs: [] })
}

type Opened = {
  readonly injection: Injection<Texts>
  readonly lines: readonly string[]
  readonly happenings: readonly string[]
  /** The value of a metric, by `name{what}`. */
  readonly metric: (what: string) => Promise<number | undefined>
  readonly details: () => string
}

async function open(
  t: Test,
  fake: FakeApi,
  flags: Flags = {},
  env: Record<string, string> = {},
): Promise<Opened> {
  const config = readConfig({ selfSigned: true, configFromCluster: true, ...flags }, env)
  if (!config.ok) throw new Error(JSON.stringify(config.problems))
  const lines: string[] = []
  const line = (level: string) => (facts: object, text: string) => {
    lines.push(`${level} ${text} ${JSON.stringify(facts)}`)
  }
  const log = { info: line('info'), warn: line('warn'), error: line('error') }
  const happenings: string[] = []
  const record = ({
    regarding: { kind, namespace = '', name, uid = 'none' },
    ...rest
  }: Happening) => {
    const { type, reason, note } = rest
    happenings.push(`${type} ${reason} ${kind} ${namespace}/${name} ${uid}: ${note}`)
  }
  const registry = new Registry()
  const metrics = makeMetrics(registry)
  const opened = await openInjection<Texts>(
    config.value,
    {
      readConfig: readTexts,
      withProxyConfigs: (config, resources) => ({ ...config, proxyConfigs: resources.map(print) }),
      warningsOf: () => [],
      pollMs: 20,
    },
    log as unknown as FastifyBaseLogger,
    metrics,
    {
      api: fake.api,
      log: log as unknown as FastifyBaseLogger,
      metrics,
      events: { record },
      timing: TIMING,
    },
  )
  if (!opened.ok) throw new Error(JSON.stringify(opened.problems))
  const injection = opened.value
  t.teardown(injection.close)
  return {
    injection,
    lines,
    happenings,
    metric: async (what) => {
      const start = what.replace(/\{(.*)\}/, '{what="$1"}')
      const lines = (await registry.metrics()).split('\n')
      const line = lines.find((line) => line.startsWith(`${start} `))
      return line === undefined ? undefined : Number(line.slice(start.length))
    },
    details: () =>
      injection
        .checks()
        .map(({ name, isReady, detail }) => `${name} ${String(isReady)}: ${detail}`)
        .join('\n'),
  }
}

function print({ namespace, name, layer }: ProxyConfigResource): string {
  return `${namespace}/${name} ${JSON.stringify(layer.fields)}`
}

async function until(isDone: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 500 && !(await isDone()); tries++) await sleep(10)
}

const data = (texts: Record<string, string>, uid = 'u1'): JsonObject => ({
  metadata: { uid },
  data: texts,
})

/** A cluster with everything that is needed; `without` leaves out paths. */
async function makeCluster(t: Test): Promise<FakeApi> {
  const fake = await startFakeApi(t)
  fake.set(MAPS, 'istio', data({ mesh: 'm1' }))
  fake.set(MAPS, 'istio-sidecar-injector', data({ config: 'c1', values: 'v1', other: 'x' }, 'u2'))
  fake.set(NODES, 'new', node('v1.33.1'))
  return fake
}

function node(kubeletVersion: string): JsonObject {
  return { status: { nodeInfo: { kubeletVersion } } }
}

t.test('one snapshot of all that is there, and a new one after each change', async (t) => {
  const fake = await makeCluster(t)
  const { injection, details, metric } = await open(t, fake)
  t.equal(injection.current(), undefined)
  t.match(
    details(),
    /^config false: not read yet: ConfigMap istio-system\/istio, ConfigMap istio-system\/istio-sidecar-injector\n/,
  )
  await until(() => injection.current() !== undefined)
  const first = injection.current()
  if (first === undefined) throw new Error(details())
  t.strictSame(first.config, { text: 'injectConfig=c1 mesh=m1 values=v1', proxyConfigs: [] })
  t.equal(first.isNative(undefined), true)
  t.equal(first.annotationsOf('any'), undefined)
  t.equal(
    details(),
    [
      'config true: read',
      'nodes true: 1 known, sidecars are native',
      'proxyconfigs true: 0 known',
    ].join('\n'),
  )
  fake.set(NODES, 'old', node('v1.28.3'))
  await until(() => injection.current()?.isNative(undefined) === false)
  const isNative = (name?: string) => injection.current()?.isNative(name)
  t.strictSame(
    [isNative(), isNative('new'), isNative('old'), isNative('none')],
    [false, true, false, false],
  )
  fake.set(PROXY_CONFIGS, 'p', {
    metadata: { namespace: 'shop', creationTimestamp: '2026-01-01T00:00:00Z' },
    spec: { concurrency: 3 },
  })
  await until(() => injection.current()?.config.proxyConfigs.length === 1)
  t.strictSame(injection.current()?.config.proxyConfigs, ['shop/p {"concurrency":3}'])
  t.strictSame(first.config.proxyConfigs, [], 'a snapshot does not change')
  fake.remove(NODES, 'new')
  fake.remove(NODES, 'old')
  await until(() => /0 known, sidecars are plain/.test(details()))
  t.equal(isNative(), false)
  t.equal(await metric('sidecar_injector_reload_refused{config}'), 0)
})

t.test('a bad update: the last good one serves, and it is told everywhere', async (t) => {
  const fake = await makeCluster(t)
  const { injection, details, happenings, lines, metric } = await open(t, fake)
  await until(() => injection.current() !== undefined)
  const good = injection.current()
  const istio = 'ConfigMap istio-system/istio'
  const injector = 'ConfigMap istio-system/istio-sidecar-injector'
  const steps = [
    {
      do: () => {
        fake.set(MAPS, 'istio', data({ mesh: 'bad mesh' }))
      },
      says: `${istio}, mesh: got "bad mesh", want no bad`,
      about: `${istio} u1`,
    },
    {
      do: () => {
        fake.set(MAPS, 'istio', data({ mesh: 'm1' }))
        fake.set(
          MAPS,
          'istio-sidecar-injector',
          data({ config: 'bad template', values: 'v1' }, 'u2'),
        )
      },
      says: 'template own:1:1: got "bad template", want a good one',
      about: `${injector} u2`,
    },
    {
      do: () => {
        fake.set(MAPS, 'istio-sidecar-injector', data({ config: 'c1' }, 'u2'))
      },
      says: `${injector}: got "keys config", want the key values`,
      about: `${injector} u2`,
    },
    {
      do: () => {
        fake.remove(MAPS, 'istio-sidecar-injector')
      },
      says: `${injector}: got "nothing", want a ConfigMap of this name`,
      about: `${injector} u2`,
    },
    {
      do: () => {
        fake.set(MAPS, 'istio-sidecar-injector', data({ config: 'c1', values: 'bug' }, 'u3'))
      },
      says: `${istio}, ${injector}: got "stumbled", want texts that can be read`,
      about: undefined,
    },
  ]
  for (const step of steps) {
    step.do()
    await until(() => details().includes(step.says))
    t.match(
      details(),
      `config true: the last good one serves, the newest was refused: ${step.says}`,
    )
    t.equal(injection.current(), good)
    t.match(lines.at(-1), /^error refused, the last good one goes on serving/)
    t.ok(lines.at(-1)?.includes(JSON.stringify(step.says)))
    if (step.about !== undefined) {
      t.equal(happenings.at(-1), `Warning ConfigurationRefused ${step.about}: ${step.says}`)
    }
    t.equal(await metric('sidecar_injector_reload_refused{config}'), 1)
  }
  const count = happenings.length
  fake.set(MAPS, 'istio-sidecar-injector', data({ config: 'c2', values: 'v2' }, 'u3'))
  await until(() => injection.current() !== good)
  t.equal(injection.current()?.config.text, 'injectConfig=c2 mesh=m1 values=v2')
  t.match(details(), /^config true: read\n/)
  const note = 'the configuration is good again and serves'
  t.strictSame(happenings.slice(count), [
    `Normal ConfigurationTaken ${istio} u1: ${note}`,
    `Normal ConfigurationTaken ${injector} u3: ${note}`,
  ])
  t.equal(await metric('sidecar_injector_reload_refused{config}'), 0)
})

t.test('nothing there at the start, then something bad, then something good', async (t) => {
  const fake = await startFakeApi(t)
  fake.set(MAPS, 'other', {})
  const { injection, details, lines } = await open(t, fake, {}, { ENABLE_NATIVE_SIDECARS: 'true' })
  const nothing = 'got "nothing", want a ConfigMap of this name'
  await until(() => details().includes('nothing good yet'))
  t.match(
    details(),
    `config false: nothing good yet: ConfigMap istio-system/istio: ${nothing}; ConfigMap istio-system/istio-sidecar-injector: ${nothing}\n`,
  )
  t.match(lines.at(-1), /^error refused, there is none yet to serve/)
  fake.endWatches('end')
  fake.set(MAPS, 'istio', data({ mesh: 'bad' }))
  fake.set(MAPS, 'istio-sidecar-injector', data({ config: 'c1', values: 'v1' }))
  await until(() => details().includes('got "bad", want no bad'))
  t.match(
    details(),
    'config false: nothing good yet: ConfigMap istio-system/istio, mesh: got "bad"',
  )
  t.equal(injection.current(), undefined)
  fake.set(MAPS, 'istio', data({ mesh: 'm1' }))
  await until(() => injection.current() !== undefined)
  t.equal(
    injection.current()?.isNative(undefined),
    true,
    'nodes are not asked where nobody needs them',
  )
  t.equal(
    fake.asked.some(({ path }) => path === NODES),
    false,
  )
})

t.test('a bad ProxyConfig keeps its own last good state, and no other from changing', async (t) => {
  const fake = await makeCluster(t)
  const set = (name: string, concurrency: number | string): void => {
    fake.set(PROXY_CONFIGS, name, {
      metadata: { namespace: 'shop', uid: name },
      spec: { concurrency },
    })
  }
  set('a', 1)
  set('b', 'many')
  const { injection, details, happenings, metric } = await open(t, fake)
  await until(() => injection.current() !== undefined)
  const now = () => injection.current()?.config.proxyConfigs.join(' ')
  t.equal(now(), 'shop/a {"concurrency":1}')
  t.match(
    details(),
    '1 known; refused, so that each stays as it was: ProxyConfig shop/b: spec.concurrency: got "many"',
  )
  set('a', 'few')
  await until(() => details().includes('shop/a'))
  set('c', 3)
  await until(() => now()?.includes('shop/c') === true)
  t.equal(now(), 'shop/a {"concurrency":1} shop/c {"concurrency":3}')
  t.equal(await metric('sidecar_injector_reload_refused{proxyconfigs}'), 1)
  set('a', 2)
  fake.remove(PROXY_CONFIGS, 'b')
  await until(() => /proxyconfigs true: 2 known$/.test(details()))
  t.equal(now(), 'shop/a {"concurrency":2} shop/c {"concurrency":3}')
  t.match(happenings, [
    /^Warning ConfigurationRefused ProxyConfig shop\/b b: ProxyConfig shop\/b: .*many/,
    /^Warning ConfigurationRefused ProxyConfig shop\/a a: .*few/,
    /^Normal ConfigurationTaken ProxyConfig shop\/a a: /,
  ])
})

t.test('a file replaces what the cluster would have given for its part', async (t) => {
  const fake = await makeCluster(t)
  const folder = t.testdir({
    mesh: 'file mesh',
    values: 'file values',
    namespaces: '{"items": []}',
  })
  const [meshConfigFile, valuesFile] = [join(folder, 'mesh'), join(folder, 'values')]
  const files = { meshConfigFile, valuesFile, namespacesFile: join(folder, 'namespaces') }
  const { injection, details } = await open(t, fake, files, { PLATFORM: 'openshift' })
  await until(() => injection.current() !== undefined)
  const now = () => injection.current()?.config.text
  t.equal(now(), 'injectConfig=c1 mesh=file mesh values=file values')
  await writeFile(`${valuesFile}.new`, 'bad values')
  await rename(`${valuesFile}.new`, valuesFile)
  await until(() => details().includes('bad values'))
  t.equal(now(), 'injectConfig=c1 mesh=file mesh values=file values')
  fake.set(MAPS, 'istio-sidecar-injector', data({ config: 'c2' }))
  await writeFile(`${valuesFile}.new`, 'v2')
  await rename(`${valuesFile}.new`, valuesFile)
  await until(() => now() === 'injectConfig=c2 mesh=file mesh values=v2')
  t.equal(now(), 'injectConfig=c2 mesh=file mesh values=v2')
  const paths = new Set(
    fake.asked.map(({ path, query }) => `${path} ${query['fieldSelector'] ?? ''}`),
  )
  t.strictSame(
    [...paths].toSorted(),
    [`${NODES} `, `${MAPS} metadata.name=istio-sidecar-injector`, `${PROXY_CONFIGS} `].toSorted(),
    'the mesh is not read from the cluster, nor are namespaces',
  )
})

t.test('names by revision, namespace and flag', async (t) => {
  const fake = await startFakeApi(t)
  const path = '/api/v1/namespaces/mesh/configmaps'
  fake.set(path, 'istio-canary', data({ mesh: 'm' }))
  fake.set(path, 'own', data({ config: 'c', values: 'v' }))
  const flags = { revision: 'canary', injectConfigMapName: 'own' }
  const env = { POD_NAMESPACE: 'mesh', ENABLE_NATIVE_SIDECARS: 'false' }
  const { injection } = await open(t, fake, flags, env)
  await until(() => injection.current() !== undefined)
  t.equal(injection.current()?.config.text, 'injectConfig=c mesh=m values=v')
})

t.test('namespaces are watched where their annotations matter', async (t) => {
  const fake = await makeCluster(t)
  const path = '/api/v1/namespaces'
  fake.set(path, 'shop', { metadata: { annotations: { range: '1/10', odd: 1 } } })
  const { injection, details } = await open(t, fake, {}, { PLATFORM: 'openshift' })
  await until(() => injection.current() !== undefined)
  const of = (name: string) => injection.current()?.annotationsOf(name)
  t.strictSame([of('shop'), of('new')], [{ range: '1/10' }, undefined])
  fake.set(path, 'new', {})
  await until(() => of('new') !== undefined)
  t.strictSame(of('new'), {})
  t.match(details(), 'namespaces true: 2 known')
})

t.test('a cluster that cannot be read: the last state serves, and it is told', async (t) => {
  const fake = await makeCluster(t)
  const { injection, details, lines, metric } = await open(t, fake)
  await until(() => injection.current() !== undefined)
  const before = injection.current()
  fake.fault = () => ({ do: 'refuse', status: 403, message: 'not you\n' })
  fake.endWatches('cut')
  await until(() => details().split('HTTP 403: not you').length === 4)
  t.equal(injection.current(), before)
  t.match(
    details(),
    /^config true: read; the cluster cannot be read since 2\d{3}-.*Z: HTTP 403: not you\\u000a\n/,
  )
  // Each watch finds out by itself: what the details say of one part is not yet said of the next.
  for (const what of ['mesh', 'injector', 'nodes', 'proxyconfigs']) {
    const failing = `sidecar_injector_watch_failing{${what}}`
    await until(async () => (await metric(failing)) === 1)
    t.equal(await metric(failing), 1, what)
  }
  t.ok(lines.some((line) => line.startsWith('warn the cluster cannot be read')))
  fake.fault = () => undefined
  fake.setUnheard(MAPS, 'istio', data({ mesh: 'm2' }))
  await until(() => injection.current()?.config.text.includes('m2') === true)
  await until(() => !details().includes('cannot be read'))
  t.equal(await metric('sidecar_injector_watch_failing{mesh}'), 0)
  t.ok(lines.some((line) => line.startsWith('info the cluster can be read again')))
})

t.test('a pod that comes before the configuration', async (t) => {
  const { app, registry } = makeStand({
    snapshot: () => {
      throw new NotReady()
    },
  })
  const answer = await app.inject({
    method: 'POST',
    url: '/inject',
    headers: { 'content-type': 'application/json' },
    payload: reviewOf(podWith()),
  })
  t.equal(answer.statusCode, 503)
  t.equal(answer.body, 'sidecar-injector: no configuration yet, see its readiness\n')
  t.match(await valuesOf(registry), { 'sidecar_injection_failure_total{not-ready}': 1 })
})
