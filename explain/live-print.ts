/** A live report for people, the cause in its first line, and as JSON. */
import { ownerOfEntry, printEntry } from '../core/gates/entry.ts'
import { evaluateGate } from '../core/gates/gate.ts'
import { describeDecision } from '../core/inject/why.ts'
import { isObject, type Json, type JsonObject } from '../core/json.ts'
import { formatProblem, visible } from '../core/problem.ts'
import { headline } from './live-causes.ts'
import { gateFactsOf } from './live-facts.ts'
import { foundOr } from '../cluster/look.ts'
import type { LiveReport } from './live.ts'

/** Lines for a terminal; names and messages come from a cluster and must not steer it. */
export function printLive(report: LiveReport): string {
  const { facts, cause } = report
  const lines = [headline(cause, facts)]
  for (const { title, items } of sectionsOf(report)) {
    if (items.length > 0) lines.push('', title, ...items.map((item) => `  ${item}`))
  }
  return lines.map((line) => `${visible(line)}\n`).join('')
}

/** The same as one JSON object. */
export function liveJson(report: LiveReport): Json {
  const { facts, cause, gate, decision, reach, notes } = report
  const { kind, namespace, name } = facts.target
  return {
    kind,
    namespace,
    name,
    fate: cause.fate,
    code: cause.code,
    sentence: cause.sentence,
    headline: headline(cause, facts),
    gate: { outcome: gate.outcome, reason: gate.reason, sentence: gate.sentence },
    webhooks: resultsOf(report).map(({ entry, matches, steps }) => ({
      name: printEntry(entry),
      of: ownerOfEntry(entry),
      matches,
      failurePolicy: entry.failurePolicy,
      steps: steps.map(({ about, holds, sentence }) => ({ about, holds, sentence })),
    })),
    policy:
      decision.kind === 'reject'
        ? { decision: decision.kind, problems: decision.problems.map(formatProblem) }
        : { decision: decision.kind, reason: decision.reason, sentence: decision.sentence },
    reach:
      reach === undefined
        ? null
        : { state: reach.state, sentence: reach.sentence, seen: reach.seen },
    events: eventsOf(report),
    notes,
  }
}

type Section = { readonly title: string; readonly items: readonly string[] }

function sectionsOf(report: LiveReport): readonly Section[] {
  const { decision, reach, notes } = report
  return [
    { title: 'webhooks, as the API server would ask them now', items: webhookLines(report) },
    { title: 'policy of the injector', items: [describeDecision(decision)] },
    {
      title: 'the webhook that is asked',
      items: reach === undefined ? [] : [reach.sentence, ...reach.seen],
    },
    { title: 'Events', items: eventsOf(report) },
    { title: 'besides', items: notes },
  ]
}

/** All entries; of those that do not match, what stands in the way. */
function webhookLines(report: LiveReport): readonly string[] {
  return resultsOf(report).flatMap(({ entry, matches, steps }) => {
    const against = steps.filter(({ holds }) => holds !== 'yes')
    return [
      `${printEntry(entry)} (${ownerOfEntry(entry)}, ${entry.failurePolicy}): ${matches}`,
      ...against.map(({ sentence }) => `  ${sentence}`),
    ]
  })
}

function resultsOf({ facts }: LiveReport) {
  return facts.entries.map((entry) => evaluateGate(entry, gateFactsOf(facts)))
}

/** Reasons of Events that are about injection. */
const REASONS = ['SidecarRefused', 'SidecarFailed', 'SidecarSkipped', 'FailedCreate']
const MOST_EVENTS = 5

/** The newest Events about what is asked about, what made it, or its namespace. */
function eventsOf({ facts }: LiveReport): readonly string[] {
  const { target, owners } = facts
  const names = [target.name, target.namespace, ...owners.map((owner) => owner.target.name)]
  return foundOr(facts.events, [])
    .filter((event) => REASONS.includes(textAt(event, 'reason')))
    .filter(({ involvedObject }) => {
      const name = isObject(involvedObject) ? textAt(involvedObject, 'name') : ''
      // A Deployment's pods are made by a ReplicaSet whose name begins with its own.
      return names.includes(name) || name.startsWith(`${target.name}-`)
    })
    .slice(-MOST_EVENTS)
    .map((event) => {
      const at = ['lastTimestamp', 'eventTime'].map((key) => textAt(event, key)).find(Boolean)
      return `${at ?? ''} ${textAt(event, 'reason')}: ${textAt(event, 'message')}`.trim()
    })
}

function textAt(object: JsonObject, key: string): string {
  const text = object[key]
  return typeof text === 'string' ? text : ''
}
