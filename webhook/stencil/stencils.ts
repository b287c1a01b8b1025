/** Keeps the stencils of the shapes that were met. */
import type { Rules } from './holes.ts'
import { scan } from './scan.ts'
import { cut, fill, isGiven, type Stencil, type Work } from './stencil.ts'
import { emptyTree, find, plant, type Found, type Tree } from './tree.ts'

/** Stencils of work that gives the same texts for the same body at the same path. */
export type Stencils = {
  /** The texts of the answer to a body; undefined where only `work` can say, or where `work` gave others. */
  readonly texts: (path: string, body: string, work: Work) => readonly string[] | undefined
  /** Cuts a stencil for the shape of a body, from the texts that `work` gave for it, in steps. */
  readonly learn: (
    path: string,
    body: string,
    worked: readonly string[],
    work: Work,
  ) => Generator<undefined, void>
}

/** Shapes kept, and characters of paths, bodies and stencils. All are forgotten when there are more. */
const KEPT_SHAPES = 1000
const KEPT_CHARACTERS = 16_000_000
/** Characters of a body, above which no stencil is cut. */
const LONGEST_BODY = 65_536
/** The first answer from a stencil is worked out as well, and so is one in so many after it. */
const COMPARED = 256

/** Makes a keeper of stencils, empty. `disagreed` is told when a stencil and the work gave different texts. */
export function makeStencils(rules: Rules, disagreed: () => void): Stencils {
  const trees = new Map<string, Tree<Leaf>>()
  let shapes = 0
  let characters = 0

  const search = (path: string, body: string): Found<Leaf> | undefined => {
    const tree = body.length > LONGEST_BODY ? undefined : trees.get(path)
    return tree && find(tree, body, rules)
  }
  const treeFor = (path: string): Tree<Leaf> => {
    if (shapes >= KEPT_SHAPES || characters > KEPT_CHARACTERS) {
      trees.clear()
      shapes = 0
      characters = 0
    }
    const tree = trees.get(path) ?? emptyTree()
    trees.set(path, tree)
    return tree
  }

  return {
    texts: (path, body, work) => {
      const found = search(path, body)
      if (found === undefined) return undefined
      const { leaf, values } = found
      if (leaf.stencils === undefined) return undefined
      if (leaf.answers++ % COMPARED === 0 && !isGiven(work(body), leaf.stencils, values)) {
        disagreed()
        return undefined
      }
      return leaf.stencils.map((stencil) => fill(stencil, values))
    },
    *learn(path, body, worked, work) {
      if (body.length > LONGEST_BODY || search(path, body) !== undefined) return
      const tree = treeFor(path)
      shapes += 1
      characters += [path, body, ...worked].reduce((sum, { length }) => sum + length, 0)
      const parts = scan(body, rules)
      plant(tree, parts, { stencils: undefined, answers: 0 })
      // As a later body of this shape will be read, so that what is learned is what will be met.
      const found = parts.isOut ? undefined : search(path, body)
      if (found === undefined) return
      found.leaf.stencils = yield* cut(parts, { values: found.values, worked }, work)
    },
  }
}

/** A shape's stencils, undefined where it has none; how often they gave an answer. */
type Leaf = { stencils: readonly Stencil[] | undefined; answers: number }
