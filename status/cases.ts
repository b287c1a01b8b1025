/** Which webhooks of a cluster are tried, and with which pods. */
import { mapAt, nameOf } from '../cluster/members.ts'
import { printEntry, type GateEntry } from '../core/gates/entry.ts'
import { judgeGates } from '../core/gates/judge.ts'
import type { JsonObject } from '../core/json.ts'
import { activeOf, NOBODY } from './facts.ts'
import type { Finding } from './finding.ts'
import { podWith, trialOf, type Trial } from './trial.ts'

/** A webhook, and a pod that it takes; undefined where no namespace has such. */
export type Case = { readonly entry: GateEntry; readonly trial: Trial | undefined }

/** Which webhooks are tried, and where. */
export type Cases = {
  readonly tried: readonly Case[]
  readonly namespaces: readonly string[]
  readonly findings: readonly Finding[]
}

/** One entry for each that is called; of several the one that a pod can be tried with. */
export function casesOf(entries: readonly GateEntry[], namespaces: readonly JsonObject[]): Cases {
  const cases = new Map<string, Case>()
  for (const entry of activeOf(entries)) {
    const key = JSON.stringify([entry.client, entry.caBundle, entry.failurePolicy])
    const known = cases.get(key)
    if (known?.trial === undefined) cases.set(key, { entry, trial: trialOf(entry, namespaces) })
  }
  const tried = [...cases.values()]
  const asked = namespaces.filter((object) => takersIn(entries, object).length > 0)
  const findings = asked.flatMap((object) =>
    twoInjectors(takersIn(entries, object), nameOf(object)),
  )
  if (tried.length > 0) {
    const names = [...new Set(tried.map(({ entry }) => entry.configuration.name))].join(', ')
    findings.push({ check: 'webhooks', state: 'ok', sentence: `installed: ${names}` })
  } else {
    const { sentence } = judgeGates(entries, NOBODY)
    findings.push({ check: 'webhooks', state: 'not-ok', sentence })
  }
  return { tried, namespaces: asked.map(nameOf), findings }
}

/** Who takes a pod of a namespace that says nothing itself. */
export function takersIn(entries: readonly GateEntry[], object: JsonObject): readonly GateEntry[] {
  const namespace = nameOf(object)
  const namespaceLabels = mapAt(object, 'labels')
  const facts = { namespace, namespaceLabels, podLabels: {}, pod: podWith(namespace, {}) }
  return judgeGates(entries, facts).takers.map(({ entry }) => entry)
}

/** Told where pods of one place come to more than one caller. */
export function twoInjectors(takers: readonly GateEntry[], where: string): Finding[] {
  const callers = new Set(takers.map(({ client }) => JSON.stringify(client)))
  if (callers.size < 2) return []
  const names = takers.map(printEntry).join(' and ')
  const sentence = `two active injectors take the pods of ${where} and stop each other: ${names}`
  return [{ check: 'two-injectors', state: 'not-ok', sentence, webhook: names }]
}
