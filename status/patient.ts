/** The pod or workload that is asked about. */
import type { Api } from '../cluster/api.ts'
import { foundOr, lookAt } from '../cluster/look.ts'
import { mapAt, objectsAt, textAt } from '../cluster/members.ts'
import { podIn, printTarget, type Target } from '../cluster/target.ts'
import { STATUS_ANNOTATION } from '../core/constants.ts'
import type { GateEntry } from '../core/gates/entry.ts'
import type { GateFacts } from '../core/gates/gate.ts'
import { judgeGates } from '../core/gates/judge.ts'
import { isObject, type JsonObject } from '../core/json.ts'
import { Refusal } from '../core/problem.ts'
import { twoInjectors, type Cases } from './cases.ts'
import type { Finding } from './finding.ts'
import { podWith } from './trial.ts'

/** A pod or workload, and what is asked about it. */
export type Patient = {
  readonly casesOf: (entries: readonly GateEntry[]) => Cases
  readonly findings: readonly Finding[]
}

/** Reads it. Throws a Refusal where there is none. */
export async function readPatient(api: Api, target: Target): Promise<Patient> {
  const { namespace } = target
  const [looked, around] = await Promise.all([
    lookAt(api, target.path, target.name),
    lookAt(api, '/api/v1/namespaces', namespace),
  ])
  if (looked.kind !== 'found') {
    const got = looked.kind === 'missing' ? 'nothing' : looked.why
    throw new Refusal([{ path: printTarget(target), got, want: 'one that exists and may be read' }])
  }
  const pod = podIn(looked.value, target)
  const podLabels = mapAt(pod, 'labels')
  const namespaceLabels = mapAt(foundOr(around, {}), 'labels')
  const facts: GateFacts = { namespace, namespaceLabels, podLabels, pod }
  const isPod = target.template.length === 0
  const trial = { namespace, pod: isPod ? podWith(namespace, podLabels) : trialFrom(pod) }
  return {
    casesOf: (entries) => {
      const verdict = judgeGates(entries, facts)
      const takers = verdict.takers.map(({ entry }) => entry)
      const state =
        verdict.outcome === 'taken' ? 'ok' : verdict.outcome === 'left' ? 'not-ok' : 'unknown'
      const isInjected = mapAt(pod, 'annotations')[STATUS_ANNOTATION] !== undefined
      const asked: Finding = {
        check: 'webhooks',
        // A pod that has its sidecar was asked about, whatever is installed now.
        state: isInjected && state === 'not-ok' ? 'unknown' : state,
        sentence: `${printTarget(target)}: ${verdict.sentence}`,
      }
      return {
        tried: takers.map((entry) => ({ entry, trial })),
        namespaces: [namespace],
        findings: [asked, ...twoInjectors(takers, namespace)],
      }
    },
    findings: isPod ? examinePod(pod) : [],
  }
}

function trialFrom(template: JsonObject): JsonObject {
  const { metadata } = template
  const named = isObject(metadata) ? metadata : {}
  return {
    ...template,
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...named, generateName: 'sidecar-injector-doctor-' },
  }
}

/** What the kubelet says of its containers. */
function examinePod(pod: JsonObject): readonly Finding[] {
  const waits = ['initContainerStatuses', 'containerStatuses'].flatMap((list) =>
    objectsAt(pod, 'status', list).flatMap((status) => {
      const reason = textAt(status, 'state', 'waiting', 'reason')
      // These two are of every pod that starts.
      if (['', 'PodInitializing', 'ContainerCreating'].includes(reason)) return []
      return [`${textAt(status, 'name')} waits: ${reason}`]
    }),
  )
  const [state, sentence] =
    waits.length > 0
      ? (['not-ok', `containers that wait: ${waits.join(', ')}`] as const)
      : (['ok', 'none of its containers waits'] as const)
  return [{ check: 'pod', state, sentence }]
}
