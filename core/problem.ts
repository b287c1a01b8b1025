/** One thing wrong with one input: where, what stood there, what would have been right. */
export type Problem = {
  /** A flag, an annotation key, a field path (`/spec/containers/0`) or `file:line:column`. */
  readonly path: string
  readonly got: string
  readonly want: string
}

/** A value, or every problem found on the way to it. */
export type Read<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problems: readonly Problem[] }

/** A value that was read without a problem. */
export function good<T>(value: T): Read<T> {
  return { ok: true, value }
}

/** The outcome of a reader that found exactly one problem. `got` is the raw text, unquoted. */
export function bad<T>(path: string, got: string, want: string): Read<T> {
  return { ok: false, problems: [{ path, got, want }] }
}

/** One line for people: `path: got "text", want what is right`. Control characters are escaped. */
export function formatProblem(problem: Problem): string {
  return `${visible(problem.path)}: got ${quoted(problem.got)}, want ${problem.want}`
}

/** Input that we refuse, thrown where a value cannot be returned; the doors turn it into text. */
export class Refusal extends Error {
  readonly problems: readonly Problem[]

  constructor(problems: readonly Problem[], options?: ErrorOptions) {
    super(problems.map(formatProblem).join('\n'), options)
    this.name = 'Refusal'
    this.problems = problems
  }
}

const LONGEST_SHOWN = 200

/** The text in double quotes, escaped for one line of a log, cut after 200 characters. */
export function quoted(text: string): string {
  const shown = text.length > LONGEST_SHOWN ? `${text.slice(0, LONGEST_SHOWN)}…` : text
  return JSON.stringify(shown).replace(/[\u007f-\u009f\u2028\u2029]/g, escaped)
}

/** The text on one line, control characters escaped: what a log or a terminal may be given. */
export function visible(text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what must not reach a terminal
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, escaped)
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}
