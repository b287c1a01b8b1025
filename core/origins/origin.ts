/** Where a field of an injected pod comes from. */
import { quoted, visible } from '../problem.ts'
import { STAGES, type Stage } from '../inject/observe.ts'
import type { Difference } from './differences.ts'
import { describeSource, type Source } from './source.ts'
import type { Condition } from './template-places.ts'

/** One field that injection added, changed, moved or removed, and where that comes from. */
export type Origin = Told<Difference> & {
  readonly stage: Stage
  /** The place in a template, where one wrote it. */
  readonly template?: TemplateOrigin
  /** What the value was computed from; nothing for fixed text. */
  readonly from: readonly Source[]
  /** All of it in one sentence. */
  readonly text: string
}

/** A difference without how it was found. */
type Told<T> = T extends unknown ? Omit<T, 'mark'> : never

/** Where a template wrote something. */
export type TemplateOrigin = {
  readonly name: string
  readonly line: number
  /** The values that are printed there, as the template names them; none for fixed text. */
  readonly prints: readonly string[]
  /** The blocks around it, outermost first, each with what it was decided by. */
  readonly because: readonly Because[]
}

/** A block of a template that was or was not taken. */
export type Because = Pick<Condition, 'line' | 'text' | 'isTaken'> & {
  readonly from: readonly Source[]
}

/** An origin in one sentence, safe for a terminal. */
export function describeOrigin({
  stage,
  template,
  from,
}: Pick<Origin, 'stage' | 'template' | 'from'>): string {
  const sources = distinct(from.map(describeSource))
  const listed = sources.length === 0 ? '' : ` from ${sources.join(', ')}`
  if (template === undefined) return `${STAGES_TOLD[stage]}${listed && `,${listed}`}`
  const { name, line, prints } = template
  const place = `template ${visible(name)}, line ${line}`
  if (prints.length === 0) return `${place}: fixed text`
  const given = listed === '' ? ', which nothing sets' : listed
  return `${place}: ${prints.map(visible).join(', ')}${given}`
}

/** A block in one line: `line 21 {{#if init.isPresent}} taken: annotation … `. */
export function describeBecause({ line, text, isTaken, from }: Because): string {
  const sources = distinct(from.map(describeSource))
  const taken = isTaken ? '' : ' not'
  // What a list is made of is told with its items.
  const isLoop = text.startsWith('#each')
  const listed = sources.length === 0 || isLoop ? '' : `: ${sources.join(', ')}`
  return `line ${line}, {{${visible(text)}}}${taken} taken${listed}`
}

/** The value of an origin as text, cut to what a line can hold. */
export function describeValue(origin: Origin): string {
  switch (origin.change) {
    case 'removed':
      return 'removed'
    case 'moved':
      return `was at ${visible(origin.was)}`
    case 'added':
    case 'changed': {
      const { value } = origin
      return typeof value === 'string' ? quoted(value) : JSON.stringify(value)
    }
  }
}

const STAGES_TOLD: Readonly<Record<Stage, string>> = { template: 'a template', ...STAGES }

function distinct(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)]
}
