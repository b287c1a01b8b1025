/**
 * A second reader, several times as quick as the first and without offsets, for texts that were made
 * here and of which only the value is asked. Its syntax is another library's, its scalars are ours.
 */
import { FAILSAFE_SCHEMA, load, Type } from 'js-yaml'
import { isArray, isObject, type Json } from '../json.ts'
import { resolvePlain } from './scalars.ts'

/**
 * The value of one document that `readYaml` accepts; undefined where this reader finds a fault, or what
 * the two readers might take differently: anchors, tags, merge keys, indentation by number, an empty
 * list in a list, odd line breaks, a last line that does not end, keys that are no plain text.
 */
export function readQuickly(text: string): Json | undefined {
  if (!text.endsWith('\n') || DOUBTFUL.test(text)) return undefined
  try {
    const value = load(text, { schema: SCHEMA })
    // A scalar as a document is a riddle of its own, and no text of ours.
    return (isObject(value) || isArray(value)) && isJson(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** What may be such a thing; inside of text it costs only time. */
const DOUBTFUL =
  /(?:^|[\s,[{:-])[&*!]|<<|^%|[|>][-+]?\d|- +- *(?:#|\r?$)|[\t\u0085\u2028\u2029\ufeff]|\r(?!\n)/m

const PLAIN = new Type('tag:sidecar-injector.io,2026:plain', {
  kind: 'scalar',
  resolve: (text: unknown) => typeof text === 'string' && typeof resolvePlain(text) !== 'string',
  construct: (text: string) => resolvePlain(text),
})

const SCHEMA = FAILSAFE_SCHEMA.extend({ implicit: [PLAIN] })

function isJson(value: unknown): value is Json {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true
    case 'number':
      return Number.isFinite(value)
    default:
      if (isArray(value)) return value.every(isJson)
      if (value === null) return true
      if (!isObject(value)) return false
      for (const key in value) if (!isPlainKey(key) || !isJson(value[key])) return false
      return true
  }
}

/** A key that may have been a number or a word has another text in Kubernetes than in this reader. */
function isPlainKey(key: string): boolean {
  return !/^-?(?:Infinity|NaN)$/.test(key) && typeof resolvePlain(key) === 'string'
}
