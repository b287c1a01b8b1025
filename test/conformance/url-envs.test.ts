import t from 'tap'
import { readUrlEnvs } from '../../core/inject/url-envs.ts'
import { needData, readTable } from './table.ts'

type Row = {
  readonly name: string
  readonly path: string
  readonly want: Readonly<Record<string, string>>
}

t.test('environment from the path as recorded', needData(), async (t) => {
  for (const row of readTable<Row>('inject-path-envs')) {
    t.strictSame(readUrlEnvs(row.path), row.want, row.name)
  }
})
