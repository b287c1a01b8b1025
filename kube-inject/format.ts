import { readYaml, printYaml } from '../core/yaml.ts'

/** What manifests may be turned into. */
export const FORMATS = ['yaml', 'json'] as const
export type Format = (typeof FORMATS)[number]

/**
 * The text of a document in a format. A document that has it already stays as it is; in another
 * one it is written anew, which comments do not survive. A document without content is empty then.
 */
export function inFormat(format: Format, text: string): string {
  const isJson = isJsonText(text)
  if (isJson === (format === 'json')) return text
  const read = readYaml('document', text)
  if (!read.ok) throw new Error('a document that was injected cannot be read')
  if (format === 'yaml') return printYaml(read.value)
  return read.value === null ? '' : `${JSON.stringify(read.value, null, 2)}\n`
}

function isJsonText(text: string): boolean {
  if (!/^\s*[{[]/.test(text)) return false
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
