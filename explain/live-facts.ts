/** Everything about one pod or workload that a cluster shows, read once. */
import type { Api } from '../cluster/api.ts'
import { REGISTRATIONS } from '../cluster/registrations.ts'
import type { GateEntry } from '../core/gates/entry.ts'
import type { GateFacts } from '../core/gates/gate.ts'
import { readWebhooks } from '../core/gates/read-webhooks.ts'
import { isArray, isObject, type JsonObject } from '../core/json.ts'
import { Refusal } from '../core/problem.ts'
import { mapAt } from '../cluster/members.ts'
import { foundOr, lookAt, lookThrough, type Looked } from '../cluster/look.ts'
import { podIn, printTarget, targetOfOwner, type Target } from '../cluster/target.ts'

/** What was read. */
export type LiveFacts = {
  readonly target: Target
  /** The pod or workload. */
  readonly object: JsonObject
  /** The pod, or the one that the workload would make. */
  readonly pod: JsonObject
  /** What made it, from the nearest on. */
  readonly owners: readonly Owned[]
  readonly namespace: Looked<JsonObject>
  /** MutatingWebhookConfigurations as they are installed. */
  readonly configurations: Looked<readonly JsonObject[]>
  readonly entries: readonly GateEntry[]
  readonly events: Looked<readonly JsonObject[]>
  readonly now: Date
}

/** An owner and how it is called. */
export type Owned = { readonly target: Target; readonly object: JsonObject }

/** Reads it all. Throws a Refusal where there is no such pod or workload, or none may be seen. */
export async function readFacts(api: Api, target: Target, now: Date): Promise<LiveFacts> {
  const { namespace: name } = target
  const object = await lookAt(api, target.path, target.name)
  if (object.kind !== 'found') {
    const got = object.kind === 'missing' ? 'nothing' : object.why
    throw new Refusal([{ path: printTarget(target), got, want: 'one that exists and may be read' }])
  }
  const [namespace, configurations, events, owners] = await Promise.all([
    lookAt(api, '/api/v1/namespaces', name),
    lookThrough(api, { path: REGISTRATIONS }),
    lookThrough(api, { path: `/api/v1/namespaces/${encodeURIComponent(name)}/events` }),
    readOwners(api, object.value, name),
  ])
  const installed = foundOr(configurations, []).map((one) => ({
    ...one,
    kind: 'MutatingWebhookConfiguration',
  }))
  const entries = readWebhooks(installed, 'MutatingWebhookConfigurations')
  if (!entries.ok) throw new Refusal(entries.problems)
  return {
    target,
    object: object.value,
    pod: podIn(object.value, target),
    owners,
    namespace,
    configurations,
    entries: entries.value,
    events,
    now,
  }
}

/** What the API server would compare if the pod were created now. */
export function gateFactsOf({ target, namespace, pod }: LiveFacts): GateFacts {
  return {
    namespace: target.namespace,
    namespaceLabels: mapAt(foundOr(namespace, {}), 'labels'),
    podLabels: mapAt(pod, 'labels'),
    pod,
  }
}

/** How far owners are followed: a pod, its Job, that one's CronJob. */
const MOST_OWNERS = 3

async function readOwners(
  api: Api,
  first: JsonObject,
  namespace: string,
): Promise<readonly Owned[]> {
  const owners: Owned[] = []
  let object = first
  while (owners.length < MOST_OWNERS) {
    const target = controllerOf(object, namespace)
    const looked = target && (await lookAt(api, target.path, target.name))
    if (target === undefined || looked?.kind !== 'found') break
    object = looked.value
    owners.push({ target, object })
  }
  return owners
}

function controllerOf({ metadata }: JsonObject, namespace: string): Target | undefined {
  const references = isObject(metadata) ? metadata['ownerReferences'] : undefined
  const controller = (isArray(references) ? references : [])
    .filter(isObject)
    .find((one) => one['controller'] === true)
  return controller && targetOfOwner(controller, namespace)
}
