import type { Decision, InjectRequest } from '../core/inject/decision.ts'
import { ownerOf, type Owner } from '../core/inject/owner.ts'
import { isObject, type Json, type JsonObject } from '../core/json.ts'
import type { Problem } from '../core/problem.ts'
import type { YamlDocument } from '../core/yaml.ts'
import { changeBetween, memberChange, placedChanges, SAME, type Change } from './change.ts'
import { changedText } from './manifest.ts'
import { listItems, valueAt, workloadOf, type Workload } from './workloads.ts'

/** Decides about one pod and injects it. */
export type Inject = (request: InjectRequest) => Decision

/** What all documents have in common. */
export type Setting = {
  readonly inject: Inject
  /** Where objects go that do not say; nothing when that is not known. */
  readonly namespace?: string
  readonly nativeSidecars: boolean
}

/** What became of one document. */
export type Outcome = {
  /** Its new text, or its source. */
  readonly text: string
  readonly warnings: readonly string[]
  /** Why it could not be injected; the text is the source then. */
  readonly problems: readonly Problem[]
}

/** Injects the pods of one document. `where` names it in messages. */
export function injectDocument(document: YamlDocument, where: string, setting: Setting): Outcome {
  const { text, root, value } = document
  const notes: Notes = { where, warnings: [], problems: [] }
  if (root === undefined || value === null) return { text, warnings: [], problems: [] }
  const change = objectChange(value, setting, notes)
  const { warnings, problems } = notes
  if (problems.length > 0) return { text, warnings, problems }
  return { text: changedText(where, document, change), warnings, problems }
}

type Notes = {
  readonly where: string
  readonly warnings: string[]
  readonly problems: Problem[]
}

function objectChange(value: Json, setting: Setting, notes: Notes): Change {
  if (!isObject(value)) {
    notes.problems.push({ path: notes.where, got: JSON.stringify(value), want: 'an object' })
    return SAME
  }
  const items = listItems(value)
  if (items !== undefined) {
    const changes = items.map((item) => objectChange(item, setting, notes))
    return memberChange('items', placedChanges(changes))
  }
  const workload = workloadOf(value)
  return workload === undefined ? SAME : workloadChange(value, workload, setting, notes)
}

function workloadChange(
  object: JsonObject,
  { kind, template: path }: Workload,
  setting: Setting,
  { where, warnings, problems }: Notes,
): Change {
  const owner = ownerOfObject(object, kind, setting)
  const name = `${kind} "${objectName(object)}"`
  const pod = valueAt(object, path)
  const place = path.map((step) => `/${step}`).join('')
  if (!isObject(pod)) {
    const got = pod === undefined ? 'nothing' : JSON.stringify(pod)
    problems.push({ path: `${where}, ${name}: ${place}`, got, want: 'a pod template' })
    return SAME
  }
  const decision = setting.inject({
    pod,
    owner,
    nativeSidecars: setting.nativeSidecars,
    door: 'kube-inject',
    proxyEnvs: {},
    // As in Istio, the namespace of a workload is no reason to leave its pods alone.
    ...(path.length === 0 && owner.namespace !== undefined ? { namespace: owner.namespace } : {}),
  })
  warnings.push(...decision.warnings.map((warning) => `${where}, ${name}: ${warning}`))
  switch (decision.kind) {
    case 'skip':
      warnings.push(`===> Skipping injection because ${name} ${skipPhrase(decision)}`)
      return SAME
    case 'reject':
      for (const problem of decision.problems) {
        const at = problem.path.startsWith('/') ? place + problem.path : problem.path
        problems.push({ ...problem, path: `${where}, ${name}: ${at}` })
      }
      return SAME
    case 'inject': {
      const change = changeBetween(asJson(decision.before), asJson(decision.pod))
      return path.reduceRight((inner, step) => memberChange(step, inner), change)
    }
  }
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
