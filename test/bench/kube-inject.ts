/** kube-inject as a whole process: 1, 500 and 5,000 documents, beside an empty Node in the same run. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What one run took: milliseconds of wall and of CPU, and megabytes at its peak. */
type Cost = { readonly wall: number; readonly cpu: number; readonly rss: number }

/** Prints the figures as medians of runs that take turns. */
export async function run(): Promise<void> {
  const root = process.cwd()
  const one = join(root, 'examples/nginx-deployment.yaml')
  const example = readFileSync(one, 'utf8')
  const folder = mkdtempSync(join(tmpdir(), 'sidecar-injector-bench-'))
  const probe = join(folder, 'probe.cjs')
  writeFileSync(probe, PROBE)
  const cli = join(root, 'dist/cli/sidecar-injector.cjs')
  const inject = (file: string): readonly string[] => [cli, 'kube-inject', '-f', file]
  const several = (count: number): string => {
    const file = join(folder, `${String(count)}.yaml`)
    const documents = Array.from({ length: count }, (_, n) =>
      example.replaceAll('nginx-deployment', `nginx-${String(n)}`),
    )
    writeFileSync(file, documents.join('---\n'))
    return file
  }
  const cases = [
    { documents: 0, rounds: 9, args: ['-e', ''] },
    { documents: 1, rounds: 9, args: inject(one) },
    { documents: 500, rounds: 5, args: inject(several(500)) },
    { documents: 5000, rounds: 3, args: inject(several(5000)) },
  ]
  const samples = cases.map((): Cost[] => [])
  for (let round = 0; round < 9; round++) {
    for (const [index, { args, rounds }] of cases.entries()) {
      if (round < rounds) samples[index]?.push(measure(probe, args))
    }
  }
  const floor = median(samples[0]?.map(({ cpu }) => cpu) ?? [])
  for (const [index, { documents }] of cases.entries()) {
    const own = samples[index] ?? []
    const [wall, cpu, rss] = (['wall', 'cpu', 'rss'] as const).map((what) =>
      median(own.map((cost) => cost[what])),
    )
    const what = documents === 0 ? 'empty Node' : `${documents.toLocaleString('en')} documents`
    const each =
      documents === 0
        ? ''
        : `, ${Math.round((1000 * ((cpu ?? 0) - floor)) / documents)} µs CPU each`
    process.stdout.write(
      `  ${what.padEnd(15)} ${Math.round(wall ?? 0)} ms, CPU ${Math.round(cpu ?? 0)} ms, RSS ${Math.round(rss ?? 0)} MB${each}\n`,
    )
  }
  rmSync(folder, { recursive: true })
}

/** Loaded before the program: tells at its end what it took. */
const PROBE = `process.on('exit', () => {
  const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage()
  require('node:fs').writeSync(3, JSON.stringify({ rss: maxRSS / 1024, cpu: (userCPUTime + systemCPUTime) / 1000 }))
})
`

function measure(probe: string, args: readonly string[]): Cost {
  const start = process.hrtime.bigint()
  const done = spawnSync(process.execPath, ['--require', probe, ...args], {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
  })
  const wall = Number(process.hrtime.bigint() - start) / 1e6
  if (done.status !== 0) throw new Error(`status ${String(done.status)}: ${done.stderr}`)
  const told: unknown = JSON.parse(done.output[3] ?? '')
  if (!isCost(told)) throw new Error('the run did not tell what it took')
  return { wall, cpu: told.cpu, rss: told.rss }
}

function isCost(told: unknown): told is Omit<Cost, 'wall'> {
  return typeof told === 'object' && told !== null && 'rss' in told && 'cpu' in told
}

function median(samples: readonly number[]): number {
  return samples.toSorted((a, b) => a - b)[samples.length >> 1] ?? NaN
}
