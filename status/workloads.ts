/** Pods whose sidecar is not the one that they would get now, or that have none and should. */
import { at, mapAt, nameOf, objectsAt, textAt } from '../cluster/members.ts'
import { PROXY_CONTAINER, STATUS_ANNOTATION } from '../core/constants.ts'
import { ownerOfEntry, revisionOf, type GateEntry } from '../core/gates/entry.ts'
import { judgeGates } from '../core/gates/judge.ts'
import type { InjectConfig } from '../core/inject/config.ts'
import { injectPod } from '../core/inject/inject.ts'
import { ownerOf } from '../core/inject/owner.ts'
import { readStatus } from '../core/inject/status.ts'
import type { JsonObject } from '../core/json.ts'
import type { StringMap } from '../core/k8s.ts'

/** What is other than it would be. */
export type Lag = 'missing' | 'other-revision' | 'other-configuration'

/** A pod, and how it stands. */
export type PodState = {
  readonly namespace: string
  readonly name: string
  /** Undefined where it is as it would be created now, or where that cannot be told. */
  readonly lag: Lag | undefined
  /** The revision that put its sidecar in, empty where none did. */
  readonly revision: string
}

/** Judges every pod that runs or will. `configs` has what each of our webhooks injects with now. */
export function judgePods(
  pods: readonly JsonObject[],
  entries: readonly GateEntry[],
  namespaces: ReadonlyMap<string, StringMap>,
  configs: ReadonlyMap<string, InjectConfig>,
): readonly PodState[] {
  return pods.filter(isAlive).map((pod) => {
    const namespace = textAt(pod, 'metadata', 'namespace')
    const facts = {
      namespace,
      namespaceLabels: namespaces.get(namespace) ?? {},
      podLabels: mapAt(pod, 'labels'),
      pod,
    }
    const [taker] = judgeGates(entries, facts).takers
    const mark = mapAt(pod, 'annotations')[STATUS_ANNOTATION]
    const status = mark !== undefined && hasProxy(pod) ? readStatus(mark).status : undefined
    const revision = status?.revision ?? ''
    const state = { namespace, name: nameOf(pod), revision }
    if (taker === undefined) return { ...state, lag: undefined }
    const { entry } = taker
    const config = configs.get(entry.configuration.name)
    if (status === undefined) {
      // Of istiod's policy nothing is known here, so that only ours tells who should have one.
      const isWanted = config !== undefined && wants(pod, namespace, config)
      return { ...state, lag: isWanted ? 'missing' : undefined }
    }
    const served = revisionOf(entry.configuration)
    if (served !== undefined && served !== revision) return { ...state, lag: 'other-revision' }
    // A pod of istiod's has no hash of ours.
    const isOther = ownerOfEntry(entry) === 'ours' && config !== undefined
    return {
      ...state,
      lag: isOther && config.version !== status.version ? 'other-configuration' : undefined,
    }
  })
}

function isAlive(pod: JsonObject): boolean {
  const isGoing = at(pod, 'metadata', 'deletionTimestamp') !== undefined
  return !isGoing && !['Succeeded', 'Failed'].includes(textAt(pod, 'status', 'phase'))
}

function hasProxy(pod: JsonObject): boolean {
  return ['containers', 'initContainers'].some((list) =>
    objectsAt(pod, 'spec', list).some((one) => one['name'] === PROXY_CONTAINER),
  )
}

function wants(pod: JsonObject, namespace: string, config: InjectConfig): boolean {
  const owner = { ...ownerOf(pod['metadata'], namespace), namespace }
  const request = { pod, namespace, owner, nativeSidecars: false, proxyEnvs: {} }
  return injectPod({ ...request, door: 'webhook' }, config).kind === 'inject'
}
