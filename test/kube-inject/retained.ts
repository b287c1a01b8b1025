/**
 * A process of its own for long-work.test.ts, so that nothing but the command is in its memory: injects 5,000
 * documents for the recorder that its argument names, and prints what is left in memory after 500 and after all, in MiB.
 */
import { injectPod } from '../../core/inject/inject.ts'
import { injectSources } from '../../kube-inject/run.ts'
import { makeDiff } from '../../kube-inject/show-diff.ts'
import { makeSpool } from '../../kube-inject/spool.ts'
import { makeWriter } from '../../kube-inject/write-manifests.ts'
import { configOf } from '../support/config.ts'

const config = configOf({})
const setting = {
  inject: (request: Parameters<typeof injectPod>[0]) => injectPod(request, config),
  nativeSidecars: false,
}
const pod = (n: number): string =>
  `apiVersion: v1\nkind: Pod\nmetadata:\n  name: pod-${n}\nspec:\n  containers:\n  - name: app\n    image: app\n`
const text = Array.from({ length: 5000 }, (_, n) => pod(n)).join('---\n')
const spool = makeSpool()
const recorder = {
  manifests: () => makeWriter({ to: 'stdout' }, undefined, spool),
  diff: () => makeDiff(spool, false),
}[process.argv[2] as 'manifests' | 'diff']()
const left: number[] = []
let count = 0
const sampler = {
  take: () => {
    count++
    if (count !== 500 && count !== 5000) return
    // What one collection found is freed beside the program; the next one waits for that.
    for (let times = 0; times < 3; times++) globalThis.gc?.()
    const { heapUsed, external } = process.memoryUsage()
    left.push((heapUsed + external) / 2 ** 20)
  },
  finish: () => Promise.resolve(),
}
const source = { name: 'many.yaml', below: 'many.yaml', text }
injectSources([source], setting, [recorder, sampler], () => undefined)
const written = spool.size() / 2 ** 20
spool.close()
const peak = process.resourceUsage().maxRSS / 1024
process.stdout.write(JSON.stringify({ left, written, peak }))
