import { isArray, isObject } from '../json.ts'

/** A secondary network: `name` alone, or in a namespace. */
type Network = { readonly name: string; readonly namespace?: string }

/**
 * The value of the Multus annotation with one more network, written `name` or `namespace/name`. A list in
 * JSON stays one and keeps its text around the new item, which follows a comma also where the list is empty; a list in JSON that cannot be read stays as it
 * is. A network that is there already is not added.
 */
export function appendMultusNetwork(existing: string, network: string): string {
  if (existing === '') return network
  if (existing.includes(']')) return appendToJson(existing, readNetwork(network))
  const isThere = existing.split(',').some((item) => item.trim() === network)
  return isThere ? existing : `${existing}, ${network}`
}

function readNetwork(text: string): Network {
  const [first = '', second] = text.split('/')
  return second === undefined ? { name: first } : { namespace: first, name: second }
}

function appendToJson(existing: string, network: Network): string {
  const list = parse(existing)
  if (!isArray(list) || list.some((item) => isNetwork(item, network))) return existing
  const end = existing.lastIndexOf(']')
  return `${existing.slice(0, end)}, ${printNetwork(network)}${existing.slice(end)}`
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function isNetwork(item: unknown, { name, namespace = '' }: Network): boolean {
  return isObject(item) && item['name'] === name && (item['namespace'] ?? '') === namespace
}

function printNetwork({ name, namespace }: Network): string {
  const rest = namespace === undefined ? '' : `, "namespace": ${JSON.stringify(namespace)}`
  return `{"name": ${JSON.stringify(name)}${rest}}`
}
