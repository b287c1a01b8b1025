import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { matchEntries, type WebhookEntry } from '../../core/inject/selectors.ts'
import type { StringMap } from '../../core/k8s.ts'
import { folder, needData, readTable } from './table.ts'

type Entry = WebhookEntry & { readonly service: { readonly name: string } }

type Row = {
  /** Names of configurations, joined by `+`. */
  readonly install: string
  readonly namespaceLabels: StringMap | null
  readonly podLabels: StringMap | null
  /** Name of the service that is called, empty for none. */
  readonly want: string
  readonly entries: readonly string[]
}

/** The entries of each recorded configuration, by its name. */
function readConfigurations(): Readonly<Record<string, readonly Entry[]>> {
  const file = join(folder, 'common/webhook-selectors.json')
  return JSON.parse(readFileSync(file, 'utf8')) as Readonly<Record<string, readonly Entry[]>>
}

t.test('which webhook entry takes a pod, as recorded', needData(), async (t) => {
  const installed = readConfigurations()
  for (const row of readTable<Row>('../webhook-selectors')) {
    const { install, entries } = row
    const namespaceLabels = row.namespaceLabels ?? {}
    const podLabels = row.podLabels ?? {}
    const configurations = install.split('+').map((name) => {
      t.ok(installed[name], `${name} is recorded`)
      return { metadata: { name }, webhooks: installed[name] ?? [] }
    })
    const taken = matchEntries(configurations, { namespaceLabels, podLabels })
    t.strictSame(
      { service: taken[0]?.service.name ?? '', entries: taken.map(({ name }) => name) },
      { service: row.want, entries },
      JSON.stringify({ install, namespaceLabels, podLabels }),
    )
  }
})
