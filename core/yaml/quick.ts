/**
 * A second reader, several times as quick as the first and without offsets, for texts that were made
 * here and of which only the value is asked. Its syntax is another library's, its scalars are ours.
 */
import { FAILSAFE_SCHEMA, load, Type } from 'js-yaml'
import { isArray, isObject, type Json } from '../json.ts'
import { resolvePlain } from './scalars.ts'

/**
 * The value of one document that `readYaml` accepts; undefined where this reader finds a fault, or what
 * the two readers might take differently: anchors, tags, merge keys, a last line that does not end.
 */
export function readQuickly(text: string): Json | undefined {
  if (!text.endsWith('\n') || DOUBTFUL.test(text)) return undefined
  try {
    const value = load(text, { schema: SCHEMA })
    return isJson(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** May stand for an anchor, an alias, a tag, a merge key or a directive; inside of text it costs only time. */
const DOUBTFUL = /(?:^|[\s,[{:-])[&*!]\S|<<|^%|\t/m

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
      return value === null || (isObject(value) && Object.values(value).every(isJson))
  }
}
