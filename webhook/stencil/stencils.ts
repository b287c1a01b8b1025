/** Keeps the stencils of the shapes that were met. */
import type { Rules } from './holes.ts'
import { scan } from './scan.ts'
import { cut, fill, isGiven, type Stencil, type Work } from './stencil.ts'
import { emptyTree, find, plant, type Tree } from './tree.ts'

/** Stencils of one kind of work, for as long as it gives the same texts for the same body. */
export type Stencils = {
  /** The texts of the answer to a body; undefined where only `work` can say, or where `work` gave others. */
  readonly texts: (body: string, work: Work) => readonly string[] | undefined
  /** Cuts a stencil for the shape of a body, from the texts that `work` gave for it, in steps. */
  readonly learn: (
    body: string,
    worked: readonly string[],
    work: Work,
  ) => Generator<undefined, void>
}

/** Shapes kept, and characters of the bodies that they are of. All are forgotten when there are more. */
const KEPT_SHAPES = 1000
const KEPT_CHARACTERS = 8_000_000
/** Characters of a body, above which no stencil is cut. */
const LONGEST_BODY = 65_536
/** The first answer from a stencil is worked out as well, and so is one in so many after it. */
const COMPARED = 256

/** Makes a keeper of stencils, empty. `disagreed` is told when a stencil and the work gave different texts. */
export function makeStencils(rules: Rules, disagreed: () => void): Stencils {
  let tree: Tree<Leaf> = emptyTree()
  let characters = 0
  return {
    texts: (body, work) => {
      const found = body.length > LONGEST_BODY ? undefined : find(tree, body, rules)
      if (found === undefined) return undefined
      const { leaf, values } = found
      if (leaf.stencils === undefined) return undefined
      if (leaf.answers++ % COMPARED === 0 && !isGiven(work(body), leaf.stencils, values)) {
        disagreed()
        return undefined
      }
      return leaf.stencils.map((stencil) => fill(stencil, values))
    },
    *learn(body, worked, work) {
      if (body.length > LONGEST_BODY || find(tree, body, rules) !== undefined) return
      if (tree.leaves >= KEPT_SHAPES || characters + body.length > KEPT_CHARACTERS) {
        tree = emptyTree()
        characters = 0
      }
      characters += body.length
      const parts = scan(body, rules)
      plant(tree, parts, { stencils: undefined, answers: 0 })
      // As a later body of this shape will be read, so that what is learned is what will be met.
      const found = parts.isOut ? undefined : find(tree, body, rules)
      if (found === undefined) return
      found.leaf.stencils = yield* cut(parts, { values: found.values, worked }, work)
    },
  }
}

/** A shape's stencils, undefined where it has none; how often they gave an answer. */
type Leaf = { stencils: readonly Stencil[] | undefined; answers: number }
