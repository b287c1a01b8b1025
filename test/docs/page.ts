/** Pages of docs/, as far as tests run what stands on them. */
import { readFileSync } from 'node:fs'

/** A fenced block: what stands behind its fence, and the line of the fence. */
export type Block = { readonly line: number; readonly info: string; readonly text: string }

/** The fenced blocks of a page, in their order. */
export function blocksOf(path: string): readonly Block[] {
  const page = readFileSync(path, 'utf8')
  return [...page.matchAll(/^ *```(\w[^\n]*)\n([\s\S]*?)^ *```$/gm)].map((match) => ({
    line: page.slice(0, match.index).split('\n').length,
    info: match[1] ?? '',
    text: match[2] ?? '',
  }))
}

/** Words of a command line without a shell: blanks part them, single quotes hold them together. */
export function wordsOf(command: string): readonly string[] {
  return (command.match(/(?:'[^']*'|[^\s'])+/g) ?? []).map((word) => word.replaceAll("'", ''))
}
