/** kube-inject as a whole process: wall milliseconds for 1 and for 500 documents, beside an empty Node. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Prints the figures as medians of paired runs. */
export async function run(): Promise<void> {
  const root = process.cwd()
  const example = readFileSync(join(root, 'examples/nginx-deployment.yaml'), 'utf8')
  const folder = mkdtempSync(join(tmpdir(), 'sidecar-injector-bench-'))
  const many = join(folder, 'many.yaml')
  const documents = Array.from({ length: 500 }, (_, n) =>
    example.replaceAll('nginx-deployment', `nginx-${n}`),
  )
  writeFileSync(many, documents.join('---\n'))
  const cli = join(root, 'dist/cli/sidecar-injector.cjs')
  const cases = [
    { what: 'empty Node', args: ['-e', ''] },
    {
      what: '1 document',
      args: [cli, 'kube-inject', '-f', join(root, 'examples/nginx-deployment.yaml')],
    },
    { what: '500 documents', args: [cli, 'kube-inject', '-f', many] },
  ]
  const samples = cases.map((): number[] => [])
  for (let round = 0; round < 7; round++) {
    for (const [index, { args }] of cases.entries()) samples[index]?.push(measure(args))
  }
  const floor = median(samples[0] ?? [])
  for (const [index, { what }] of cases.entries()) {
    const wall = median(samples[index] ?? [])
    const ratio = (wall / floor).toFixed(1)
    process.stdout.write(
      `  ${what.padEnd(14)} ${wall.toFixed(0).padStart(6)} ms, ${ratio} times an empty Node\n`,
    )
  }
  rmSync(folder, { recursive: true })
}

function measure(args: readonly string[]): number {
  const start = process.hrtime.bigint()
  const done = spawnSync(process.execPath, args, { maxBuffer: 1 << 28, encoding: 'utf8' })
  const wall = Number(process.hrtime.bigint() - start) / 1e6
  if (done.status !== 0) throw new Error(`status ${String(done.status)}: ${done.stderr}`)
  return wall
}

function median(samples: readonly number[]): number {
  return samples.toSorted((a, b) => a - b)[samples.length >> 1] ?? NaN
}
