import type { Decision, InjectRequest } from '../core/inject/decision.ts'
import { isObject, type Json } from '../core/json.ts'
import type { StringMap } from '../core/k8s.ts'
import { Refusal, type Problem } from '../core/problem.ts'
import { parseDocuments } from '../core/yaml.ts'
import { objectChange } from '../kube-inject/inject-document.ts'
import type { Notes } from '../kube-inject/pod-change.ts'
import { openSources } from '../kube-inject/sources.ts'
import { listItems, WORKLOADS, type Workload } from '../kube-inject/workloads.ts'

/** One pod, or pod template, of a manifest. */
export type Subject = {
  /** File, line and document. */
  readonly where: string
  readonly kind: string
  /** `namespace/name`, or the name alone. */
  readonly name: string
  readonly request: InjectRequest
}

/** The pods of manifests, and the labels of the namespaces that are among them. */
export type Subjects = {
  readonly pods: readonly Subject[]
  readonly namespaceLabels: ReadonlyMap<string, StringMap>
}

/** Finds the pods of files on the way that kube-inject goes. Throws a Refusal for what cannot be read. */
export async function readSubjects(
  names: readonly string[],
  podTemplatePath: readonly Workload[],
  namespace: string,
): Promise<Subjects> {
  const pods: Subject[] = []
  const namespaceLabels = new Map<string, StringMap>()
  const problems: Problem[] = []
  for (const { name, text } of await openSources(names)) {
    let number = 0
    for (const document of parseDocuments(name, text)) {
      if (!document.ok) {
        problems.push(...document.problems)
        continue
      }
      const { line, root, value } = document.value
      if (root === undefined || value === null) continue
      number++
      const where = `${name}:${line}: document ${number}`
      const found = podsIn(value, where, podTemplatePath, namespace, problems)
      pods.push(...found)
      noteNamespaces(value, namespaceLabels)
    }
  }
  if (problems.length > 0) throw new Refusal(problems)
  return { pods, namespaceLabels }
}

function podsIn(
  value: Json,
  where: string,
  podTemplatePath: readonly Workload[],
  namespace: string,
  problems: Problem[],
): readonly Subject[] {
  const requests: InjectRequest[] = []
  const notes: Notes = { where, objects: [], warnings: [], problems }
  // The way to the pods is kube-inject's; nothing is changed on it.
  const inject = (request: InjectRequest): Decision => {
    requests.push(request)
    return { kind: 'reject', problems: [], warnings: [] }
  }
  const workloads = [...podTemplatePath, ...WORKLOADS]
  objectChange(value, { inject, nativeSidecars: false, workloads, namespace }, notes)
  return notes.objects.flatMap(({ kind, name }, index) => {
    const request = requests[index]
    return request === undefined ? [] : [{ where, kind, name, request }]
  })
}

function noteNamespaces(value: Json, found: Map<string, StringMap>): void {
  if (!isObject(value)) return
  for (const item of listItems(value) ?? []) noteNamespaces(item, found)
  const { kind, metadata } = value
  if (kind !== 'Namespace' || !isObject(metadata)) return
  const { name, labels } = metadata
  if (typeof name === 'string') found.set(name, textsOf(labels))
}

function textsOf(value: Json | undefined): StringMap {
  const entries = isObject(value) ? Object.entries(value) : []
  return Object.fromEntries(
    entries.flatMap(([key, text]) => (typeof text === 'string' ? [[key, text] as const] : [])),
  )
}
