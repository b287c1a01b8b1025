import { bad, good, type Problem, type Read } from './problem.ts'

/** A user or group: a number, or a name that the host resolves when the rules are loaded. */
export type Owner = number | string

/** The largest id: the kernel keeps 2^32-1 for "no id". */
export const LARGEST_ID = 4294967294

const ID = `a decimal id from 0 to ${LARGEST_ID}`
const NAME = `${ID} or a name of letters, digits, "_", "." or "-"`

/** Reads one numeric id. */
export function readId(path: string, text: string): Read<number> {
  const id = /^\d{1,10}$/.test(text) ? Number(text) : Infinity
  return id <= LARGEST_ID ? good(id) : bad(path, text, ID)
}

/** Reads a comma-separated list of numeric ids; items trimmed, empty ones dropped, order kept. */
export function readIds(path: string, text: string): Read<readonly number[]> {
  return readEach(text, (item) => readId(path, item))
}

/** Reads a comma-separated list of ids and names; items trimmed, empty ones dropped, order kept. */
export function readOwners(path: string, text: string): Read<readonly Owner[]> {
  return readEach(text, (item) => readOwner(path, item))
}

function readOwner(path: string, text: string): Read<Owner> {
  if (/^[a-zA-Z_][a-zA-Z0-9_.-]{0,31}$/.test(text)) return good(text)
  return readId(path, text).ok ? good(Number(text)) : bad(path, text, NAME)
}

function readEach<T>(text: string, read: (item: string) => Read<T>): Read<readonly T[]> {
  const values: T[] = []
  const problems: Problem[] = []
  for (const item of text.split(',').map((part) => part.trim())) {
    if (item === '') continue
    const value = read(item)
    if (value.ok) values.push(value.value)
    else problems.push(...value.problems)
  }
  return problems.length === 0 ? good(values) : { ok: false, problems }
}
