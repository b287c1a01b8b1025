import t from 'tap'
import { ownerOf } from '../../core/inject/owner.ts'
import type { Json } from '../../core/json.ts'
import { needData, readTable } from './table.ts'

type Row = {
  readonly metadata: Json
  readonly wantAPIVersion: string
  readonly wantKind: string
  readonly wantName: string
  readonly wantNamespace: string
}

t.test('owners as recorded', needData(), async (t) => {
  for (const row of readTable<Row>('owner-heuristic')) {
    const { apiVersion, kind, name, namespace = '' } = ownerOf(row.metadata)
    t.strictSame(
      { apiVersion, kind, name, namespace },
      {
        apiVersion: row.wantAPIVersion,
        kind: row.wantKind,
        name: row.wantName,
        namespace: row.wantNamespace,
      },
      JSON.stringify(row.metadata),
    )
  }
})
