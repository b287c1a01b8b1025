/** Whether a DaemonSet wants a node, by the labels of the node: nodeSelector and required node affinity. */
import { isArray, isObject, type JsonObject } from '../../core/json.ts'

/** What is asked about a node. */
export type NodeLabels = {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
}

/** Whether the pods of this template belong on the node. Taints are not asked: our pods tolerate all. */
export function wantsNode(daemonSet: JsonObject, node: NodeLabels): boolean {
  const pod = at(daemonSet, 'spec', 'template', 'spec')
  const selector = Object.entries(at(pod, 'nodeSelector'))
  if (!selector.every(([key, value]) => labelOf(node, key) === value)) return false
  const required = at(pod, 'affinity', 'nodeAffinity', REQUIRED)
  const terms = required['nodeSelectorTerms']
  if (!isArray(terms)) return true
  return terms.some((term) => isObject(term) && meets(term, node))
}

const REQUIRED = 'requiredDuringSchedulingIgnoredDuringExecution'

/** An empty term wants no node. */
function meets(term: JsonObject, node: NodeLabels): boolean {
  const labels = requirementsOf(term['matchExpressions'])
  const fields = requirementsOf(term['matchFields'])
  if (labels.length + fields.length === 0) return false
  return (
    labels.every((one) => holds(one, labelOf(node, one.key))) &&
    fields.every((one) => one.key === 'metadata.name' && holds(one, node.name))
  )
}

type Requirement = {
  readonly key: string
  readonly operator: string
  readonly values: readonly string[]
}

/** The operators of a node selector; those of a label selector, and two that compare numbers. */
function holds({ operator, values }: Requirement, label: string | undefined): boolean {
  const bound = Number(values[0])
  switch (operator) {
    case 'In':
      return label !== undefined && values.includes(label)
    case 'NotIn':
      return label === undefined || !values.includes(label)
    case 'Exists':
      return label !== undefined
    case 'DoesNotExist':
      return label === undefined
    case 'Gt':
      return label !== undefined && Number(label) > bound
    case 'Lt':
      return label !== undefined && Number(label) < bound
    default:
      // An operator of tomorrow: whoever cannot tell leaves things as they are.
      return true
  }
}

function requirementsOf(value: unknown): readonly Requirement[] {
  if (!isArray(value)) return []
  return value.filter(isObject).map((one) => {
    const { key, operator, values } = one
    const texts = isArray(values) ? values.filter((text) => typeof text === 'string') : []
    return { key: textOf(key), operator: textOf(operator), values: texts }
  })
}

function labelOf({ labels }: NodeLabels, key: string): string | undefined {
  return Object.hasOwn(labels, key) ? labels[key] : undefined
}

function at(root: JsonObject, ...path: readonly string[]): JsonObject {
  let found = root
  for (const name of path) {
    const next = found[name]
    if (!isObject(next)) return {}
    found = next
  }
  return found
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
