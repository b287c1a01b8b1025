import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { addProbers, dumpProbers, printProbers, readProbers } from '../../core/inject/probe-dump.ts'
import { proxiedPorts } from '../../core/inject/probe-ports.ts'
import { isRewriting } from '../../core/inject/probe-switch.ts'
import { PROBES_CURRENT } from '../../core/inject/probe-table.ts'
import { redirectProbes, rewriteProbes } from '../../core/inject/probes.ts'
import type { Container, EnvVar, Pod, StringMap } from '../../core/k8s.ts'
import { folder, needData, readTable } from './table.ts'

type Rewritten = {
  readonly name: string
  readonly statusPort: number
  readonly pod: Pod
  readonly wantPod: Pod
  readonly wantProbers: unknown
  readonly wantProbersText?: string
}

const needed = needData()

function readCases(): readonly Rewritten[] {
  const cases = join(folder, 'probes')
  const files = readdirSync(cases).filter((file) => file.endsWith('.json'))
  return files.map((file) => JSON.parse(readFileSync(join(cases, file), 'utf8')) as Rewritten)
}

t.test('probes are rewritten as recorded', needed, async (t) => {
  for (const { name, statusPort, pod, wantPod, wantProbers, wantProbersText } of readCases()) {
    const probers = dumpProbers(pod, statusPort, PROBES_CURRENT)
    const text = printProbers(probers)
    t.strictSame(probers.size === 0 ? null : JSON.parse(text), wantProbers, `${name}: probers`)
    if (wantProbersText !== undefined) t.equal(text, wantProbersText, `${name}: text`)
    t.strictSame(redirectProbes(pod, statusPort, PROBES_CURRENT), wantPod, `${name}: pod`)
  }
})

t.test('a recorded pod with a proxy is rewritten once', needed, async (t) => {
  for (const { name, statusPort: meshStatusPort, pod } of readCases()) {
    const { spec } = pod
    if (spec === undefined) throw new Error(`${name} has no spec`)
    const containers = [...spec.containers, { name: 'istio-proxy' }]
    const meant: Pod = { ...pod, spec: { ...spec, containers } }
    const once = rewriteProbes(meant, { meshStatusPort, enabled: true })
    const annotations = { ...once.metadata?.annotations, 'sidecar.istio.io/status': '{}' }
    const marked = { ...once, metadata: { ...once.metadata, annotations } }
    t.equal(rewriteProbes(marked, { meshStatusPort, enabled: true }), marked, name)
  }
})

t.test('probers are collected as recorded', needed, async (t) => {
  type Row = { name: string; pod: Pod; statusPort: number; want: unknown }
  for (const { name, pod, statusPort, want } of readTable<Row>('probe-dump')) {
    t.strictSame(JSON.parse(printProbers(dumpProbers(pod, statusPort, PROBES_CURRENT))), want, name)
  }
})

t.test('probes are turned to the agent as recorded', needed, async (t) => {
  type Row = { name: string; pod: Pod; statusPort: number; want: Pod }
  for (const { name, pod, statusPort, want } of readTable<Row>('probe-rewrite')) {
    t.strictSame(redirectProbes(pod, statusPort, PROBES_CURRENT), want, name)
  }
})

t.test('rewriting is switched as recorded', needed, async (t) => {
  const key = 'values.sidecarInjectorWebhook.rewriteAppHTTPProbe'
  type Row = { annotations: StringMap; want: boolean; [key]: boolean }
  for (const row of readTable<Row>('probe-rewrite-enabled')) {
    t.equal(isRewriting(row.annotations, row[key]), row.want, JSON.stringify(row))
  }
})

t.test('probers of an earlier injection are added to as recorded', needed, async (t) => {
  type Row = {
    name: string
    env: readonly EnvVar[]
    previouslyInjected: boolean
    probers: string
    want: readonly EnvVar[]
  }
  for (const { name, env, previouslyInjected, probers, want } of readTable<Row>('merge-probers')) {
    t.strictSame(addProbers(env, readProbers(probers), previouslyInjected), want, name)
  }
})

t.test("a container's ports as recorded", needed, async (t) => {
  type Row = { container: Container; want: readonly string[] | null }
  for (const { container, want } of readTable<Row>('ports-for-container')) {
    t.strictSame(proxiedPorts(container), want ?? [], JSON.stringify(container.ports))
  }
})
