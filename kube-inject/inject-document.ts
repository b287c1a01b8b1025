import { PROXY_CONTAINER } from '../core/constants.ts'
import type { Decision, InjectRequest } from '../core/inject/decision.ts'
import { ownerOf, type Owner } from '../core/inject/owner.ts'
import { isObject, type Json, type JsonObject } from '../core/json.ts'
import type { Problem } from '../core/problem.ts'
import type { YamlDocument } from '../core/yaml.ts'
import { changeAt, memberChange, placedChanges, SAME, type Change } from './change.ts'
import { changedText } from './manifest.ts'
import {
  changeBack,
  changeOf,
  refuse,
  type Notes,
  type ObjectOutcome,
  type Told,
} from './pod-change.ts'
import { statusOf, type Decide, type Injectors } from './upgrade.ts'
import { listItems, workloadOf, type Workload } from './workloads.ts'

/** Decides about one pod and injects it. */
export type Inject = (request: InjectRequest) => Decision

/** What all documents have in common. */
export type Setting = {
  readonly inject: Inject
  /** Where objects go that do not say; nothing when that is not known. */
  readonly namespace?: string
  readonly nativeSidecars: boolean
  /** Kinds that hold pods; those of Kubernetes unless given. */
  readonly workloads?: readonly Workload[]
  /** Whether the injection is taken out instead of put in. */
  readonly isWayBack?: boolean
  /** The injection of the configuration that has this hash (see `version` in the status), where it is at hand. */
  readonly previous?: (version: string) => Inject | undefined
}

/** What became of one document. */
export type Outcome = {
  /** Its new text, or its source. */
  readonly text: string
  readonly objects: readonly ObjectOutcome[]
  readonly warnings: readonly string[]
  /** Why it could not be injected; the text is the source then. */
  readonly problems: readonly Problem[]
}

/** Injects the pods of one document. `where` names it in messages. */
export function injectDocument(document: YamlDocument, where: string, setting: Setting): Outcome {
  const { text, root, value } = document
  const notes: Notes = { where, objects: [], warnings: [], problems: [] }
  const change = root === undefined || value === null ? SAME : objectChange(value, setting, notes)
  const { objects, warnings, problems } = notes
  const isGood = problems.length === 0
  return {
    text: isGood ? changedText(where, document, change) : text,
    objects,
    warnings,
    problems,
  }
}

/** The change of one object, which may be a list of objects; what there is to tell goes into `notes`. */
export function objectChange(value: Json, setting: Setting, notes: Notes): Change {
  if (!isObject(value)) {
    notes.problems.push({ path: notes.where, got: JSON.stringify(value), want: 'an object' })
    return SAME
  }
  const items = listItems(value)
  if (items !== undefined) {
    const changes = items.map((item) => objectChange(item, setting, notes))
    return memberChange('items', placedChanges(changes))
  }
  const workload = workloadOf(value, setting.workloads)
  return workload === undefined ? SAME : workloadChange(value, workload, setting, notes)
}

function workloadChange(
  object: JsonObject,
  { kind, template: path }: Workload,
  setting: Setting,
  notes: Notes,
): Change {
  const owner = ownerOfObject(object, kind, setting)
  const ownName = objectName(object)
  // As in Istio, the namespace of a workload is no reason to leave its pods alone.
  const namespace = path.length === 0 ? owner.namespace : undefined
  return changeAt(object, path, '', (pod, place) => {
    const told: Told = { ...notes, kind, ownName, name: `${kind} "${ownName}"`, place }
    if (!isObject(pod)) {
      const got = pod === undefined ? 'nothing' : JSON.stringify(pod)
      refuse(told, [{ path: '', got, want: 'a pod template' }])
      return SAME
    }
    const by =
      (inject: Inject, nativeSidecars: boolean): Decide =>
      (pod, isStranger) =>
        inject({
          pod,
          owner: isStranger ? STRANGER : owner,
          nativeSidecars,
          door: 'kube-inject',
          proxyEnvs: {},
          ...(namespace === undefined ? {} : { namespace }),
        })
    const today = by(setting.inject, setting.nativeSidecars)
    const decide = (pod: Json): Decision => today(pod, false)
    if (setting.isWayBack === true) return changeBack(pod, decide, told)
    const decision = decide(pod)
    const injectors = (): Injectors => {
      const former = formerOf(decision, setting)
      return { today, former: former && by(former.inject, former.isNative) }
    }
    return changeOf(decision, injectors, told)
  })
}

/** Whom a pod belongs to that is none of the document's. */
const STRANGER: Owner = { apiVersion: 'v1', kind: 'Pod', name: 'stranger' }

/** What an injected pod was injected with, where that is at hand: its status has the hash. */
function formerOf(
  decision: Decision,
  setting: Setting,
): { readonly inject: Inject; readonly isNative: boolean } | undefined {
  if (decision.kind !== 'inject') return undefined
  const { version, initContainers } = statusOf(decision.before)
  if (version === undefined) return undefined
  const isToday = version === statusOf(decision.pod).version
  const inject = isToday ? setting.inject : setting.previous?.(version)
  return inject && { inject, isNative: initContainers.includes(PROXY_CONTAINER) }
}

function ownerOfObject(object: JsonObject, kind: string, { namespace }: Setting): Owner {
  const metadata = object['metadata']
  if (kind === 'Pod') return ownerOf(metadata, namespace)
  const own = textAt(metadata, 'namespace') || namespace
  return {
    apiVersion: textAt(object, 'apiVersion'),
    kind,
    name: textAt(metadata, 'name'),
    ...(own === undefined ? {} : { namespace: own }),
  }
}

/** `namespace/name`, or the name alone; what generates the name where there is none. */
function objectName(object: JsonObject): string {
  const metadata = object['metadata']
  const name = textAt(metadata, 'name') || textAt(metadata, 'generateName')
  const namespace = textAt(metadata, 'namespace')
  return namespace === '' ? name : `${namespace}/${name}`
}

function textAt(value: Json | undefined, key: string): string {
  const text = isObject(value) ? value[key] : undefined
  return typeof text === 'string' ? text : ''
}
