import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { judgeGates } from '../../core/gates/judge.ts'
import { readWebhooks } from '../../core/gates/read-webhooks.ts'
import type { GateReason } from '../../core/gates/reasons.ts'
import type { StringMap } from '../../core/k8s.ts'
import { folder, needData, readTable } from './table.ts'

const NAME = 'kubernetes.io/metadata.name'
const INJECTION = 'istio-injection'
const REVISION = 'istio.io/rev'
const INJECT = 'sidecar.istio.io/inject'

type Row = {
  /** Names of configurations, joined by `+`. */
  readonly install: string
  readonly namespaceLabels: StringMap | null
  readonly podLabels: StringMap | null
  /** Name of the service that is called, empty for none. */
  readonly want: string
  readonly entries: readonly string[]
}

type Recorded = { readonly name: string; readonly service: object }

/** The entries of each recorded configuration, by its name. */
function readConfigurations(): Readonly<Record<string, readonly Recorded[]>> {
  const file = join(folder, 'common/webhook-selectors.json')
  return JSON.parse(readFileSync(file, 'utf8')) as Readonly<Record<string, readonly Recorded[]>>
}

t.test('which webhook entry takes a pod, and why, as recorded', needData(), async (t) => {
  const installed = readConfigurations()
  const rows = readTable<Row>('../webhook-selectors')
  const told = new Map<string, string>()
  for (const row of rows) {
    const { install, entries } = row
    const namespaceLabels = row.namespaceLabels ?? {}
    const podLabels = row.podLabels ?? {}
    const who = JSON.stringify({ install, namespaceLabels, podLabels })
    const read = readWebhooks(
      install.split('+').map((name) => {
        t.ok(installed[name], `${name} is recorded`)
        const webhooks = (installed[name] ?? []).map(({ service, ...entry }) => {
          return { ...entry, clientConfig: { service } }
        })
        return { kind: 'MutatingWebhookConfiguration', metadata: { name }, webhooks }
      }),
    )
    if (!read.ok) throw new Error(JSON.stringify(read.problems))
    const namespace = namespaceLabels[NAME] ?? ''
    const found = judgeGates(read.value, { namespace, namespaceLabels, podLabels, pod: {} })
    const taken = found.takers.map(({ entry }) => entry)
    const [first] = taken
    t.strictSame(
      {
        service: first?.client.by === 'service' ? first.client.name : '',
        entries: taken.map(({ name }) => name),
        reason: found.reason,
      },
      { service: row.want, entries, reason: wantedReason(install, namespaceLabels, podLabels) },
      who,
    )
    const text = `${install}: ${[found.sentence, ...found.besides].join('; ')}`
    const cell = JSON.stringify([install, steering(namespaceLabels), steering(podLabels)])
    t.equal(told.get(text) ?? cell, cell, `no other row has the reason of ${who}`)
    told.set(text, cell)
  }
  t.ok(told.size > 100, `${told.size} reasons`)
})

/** Names of namespaces are not what a row is about. */
function steering(labels: StringMap): StringMap {
  return Object.fromEntries(Object.entries(labels).filter(([key]) => key !== NAME))
}

/** The reason by the table of cells of the specification, read from left to right. */
function wantedReason(install: string, namespace: StringMap, pod: StringMap): GateReason {
  const revisions: readonly string[] = install
    .split('+')
    .map((name) => (name === 'canary' ? name : 'default'))
  if (pod[INJECT] === 'false') return 'pod-opted-out'
  if (namespace[INJECTION] === 'enabled') return 'namespace-label'
  if (namespace[INJECTION] === 'disabled') return 'namespace-opted-out'
  if (namespace[INJECTION] !== undefined) return 'namespace-text'
  const ofNamespace = namespace[REVISION]
  if (ofNamespace !== undefined) {
    return revisions.includes(ofNamespace) ? 'namespace-revision' : 'namespace-revision-unserved'
  }
  const ofPod = pod[REVISION]
  if (ofPod !== undefined) {
    return revisions.includes(ofPod) ? 'pod-revision' : 'pod-revision-unserved'
  }
  if (pod[INJECT] === 'true') return 'pod-label'
  if (pod[INJECT] !== undefined) return 'pod-text'
  if (!install.includes('auto')) return 'nobody-asks'
  return namespace[NAME] === 'kube-system' ? 'namespace-left-out' : 'selectors'
}
