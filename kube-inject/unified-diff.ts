import { diffArrays, FILE_HEADERS_ONLY, formatPatch } from 'diff'
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
  const hunks = hunksOf(runs)
  if (hunks.length === 0) return ''
  // Documents hold no control characters, or they could not be read; names of files may.
  const header = { oldFileName: `a/${visible(name)}`, newFileName: `b/${visible(name)}` }
  return formatPatch(
    { ...header, oldHeader: undefined, newHeader: undefined, hunks },
    FILE_HEADERS_ONLY,
  )
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

function hunksOf(runs: readonly Run[]): Hunk[] {
  const hunks: Hunk[] = []
  const merged = mergedRuns(runs)
  let hunk: Hunk | undefined
  let oldLine = 1
  let newLine = 1
  /** The last lines that are in both, which a change that follows shows before itself. */
  let before: readonly string[] = []
  for (const [index, { in: where, lines }] of merged.entries()) {
    if (where === 'both') {
      if (hunk !== undefined) {
        const isLast = index === merged.length - 1
        const gap = isLast || lines.length > 2 * CONTEXT ? CONTEXT : lines.length
        add(hunk, 'both', lines.slice(0, gap))
        if (gap < lines.length || isLast) hunk = undefined
      }
      before = lines.slice(-CONTEXT)
      oldLine += lines.length
      newLine += lines.length
      continue
    }
    if (hunk === undefined) {
      const [oldStart, newStart] = [oldLine - before.length, newLine - before.length]
      hunk = { oldStart, oldLines: 0, newStart, newLines: 0, lines: [] }
      add(hunk, 'both', before)
      hunks.push(hunk)
    }
    add(hunk, where, lines)
    before = []
    if (where === 'old') oldLine += lines.length
    else newLine += lines.length
  }
  return hunks
}

/** The same with neighbours of one kind made one, as where an unchanged document follows another. */
function mergedRuns(runs: readonly Run[]): readonly Run[] {
  const merged: { readonly in: Run['in']; readonly lines: string[] }[] = []
  for (const { in: where, lines } of runs) {
    const last = merged.at(-1)
    if (last?.in === where) for (const line of lines) last.lines.push(line)
    else if (lines.length > 0) merged.push({ in: where, lines: [...lines] })
  }
  return merged
}

function add(hunk: Hunk, where: Run['in'], lines: readonly string[]): void {
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
