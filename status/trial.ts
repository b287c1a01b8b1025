/** A pod that is created as a dry run: the API server asks the webhooks, and stores nothing. */
import { messageOf } from '../cluster/events.ts'
import type { Api } from '../cluster/api.ts'
import { at, mapAt, nameOf, objectsAt } from '../cluster/members.ts'
import { INJECT_KEY, ISTIO_REVISION_LABEL, PROXY_CONTAINER } from '../core/constants.ts'
import { printEntry, type GateEntry } from '../core/gates/entry.ts'
import { evaluateGate } from '../core/gates/gate.ts'
import { isObject, type JsonObject } from '../core/json.ts'
import type { StringMap } from '../core/k8s.ts'
import type { Finding } from './finding.ts'
import { readFailedCall } from './words.ts'

/** A pod that an entry takes. */
export type Trial = { readonly namespace: string; readonly pod: JsonObject }

/**
 * A small pod that asks for a sidecar and that the entry takes, in the first namespace where there is one;
 * undefined where no namespace has the labels.
 */
export function trialOf(entry: GateEntry, namespaces: readonly JsonObject[]): Trial | undefined {
  for (const object of namespaces) {
    const namespace = nameOf(object)
    // A namespace that goes away takes no pods.
    if (at(object, 'metadata', 'deletionTimestamp') !== undefined) continue
    for (const labels of labelsFor(entry)) {
      const pod = podWith(namespace, labels)
      const facts = {
        namespace,
        namespaceLabels: mapAt(object, 'labels'),
        podLabels: labels,
        pod,
      }
      if (evaluateGate(entry, facts).matches === 'yes') return { namespace, pod }
    }
  }
  return undefined
}

/** Asks for a sidecar as plainly as the entry lets it. */
function labelsFor({ objectSelector }: GateEntry): readonly StringMap[] {
  const revisions = objectSelector.flatMap(({ key, operator, values }) =>
    key === ISTIO_REVISION_LABEL && operator === 'In' ? values : [],
  )
  const yes = { [INJECT_KEY]: 'true' }
  const named = revisions.map((revision) => ({ ...yes, [ISTIO_REVISION_LABEL]: revision }))
  return [...named, yes, {}]
}

/** As restricted as PodSecurity wants it. The image is never pulled. */
export function podWith(namespace: string, labels: StringMap): JsonObject {
  const securityContext = {
    allowPrivilegeEscalation: false,
    capabilities: { drop: ['ALL'] },
    runAsNonRoot: true,
    runAsUser: 65532,
    seccompProfile: { type: 'RuntimeDefault' },
  }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { generateName: 'sidecar-injector-doctor-', namespace, labels },
    spec: { containers: [{ name: 'app', image: 'doctor:never-pulled', securityContext }] },
  }
}

/** Longer than any webhook may take. */
const SECONDS = 40

/** Creates it as a dry run, and says what came of it. */
export async function tryPod(api: Api, entry: GateEntry, trial: Trial): Promise<Finding> {
  const { namespace, pod } = trial
  const webhook = printEntry(entry)
  const found = (state: Finding['state'], sentence: string): Finding => {
    return { check: 'trial', state, sentence, webhook }
  }
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods`
  const query = { dryRun: 'All' }
  const answer = await api
    .call({ method: 'POST', path, query, body: pod, seconds: SECONDS })
    .catch((cause: unknown) => messageOfCause(cause))
  if (typeof answer === 'string') return found('unknown', `no answer of the API server: ${answer}`)
  const { status, body } = answer
  const message = messageOf(body) ?? `HTTP ${status}`
  if (status === 201) {
    if (isInjected(body)) return found('ok', `a pod in ${namespace} comes back with its sidecar`)
    const why =
      entry.failurePolicy === 'Ignore'
        ? 'its failurePolicy Ignore lets pods in while it cannot be asked'
        : 'the injector was asked and left it alone'
    return found(
      'not-ok',
      `a pod in ${namespace} that asks for a sidecar comes back without: ${why}`,
    )
  }
  if (status === 403 && /cannot create resource "pods"/.test(message)) {
    return found('unknown', `this account may not create pods in ${namespace}`)
  }
  const failed = readFailedCall(message)
  if (failed === undefined) {
    const state = /does not support dry run/.test(message) ? 'unknown' : 'not-ok'
    return found(state, `the API server refuses a pod in ${namespace}: ${message}`)
  }
  const words = `${failed.sentence} (the API server's own words)`
  if (failed.webhook === entry.name) return found('not-ok', words)
  return { ...found('not-ok', `${words}; it is no injector`), webhook: failed.webhook }
}

function isInjected(pod: unknown): boolean {
  return ['containers', 'initContainers'].some((list) =>
    objectsAt(pod, 'spec', list).some((one) => isObject(one) && one['name'] === PROXY_CONTAINER),
  )
}

function messageOfCause(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
