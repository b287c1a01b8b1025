/** One line that lets pods be created again, and one that takes it back. Printed, never run. */
import { printEntry, type GateEntry } from '../core/gates/entry.ts'
import { at, nameOf, objectsAt } from '../cluster/members.ts'
import { ENTRY_SUFFIX } from '../core/constants.ts'
import type { JsonObject } from '../core/json.ts'
import type { Check, Finding } from './finding.ts'

/** Commands for a shell. */
export type BreakGlass = { readonly does: string; readonly on: string; readonly back: string }

/** Checks that stand between the API server and an answer. */
const CALLING: readonly Check[] = [
  ...(['service', 'endpoints', 'ca-bundle', 'ca-secret', 'connection'] as const),
  ...(['certificate', 'review', 'trial'] as const),
]

/** What helps while the cause is looked after; undefined where nothing that is reversible does. */
export function breakGlassFor(
  { check, webhook }: Finding,
  entries: readonly GateEntry[],
  objects: readonly JsonObject[],
): BreakGlass | undefined {
  if (check === 'two-injectors') {
    const named = entries.filter((entry) => webhook?.includes(printEntry(entry)) === true)
    const other = named.find(({ name }) => !isOurs(name)) ?? named.at(-1)
    return other && switchedOff(other, objects)
  }
  if (!CALLING.includes(check)) return undefined
  const entry = entries.find((one) => printEntry(one) === webhook)
  return entry?.failurePolicy === 'Fail' ? ignoring(entry, entries, objects) : undefined
}

function isOurs(name: string): boolean {
  return name.endsWith(`.${ENTRY_SUFFIX}`)
}

function ignoring(
  { configuration, client }: GateEntry,
  entries: readonly GateEntry[],
  objects: readonly JsonObject[],
): BreakGlass | undefined {
  const { name } = configuration
  const called = JSON.stringify(client)
  const failing = entries.filter(
    (one) =>
      one.configuration.name === name &&
      one.failurePolicy === 'Fail' &&
      JSON.stringify(one.client) === called,
  )
  const write = (policy: string): string | undefined =>
    patchOf(
      name,
      failing.map((one) => ({
        entry: one.name,
        field: 'failurePolicy',
        value: policy,
      })),
      objects,
    )
  const [on, back] = [write('Ignore'), write('Fail')]
  if (on === undefined || back === undefined) return undefined
  return { does: 'pods are created again, without a sidecar while nobody answers', on, back }
}

function switchedOff(
  { name, configuration }: GateEntry,
  objects: readonly JsonObject[],
): BreakGlass | undefined {
  const field = 'namespaceSelector'
  const now = at(webhookOf(objects, configuration.name, name), field) ?? {}
  const never = { matchLabels: { 'istio.io/deactivated': 'never-match' } }
  const write = (value: unknown): string | undefined =>
    patchOf(configuration.name, [{ entry: name, field, value }], objects)
  const [on, back] = [write(never), write(now)]
  if (on === undefined || back === undefined) return undefined
  return { does: `${name} takes no pods any more; new pods have one injector`, on, back }
}

type Change = { readonly entry: string; readonly field: string; readonly value: unknown }

/** A JSON Patch that does nothing where the entries are others than those that were seen. */
function patchOf(
  configuration: string,
  changes: readonly Change[],
  objects: readonly JsonObject[],
): string | undefined {
  const webhooks = webhooksOf(objects, configuration)
  const operations = changes.flatMap(({ entry, field, value }) => {
    const path = `/webhooks/${webhooks.findIndex(({ name }) => name === entry)}`
    return [
      { op: 'test', path: `${path}/name`, value: entry },
      { op: 'replace', path: `${path}/${field}`, value },
    ]
  })
  const patch = JSON.stringify(operations)
  // Names at an API server hold neither; a text that did would not stay inside its quotes.
  if (patch.includes("'") || !/^[a-z0-9.-]+$/.test(configuration)) return undefined
  return `kubectl patch mutatingwebhookconfiguration ${configuration} --type=json -p='${patch}'`
}

function webhooksOf(objects: readonly JsonObject[], name: string): readonly JsonObject[] {
  return objectsAt(
    objects.find((object) => nameOf(object) === name),
    'webhooks',
  )
}

function webhookOf(objects: readonly JsonObject[], configuration: string, name: string): unknown {
  return webhooksOf(objects, configuration).find((one) => one['name'] === name)
}
