/** Thousands of documents: progress on a terminal, and memory that does not grow with their number. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { injectPod } from '../../core/inject/inject.ts'
import { makeProgress } from '../../kube-inject/progress.ts'
import { injectSources } from '../../kube-inject/run.ts'
import { configOf } from '../support/config.ts'

const config = configOf({})
const setting = {
  inject: (request: Parameters<typeof injectPod>[0]) => injectPod(request, config),
  nativeSidecars: false,
}

/** What retained.ts prints, in MiB. */
type Retained = {
  readonly left: readonly number[]
  readonly written: number
  readonly peak: number
}

for (const recorder of ['manifests', 'diff']) {
  t.test(`5,000 documents leave no more in memory than 500: ${recorder}`, async (t) => {
    const script = join(import.meta.dirname, 'retained.ts')
    const argv = [...process.execArgv, '--expose-gc', script, recorder]
    const { stdout } = await promisify(execFile)(process.execPath, argv)
    const { left, written, peak } = JSON.parse(stdout) as Retained
    const [few = NaN, many = NaN] = left
    const figures = [few, many, written, peak].map((each) => each.toFixed(0))
    t.comment(
      `${recorder}: ${figures[0]} MiB after 500, ${figures[1]} after 5,000; ${figures[2]} written; ${figures[3]} RSS at most`,
    )
    t.ok(written > 20, 'what is written is more than what may stay')
    // The spool keeps up to 4 MiB, and loaders of TypeScript take some; results that stayed would be all of it.
    t.ok(many - few < 0.4 * written, `${(many - few).toFixed(1)} MiB more`)
  })
}

t.test('progress is for a terminal and for work that takes long', async (t) => {
  const shown = (isTTY: boolean, times: readonly number[]): readonly string[] => {
    const written: string[] = []
    let now = 0
    const progress = makeProgress({ isTTY, write: (text) => written.push(text) }, () => now)
    for (const time of times) {
      now = time
      progress.count('apps/a.yaml')
    }
    progress.clear()
    progress.clear()
    return written
  }
  const erase = '\r\u001b[K'
  t.strictSame(shown(true, [10, 500, 999]), [], 'short work is quiet')
  t.strictSame(shown(false, [10, 5000, 9000]), [], 'no terminal, no progress')
  t.strictSame(
    shown(true, [10, 1000, 1100, 1250]),
    ['2 documents, apps/a.yaml', erase, '4 documents, apps/a.yaml', erase],
    'a line that replaces itself and goes away',
  )
  const said: string[] = []
  let now = 0
  const progress = makeProgress({ isTTY: true, write: (text) => said.push(text) }, () => now)
  now = 2000
  progress.count(`x\u001b[31m${'y'.repeat(80)}`)
  t.notOk(said.join('').includes('\u001b'), 'a name cannot steer the terminal')
  t.ok(said.join('').length < 80, 'one line')
})

t.test('what is told is not mixed with progress', async (t) => {
  const order: string[] = []
  const progress = { count: () => order.push('count'), clear: () => order.push('clear') }
  const text =
    'apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {sidecar.istio.io/inject: "false"}}\nspec: {containers: [{name: a}]}\n'
  injectSources([{ name: 'f', below: 'f', text }], setting, [], () => order.push('warn'), progress)
  t.strictSame(order, ['clear', 'warn', 'count', 'clear'])
})
