/** Readers for JSON that nobody vouches for: each place by its path, each oddity a problem. */
import { isArray, isObject } from '../json.ts'
import { bad, good, type Problem, type Read } from '../problem.ts'
import { oneOf } from './values.ts'

/** Most items of one list. */
const MOST = 256

/** A place in a JSON text, and what stands there. */
export type Node = { readonly path: string; readonly value: unknown }

/** The members of an object, and a collector of problems. With `names`, every other member is a problem. */
export function openObject<const Name extends string>(
  { path, value }: Node,
  names: readonly Name[] | undefined,
  problems: Problem[],
) {
  const known: ReadonlySet<string> | undefined = names && new Set(names)
  const tell = (at: string, got: unknown, want: string): void => {
    problems.push({ path: at, got: shown(got), want })
  }
  if (!isObject(value)) {
    if (known !== undefined) tell(path, value, 'an object')
  } else if (known !== undefined) {
    for (const name of Object.keys(value)) {
      if (!known.has(name))
        tell(below(path, name), value[name], `no such member: ${[...known].join(', ')}`)
    }
  }
  return {
    member: (name: Name): Node => ({
      path: below(path, name),
      value: isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined,
    }),
    keep: <T>(read: Read<T>, fallback: T): T => {
      if (read.ok) return read.value
      problems.push(...read.problems)
      return fallback
    },
  }
}

/** `key: /a` and below it `key: /a/b`, as problems of JSON in annotations are told. */
function below(path: string, name: string): string {
  return path.includes(': /') ? `${path}/${name}` : `${path}: /${name}`
}

/** A list of at most 256 items; the problems of all of them together. */
export function readList<T>(
  { path, value }: Node,
  item: (node: Node) => Read<T>,
): Read<readonly T[]> {
  if (!isArray(value)) return bad(path, shown(value), 'a list')
  if (value.length > MOST) return bad(path, `${value.length} items`, `at most ${MOST}`)
  const reads = value.map((each, index) => item({ path: below(path, String(index)), value: each }))
  const problems = reads.flatMap((read) => (read.ok ? [] : read.problems))
  return problems.length > 0
    ? { ok: false, problems }
    : good(reads.flatMap((read) => (read.ok ? [read.value] : [])))
}

/** A whole number, written as a number. */
export function readNumber({ path, value }: Node, least: number, most: number): Read<number> {
  const isRight =
    typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most
  return isRight ? good(value) : bad(path, shown(value), `a whole number from ${least} to ${most}`)
}

/** One word of several. */
export function readWord<const Word extends string>(
  node: Node,
  ...words: readonly Word[]
): Read<Word> {
  return asText(node, oneOf(...words))
}

/** `true` or `false`, not as a text. */
export function readFlag({ path, value }: Node): Read<boolean> {
  return typeof value === 'boolean' ? good(value) : bad(path, shown(value), 'true or false')
}

/** Whether a list holds exactly one word. */
export function holds({ value }: Node, word: string): boolean {
  return isArray(value) && value.length === 1 && value[0] === word
}

type Reader<T> = (path: string, text: string) => Read<T>

/** A text, read on. */
export function asText<T>({ path, value }: Node, read: Reader<T>): Read<T> {
  return typeof value === 'string' ? read(path, value) : bad(path, shown(value), 'a text')
}

/** A number, read on as its digits. */
export function asDigits<T>({ path, value }: Node, read: Reader<T>): Read<T> {
  return typeof value === 'number' ? read(path, String(value)) : bad(path, shown(value), 'a number')
}

/** What stood there, for a problem. Lists and objects are named only: they may be deeper than a stack. */
export function shown(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (typeof value === 'string') return value
  if (isArray(value)) return 'a list'
  return isObject(value) ? 'an object' : JSON.stringify(value)
}
