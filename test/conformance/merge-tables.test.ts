import t from 'tap'
import { findProxy } from '../../core/inject/cluster-envs.ts'
import { readQuantity } from '../../core/inject/quantity.ts'
import { readStatus } from '../../core/inject/status.ts'
import type { Container, Pod } from '../../core/k8s.ts'
import { needData, readTable } from './table.ts'

type Spec = {
  readonly containers?: readonly Container[]
  readonly initContainers?: readonly Container[]
}
const asPod = (spec: Spec) => ({ spec }) as unknown as Pod

t.test('finding the proxy, as recorded', needData(), async (t) => {
  type Row = { readonly name: string; readonly found: boolean; readonly pod: Spec }
  for (const { name, found, pod } of readTable<Row>('find-sidecar')) {
    t.equal(findProxy(asPod(pod)) !== undefined, found, name)
  }
})

t.test('the status annotation, as recorded', needData(), async (t) => {
  type Row = { readonly name: string; readonly status: string; readonly want: Spec }
  for (const { name, status, want } of readTable<Row>('parse-status')) {
    const names = (list: keyof Spec) => (want[list] ?? []).map((container) => container.name)
    const read = readStatus(status)
    t.strictSame(
      { problems: read.problems, ...pick(read.status) },
      { problems: [], containers: names('containers'), initContainers: names('initContainers') },
      name,
    )
  }
})

function pick({ containers, initContainers }: Record<'containers' | 'initContainers', unknown>) {
  return { containers, initContainers }
}

t.test('quantities in annotations, as recorded', needData(), async (t) => {
  type Row = { readonly name: string; readonly value: string; readonly ok: boolean }
  for (const { name, value, ok } of readTable<Row>('validate-quantity')) {
    t.equal(readQuantity('annotation', value).ok, ok, name)
  }
  const amounts = readTable<{ annotation: string; value: string; ok: boolean }>('../annotations')
  for (const { annotation, value, ok } of amounts) {
    if (!/\/proxy(CPU|Memory)(Limit)?$/.test(annotation)) continue
    t.equal(readQuantity(annotation, value).ok, ok, `${annotation}: ${JSON.stringify(value)}`)
  }
})
