/**
 * The texts that one shape of body is answered with, with holes. A stencil is cut from the answer to a body whose
 * holes were filled with marks. It is kept only if it gives what is answered to the body itself, and to the body
 * with every extreme in its holes: so whatever looks into a text on its way is found out before a pod is answered
 * from the stencil.
 */
import {
  FREE_EXTREMES,
  FREE_MARK,
  GRAMMARS,
  LIST_EXTREMES,
  LIST_MARK,
  MARK,
  MARK_GROUPS,
} from './holes.ts'
import type { Hole, Parts } from './scan.ts'

/** Works out the texts of the answer to a body; undefined for anything but a plain injection. */
export type Work = (body: string) => readonly string[] | undefined

/** One text in pieces: between two of them stands the value of the hole of that number. */
export type Stencil = { readonly pieces: readonly string[]; readonly holes: readonly number[] }

/** The text with these values in its holes. */
export function fill({ pieces, holes }: Stencil, values: readonly string[]): string {
  let text = pieces[0] ?? ''
  for (let index = 0; index < holes.length; index++) {
    text += (values[holes[index] ?? FREE] ?? '') + (pieces[index + 1] ?? '')
  }
  return text
}

/** Whether stencils with these values are what was worked out. */
export function isGiven(
  worked: readonly string[] | undefined,
  stencils: readonly Stencil[],
  values: readonly string[],
): boolean {
  return (
    worked?.length === stencils.length &&
    stencils.every((stencil, index) => fill(stencil, values) === worked[index])
  )
}

/**
 * Cuts the stencils of a shape from what was posted and the texts of its answer; undefined where the work does more
 * with a hole than to copy it. After each body that was worked on others may come first.
 */
export function* cut(
  parts: Parts,
  { values, worked }: { readonly values: readonly string[]; readonly worked: readonly string[] },
  work: Work,
): Generator<undefined, readonly Stencil[] | undefined> {
  if (worked.some((text) => MARK.test(text))) return undefined
  const stencils = work(filled(parts, MARKS).text)?.map(cutText)
  if (stencils === undefined || stencils.some(({ holes }) => holes.includes(FREE))) return undefined
  if (!isGiven(worked, stencils, values)) return undefined
  for (let turn = 0; turn < FREE_EXTREMES.length; turn++) {
    const extreme = filled(parts, extremesOf(turn))
    yield
    if (!isGiven(work(extreme.text), stencils, extreme.values)) return undefined
  }
  return stencils
}

/** A body and what stands in its holes. */
type Filled = { readonly text: string; readonly values: readonly string[] }

/** Gives what is to stand in a hole; that of a free one, or of a list, is raw, as it stands in JSON. */
type Filling = (kind: Exclude<Hole['kind'], 'same'>, number: number) => string

function filled({ literals, holes }: Parts, filling: Filling): Filled {
  const values: string[] = []
  let text = literals[0] ?? ''
  for (const [number, hole] of holes.entries()) {
    const value = hole.kind === 'same' ? (values[hole.of] ?? '') : filling(hole.kind, number)
    values.push(value)
    text += hole.kind === 'hashed' ? `${value}-${values[hole.of] ?? ''}` : value
    text += literals[number + 1] ?? ''
  }
  return { text, values }
}

/** Number of every hole that must not come out. */
const FREE = -1

const MARKS: Filling = (kind, number) => {
  if (kind === 'list') return LIST_MARK
  return kind === 'free' ? FREE_MARK : GRAMMARS[grammarOf(kind)].mark(number)
}

/** All holes with their extreme of one turn: those of one grammar are equal then. */
function extremesOf(turn: number): Filling {
  const free = JSON.stringify(FREE_EXTREMES[turn] ?? '').slice(1, -1)
  return (kind) => {
    if (kind === 'list') return LIST_EXTREMES[turn] ?? '[]'
    return kind === 'free' ? free : (GRAMMARS[grammarOf(kind)].extremes[turn] ?? '')
  }
}

function grammarOf(kind: Exclude<Hole['kind'], 'same' | 'free' | 'list'>): keyof typeof GRAMMARS {
  return kind === 'namespace' || kind === 'hashed' ? 'name' : kind
}

function cutText(marked: string): Stencil {
  const pieces: string[] = []
  const holes: number[] = []
  // Between two pieces come the groups of the expression, of which one has matched.
  const found = marked.split(MARK)
  for (let at = 0; at < found.length; at += MARK_GROUPS + 1) {
    pieces.push(found[at] ?? '')
    if (at + 1 >= found.length) break
    const number = found.slice(at + 1, at + 1 + MARK_GROUPS).join('')
    holes.push(number === '' ? FREE : Number(number))
  }
  return { pieces, holes }
}
