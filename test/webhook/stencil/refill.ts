/** Bodies with other texts in their holes, and what stencils and an injection answer to them. */
import type { InjectConfig } from '../../../core/inject/config.ts'
import { injectPod } from '../../../core/inject/inject.ts'
import { answerReview, type Answer, type Snapshot } from '../../../webhook/answer.ts'
import { makeQuick, type Answering } from '../../../webhook/quick.ts'
import { GRAMMARS, rulesOf, type Grammar, type Rules } from '../../../webhook/stencil/holes.ts'
import { scan, type Hole, type Parts } from '../../../webhook/stencil/scan.ts'
import { emptyTree, find, plant } from '../../../webhook/stencil/tree.ts'

export const PATH = '/inject'

/** Every shape is learned at once. */
const AT_ONCE = {
  later: (job: () => void) => {
    job()
  },
  rest: 0,
}

export function inFull(body: string, path: string, snapshot: Snapshot<InjectConfig>): Answer {
  return answerReview(body, path, injectPod, snapshot, { warnings: true, audit: true })
}

export function snapshotOf(config: InjectConfig, other: Partial<Snapshot<InjectConfig>> = {}) {
  return { config, isNative: () => false, annotationsOf: () => undefined, ...other }
}

/** A quick way, and how often it took the short cut. */
export function makeCounted(answer: Answering<InjectConfig> = inFull) {
  const seen = { short: 0, closed: [] as unknown[] }
  const quick = makeQuick({
    answer,
    rulesOf,
    answered: () => (seen.short += 1),
    closed: (why) => seen.closed.push(why),
    ...AT_ONCE,
  })
  return { quick, seen }
}

/** A body's texts between its holes, and what stands in each hole. */
export function apart(
  body: string,
  rules: Rules,
): { readonly parts: Parts; readonly values: readonly string[] } {
  const parts = scan(body, rules)
  const tree = emptyTree<true>()
  plant(tree, parts, true)
  return { parts, values: find(tree, body, rules)?.values ?? [] }
}

/** Whether a word may stand in such a hole: one that may not makes another shape, and proves nothing. */
export function fits(kind: Hole['kind'], word: string): boolean {
  if (kind === 'namespace' || kind === 'hashed') return GRAMMARS.name.fits(word)
  return !Object.hasOwn(GRAMMARS, kind) || GRAMMARS[kind as Grammar].fits(word)
}

/** A word as it could stand in such a hole. */
export function wordFor(kind: Hole['kind'], word: string): string {
  if (kind === 'list') return JSON.stringify([{ [word]: word }])
  const raw = JSON.stringify(word).slice(1, -1)
  if (kind === 'path') return `/${raw}`
  if (kind === 'access') return `kube-api-access-${word.replace(/[^a-z0-9]/g, '').slice(0, 5)}`
  return kind === 'prefix' ? `${raw}-` : raw
}

export function refilled({ literals, holes }: Parts, values: readonly string[]): string {
  return holes.reduce((text, hole, index) => {
    const value = values[hole.kind === 'same' ? hole.of : index] ?? ''
    const shown = hole.kind === 'hashed' ? `${value}-${values[hole.of] ?? ''}` : value
    return `${text}${shown}${literals[index + 1] ?? ''}`
  }, literals[0] ?? '')
}

/** The texts of a body itself: what two of its texts have in common may matter. */
export function textsIn(body: string): readonly string[] {
  const texts = [...body.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, text = '']) => text)
  return texts.filter((text) => /^[^\\]{1,60}$/.test(text))
}
