import type { YamlDocument } from '../core/yaml.ts'
import type { YamlNode, YamlPair } from '../core/yaml/tree.ts'

/** A place in a file, both from 1; columns count UTF-16 units. */
export type Position = { readonly line: number; readonly column: number }

/**
 * Where in a document a JSON Pointer leads: the key of the member, or the item of a list. What is not
 * there is shown where it would be: at the nearest thing around it.
 */
export function locate(document: YamlDocument, pointer: string): Position {
  let node = document.root
  let offset = node?.start ?? 0
  for (const step of stepsOf(pointer)) {
    const found = node === undefined ? undefined : enter(node, step)
    if (found === undefined) break
    offset = found.start
    node = found.value
  }
  const before = document.text.slice(0, offset)
  const lines = before.split('\n')
  return { line: document.line + lines.length - 1, column: (lines.at(-1)?.length ?? 0) + 1 }
}

function stepsOf(pointer: string): readonly string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
}

type Found = { readonly start: number; readonly value: YamlNode }

function enter(node: YamlNode, step: string): Found | undefined {
  switch (node.kind) {
    case 'scalar':
      return undefined
    case 'alias':
      return enter(node.target, step)
    case 'list':
      return node.items[Number(step)]
    case 'map': {
      const own = node.pairs.find(({ key, isMerge }) => !isMerge && key === step)
      if (own !== undefined) return own
      return node.pairs
        .filter(({ isMerge }) => isMerge)
        .map(merged(step))
        .find(isFound)
    }
  }
}

/** A member that came in by `<<`, from a map or a list of maps. */
function merged(step: string): (pair: YamlPair) => Found | undefined {
  return ({ value }) => {
    const source = value.kind === 'alias' ? value.target : value
    if (source.kind !== 'list') return enter(source, step)
    return source.items.map((item) => enter(item.value, step)).find(isFound)
  }
}

function isFound(found: Found | undefined): boolean {
  return found !== undefined
}
