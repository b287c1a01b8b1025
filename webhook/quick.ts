/** Answers to pods of a shape that was answered before: from its stencil, without an injection. */
import type { Answer, Snapshot } from './answer.ts'
import type { Rules } from './stencil/holes.ts'
import type { Work } from './stencil/stencil.ts'
import { makeStencils, type Stencils } from './stencil/stencils.ts'

/** Answers a body. */
export type Answering<Config> = (body: string, path: string, snapshot: Snapshot<Config>) => Answer

/** What quick answers need of the world. */
export type QuickDeps<Config> = {
  /** The long way. It must give the same for the same body, path and snapshot. */
  readonly answer: Answering<Config>
  /** How reviews are taken under a configuration; undefined where none has a stencil. */
  readonly rulesOf: (config: Config) => Rules | undefined
  /** Told of each answer that came from a stencil. */
  readonly answered: () => void
  /** Told once, when something is wrong with stencils: none is used any more. */
  readonly closed: (why: unknown) => void
  /** Does a job when nobody waits; by default in a later turn of the event loop. */
  readonly later?: (job: () => void) => void
  /** Milliseconds without another cut for each that the last one took. */
  readonly rest?: number
}

/** A stencil costs as much as ten answers, but no more than a tenth of the time goes into cutting. */
const REST = 9

/** Makes a quick way beside a long one. It closes for good when the two disagree, or when it fails. */
export function makeQuick<Config>(deps: QuickDeps<Config>): Answering<Config> {
  const { answer, rulesOf, later = setImmediate, rest = REST } = deps
  let shelf: Shelf<Config> | undefined
  let isOpen = true
  /** When the next stencil may be cut. */
  let freeAt = 0

  const close = (why: unknown): void => {
    if (isOpen) deps.closed(why)
    isOpen = false
  }
  const disagreed = (): void => {
    close('a stencil gave another answer than an injection')
  }
  const guarded = <T>(job: () => T): T | undefined => {
    if (!isOpen) return undefined
    try {
      return job()
    } catch (error) {
      close(error)
      return undefined
    }
  }
  const stencilsUnder = (snapshot: Snapshot<Config>): Stencils | undefined => {
    if (shelf?.snapshot !== snapshot) {
      const rules = rulesUnder(snapshot, rulesOf)
      const stencils = rules && makeStencils(rules, disagreed)
      shelf = { snapshot, stencils }
    }
    return shelf.stencils
  }
  /** Between two steps others come first, as between two requests. */
  const inSteps = (steps: Iterator<undefined>, spent: number): void => {
    later(() => {
      const start = performance.now()
      const isDone = guarded(() => steps.next().done) ?? true
      const end = performance.now()
      const all = spent + end - start
      if (isDone) freeAt = end + all * rest
      else inSteps(steps, all)
    })
  }
  return (body, path, snapshot) => {
    const work: Work = (asked) => apart(answer(asked, path, snapshot))
    const stencils = guarded(() => stencilsUnder(snapshot))
    const texts = stencils && guarded(() => stencils.texts(path, body, work))
    if (texts !== undefined) {
      deps.answered()
      return together(texts)
    }
    const whole = answer(body, path, snapshot)
    const worked = stencils !== undefined && performance.now() >= freeAt ? apart(whole) : undefined
    if (stencils !== undefined && worked !== undefined) {
      freeAt = Infinity
      inSteps(stencils.learn(path, body, worked, work), 0)
    }
    return whole
  }
}

/** Stencils are of one snapshot: what is known of the cluster, too, is the same for all of them. */
type Shelf<Config> = {
  readonly snapshot: Snapshot<Config>
  readonly stencils: Stencils | undefined
}

/** A namespace of which something is known is asked about by its name. */
function rulesUnder<Config>(
  { config, annotationsOf, strictLevelOf }: Snapshot<Config>,
  rulesOf: QuickDeps<Config>['rulesOf'],
): Rules | undefined {
  const rules = rulesOf(config)
  if (rules === undefined) return undefined
  return {
    ...rules,
    isKnownNamespace: (name) =>
      rules.isKnownNamespace(name) ||
      annotationsOf(name) !== undefined ||
      strictLevelOf?.(name) !== undefined,
  }
}

/** Stands before the patch in an answer; in texts of a user's before it quotes are escaped. */
const PATCH = ',"patch":"'

/** The texts of an answer that injects and needs nothing but to be sent; undefined for another one. */
function apart({ body, outcome, facts, happening }: Answer): readonly string[] | undefined {
  const start = body.indexOf(PATCH) + PATCH.length
  if (outcome.kind !== 'success' || happening !== undefined || start < PATCH.length)
    return undefined
  const end = body.indexOf('"', start)
  const patch = Buffer.from(body.slice(start, end), 'base64').toString()
  const { uid, workload = '', namespace = '', dryRun = false } = facts
  return [body.slice(0, start), patch, body.slice(end), uid, workload, namespace, String(dryRun)]
}

function together(texts: readonly string[]): Answer {
  const [head = '', patch = '', tail = '', uid = '', workload = '', namespace = '', dryRun] = texts
  return {
    status: 200,
    body: `${head}${Buffer.from(patch).toString('base64')}${tail}`,
    outcome: { kind: 'success' },
    facts: {
      uid,
      workload,
      ...(namespace === '' ? {} : { namespace }),
      ...(dryRun === 'true' ? { dryRun: true } : {}),
    },
  }
}
