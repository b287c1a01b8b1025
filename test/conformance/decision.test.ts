import t from 'tap'
import { decide, IGNORED_NAMESPACES } from '../../core/inject/decide.ts'
import type { StringMap } from '../../core/k8s.ts'
import { needData, readTable } from './table.ts'

type Row = {
  readonly name: string
  readonly podspec: { readonly hostNetwork?: boolean }
  readonly namespace: string
  readonly labels: StringMap | null
  readonly annotations: StringMap | null
  readonly policy: string
  readonly neverInjectSelector: readonly unknown[] | null
  readonly alwaysInjectSelector: readonly unknown[] | null
  readonly want: boolean
}

t.test('which pods are injected, as recorded', needData(), async (t) => {
  for (const row of readTable<Row>('../decision')) {
    const { outcome, reason } = decide(
      {
        hostNetwork: row.podspec.hostNetwork ?? false,
        namespace: row.namespace,
        labels: row.labels ?? {},
        annotations: row.annotations ?? {},
      },
      {
        policy: row.policy,
        neverInjectSelector: row.neverInjectSelector ?? [],
        alwaysInjectSelector: row.alwaysInjectSelector ?? [],
        ignoredNamespaces: IGNORED_NAMESPACES,
      },
    )
    t.equal(outcome, row.want ? 'inject' : 'skip', `${row.name}: ${reason}`)
  }
})
