import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Registry } from 'prom-client'
import t from 'tap'
import { printMetrics } from '../../webhook/metrics-page.ts'
import {
  FAILURES,
  METRICS,
  type FailureReason,
  type MetricRow,
} from '../../webhook/metrics-table.ts'
import { makeMetrics } from '../../webhook/metrics.ts'
import { describeRefusal } from '../../webhook/refusals.ts'

const rows: readonly MetricRow[] = Object.values(METRICS)

/** A registry in which everything of ours was counted once. */
function used(): { readonly registry: Registry; readonly metrics: ReturnType<typeof makeMetrics> } {
  const registry = new Registry()
  const metrics = makeMetrics(registry)
  metrics.gauge({ inFlight: () => 3, bodyBytes: () => 4000, isReady: () => true })
  metrics.built({ version: '1.2.3', istio_version: 'current', revision: 'r', node: 'v20' })
  return { registry, metrics }
}

t.test('the reference page is that of the table', async (t) => {
  const page = join(import.meta.dirname, '../../docs/reference/metrics.md')
  t.equal(await readFile(page, 'utf8'), printMetrics(), 'npm run reference')
})

t.test('what Prometheus reads is what the table says', async (t) => {
  const found = await used().registry.getMetricsAsJSON()
  const sorted = (all: readonly { readonly name: string }[]) => all.map(({ name }) => name).sort()
  t.strictSame(sorted(found), sorted(rows))
  for (const { name, type, help, values } of found) {
    const row = rows.find((one) => one.name === name)
    t.match({ type: String(type), help }, { type: row?.type, help: row?.help }, name)
    for (const { labels } of values) {
      for (const [label, value] of Object.entries(labels)) {
        if (label === 'le') continue
        const known = row?.labels?.[label]
        t.ok(typeof known === 'string' || known?.includes(String(value)), `${name} ${label}`)
      }
    }
  }
})

t.test('counters begin at 0 for every value of a closed label', async (t) => {
  const text = await used().registry.metrics()
  for (const reason of Object.keys(FAILURES)) {
    t.match(text, `sidecar_injection_failure_total{reason="${reason}"} 0`)
  }
  t.match(text, 'sidecar_injection_skip_total{reason="host-network"} 0')
  t.match(text, 'sidecar_injector_reloads_total{what="config",result="refused"} 0')
})

t.test('what ends has no time before it is known', async (t) => {
  const { registry, metrics } = used()
  const expiries = async () => (await registry.metrics()).match(/^\S+_expiry_\S+ \d+$/gm)
  t.equal(await expiries(), null)
  metrics.caExpires(new Date('2030-01-01T00:00:00Z'))
  t.strictSame(await expiries(), ['sidecar_injector_ca_expiry_timestamp_seconds 1893456000'])
})

t.test('one request, one outcome', async (t) => {
  const { registry, metrics } = used()
  metrics.observe({ kind: 'success' }, 0.0004)
  metrics.observe({ kind: 'skip', reason: 'host-network' }, 0.0006)
  metrics.observe({ kind: 'failure', reason: 'late' }, 9)
  const text = await registry.metrics()
  for (const line of [
    'sidecar_injection_requests_total 3',
    'sidecar_injection_success_total 1',
    'sidecar_injection_skip_total{reason="host-network"} 1',
    'sidecar_injection_failure_total{reason="late"} 1',
    'sidecar_injection_time_seconds_bucket{le="0.0005"} 1',
    'sidecar_injection_time_seconds_bucket{le="0.001"} 2',
    'sidecar_injection_time_seconds_bucket{le="10"} 3',
    'sidecar_injector_requests_in_flight 3',
    'sidecar_injector_body_bytes_in_flight 4000',
    'sidecar_injector_ready 1',
    'sidecar_injector_build_info{version="1.2.3",istio_version="current",revision="r",node="v20"} 1',
  ]) {
    t.match(text, `${line}\n`)
  }
})

t.test('what was taken, when, and whether the newest was', async (t) => {
  const { registry, metrics } = used()
  const before = Date.now() / 1000
  metrics.reloaded('config', true)
  metrics.reloaded('config', false)
  metrics.certificateExpires(new Date('2030-01-01T00:00:00Z'))
  metrics.eventCounted('dropped')
  const text = await registry.metrics()
  t.match(text, 'sidecar_injector_reloads_total{what="config",result="taken"} 1')
  t.match(text, 'sidecar_injector_reload_refused{what="config"} 1')
  t.match(text, 'sidecar_injector_certificate_expiry_timestamp_seconds 1893456000')
  t.match(text, 'sidecar_injector_events_total{result="dropped"} 1')
  const taken = /reload_taken_timestamp_seconds\{what="config"\} ([\d.]+)/.exec(text)?.[1]
  t.ok(Number(taken) >= before && Number(taken) <= Date.now() / 1000)
})

t.test(
  'every refusal is one line of text, and those that may be asked again are 503',
  async (t) => {
    const refusals = Object.keys(FAILURES) as FailureReason[]
    for (const reason of refusals) {
      if (reason === 'refused' || reason === 'unreadable' || reason === 'client') continue
      const { status, text } = describeRefusal(reason, 6)
      t.match(text, /^[^\n]+\n$/, reason)
      t.equal(status === 503, ['overloaded', 'late', 'not-ready'].includes(reason), reason)
    }
  },
)
