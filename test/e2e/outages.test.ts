/** What the webhook does while its API server is away, stuck, or out of reach without knowing it. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { MERGE_PATCH } from '../../cluster/api.ts'
import { need } from '../require.ts'
import { controlPlaneUnavailable, startControlPlane, type ControlPlane } from './control-plane.ts'
import { create, messageOf } from './objects.ts'
import { configMap, HOME, startSingle, valuesWith, type Single } from './single.ts'
import { startSwallow } from './swallow.ts'
import { until } from './until.ts'

const MAPS = `/api/v1/namespaces/${HOME}/configmaps`

t.test('an API server that goes away', need(controlPlaneUnavailable()), async (t) => {
  const controlPlane = await startControlPlane({ controllers: [] })
  t.teardown(() => controlPlane.stop())
  const proxy = await startSwallow(Number(new URL(controlPlane.url).port))
  t.teardown(proxy.close)
  await install(controlPlane)
  const webhook = await startSingle(controlPlane, await kubeconfigBy(controlPlane, proxy.port))
  await webhook.untilReadiness(200, 'config: read')
  const asking = askSteadily(webhook)
  t.teardown(asking.stop)
  const hub = async () => /"image":"([^"]*)\/proxyv2:1"/.exec((await webhook.inject()).patch)?.[1]
  const untilHub = async (wanted: string): Promise<number> => {
    const began = performance.now()
    const explain = async () => `${(await webhook.readiness()).text}\n${await webhook.log()}`
    await until(
      `an image of ${wanted}`,
      async () => ((await hub()) === wanted ? true : undefined),
      explain,
    )
    return Math.round(performance.now() - began)
  }
  t.equal(await hub(), 'example.com/one')

  await t.test('restarted', async (t) => {
    await controlPlane.stopApiServer()
    const text = await webhook.untilReadiness(200, 'the cluster cannot be read since')
    t.match(text, /^ok: config: read; the cluster cannot be read since .*Z: /)
    t.match(await webhook.metric('sidecar_injector_watch_failing{what="injector"}'), / 1$/)
    t.equal(await hub(), 'example.com/one')
    await controlPlane.startApiServer()
    await setHub(controlPlane, 'example.com/two')
    t.comment(`a change after the restart served after ${await untilHub('example.com/two')} ms`)
    await until('all watches', async () => {
      return (await webhook.readiness()).text.includes('cannot be read') ? undefined : true
    })
    t.match(await webhook.metric('sidecar_injector_watch_failing{what="injector"}'), / 0$/)
  })

  await t.test('its etcd paused for 10 s', async (t) => {
    await controlPlane.pauseEtcd()
    const change = setHub(controlPlane, 'example.com/three')
    await sleep(10_000)
    t.equal(await hub(), 'example.com/two', 'nobody can have written')
    t.equal((await webhook.readiness()).status, 200)
    controlPlane.resumeEtcd()
    // The call may have been given up meanwhile.
    await change.catch(() => setHub(controlPlane, 'example.com/three'))
    t.comment(`a change after the pause served after ${await untilHub('example.com/three')} ms`)
  })

  await t.test('connections cut without a word', async (t) => {
    t.ok(proxy.swallow() >= 4, 'the watches went through the proxy')
    await setHub(controlPlane, 'example.com/four')
    await sleep(1000)
    t.equal(await hub(), 'example.com/three', 'nobody can know yet')
    t.comment(`a change behind a cut found after ${await untilHub('example.com/four')} ms`)
  })

  const { answers, failures } = await asking.stop()
  t.comment(`${answers} requests answered meanwhile`)
  t.ok(answers > 100, 'asked all the time')
  t.strictSame(failures, [], 'every request was answered with a patch')
})

/** Both ConfigMaps and a node, so that nothing is missing. */
async function install(controlPlane: ControlPlane): Promise<void> {
  await create(controlPlane, '/api/v1/namespaces', { metadata: { name: HOME } })
  await create(controlPlane, MAPS, configMap('istio', { mesh: 'trustDomain: test' }))
  const data = { config: 'policy: enabled', values: valuesWith('example.com/one') }
  await create(controlPlane, MAPS, configMap('istio-sidecar-injector', data))
}

async function setHub({ request }: ControlPlane, hub: string): Promise<void> {
  const path = `${MAPS}/istio-sidecar-injector`
  const patch = { data: { values: valuesWith(hub) } }
  const { status, body } = await request('PATCH', path, patch, MERGE_PATCH)
  if (status !== 200) throw new Error(`${path}: got ${status} ${messageOf(body)}, want 200`)
}

/** The administrator's kubeconfig, by way of another port. */
async function kubeconfigBy(controlPlane: ControlPlane, port: number): Promise<string> {
  const path = join(controlPlane.processes.folder, 'kubeconfig-by-proxy')
  const text = await readFile(controlPlane.kubeconfigPath, 'utf8')
  await writeFile(path, text.replace(controlPlane.url, `https://127.0.0.1:${port}`))
  return path
}

/** Asks ten times a second, and remembers what went wrong. */
function askSteadily(webhook: Single) {
  const failures: string[] = []
  const state = { answers: 0, isOver: false }
  const ask = async (): Promise<void> => {
    while (!state.isOver) {
      const { status, patch } = await webhook
        .inject()
        .catch((error: unknown) => ({ status: 0, patch: String(error) }))
      if (status === 200 && patch.includes('istio-proxy')) state.answers++
      else failures.push(`${status} ${patch}`)
      await sleep(100)
    }
  }
  const asked = ask()
  return {
    stop: async () => {
      state.isOver = true
      await asked
      return { answers: state.answers, failures }
    },
  }
}
