import { readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, join, relative } from 'node:path'
import { Refusal } from '../core/problem.ts'

/** One manifest file. */
export type Source = {
  /** What to call it. */
  readonly name: string
  /** Its path below the folder that it was found in; its name where it was named itself. */
  readonly below: string
  /** With any byte order mark. */
  readonly text: string
}

/** What standard input is called in messages, and as a file. */
export const STDIN = { name: 'standard input', below: 'standard-input.yaml' }
const MANIFEST = /\.(?:ya?ml|json)$/
const URL_START = /^https?:\/\//

/**
 * The manifests behind names: a file, `-` for standard input, a URL, a pattern (`apps/**\/*.yaml`), or a
 * folder for the YAML and JSON files in it and below it, in the order of their paths. Files are read one
 * by one, so that memory stays flat; URLs are fetched first. Throws a Refusal.
 */
export async function openSources(names: readonly string[]): Promise<Iterable<Source>> {
  const fetched = new Map<string, Source>()
  for (const name of names) {
    if (URL_START.test(name))
      fetched.set(name, await (await import('./fetch-source.ts')).fetchSource(name))
  }
  const patterns = names.filter((name) => isPattern(name))
  const found = patterns.length === 0 ? [] : await filesOf(patterns)
  return readAll(names, fetched, new Map(found))
}

function* readAll(
  names: readonly string[],
  fetched: ReadonlyMap<string, Source>,
  found: ReadonlyMap<string, readonly string[]>,
): Generator<Source> {
  for (const name of names) {
    const source = fetched.get(name)
    if (source !== undefined) yield source
    else if (name === '-') yield { ...STDIN, text: readText(0, STDIN.name) }
    else {
      for (const file of found.get(name) ?? manifestFiles(name)) {
        const below = relative(name, file)
        const isInside = below !== '' && !below.startsWith('..')
        yield { name: file, below: isInside ? below : basename(file), text: readText(file, file) }
      }
    }
  }
}

/** Whether a name is a pattern: no file of that very name is there. */
function isPattern(name: string): boolean {
  return (
    /[*?[{]/.test(name) &&
    statSync(name, { throwIfNoEntry: false }) === undefined &&
    !URL_START.test(name)
  )
}

async function filesOf(
  patterns: readonly string[],
): Promise<readonly (readonly [string, readonly string[]])[]> {
  const { globSync } = await import('tinyglobby')
  return patterns.map((pattern) => {
    const files = globSync(pattern, { expandDirectories: false }).toSorted()
    if (files.length > 0) return [pattern, files]
    throw new Refusal([{ path: pattern, got: 'no file', want: 'a pattern that some file matches' }])
  })
}

/** Bytes of one file, which stands in memory as a whole. */
const MOST_BYTES = 256 * 1024 * 1024

/** The text of a file, which must be UTF-8. Throws a Refusal that names the file. */
export function readText(file: string | 0, name: string): string {
  const bytes = attempt(name, 'a file that can be read', () => readFileSync(file))
  if (bytes.length > MOST_BYTES) {
    const want = `at most ${MOST_BYTES} bytes, in several files if need be`
    throw new Refusal([{ path: name, got: `${bytes.length} bytes`, want }])
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    const offset = firstBadByte(bytes)
    const lines = bytes.subarray(0, offset).toString('utf8').split('\n')
    const path = `${name}:${lines.length}:${(lines.at(-1)?.length ?? 0) + 1}`
    const got = `byte 0x${(bytes[offset] ?? 0).toString(16).padStart(2, '0')}`
    throw new Refusal([{ path, got, want: 'UTF-8 text' }])
  }
}

function manifestFiles(name: string): readonly string[] {
  const isFolder = attempt(name, 'a file or folder', () => statSync(name)).isDirectory()
  if (!isFolder) return [name]
  const entries = attempt(name, 'a folder that can be read', () => readdirSync(name))
  return entries
    .toSorted()
    .map((entry) => join(name, entry))
    .flatMap((path) => {
      const isInner = attempt(path, 'a file or folder', () => statSync(path)).isDirectory()
      return isInner ? manifestFiles(path) : [path]
    })
    .filter((path) => MANIFEST.test(path))
}

function attempt<T>(name: string, want: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    const got = cause instanceof Error ? cause.message : String(cause)
    throw new Refusal([{ path: name, got, want }], { cause })
  }
}

/** Where the bytes differ from what their text would be written as. */
function firstBadByte(bytes: Buffer): number {
  const again = Buffer.from(bytes.toString('utf8'), 'utf8')
  let offset = 0
  while (offset < bytes.length && bytes[offset] === again[offset]) offset++
  return offset
}
