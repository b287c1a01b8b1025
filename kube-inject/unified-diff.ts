import { diffArrays, FILE_HEADERS_ONLY, formatPatch, OMIT_HEADERS } from 'diff'
import { visible } from '../core/problem.ts'

/** Lines of two texts in order: in both, only in the old one, or only in the new one. */
export type Run = { readonly in: 'both' | 'old' | 'new'; readonly lines: readonly string[] }

/** The runs of two versions of one document. */
export function runsBetween(before: string, after: string): readonly Run[] {
  const old = linesOf(before)
  if (before === after) return [{ in: 'both', lines: old }]
  return diffArrays(old, linesOf(after)).map(({ added, removed, value }) => ({
    in: added ? 'new' : removed ? 'old' : 'both',
    lines: value,
  }))
}

/** Lines around a change, as `diff -u` shows them. */
const CONTEXT = 3

/** The unified diff of a file from the runs of all its documents; empty where nothing changed. */
export function printUnified(name: string, runs: readonly Run[]): string {
  const diff = makeUnified(name)
  return diff.add(runs) + diff.end()
}

/** A unified diff that is printed while its runs come in. */
export type UnifiedDiff = {
  /** The hunks that these runs end, with the header of the file before the first one. */
  readonly add: (runs: readonly Run[]) => string
  /** What is left at the end of the file. */
  readonly end: () => string
}

/** Lines after which a hunk ends at the next lines that are in both, though others would go on. */
const LONGEST = 1000

/** Keeps no more than a hunk at a time. */
export function makeUnified(name: string): UnifiedDiff {
  // Documents hold no control characters, or they could not be read; names of files may.
  const names = { oldFileName: `a/${visible(name)}`, newFileName: `b/${visible(name)}` }
  let headers = FILE_HEADERS_ONLY
  let hunk: Hunk | undefined
  let oldLine = 1
  let newLine = 1
  /** The last lines, where they are in both: a change that follows shows them, before itself or between. */
  let same: string[] = []
  const printHunk = (): string => {
    if (hunk === undefined) return ''
    extend(hunk, 'both', same.slice(0, CONTEXT))
    const patch = { ...names, oldHeader: undefined, newHeader: undefined, hunks: [hunk] }
    const text = formatPatch(patch, headers)
    hunk = undefined
    headers = OMIT_HEADERS
    return text
  }
  /**
   * Ends a hunk between two changes. What follows gets what is left as its context, so there has to be some. The end
   * cannot do with less than the rest of the file would give it: then patch looks for it at the end of the file.
   */
  const split = (): string => {
    const next = same.slice(CONTEXT)
    const text = printHunk()
    same = next
    return text
  }
  const addRun = ({ in: where, lines }: Run): string => {
    if (lines.length === 0) return ''
    let printed = ''
    if (where === 'both') {
      same.push(...lines.slice(0, 2 * CONTEXT + 1))
      if (same.length > 2 * CONTEXT) printed = printHunk()
      if (hunk === undefined) same = [...same, ...lines.slice(2 * CONTEXT + 1)].slice(-CONTEXT)
    } else {
      if (hunk !== undefined && hunk.lines.length > LONGEST && same.length > CONTEXT) {
        printed = split()
      }
      hunk ??= {
        ...{ oldStart: oldLine - same.length, oldLines: 0 },
        ...{ newStart: newLine - same.length, newLines: 0 },
        lines: [],
      }
      extend(hunk, 'both', same)
      extend(hunk, where, lines)
      same = []
    }
    if (where !== 'new') oldLine += lines.length
    if (where !== 'old') newLine += lines.length
    return printed
  }
  return { add: (runs) => runs.map(addRun).join(''), end: printHunk }
}

/** A diff with its added lines green, its removed ones red and its places blue, for a terminal. */
export function coloured(diff: string): string {
  return diff.replaceAll(/^([-+@]).*$/gm, (line, mark: string) => {
    const colour = mark === '+' ? 32 : mark === '-' ? 31 : 36
    return `\u001b[${colour}m${line}\u001b[0m`
  })
}

type Hunk = {
  oldStart: number
  oldLines: number
  newStart: number
  newLines: number
  lines: string[]
}

const MARKS = { both: ' ', old: '-', new: '+' } as const

function extend(hunk: Hunk, where: Run['in'], lines: readonly string[]): void {
  for (const line of lines) {
    const isEnded = line.endsWith('\n')
    hunk.lines.push(MARKS[where] + (isEnded ? line.slice(0, -1) : line))
    if (!isEnded) hunk.lines.push('\\ No newline at end of file')
  }
  if (where !== 'new') hunk.oldLines += lines.length
  if (where !== 'old') hunk.newLines += lines.length
}

/** The lines of a text with their line breaks. */
function linesOf(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? []
}
