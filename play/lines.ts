/** Which line of an injected document holds which field, and so why it is there. */
import { pointer } from '../core/inject/pod-shape.ts'
import { isArray, isObject, isSame, type Json } from '../core/json.ts'
import type { Explained } from '../core/origins/origins.ts'
import { parseDocuments } from '../core/yaml.ts'
import type { YamlNode } from '../core/yaml/tree.ts'

/** The reason of each line that injection wrote, by its number from 1; several where a line holds several fields. */
export function reasonsByLine(
  text: string,
  explained: readonly Explained[],
): ReadonlyMap<number, string> {
  const around = new Map<number, string>()
  const within = new Map<number, Set<string>>()
  const [document] = [...parseDocuments('result', text)]
  if (document?.ok !== true || document.value.root === undefined) return around
  const { root, value } = document.value
  const lineOf = lineFinder(text)
  for (const { decision, origins } of explained) {
    if (decision.kind !== 'inject') continue
    const place = placeOf(root, value, decision.pod)
    if (place === undefined) continue
    const texts = new Map(origins.map((origin) => [origin.path, origin.text]))
    visit(place, '', texts.get(''), texts, (node, start, why) => {
      const last = lineOf(Math.max(start, node.end - 1))
      for (let line = lineOf(start); line <= last; line++) {
        around.set(line, why)
        if (node.kind === 'scalar') within.set(line, (within.get(line) ?? new Set()).add(why))
      }
    })
  }
  for (const [line, reasons] of within) around.set(line, [...reasons].join('; '))
  return around
}

/** Tells the reason of every node, those inside after those around them. */
function visit(
  node: YamlNode,
  path: string,
  inherited: string | undefined,
  texts: ReadonlyMap<string, string>,
  tell: (node: YamlNode, start: number, why: string) => void,
): void {
  const inner = (child: YamlNode, start: number, step: string): void => {
    const at = path + pointer(step)
    const why = texts.get(at) ?? inherited
    if (why !== undefined) tell(child, start, why)
    visit(child, at, why, texts, tell)
  }
  if (node.kind === 'map') for (const pair of node.pairs) inner(pair.value, pair.start, pair.key)
  if (node.kind === 'list') {
    for (const [index, item] of node.items.entries()) inner(item.value, item.start, String(index))
  }
}

/** The node whose value is this pod: the first one that is the same. */
function placeOf(node: YamlNode, value: Json, pod: unknown): YamlNode | undefined {
  if (isSame(value, withKindOf(value, pod))) return node
  if (node.kind === 'map' && isObject(value)) {
    for (const pair of node.pairs) {
      const found = placeOf(pair.value, value[pair.key] ?? null, pod)
      if (found !== undefined) return found
    }
  }
  if (node.kind === 'list' && isArray(value)) {
    for (const [index, item] of node.items.entries()) {
      const found = placeOf(item.value, value[index] ?? null, pod)
      if (found !== undefined) return found
    }
  }
  return undefined
}

/** A pod template is compared by its metadata and spec; the rest is the manifest's. */
function withKindOf(value: Json, pod: unknown): Json | undefined {
  if (!isObject(value) || !isObject(pod)) return undefined
  const { metadata, spec } = pod
  return {
    ...value,
    ...(metadata === undefined ? {} : { metadata }),
    ...(spec === undefined ? {} : { spec }),
  }
}

/** The number of the line that an offset stands on, from 1. */
function lineFinder(text: string): (offset: number) => number {
  const starts = [0]
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  return (offset) => {
    let low = 0
    let high = starts.length
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if ((starts[middle] ?? 0) <= offset) low = middle
      else high = middle
    }
    return low + 1
  }
}
