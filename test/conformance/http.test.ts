import { createHash } from 'node:crypto'
import { Registry } from 'prom-client'
import t from 'tap'
import { readInjectConfig } from '../../core/inject/config.ts'
import { injectPod } from '../../core/inject/inject.ts'
import { makeMetrics } from '../../webhook/metrics.ts'
import { combine } from '../../webhook/readiness.ts'
import { buildServer } from '../../webhook/server.ts'
import { needData, readTable } from './table.ts'

type Row = {
  readonly name: string
  readonly method: 'POST'
  readonly path: string
  readonly contentType: string
  readonly body: string
  readonly wantStatus: number
  readonly wantAllowed: boolean
}

t.test('requests as recorded', needData(), async (t) => {
  const digest = (text: string): string => createHash('sha256').update(text).digest('hex')
  const config = readInjectConfig({ istioVersion: 'current', revision: '', digest })
  if (!config.ok) throw new Error(JSON.stringify(config.problems))
  const app = buildServer({
    inject: injectPod,
    snapshot: () => ({
      config: config.value,
      isNative: () => false,
      annotationsOf: () => undefined,
    }),
    metrics: makeMetrics(new Registry()),
    readiness: () => combine([]),
    isDraining: () => false,
    logger: false,
  })
  for (const row of readTable<Row>('http')) {
    const answer = await app.inject({
      method: row.method,
      url: row.path,
      headers: { 'content-type': row.contentType },
      payload: row.body,
    })
    const isAllowed = answer.statusCode === 200 && answer.json().response.allowed === true
    t.strictSame([answer.statusCode, isAllowed], [row.wantStatus, row.wantAllowed], row.name)
    if (row.body.startsWith('{') && answer.statusCode === 200) {
      t.equal(answer.json().apiVersion, JSON.parse(row.body).apiVersion, row.name)
    }
  }
})
