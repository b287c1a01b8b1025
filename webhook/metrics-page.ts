/** The reference page of the metrics, printed from their table. */
import { FAILURES, HANDSHAKE_FAILURES, METRICS, SECONDS, type MetricRow } from './metrics-table.ts'

/** The page `docs/reference/metrics.md`. */
export function printMetrics(): string {
  const rows: readonly MetricRow[] = Object.values(METRICS)
  const lines = rows.map(({ name, type, labels = {}, help }) =>
    tableRow([`\`${name}\``, type, printLabels(labels), help]),
  )
  const misleading = rows.flatMap(({ name, istio }) =>
    istio === undefined ? [] : [tableRow([`\`${name}\``, istio])],
  )
  return [
    INTRODUCTION,
    tableHead(['metric', 'type', 'labels', 'what it tells']),
    ...lines,
    '',
    `Buckets of the histogram, in seconds: ${SECONDS.join(', ')}.`,
    '',
    '## Reasons of failures',
    '',
    tableHead(['reason', 'what happened']),
    ...reasonRows(FAILURES),
    '',
    '## Reasons of failed handshakes',
    '',
    tableHead(['reason', 'what happened']),
    ...reasonRows(HANDSHAKE_FAILURES),
    '',
    '## Where Istio’s metric of the same name tells something else',
    '',
    tableHead(['metric', 'Istio’s']),
    ...misleading,
    '',
    ALERTS,
  ].join('\n')
}

const INTRODUCTION = `# Metrics

On the monitoring port, \`GET /metrics\`, in Prometheus’ text format. Labels have a closed set of values unless words
stand in their place; counters begin at 0 for all of them. A request has exactly one outcome: \`success\`, \`skip\` or
\`failure\`; the three together are \`sidecar_injection_requests_total\`. Those of the Node process (\`process_*\`,
\`nodejs_*\`) come from prom-client. This page is printed from the table in \`webhook/metrics-table.ts\`.
`

const ALERTS = `## What to alert on

- \`increase(sidecar_injection_failure_total{reason=~"internal|overloaded|late"}[5m]) > 0\`: pods wait for this, or start without a sidecar.
- \`increase(sidecar_injector_tls_handshake_failures_total{reason="untrusted"}[5m]) > 0\`: API servers do not trust the certificate; whoever creates a pod may read no more than \`context deadline exceeded\`.
- \`sidecar_injector_reload_refused == 1\`: the newest configuration does not serve.
- \`sidecar_injector_certificate_expiry_timestamp_seconds - time() < 14 * 86400\`: the certificate is not renewed.
- \`increase(sidecar_injection_failure_total{reason="refused"}[1h]) > 0\`: somebody’s pods are denied; the log and the Events say whose.
`

function reasonRows(reasons: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(reasons).map(([reason, says]) => tableRow([`\`${reason}\``, says]))
}

function printLabels(labels: NonNullable<MetricRow['labels']>): string {
  const printed = Object.entries(labels).map(([name, values]) => {
    if (typeof values === 'string') return `\`${name}\`: ${values}`
    return `\`${name}\`: ${values.map((value) => `\`${value}\``).join(', ')}`
  })
  return printed.length === 0 ? '–' : printed.join('; ')
}

function tableHead(cells: readonly string[]): string {
  return `${tableRow(cells)}\n${tableRow(cells.map(() => '---'))}`
}

function tableRow(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}
