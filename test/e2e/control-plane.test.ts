import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { need } from '../require.ts'
import { controlPlaneUnavailable, startControlPlane } from './control-plane.ts'
import { supervise } from './supervised.ts'
import { until } from './until.ts'

const needed = need(controlPlaneUnavailable())

t.test('a control plane answers its administrator', needed, async (t) => {
  const controlPlane = await startControlPlane()
  t.teardown(() => controlPlane.stop())

  t.match(await controlPlane.request('GET', '/version'), {
    status: 200,
    body: { gitVersion: /^v1\.\d+\.\d+/ },
  })
  const map = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'spoken', namespace: 'default' },
    data: { word: 'yes' },
  }
  t.match(await controlPlane.kubectl(['apply', '-f', '-'], JSON.stringify(map)), {
    exitCode: 0,
    stdout: 'configmap/spoken created',
  })
  t.match(await controlPlane.request('GET', '/api/v1/namespaces/default/configmaps/spoken'), {
    status: 200,
    body: { data: map.data },
  })
  t.match(await controlPlane.kubectl(['get', 'configmap', 'unspoken']), {
    exitCode: 1,
    stderr: /not found/,
  })
})

type Ending = {
  readonly who: string
  /** Ended when etcd runs, or when the whole control plane is ready. */
  readonly when: 'starting' | 'ready'
  readonly end: (child: ChildProcess) => void
}

const endings: readonly Ending[] = [
  { who: 'stopped by its test', when: 'ready', end: (child) => child.stdin?.write('stop') },
  { who: 'forgotten by its test', when: 'ready', end: (child) => child.stdin?.write('exit') },
  { who: 'after an exception', when: 'ready', end: (child) => child.stdin?.write('throw') },
  { who: 'after SIGINT', when: 'ready', end: (child) => child.kill('SIGINT') },
  { who: 'after SIGTERM', when: 'ready', end: (child) => child.kill('SIGTERM') },
  { who: 'after SIGKILL', when: 'ready', end: (child) => child.kill('SIGKILL') },
  { who: 'after SIGKILL at the start', when: 'starting', end: (child) => child.kill('SIGKILL') },
]

const programsWhen = {
  starting: ['etcd'],
  ready: ['etcd', 'kube-apiserver', 'kube-controller-manager'],
} as const

// Most of each is waiting, so they run side by side.
t.jobs = 3
for (const ending of endings) {
  const options = { ...needed, buffered: true }
  t.test(`nothing is left of a control plane ${ending.who}`, options, async (t) => {
    // Whatever the child makes has this folder in its path, its command lines included.
    const { folder, stop } = await supervise()
    t.teardown(stop)
    const child = spawn(
      process.execPath,
      [...process.execArgv, join(import.meta.dirname, 'hold.ts')],
      { env: { ...process.env, TMPDIR: folder }, stdio: ['pipe', 'pipe', 'pipe'] },
    )
    t.teardown(() => child.kill('SIGKILL'))
    const gone = once(child, 'exit')
    const complaints = text(child.stderr)
    if (ending.when === 'ready') {
      const isReady = once(child.stdout, 'data').then(() => true)
      const isGone = gone.then(() => false)
      if (!(await Promise.race([isReady, isGone]))) throw new Error(await complaints)
    }
    for (const program of programsWhen[ending.when]) {
      await until(`${program} in ${folder}`, async () => {
        const lines = await commandLines(folder)
        return lines.find((line) => line.split(' ')[0]?.endsWith(`/${program}`))
      })
    }

    ending.end(child)
    await gone

    await until(
      'the end of every process',
      async () => ((await commandLines(folder)).length === 0 ? true : undefined),
      async () => `Left are:\n${(await commandLines(folder)).join('\n')}`,
      60,
    )
    const left = (await readdir(folder)).filter((name) => name.startsWith('sidecar-injector'))
    t.strictSame(left, [], 'no folder is left')
  })
}

/** Command lines of all processes of this machine that name something in the folder. */
async function commandLines(folder: string): Promise<readonly string[]> {
  const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const lines = await Promise.all(
    ids.map((id) => readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => '')),
  )
  return lines
    .filter((line) => line.includes(`${folder}/`))
    .map((line) => line.replaceAll('\0', ' '))
}
