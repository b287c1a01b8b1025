/** A real container runtime with our plugin in its chain, and nothing else of a cluster. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { executableUnavailable, makePlugin } from '../../scripts/executable.mjs'
import { need } from '../require.ts'
import { descendantsOf, stillRunning } from './descendants.ts'
import { PLACE, runtimeUnavailable, spawnPrivately } from './runtime-place.ts'
import { until } from './until.ts'

const root = join(import.meta.dirname, '../..')
const unavailable = runtimeUnavailable() ?? executableUnavailable()

t.test('containerd and the plugin', need(unavailable), async (t) => {
  const before = await groups()
  const env = { SIDECAR_CNI_FOLDER: await makePlugin(root) }
  await spawnPrivately(t, join(import.meta.dirname, 'runtime-inside.ts'), env)
  for (const signal of ['SIGINT', 'SIGKILL'] as const)
    await t.test(`nothing is left after ${signal}`, (t) => ended(t, signal, env))
  t.strictSame(await groups(), before, 'no control group is left')
})

async function ended(t: Test, signal: NodeJS.Signals, env: Readonly<Record<string, string>>) {
  const hold = join(import.meta.dirname, 'runtime-hold.ts')
  const options = { env: { ...process.env, ...env }, stdio: 'ignore' } as const
  const child = spawn(process.execPath, [...process.execArgv, hold], options)
  t.teardown(() => child.kill('SIGKILL'))
  const gone = once(child, 'exit')
  // Three: in the sandbox, in a container, and the server on the node.
  const running = await until('containers that run', async () => {
    const found = await descendantsOf(child.pid ?? 0)
    return found.filter(({ name }) => name === 'stand-in').length >= 3 ? found : undefined
  })
  child.kill(signal)
  await gone
  await until('the end of every process', async () =>
    (await stillRunning(running)).length === 0 ? true : undefined,
  )
  t.pass(`${running.length} processes are gone`)
  t.notOk(existsSync(PLACE), 'their files were in memory of their own')
}

/** Folders of control groups that containerd's containers would be in; in the old layout one for each controller. */
async function groups(): Promise<readonly string[]> {
  const top = '/sys/fs/cgroup'
  const names = await readdir(top).catch(() => [])
  const folders = [top, ...names.map((name) => join(top, name))]
  return folders.map((folder) => join(folder, 'k8s.io')).filter((path) => existsSync(path))
}
