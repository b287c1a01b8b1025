import t from 'tap'
import {
  isMergeEnabled,
  listen,
  PROMETHEUS_CURRENT,
  prometheusMerge,
  readScrapeConfig,
} from '../../core/inject/prometheus.ts'
import type { StringMap } from '../../core/k8s.ts'
import { formatProblem } from '../../core/problem.ts'
import { needData, readTable } from './table.ts'

const needed = needData()

t.test('metrics are merged as recorded', needed, async (t) => {
  type Row = {
    annotations: StringMap
    statusPort: number
    wantAnnotations?: StringMap
    wantProxyEnv?: unknown
    error?: string
  }
  for (const row of readTable<Row>('prometheus-merge')) {
    const pod = {
      metadata: { annotations: row.annotations },
      spec: { containers: [{ name: 'istio-proxy' }] },
    }
    const merge = prometheusMerge(pod, { meshStatusPort: row.statusPort, enabled: true })
    const what = JSON.stringify(row.annotations)
    if (merge.ok) {
      const { metadata, spec } = merge.value
      t.strictSame(metadata?.annotations, row.wantAnnotations, what)
      t.strictSame(spec?.containers[0]?.env ?? null, row.wantProxyEnv, what)
      continue
    }
    const said = merge.problems.map(formatProblem).join('\n')
    const word = /reserved|conflicts|port/.exec(row.error ?? 'no error')?.[0] ?? 'no error'
    t.ok(said.includes(word), `${what}: ${said}`)
    t.ok(
      Object.keys(row.annotations).some((key) => said.startsWith(key)),
      said,
    )
  }
})

t.test('merging is switched as recorded', needed, async (t) => {
  type Row = {
    name: string
    annotations: StringMap
    meshEnablePrometheusMerge: { value?: boolean } | null
    want: boolean
  }
  for (const row of readTable<Row>('prometheus-merge-enabled')) {
    const mesh = row.meshEnablePrometheusMerge
    const byMesh = mesh === null ? true : (mesh.value ?? false)
    t.equal(isMergeEnabled(row.annotations, byMesh), row.want, row.name)
  }
})

t.test('the place of the metrics as recorded', needed, async (t) => {
  type Row = {
    name: string
    annotations: StringMap
    wantPath: string
    wantPort: string
    wantTargets: unknown
  }
  for (const row of readTable<Row>('prometheus-scrape-config')) {
    const { path, port, targets } = readScrapeConfig(
      listen(row.annotations, PROMETHEUS_CURRENT),
    ).config
    t.strictSame(
      { path, port, targets: targets.length === 0 ? null : targets },
      { path: row.wantPath, port: row.wantPort, targets: row.wantTargets },
      row.name,
    )
  }
})
