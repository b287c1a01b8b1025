import { isObject, type JsonObject } from '../../core/json.ts'
import { compareVersions } from './insert.ts'

/** What the node says about itself, as far as it decides how the plugin works there. */
export type NodeFacts = {
  /** `containerd://2.3.4`, as the kubelet reports it; empty where it does not. */
  readonly runtime: string
  readonly osImage: string
  readonly labels: Readonly<Record<string, string>>
}

/** Runtimes that hand the annotations of a pod to a plugin which asks for them, and since when. */
const HANDS_OVER: readonly { readonly name: string; readonly since: string }[] = [
  { name: 'containerd', since: '1.5.0' },
  { name: 'cri-o', since: '1.29.0' },
]

/** The runtimes and versions that hand annotations over, for people. */
export const RUNTIMES_THAT_HAND_OVER = HANDS_OVER.map(({ name, since }) => `${name} ${since}`)

/** Reads a Node object; what is missing reads as empty. */
export function readNode(node: JsonObject): NodeFacts {
  const info = member(member(node, 'status'), 'nodeInfo')
  const labels = Object.entries(member(member(node, 'metadata'), 'labels'))
  return {
    runtime: textOf(info['containerRuntimeVersion']),
    osImage: textOf(info['osImage']),
    labels: Object.fromEntries(labels.map(([key, value]) => [key, textOf(value)])),
  }
}

/** Whether a runtime hands pod annotations to plugins. One that nobody knows does not. */
export function handsOverAnnotations(runtime: string): boolean {
  const [, name, version = ''] = /^([a-z-]+):\/\/(.+)$/.exec(runtime) ?? []
  const row = HANDS_OVER.find((one) => one.name === name)
  return row !== undefined && compareVersions(version, row.since) >= 0
}

/** Distributions whose programs are linked against musl, where our executable does not start. */
export function isMuslImage(osImage: string): boolean {
  return /^(alpine|void linux \(musl\)|postmarketos)/i.test(osImage)
}

function member(parent: JsonObject, name: string): JsonObject {
  const value = parent[name]
  return isObject(value) ? value : {}
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
