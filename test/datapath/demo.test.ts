/** The demonstration leaves nothing behind: not after success, not after failure, not when it is interrupted. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { descendantsOf, stillRunning, type Process } from '../e2e/descendants.ts'
import { until } from '../e2e/until.ts'
import { need } from '../require.ts'
import { REQUESTS } from '../../datapath/requests.ts'
import { datapathUnavailable, ENVOY } from './scenario.ts'

const DEMO = join(import.meta.dirname, '../../dist/datapath/demo.js')

const guide = readFileSync(join(import.meta.dirname, '../../docs/guides/data-path.md'), 'utf8')

/** Round robin begins with either endpoint. */
function anyEndpoint(text: string): string {
  return text.replaceAll(/10\.250\.3\.[45] port 8080/g, 'an endpoint')
}

/** A demonstration under way. */
type Run = {
  readonly child: ChildProcess
  readonly text: () => string
  readonly end: Promise<number | string>
}

function start(envoy: string): Run {
  const child = spawn(process.execPath, [DEMO, '--envoy', envoy], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (some: string) => (text += some))
  }
  const end = once(child, 'close').then(
    ([code, signal]: (number | string | null)[]) => code ?? signal ?? '',
  )
  return { child, text: () => text, end }
}

/** What is there that the demonstration of this text made. */
function leftovers(text: string): readonly string[] {
  const [id] = /dp-[0-9a-f]{8}/.exec(text) ?? []
  if (id === undefined) throw new Error(`no namespaces are named: ${text}`)
  const namespaces = readdirSync('/run/netns').filter((name) => name.startsWith(id))
  return existsSync(join(tmpdir(), id)) ? [...namespaces, id] : namespaces
}

/** Runs it until the first request is shown, with everything that runs by then. */
async function startAndWait(): Promise<Run & { readonly processes: readonly Process[] }> {
  const run = start(ENVOY ?? '')
  await until('the first verdict', async () => {
    if (run.child.exitCode !== null) throw new Error(`it ended: ${run.text()}`)
    return run.text().includes('verdict') ? true : undefined
  })
  const processes = await descendantsOf(run.child.pid ?? -1)
  return { ...run, processes }
}

t.test('it shows every request, and everybody agrees', need(datapathUnavailable()), async (t) => {
  const { text, end } = start(ENVOY ?? '')
  t.equal(await end, 0)
  t.strictSame(leftovers(text()), [])
  const verdicts = text()
    .split('\n')
    .filter((line) => line.includes('verdict'))
  t.strictSame(
    verdicts,
    REQUESTS.map(() => '   verdict  tracer, kernel counters, access log and application agree'),
  )
  const [, picture = ''] = /```mermaid\n([^`]*)```/.exec(guide) ?? []
  t.ok(anyEndpoint(text()).includes(anyEndpoint(picture)), 'and draws the picture of the guide')
  const [, sample = ''] = /```text\n([^`]*)```/.exec(guide) ?? []
  const shown = sample.split('\n').filter((line) => !line.startsWith('   log '))
  t.strictSame(
    shown.filter((line) => !text().includes(line)),
    [],
    'what the guide shows is what it prints, except the log, which has times and ids',
  )
})

t.test('it fails and leaves nothing', need(datapathUnavailable()), async (t) => {
  const { text, end } = start('/bin/true')
  t.equal(await end, 1)
  t.match(text(), /envoy: ended: exit 0/)
  t.strictSame(leftovers(text()), [])
  const missing = start('/nowhere/envoy')
  t.equal(await missing.end, 1)
  t.match(missing.text(), /--envoy: got "\/nowhere\/envoy", want an Envoy that starts/)
})

for (const [signal, status] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGKILL', 'SIGKILL'],
] as const) {
  t.test(`${signal} leaves nothing`, need(datapathUnavailable()), async (t) => {
    const { child, text, end, processes } = await startAndWait()
    const names = processes.map(({ name }) => name)
    t.ok(names.includes('envoy'), `running: ${names.join(', ')}`)
    t.equal(leftovers(text()).length, 5, 'four namespaces and a folder')
    child.kill(signal)
    t.equal(await end, status)
    await until('the end of all', async () => {
      const isGone = leftovers(text()).length === 0 && (await stillRunning(processes)).length === 0
      return isGone ? true : undefined
    })
    t.strictSame(leftovers(text()), [])
    t.strictSame(await stillRunning(processes), [])
    if (signal !== 'SIGKILL') t.match(text(), `${signal}: the namespaces and all that ran in them`)
  })
}
