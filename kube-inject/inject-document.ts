import type { Decision, InjectRequest } from '../core/inject/decision.ts'
import { ownerOf, type Owner } from '../core/inject/owner.ts'
import { readPod } from '../core/inject/pod-shape.ts'
import { uninjectPod } from '../core/inject/uninject.ts'
import { isObject, type Json, type JsonObject } from '../core/json.ts'
import type { Problem } from '../core/problem.ts'
import type { YamlDocument } from '../core/yaml.ts'
import { additionsBetween, type Additions } from './additions.ts'
import {
  changeAt,
  changeBetween,
  memberChange,
  placedChanges,
  SAME,
  type Change,
} from './change.ts'
import { changedText } from './manifest.ts'
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
}

/** What became of one pod or workload of a document. */
export type ObjectOutcome = {
  readonly kind: string
  /** `namespace/name`, or the name alone. */
  readonly name: string
  /** What was decided; a rejected one has no reason but its problems. */
  readonly decision: Decision['kind'] | 'uninject'
  readonly reason?: string
  readonly sentence?: string
  /** What injection put in; nothing where it put in nothing. */
  readonly added?: Additions
  /** What was taken out of an injected one. */
  readonly removed?: Additions
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

/** What is collected on the way. */
export type Notes = {
  readonly where: string
  readonly objects: ObjectOutcome[]
  readonly warnings: string[]
  readonly problems: Problem[]
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
      refuse(told, [{ path: place, got, want: 'a pod template' }])
      return SAME
    }
    const decide = (pod: Json): Decision =>
      setting.inject({
        pod,
        owner,
        nativeSidecars: setting.nativeSidecars,
        door: 'kube-inject',
        proxyEnvs: {},
        ...(namespace === undefined ? {} : { namespace }),
      })
    return setting.isWayBack === true ? wayBack(pod, decide, told) : changeOf(decide(pod), told)
  })
}

/** Where messages about one pod go, and what they call it. */
type Told = Notes & {
  readonly kind: string
  readonly ownName: string
  readonly name: string
  readonly place: string
}

/** The change that takes the injection out of a pod. */
function wayBack(pod: JsonObject, decide: (pod: Json) => Decision, told: Told): Change {
  const { where, name, kind, ownName, objects, warnings } = told
  const read = readPod('', pod)
  const before = read.ok ? read.value : {}
  const plain = uninjectPod(before, (candidate) => {
    const decision = decide(asJson(candidate))
    return decision.kind === 'inject' ? decision.pod : undefined
  })
  const problems = [...(read.ok ? [] : read.problems), ...(plain.ok ? [] : plain.problems)]
  if (!plain.ok || problems.length > 0) {
    refuse(told, problems)
    return SAME
  }
  const { pod: after, isExact } = plain.value
  if (!isExact) {
    const what = 'it was injected with another configuration, or changed since'
    warnings.push(`${where}, ${name}: ${what}; look at its labels and annotations`)
  }
  const removed = additionsBetween(after, before)
  objects.push({ kind, name: ownName, decision: 'uninject', ...(after !== before && { removed }) })
  return changeBetween(asJson(before), asJson(after))
}

function changeOf(decision: Decision, told: Told): Change {
  const { where, name, kind, ownName, objects, warnings } = told
  warnings.push(...decision.warnings.map((warning) => `${where}, ${name}: ${warning}`))
  objects.push({ kind, name: ownName, ...summaryOf(decision) })
  switch (decision.kind) {
    case 'skip': {
      warnings.push(`===> Skipping injection because ${name} ${skipPhrase(decision)}`)
      const { cleaned } = decision
      return cleaned === undefined
        ? SAME
        : changeBetween(asJson(cleaned.before), asJson(cleaned.pod))
    }
    case 'reject':
      refuse(told, decision.problems)
      return SAME
    case 'inject':
      return changeBetween(asJson(decision.before), asJson(decision.pod))
  }
}

function refuse({ where, name, place, problems }: Told, found: readonly Problem[]): void {
  for (const problem of found) {
    const at =
      problem.path.startsWith('/') && problem.path !== place ? place + problem.path : problem.path
    problems.push({ ...problem, path: `${where}, ${name}: ${at}` })
  }
}

function summaryOf(decision: Decision): Omit<ObjectOutcome, 'kind' | 'name'> {
  if (decision.kind === 'reject') return { decision: 'reject' }
  const { kind, reason, sentence } = decision
  const told = { decision: kind, reason, sentence }
  if (kind === 'skip') return told
  return { ...told, added: additionsBetween(decision.before, decision.pod) }
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

/** Why an object was left alone: in Istio's words where Istio has words for it. */
function skipPhrase({ reason, sentence }: Extract<Decision, { kind: 'skip' }>): string {
  switch (reason) {
    case 'host-network':
      return 'has host networking enabled'
    case 'label-opt-out':
    case 'annotation-opt-out':
      return 'has sidecar injection disabled'
    default:
      return `is left alone: ${sentence}`
  }
}

/** A pod is plain JSON. */
function asJson(value: unknown): Json {
  return isObject(value) ? value : null
}
