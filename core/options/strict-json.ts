import { bad, good, type Read } from '../problem.ts'

/**
 * Reads JSON in which no object has a member twice: of two, readers disagree about which one counts, so
 * that one program could check what another does not obey.
 */
export function readStrictJson(path: string, text: string): Read<unknown> {
  const value = parse(text)
  if (value === undefined) return bad(path, text, 'JSON')
  const repeated = findRepeated(text)
  return repeated === undefined ? good(value) : bad(path, repeated, 'each member only once')
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** A string, or a character that opens, closes or names something. */
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\]:]/g

/** The first member name that an object has twice. The text is known to be JSON. */
function findRepeated(text: string): string | undefined {
  const open: Set<unknown>[] = []
  let last = ''
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === '{' || token === '[') open.push(new Set())
    else if (token === '}' || token === ']') open.pop()
    else if (token !== ':') last = token
    else {
      const name = parse(last)
      const names = open.at(-1)
      if (names?.has(name) === true) return last
      names?.add(name)
    }
  }
  return undefined
}
