import type { StringMap } from '../k8s.ts'
import type { Problem, Read } from '../problem.ts'
import { NAMES, PASSED_ON } from './annotation-labels.ts'
import { isMore, readAmount } from './annotation-readers.ts'
import { HEALTH, INJECTION, PROXY } from './annotation-rows.ts'
import { TRAFFIC } from './traffic-rows.ts'

/** One annotation or label of a pod: what it takes and what it does. The words are Markdown. */
export type AnnotationRow = {
  readonly key: string
  readonly on: 'annotation' | 'label' | 'label or annotation'
  /** The grammar of its text. */
  readonly takes: string
  /** What counts where it is absent; empty for nothing. */
  readonly default: string
  readonly effect: string
  /** Reads the text, told the key as path. Absent where every text is right, or is judged later. */
  readonly read?: (path: string, text: string) => Read<unknown>
}

/** A part of the table, with its heading. */
export type AnnotationGroup = { readonly title: string; readonly rows: readonly AnnotationRow[] }

/** Every annotation and label that injection reads, writes or passes on. */
export const ANNOTATIONS: readonly AnnotationGroup[] = [
  { title: 'Whether and how a pod is injected', rows: INJECTION },
  { title: 'The proxy', rows: PROXY },
  { title: 'Captured traffic', rows: TRAFFIC },
  { title: 'Probes, health and metrics', rows: HEALTH },
  { title: 'Names and labels', rows: NAMES },
  { title: 'Passed on', rows: PASSED_ON },
]

/**
 * Everything that is wrong with the annotations of a pod, in the order of the table. What passes here,
 * templates, `istio-iptables` and the API server take.
 */
export function checkAnnotations(annotations: StringMap): readonly Problem[] {
  const problems = READ_ROWS.flatMap(({ key, read }) => {
    const text = textOf(annotations, key)
    const value = text === undefined ? undefined : read?.(key, text)
    return value === undefined || value.ok ? [] : value.problems
  })
  return [...problems, ...AMOUNTS.flatMap((amount) => checkAmount(annotations, amount))]
}

/** The rows whose texts are read. */
const READ_ROWS: readonly AnnotationRow[] = ANNOTATIONS.flatMap((group) => group.rows).filter(
  ({ read }) => read !== undefined,
)

function textOf(annotations: StringMap, key: string): string | undefined {
  return Object.hasOwn(annotations, key) ? annotations[key] : undefined
}

/** A request is at most its limit, or the API server refuses the pod. */
function checkAmount(annotations: StringMap, { request, limit }: Amount): readonly Problem[] {
  const got = textOf(annotations, request)
  const most = textOf(annotations, limit)
  if (got === undefined || most === undefined) return []
  const [amount, bound] = [readAmount(request, got), readAmount(limit, most)]
  if (!amount.ok || !bound.ok || !isMore(amount.value, bound.value)) return []
  return [{ path: request, got, want: `at most ${limit}, which is ${most}` }]
}

type Amount = { readonly request: string; readonly limit: string }

const AMOUNTS: readonly Amount[] = [
  { request: 'sidecar.istio.io/proxyCPU', limit: 'sidecar.istio.io/proxyCPULimit' },
  { request: 'sidecar.istio.io/proxyMemory', limit: 'sidecar.istio.io/proxyMemoryLimit' },
]

/** The reference page of the table, Markdown. `npm run reference` writes it; a test compares. */
export function printAnnotations(): string {
  const groups = ANNOTATIONS.map(({ title, rows }) => {
    const lines = rows.map(printRow).join('\n')
    return `## ${title}\n\n| key | on | takes | default | effect |\n| --- | --- | --- | --- | --- |\n${lines}\n`
  })
  return [INTRODUCTION, ...groups].join('\n')
}

const INTRODUCTION = `# Annotations and labels

All annotations of a pod are read before anything is done with it. When a text is wrong the pod is refused, and
the message names every wrong one: key, text, and what would have been right. Names in backquotes such as
\`global.proxy.logLevel\` are Helm values. This page is printed from the table in \`core/options/annotations.ts\`.
`

function printRow(row: AnnotationRow): string {
  const cells = [`\`${row.key}\``, row.on, row.takes, row.default || '–', row.effect]
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}
